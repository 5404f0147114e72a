/* wire_fixture.c - see wire_fixture.h. */
#include "wire_fixture.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "h2socket/h2socket.h"
#include "server/wire/call_acceptor.h"
#include "server/wire/wire.h"

static void on_down(void *ctx)
{
    struct wire_fixture *fixture = ctx;

    fixture->live_calls_when_down = count_get(COUNT_LIVE_CALLS);
    if (fixture->last)
        cq_post(wire_cq(fixture->thread), fixture->last);
    atomic_store(&fixture->down, true);
}

grpc_channel *wire_fixture_connect(struct wire_fixture *fixture)
{
    grpc_channel_credentials *insecure = grpc_insecure_credentials_create();
    /* Messages of any size, and a window that stays at 64 KiB: a client that does not read blocks
     * its server. */
    grpc_arg args[] = {
        {.type = GRPC_ARG_INTEGER,
         .key = (char *)(uintptr_t)GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
         .value.integer = -1},
        {.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)GRPC_ARG_HTTP2_BDP_PROBE, .value.integer = 0},
    };
    int ends[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    cr_assert_eq(h2socket_add(ends[0], H2GUARD_SERVER, &h2guard_defaults, "a peer", NO_PEER), ERR_OK);
    wire_thread_adopt(fixture->thread, ends[0]);
    grpc_channel *channel = grpc_channel_create_from_fd(
        "wire_fixture", ends[1], insecure, &(grpc_channel_args){.num_args = ARRAY_LEN(args), .args = args});
    cr_assert(channel);
    grpc_channel_credentials_release(insecure);
    return channel;
}

void wire_fixture_open(struct wire_fixture *fixture, const struct method *methods, size_t count)
{
    const struct wire_settings settings = {.max_message_bytes = MESSAGE_BYTES,
                                           .core_message_bytes = CORE_MESSAGE_BYTES,
                                           .max_calls_per_connection = 1000,
                                           .max_header_bytes = MAX_HEADER_BYTES,
                                           .core_header_bytes = 4 * MAX_HEADER_BYTES,
                                           .min_ping_interval_ns = NS_PER_S,
                                           .write_timeout_ns = STATUS_LIMIT_NS,
                                           .resource_quota_bytes = 256 * 1024 * 1024};

    *fixture = (struct wire_fixture){0};
    wire_init();
    cr_assert_eq(wire_thread_new(&settings, &fixture->thread).code, ERR_OK);
    cr_assert_eq(call_acceptor_serve(fixture->thread, methods, count), ERR_OK);
    cr_assert_eq(wire_thread_start(fixture->thread, on_down, fixture).code, ERR_OK);
    fixture->queue = grpc_completion_queue_create_for_next(NULL);
    fixture->channel = wire_fixture_connect(fixture);
}

static bool serve(struct wire_fixture *fixture, int64_t until_ns)
{
    gpr_timespec until = {.tv_sec = until_ns / NS_PER_S,
                          .tv_nsec = (int32_t)(until_ns % NS_PER_S),
                          .clock_type = GPR_CLOCK_MONOTONIC};
    grpc_event event = grpc_completion_queue_next(fixture->queue, until, NULL);

    if (event.type == GRPC_OP_COMPLETE) {
        struct tag *tag = event.tag;
        tag->ok = event.success != 0;
        tag->pending = false;
    }
    return event.type != GRPC_QUEUE_SHUTDOWN;
}

void wire_fixture_turn(struct wire_fixture *fixture)
{
    serve(fixture, clock_mono_ns() + NS_PER_MS);
}

void wire_fixture_wait(struct wire_fixture *fixture, int64_t span_ns)
{
    for (int64_t end_ns = clock_mono_ns() + span_ns; clock_mono_ns() < end_ns;)
        wire_fixture_turn(fixture);
}

struct posted_act {
    struct task task;
    void (*act)(void *ctx);
    void *ctx;
    _Atomic bool ran;
};

static void run_posted_act(struct task *task)
{
    struct posted_act *posted = container_of(task, struct posted_act, task);

    posted->act(posted->ctx);
    atomic_store(&posted->ran, true);
}

void wire_fixture_run(struct wire_fixture *fixture, void (*act)(void *ctx), void *ctx)
{
    struct posted_act posted = {.task = {.run = run_posted_act}, .act = act, .ctx = ctx};

    cq_post(wire_cq(fixture->thread), &posted.task);
    wire_fixture_until(fixture, atomic_load(&posted.ran));
}

