/* test_self_call.c - one completion-queue thread serves calls and makes them to itself: every
 * ending, on both sides. */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "cq_fixture.h"
#include "grpc/client_call.h"
#include "grpc/server_call.h"
#include "grpc/slices.h"

#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>

static struct cq_fixture fixture;
static grpc_server *server;
static grpc_channel *channel;

/* What the server's side does with its calls. The test sets it before it opens one. */
enum behaviour { ECHO, ANSWER, REFUSE, ABORT, WAIT, SEND_TWO };
static enum behaviour behaviour;
static const char *details = "why"; /* of REFUSE */

/* One call at a time is served. The thread only, but for what is atomic. */
static struct {
    struct server_call call;
    struct op requested, shut;
    grpc_call *core;
    grpc_call_details details;
    grpc_metadata_array metadata;
    bool held;
    _Atomic bool open, half_closed, lost, is_down, refused;
    _Atomic unsigned received, sent, unsent, closed, closed_ok;
} served;

static struct {
    struct client_call call;
    bool pauses;       /* reads only when the test says so */
    unsigned messages; /* to send, then the half-close */
    char text[128];    /* of all messages, in order */
    char status[128], trailer[512];
    grpc_status_code code;
    _Atomic unsigned received, sent, unsent, ended;
} client;

static grpc_slice text_slice(const char *text)
{
    return slice_copy_of((struct bytes){(const uint8_t *)text, strlen(text)});
}

/* ---- the server's side ---- */

static const struct server_status done = {.code = GRPC_STATUS_OK};

static void serve_received(struct server_call *call, grpc_byte_buffer **message)
{
    bool copied;
    grpc_slice copy;
    struct bytes bytes = message_whole(*message, &copy, &copied);
    grpc_slice slice = copied ? copy : slice_copy_of(bytes);

    CHECK(cq_is_mine(fixture.thread) && server_call_alive(call));
    served.received++;
    if (behaviour == ECHO || behaviour == SEND_TWO)
        CHECK(server_call_send(call, &slice, 1));
    else if (behaviour == ANSWER)
        server_call_finish(call, &done, &slice);
    else if (behaviour == REFUSE)
        server_call_finish(call,
                           &(struct server_status){.code = GRPC_STATUS_NOT_FOUND,
                                                   .text = {(const uint8_t *)"no such thing", 13},
                                                   .details = {(const uint8_t *)details, strlen(details)}},
                           NULL);
    else if (behaviour == ABORT)
        server_call_abort(call, GRPC_STATUS_RESOURCE_EXHAUSTED, "not reading");
    grpc_slice_unref(slice);
    if (behaviour == WAIT)
        server_call_read(call);
}

static void serve_half_closed(struct server_call *call)
{
    served.half_closed = true;
    if (behaviour == ECHO)
        server_call_finish(call, &done, NULL);
}

static void serve_sent(struct server_call *call, bool ok)
{
    if (ok)
        served.sent++;
    else
        served.unsent++;
    if (behaviour == ECHO) {
        server_call_read(call);
    } else if (behaviour == SEND_TWO && served.sent == 1) {
        grpc_slice slice = text_slice("second");

        CHECK(server_call_send(call, &slice, 1));
        grpc_slice_unref(slice);
    } else if (behaviour == SEND_TWO) {
        server_call_finish(call, &done, NULL);
    }
}

static void serve_lost(struct server_call *call)
{
    grpc_slice none = grpc_empty_slice();

    CHECK(!server_call_alive(call));
    CHECK(!server_call_send(call, &none, 1)); /* these do nothing */
    server_call_read(call);
    server_call_finish(call, &done, NULL);
    served.lost = true;
}

static void request(void *ctx);

static void serve_closed(struct server_call *call, bool ok)
{
    CHECK(call == &served.call);
    served.open = false;
    if (ok)
        served.closed_ok++;
    served.closed++;
    request(NULL);
}

static void on_requested(struct op *op, bool ok)
{
    static const struct server_call_port port = {.received = serve_received,
                                                 .half_closed = serve_half_closed,
                                                 .sent = serve_sent,
                                                 .lost = serve_lost,
                                                 .closed = serve_closed};

    (void)op;
    grpc_call_details_destroy(&served.details);
    grpc_metadata_array_destroy(&served.metadata);
    if (!ok) {
        served.refused = true;
        return;
    }
    served.open = true;
    server_call_open(&served.call, fixture.thread, &port, served.core,
                     &(struct server_call_params){.headers_with_answer = behaviour == ANSWER,
                                                  .write_timeout_ns = NS_PER_S});
    if (served.held)
        server_call_hold(&served.call);
    server_call_read(&served.call);
}

/* For the thread: asks for the next call. */
static void request(void *ctx)
{
    grpc_completion_queue *queue = cq_thread_queue(fixture.thread);

    (void)ctx;
    served.requested.done = on_requested;
    grpc_call_details_init(&served.details);
    grpc_metadata_array_init(&served.metadata);
    CHECK(grpc_server_request_call(server, &served.core, &served.details, &served.metadata, queue, queue,
                                   &served.requested) == GRPC_CALL_OK);
}

/* ---- the client's side ---- */

static void send_next(void)
{
    char text[32];

    if (client.messages == 0) {
        client_call_half_close(&client.call);
        return;
    }
    snprintf(text, sizeof(text), "message %u ", client.messages--);
    grpc_slice slice = text_slice(text);
    client_call_send(&client.call, slice);
    grpc_slice_unref(slice);
}

static void call_sent(struct client_call *call, bool ok)
{
    if (ok)
        client.sent++;
    else
        client.unsent++;
    if (ok && call->state == CLIENT_CALL_OPEN)
        send_next();
}

static void call_received(struct client_call *call, grpc_byte_buffer **message)
{
    OWNED(buf_fini) struct buf gathered = {0};
    struct bytes bytes;

    CHECK(cq_is_mine(fixture.thread));
    CHECK(message_gather(*message, &gathered, &bytes));
    strncat(client.text, (const char *)bytes.data, bytes.size);
    client.received++;
    if (!client.pauses)
        client_call_read(call);
}

static void copy_text(char *to, size_t capacity, grpc_slice from)
{
    CHECK(GRPC_SLICE_LENGTH(from) < capacity);
    memcpy(to, GRPC_SLICE_START_PTR(from), GRPC_SLICE_LENGTH(from));
    to[GRPC_SLICE_LENGTH(from)] = '\0';
}

static void call_ended(struct client_call *call, const struct client_call_end *end)
{
    CHECK(call->state == CLIENT_CALL_CLOSED);
    client.code = end->code;
    copy_text(client.status, sizeof(client.status), end->message);
    for (size_t i = 0; i < end->trailers->count; i++)
        if (grpc_slice_str_cmp(end->trailers->metadata[i].key, "grpc-status-details-bin") == 0)
            copy_text(client.trailer, sizeof(client.trailer), end->trailers->metadata[i].value);
    client.ended++;
}

static void open_call(const char *first, int64_t deadline_ns)
{
    static const struct client_call_port port = {
        .sent = call_sent, .received = call_received, .ended = call_ended};
    grpc_slice slice = first ? text_slice(first) : grpc_empty_slice();

    if (!client.call.port)
        client_call_init(&client.call, fixture.thread, &port);
    client_call_open(&client.call, &(struct client_call_opening){.channel = channel,
                                                                 .method = "/test/self",
                                                                 .first = first ? &slice : NULL,
                                                                 .deadline_ns = deadline_ns,
                                                                 .wait_for_connection = true});
    grpc_slice_unref(slice);
}

static void act_call_once(void *first)
{
    open_call(first, INT64_MAX);
}

static void act_stream(void *ctx)
{
    (void)ctx;
    open_call(NULL, INT64_MAX);
    send_next();
}

static void act_call_in_time(void *ctx)
{
    (void)ctx;
    open_call(NULL, clock_mono_ns() + 30 * NS_PER_MS);
}

static void act_cancel(void *ctx)
{
    (void)ctx;
    client_call_cancel(&client.call, GRPC_STATUS_CANCELLED, "enough");
    client_call_cancel(&client.call, GRPC_STATUS_ABORTED, "the first one counts");
}

static void act_read(void *ctx)
{
    (void)ctx;
    client_call_read(&client.call);
}

static void act_unhold(void *ctx)
{
    (void)ctx;
    server_call_unhold(&served.call);
}

/* ---- the fixture ---- */