void wire_fixture_wait_down(struct wire_fixture *fixture)
{
    wire_fixture_until(fixture, atomic_load(&fixture->down));
    cr_assert_eq(fixture->live_calls_when_down, 0, "no call is left when the thread is down");
}

void wire_fixture_close(struct wire_fixture *fixture)
{
    if (fixture->channel)
        grpc_channel_destroy(fixture->channel);
    wire_thread_shutdown(fixture->thread, false);
    wire_fixture_wait_down(fixture);
    wire_thread_join(fixture->thread);
    wire_thread_free(fixture->thread);
    grpc_completion_queue_shutdown(fixture->queue);
    while (serve(fixture, INT64_MAX))
        continue;
    grpc_completion_queue_destroy(fixture->queue);
    /* wire_fini() is not called: after a write that had to wait, the core's shutdown waits up to
     * 10 s for a poller of its own. */
    cr_assert_eq(count_get(COUNT_LIVE_CALLS), 0);
    cr_assert_eq(count_get(COUNT_LIVE_CHUNKS), 0);
    cr_assert_eq(count_get(COUNT_LIVE_CHUNK_BYTES), 0);
    cr_assert_eq(count_get(COUNT_LIVE_CHANNELS), 0);
}

static void record_opened(struct call *call, void *ctx)
{
    struct record *record = ctx;

    call_own(call, record);
    record->call = call;
    if (record->on_opened)
        record->on_opened(call, record);
    if (!record->reads_nothing)
        call_read(call);
    record->opened++;
}

static void record_message(struct call *call, struct message *message)
{
    struct record *record = call_owned(call);

    if (record->on_message)
        record->on_message(call, message, record);
    if (!record->reads_once)
        call_read(call);
    record->messages++;
}

static void record_half_closed(struct call *call)
{
    struct record *record = call_owned(call);

    if (record->on_half_closed)
        record->on_half_closed(call, record);
    record->half_closed++;
}

static void record_sent(struct call *call, bool ok)
{
    struct record *record = call_owned(call);

    if (!ok)
        record->unsent++;
    else if (record->on_sent)
        record->on_sent(call, record);
    if (ok)
        record->sent++;
}

static void record_lost(struct call *call)
{
    struct record *record = call_owned(call);

    CHECK(!call_alive(call));
    record->lost++;
}

static void record_draining(struct call *call)
{
    struct record *record = call_owned(call);

    record->draining++;
}

static void record_closed(struct call *call, bool ok)
{
    struct record *record = call_owned(call);

    if (record->call == call)
        record->call = NULL;
    record->closed_ok += ok;
    record->closed++;
}

#define RECORD_PORT                                                                                          \
    .opened = record_opened, .message = record_message, .half_closed = record_half_closed,                   \
    .sent = record_sent, .lost = record_lost, .draining = record_draining, .closed = record_closed
const struct call_port unary_port = {RECORD_PORT, .unary = true};
const struct call_port stream_port = {RECORD_PORT};

void act_hold(void *record)
{
    call_hold(((struct record *)record)->call);
}

void act_drop(void *record)
{
    call_unhold(((struct record *)record)->call);
}

void act_answer(void *record)
{
    struct buf answer = {0};

    buf_text(&answer, "answer");
    call_answer(((struct record *)record)->call, &answer);
    CHECK(answer.size == 0);
}

void act_finish(void *record)
{
    call_finish(((struct record *)record)->call, NULL);
}

void act_refuse(void *record)
{
    struct fault fault;

    fault_number(&fault, FAULT_OUT_OF_BOUNDS, "settings.size", 7, "1 to 5");
    call_finish(((struct record *)record)->call, &fault);
}

void act_abort(void *record)
{
    struct fault fault;

    fault_set(&fault, FAULT_NOT_READING, "", "");
    call_abort(((struct record *)record)->call, &fault);
}

void act_send(void *record)
{
    struct buf much = {0};

    memset(buf_extend(&much, 8 * 1024 * 1024), 'm', 8 * 1024 * 1024);
    CHECK(call_send(((struct record *)record)->call, &much));
}

static void start(struct client *client, const grpc_op *ops, size_t count, struct tag *tag)
{
    cr_assert_not(tag->pending, "one operation of a kind at a time");
    tag->pending = true;
    cr_assert_eq(grpc_call_start_batch(client->core, ops, count, tag, NULL), GRPC_CALL_OK);
}

void client_open_on(struct client *client, struct wire_fixture *fixture, grpc_channel *channel,
                    const char *path, int64_t timeout_ns)
{
    gpr_timespec deadline = gpr_inf_future(GPR_CLOCK_MONOTONIC);

    if (timeout_ns < INT64_MAX)
        deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(timeout_ns, GPR_TIMESPAN));
    *client = (struct client){
        .fixture = fixture, .code = GRPC_STATUS__DO_NOT_USE, .status_message = grpc_empty_slice()};
    grpc_metadata_array_init(&client->initial);
    grpc_metadata_array_init(&client->trailing);
    grpc_slice name = grpc_slice_from_copied_string(path);
    client->core = grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, fixture->queue, name,
                                            NULL, deadline, NULL);
    grpc_slice_unref(name);
    grpc_op ends[] = {{.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
                       .data.recv_status_on_client = {.trailing_metadata = &client->trailing,
                                                      .status = &client->code,
                                                      .status_details = &client->status_message}}};
    grpc_op opens[] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                       {.op = GRPC_OP_RECV_INITIAL_METADATA,
                        .data.recv_initial_metadata.recv_initial_metadata = &client->initial}};
    start(client, ends, ARRAY_LEN(ends), &client->ended);
    start(client, opens, ARRAY_LEN(opens), &client->opened);
}

void client_open(struct client *client, struct wire_fixture *fixture, const char *path)
{
    client_open_on(client, fixture, fixture->channel, path, INT64_MAX);
}

void client_begin_send(struct client *client, const void *bytes, size_t size)
{
    grpc_slice slice = grpc_slice_from_copied_buffer(bytes, size);
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);

    start(client, &(grpc_op){.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = buffer}, 1,
          &client->sent);
    grpc_byte_buffer_destroy(buffer);
    grpc_slice_unref(slice);
}

bool client_send(struct client *client, const void *bytes, size_t size)
{
    client_begin_send(client, bytes, size);
    wire_fixture_until(client->fixture, !client->sent.pending);
    return client->sent.ok;
}

bool client_send_text(struct client *client, const char *text)
{
    return client_send(client, text, strlen(text));
}

void client_half_close(struct client *client)
{
    start(client, &(grpc_op){.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT}, 1, &client->half_closed);
    wire_fixture_until(client->fixture, !client->half_closed.pending);
}

bool client_read(struct client *client, struct buf *bytes)
{
    grpc_byte_buffer_reader reader;

    start(client, &(grpc_op){.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &client->message},
          1, &client->read);
    wire_fixture_until(client->fixture, !client->read.pending);
    if (!client->message)
        return false;
    cr_assert(grpc_byte_buffer_reader_init(&reader, client->message));
    grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    buf_clear(bytes);
    buf_bytes(bytes, GRPC_SLICE_START_PTR(all), GRPC_SLICE_LENGTH(all));
    grpc_slice_unref(all);
    grpc_byte_buffer_destroy(client->message);
    client->message = NULL;
    return true;
}

void client_cancel(struct client *client)
{
    cr_assert_eq(grpc_call_cancel(client->core, NULL), GRPC_CALL_OK);
}

grpc_status_code client_status(struct client *client)
{
    wire_fixture_until(client->fixture, !client->ended.pending);
    return client->code;
}

grpc_status_code client_end(struct client *client)
{
    OWNED(buf_fini) struct buf bytes = {0};

    while (client_read(client, &bytes))
        continue;
    return client_status(client);
}

void client_status_message(struct client *client, char *text, size_t capacity)
{
    snprintf(text, capacity, "%.*s", (int)GRPC_SLICE_LENGTH(client->status_message),
             (const char *)GRPC_SLICE_START_PTR(client->status_message));
}

bool client_details(struct client *client, struct buf *bytes)
{
    buf_clear(bytes);
    for (size_t i = 0; i < client->trailing.count; i++) {
        const grpc_metadata *metadata = &client->trailing.metadata[i];
        if (grpc_slice_str_cmp(metadata->key, "grpc-status-details-bin") != 0)
            continue;
        buf_bytes(bytes, GRPC_SLICE_START_PTR(metadata->value), GRPC_SLICE_LENGTH(metadata->value));
        return true;
    }
    return false;
}

void client_close(struct client *client)
{
    if (client->ended.pending)
        client_cancel(client);
    wire_fixture_until(client->fixture, !client->ended.pending && !client->opened.pending &&
                                            !client->sent.pending && !client->read.pending &&
                                            !client->half_closed.pending);
    if (client->message)
        grpc_byte_buffer_destroy(client->message);
    grpc_metadata_array_destroy(&client->initial);
    grpc_metadata_array_destroy(&client->trailing);
    grpc_slice_unref(client->status_message);
    grpc_call_unref(client->core);
}