static void connect_to_self(void)
{
    grpc_server_credentials *served_as = grpc_insecure_server_credentials_create();
    grpc_channel_credentials *called_as = grpc_insecure_credentials_create();
    int ends[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    grpc_server_add_channel_from_fd(server, ends[0], served_as);
    channel = grpc_channel_create_from_fd("self", ends[1], called_as, NULL);
    grpc_server_credentials_release(served_as);
    grpc_channel_credentials_release(called_as);
}

static void act_start(void *ctx)
{
    (void)ctx;
    server = grpc_server_create(NULL, NULL);
    grpc_server_register_completion_queue(server, cq_thread_queue(fixture.thread), NULL);
    grpc_server_start(server);
    request(NULL);
    connect_to_self();
}

static void on_shut(struct op *op, bool ok)
{
    (void)op;
    (void)ok;
    served.is_down = true;
}

static void act_shut_down(void *ctx)
{
    (void)ctx;
    served.shut.done = on_shut;
    grpc_server_shutdown_and_notify(server, cq_thread_queue(fixture.thread), &served.shut);
}

static void open_fixture(void)
{
    cq_fixture_open(&fixture);
    cq_fixture_run(&fixture, act_start, NULL);
}

static void close_fixture(void)
{
    cq_fixture_until(!served.open);
    grpc_channel_destroy(channel);
    cq_fixture_run(&fixture, act_shut_down, NULL);
    cq_fixture_until(served.is_down && served.refused);
    cq_fixture_stop(&fixture);
    grpc_server_destroy(server);
    cq_fixture_close(&fixture);
}

TestSuite(self_call, .init = open_fixture, .fini = close_fixture);

static void until_both_ended(unsigned calls)
{
    cq_fixture_until(client.ended == calls && served.closed == calls);
}

Test(self_call, one_thread_serves_the_call_that_it_makes)
{
    behaviour = ANSWER;
    cq_fixture_run(&fixture, act_call_once, "question");
    until_both_ended(1);
    cr_assert_eq(client.code, GRPC_STATUS_OK);
    cr_assert_str_eq(client.text, "question");
    cr_assert_eq(served.closed_ok, 1);
    cr_assert_not(served.lost);
}

Test(self_call, messages_keep_their_order_in_both_directions)
{
    behaviour = ECHO;
    client.messages = 3;
    cq_fixture_run(&fixture, act_stream, NULL);
    until_both_ended(1);
    cr_assert_eq(client.code, GRPC_STATUS_OK);
    cr_assert_str_eq(client.text, "message 3 message 2 message 1 ");
    cr_assert_eq(client.sent, 3);
    cr_assert_eq(served.sent, 3);
    cr_assert(served.half_closed);
    cr_assert_eq(served.closed_ok, 1);
}

Test(self_call, a_call_may_be_opened_again_after_it_ended)
{
    behaviour = ECHO;
    for (unsigned calls = 1; calls <= 20; calls++) {
        client.messages = 1;
        client.text[0] = '\0';
        cq_fixture_run(&fixture, act_stream, NULL);
        until_both_ended(calls);
        cr_assert_eq(client.code, GRPC_STATUS_OK);
        cr_assert_str_eq(client.text, "message 1 ");
    }
}

Test(self_call, a_status_carries_code_text_and_details)
{
    behaviour = REFUSE;
    cq_fixture_run(&fixture, act_call_once, "question");
    until_both_ended(1);
    cr_assert_eq(client.code, GRPC_STATUS_NOT_FOUND);
    cr_assert_str_eq(client.status, "no such thing");
    cr_assert_str_eq(client.trailer, "why");
    cr_assert_eq(client.received, 0);
    cr_assert_eq(served.closed_ok, 1, "the status was written");
}

/* A slice of up to 23 bytes lies in the array of the trailers itself. A longer one is the call's,
 * and AddressSanitizer sees whether the call is gone before the client has read it. */
Test(self_call, details_of_any_length_are_valid_when_the_call_has_ended)
{
    static char long_details[401];

    behaviour = REFUSE;
    memset(long_details, 'y', sizeof(long_details) - 1);
    details = long_details;
    for (unsigned calls = 1; calls <= 20; calls++) {
        client.trailer[0] = '\0';
        cq_fixture_run(&fixture, act_call_once, "question");
        until_both_ended(calls);
        cr_assert_str_eq(client.trailer, long_details);
    }
}

Test(self_call, an_abort_carries_code_and_text)
{
    behaviour = ABORT;
    cq_fixture_run(&fixture, act_call_once, "question");
    until_both_ended(1);
    cr_assert_eq(client.code, GRPC_STATUS_RESOURCE_EXHAUSTED);
    cr_assert_str_eq(client.status, "not reading");
    cr_assert(served.lost);
    cr_assert_eq(served.closed_ok, 0);
}

Test(self_call, the_server_learns_of_a_cancelled_call)
{
    behaviour = WAIT;
    client.messages = 1;
    cq_fixture_run(&fixture, act_stream, NULL);
    cq_fixture_until(served.received == 1);
    cq_fixture_run(&fixture, act_cancel, NULL);
    until_both_ended(1);
    cr_assert_eq(client.code, GRPC_STATUS_CANCELLED);
    cr_assert_str_eq(client.status, "enough");
    cr_assert(served.lost);
    cr_assert_eq(served.closed_ok, 0);
    cq_fixture_run(&fixture, act_cancel, NULL); /* a closed call cannot be cancelled */
}

Test(self_call, a_deadline_ends_both_sides)
{
    behaviour = WAIT;
    cq_fixture_run(&fixture, act_call_in_time, NULL);
    until_both_ended(1);
    cr_assert_eq(client.code, GRPC_STATUS_DEADLINE_EXCEEDED);
    cr_assert(served.lost);
    cr_assert_not(served.half_closed, "a lost peer is no half-close");
}

Test(self_call, a_hold_delays_the_end_of_a_served_call)
{
    behaviour = ANSWER;
    served.held = true;
    cq_fixture_run(&fixture, act_call_once, "question");
    cq_fixture_until(client.ended == 1);
    cq_fixture_run(&fixture, act_cancel, NULL);
    cr_assert_eq(served.closed, 0);
    served.held = false;
    cq_fixture_run(&fixture, act_unhold, NULL);
    until_both_ended(1);
    cr_assert_eq(served.closed_ok, 1);
}

Test(self_call, a_client_that_pauses_reads_every_message_before_the_status)
{
    behaviour = SEND_TWO;
    client.pauses = true;
    cq_fixture_run(&fixture, act_call_once, "question");
    cq_fixture_until(client.received == 1 && served.sent == 2);
    for (int i = 0; i < 100; i++)
        cq_fixture_pause();
    cr_assert_eq(client.ended, 0);
    cr_assert_eq(client.received, 1);
    cq_fixture_run(&fixture, act_read, NULL);
    until_both_ended(1);
    cr_assert_str_eq(client.text, "questionsecond");
    cr_assert_eq(client.code, GRPC_STATUS_OK);
    cq_fixture_run(&fixture, act_read, NULL); /* a closed call is not read */
}

/* Another thread that posts a task in each turn. */
static struct poster {
    pthread_t thread;
    struct task task;
    sem_t may_post, has_posted;
    bool waits; /* the task is posted and has not run; this thread only */
    _Atomic bool over;
} poster;

static void run_empty(struct task *task)
{
    (void)task;
    poster.waits = false;
}

static void *post_each_turn(void *ctx)
{
    (void)ctx;
    for (;;) {
        while (sem_wait(&poster.may_post) != 0)
            continue;
        const bool over = poster.over;
        if (!over)
            cq_post(fixture.thread, &poster.task);
        sem_post(&poster.has_posted);
        if (over)
            return NULL;
    }
}

static void let_post(struct cq_fixture *turned)
{
    (void)turned;
    if (poster.waits || poster.over)
        return;
    poster.waits = true;
    sem_post(&poster.may_post);
    while (sem_wait(&poster.has_posted) != 0)
        continue;
}

static void act_let_post(void *ctx)
{
    (void)ctx;
    fixture.after_tasks = let_post;
}

/* The queue hands out completions before it attends to a socket, and a wakeup is one. */
Test(self_call, messages_come_though_another_thread_posts_in_every_turn)
{
    poster.task.run = run_empty;
    sem_init(&poster.may_post, 0, 0);
    sem_init(&poster.has_posted, 0, 0);
    cr_assert_eq(pthread_create(&poster.thread, NULL, post_each_turn, NULL), 0);
    cq_fixture_run(&fixture, act_let_post, NULL);
    behaviour = ECHO;
    client.messages = 3;
    cq_fixture_run(&fixture, act_stream, NULL);
    until_both_ended(1);
    cr_assert_eq(client.code, GRPC_STATUS_OK);
    poster.over = true;
    sem_post(&poster.may_post);
    pthread_join(poster.thread, NULL);
}
