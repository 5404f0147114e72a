/* test_session_live.c - sessions and consuming subscribers against a server that plays one scene
 * per name (fake_sessions.py).
 *
 * Usage: test_session_live FAKE_SERVER PROTO_FOLDER */
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clock.h"
#include "tributary/tributary.h"

#define PATIENCE_NS (10 * NS_PER_S)
#define MAX_ACTIVATIONS 8

extern char **environ;

static char target[64];
static pid_t server;

static void server_start(const char *fake_server, const char *protos)
{
    const char *const words[] = {"/usr/bin/python3", fake_server, protos, NULL};
    posix_spawn_file_actions_t actions;
    char port[16] = "";
    int ends[2];

    CHECK(pipe(ends) == 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    CHECK(posix_spawn(&server, "/usr/bin/python3", &actions, NULL, (char *const *)(uintptr_t)words,
                      environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    CHECK(read(ends[0], port, sizeof(port) - 1) > 0);
    close(ends[0]);
    port[strcspn(port, "\n")] = '\0';
    snprintf(target, sizeof(target), "127.0.0.1:%s", port);
}

static struct tributary *client_new(void)
{
    const struct tributary_options options = {.target = target,
                                              .backoff_base_ns = 20 * NS_PER_MS,
                                              .backoff_cap_ns = 100 * NS_PER_MS,
                                              .connect_timeout_ns = 2 * NS_PER_S};
    struct tributary *client = NULL;

    CHECK(tributary_connect(&options, &client, NULL) == TRIBUTARY_OK);
    return client;
}

/* What the callbacks of a session said. */
struct told {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct tributary_session *session;
    int registered, started, stopped, paused, resumed, capacity, closing, interrupted, ended;
    char stop_reasons[MAX_ACTIVATIONS][16];
    uint64_t stop_deadlines[MAX_ACTIVATIONS];
    char request[16];
    struct tributary_status final;
    void (*when_started)(struct told *told, uint64_t activation);
    void (*when_stopped)(struct told *told, uint64_t activation);
};

static void tell(struct told *told, int *figure)
{
    pthread_mutex_lock(&told->lock);
    (*figure)++;
    pthread_cond_broadcast(&told->changed);
    pthread_mutex_unlock(&told->lock);
}

static void await(struct told *told, const int *figure, int min)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_NS / NS_PER_S;
    pthread_mutex_lock(&told->lock);
    while (*figure < min)
        CHECK(pthread_cond_timedwait(&told->changed, &told->lock, &until) == 0);
    pthread_mutex_unlock(&told->lock);
}

static void on_registered(void *ctx, uint64_t epoch)
{
    struct told *told = ctx;

    CHECK(epoch == 7);
    tell(told, &told->registered);
}

static void on_start(void *ctx, const struct tributary_activation *activation)
{
    struct told *told = ctx;

    snprintf(told->request, sizeof(told->request), "%.*s", (int)activation->request.size,
             (const char *)activation->request.data);
    if (told->when_started != NULL)
        told->when_started(told, activation->activation);
    tell(told, &told->started);
}

static void on_stop(void *ctx, uint64_t activation, const char *reason, uint64_t deadline_unix_nano)
{
    struct told *told = ctx;

    CHECK(activation < MAX_ACTIVATIONS);
    snprintf(told->stop_reasons[activation], sizeof(told->stop_reasons[activation]), "%s", reason);
    told->stop_deadlines[activation] = deadline_unix_nano;
    if (told->when_stopped != NULL)
        told->when_stopped(told, activation);
    tell(told, &told->stopped);
}

static void on_paused(void *ctx, uint64_t activation)
{
    struct told *told = ctx;

    (void)activation;
    tell(told, &told->paused);
}

static void on_resumed(void *ctx, uint64_t activation)
{
    struct told *told = ctx;

    (void)activation;
    tell(told, &told->resumed);
}

static void on_room(void *ctx, uint64_t activation)
{
    struct told *told = ctx;

    CHECK(activation == 1);
    tell(told, &told->capacity);
}

static void on_closing(void *ctx, const char *reason, uint64_t deadline_unix_nano)
{
    struct told *told = ctx;

    CHECK(reason[0] != '\0' && deadline_unix_nano > 0);
    tell(told, &told->closing);
}

static void on_interrupted(void *ctx, const struct tributary_status *why, int64_t retry_ns)
{
    struct told *told = ctx;

    CHECK(why->code == TRIBUTARY_UNAVAILABLE && retry_ns >= 10 * NS_PER_MS && retry_ns <= 100 * NS_PER_MS);
    tell(told, &told->interrupted);
}

static void on_ended(void *ctx, const struct tributary_status *status)
{
    struct told *told = ctx;

    told->final = *status;
    if (status->code == TRIBUTARY_INTERNAL)
        fprintf(stderr, "%s\n", status->message);
    tell(told, &told->ended);
}

static struct tributary_session *open_session(struct tributary *client, struct told *told,
                                              const struct tributary_session_options *options)
{
    const struct tributary_session_callbacks callbacks = {.registered = on_registered,
                                                          .start = on_start,
                                                          .stop = on_stop,
                                                          .paused = on_paused,
                                                          .resumed = on_resumed,
                                                          .writable = on_room,
                                                          .closing = on_closing,
                                                          .interrupted = on_interrupted,
                                                          .ended = on_ended,
                                                          .ctx = told};

    pthread_mutex_init(&told->lock, NULL);
    pthread_cond_init(&told->changed, NULL);
    CHECK(tributary_register(client, options, &callbacks, &told->session, NULL) == TRIBUTARY_OK);
    return told->session;
}

static enum tributary_code emit(struct tributary_session *session, uint64_t activation, int number)
{
    char text[16];
    const int size = snprintf(text, sizeof(text), "%d", number);

    return tributary_session_emit(session, activation,
                                  &(struct tributary_event){.data = {text, (size_t)size}});
}

static void expect_sums(struct tributary_session *session, uint64_t accepted, uint64_t confirmed,
                        uint64_t dropped)
{
    struct tributary_session_stats stats;

    tributary_session_stats(session, &stats);
    if (stats.accepted != accepted || stats.confirmed != confirmed || stats.dropped != dropped)
        fprintf(stderr, "accepted %lu confirmed %lu dropped %lu\n", (unsigned long)stats.accepted,
                (unsigned long)stats.confirmed, (unsigned long)stats.dropped);
    CHECK(stats.accepted == accepted && stats.confirmed == confirmed && stats.dropped == dropped);
}

/* OK, or the message is shown: the server says what went wrong in its scene. */
static void expect_end(struct tributary_session *session, enum tributary_code code)
{
    struct tributary_status status;

    if (tributary_session_wait(session, PATIENCE_NS, &status) != code)
        fprintf(stderr, "%s: %s\n", tributary_code_name(status.code), status.message);
    CHECK(status.code == code);
}

static void shared_events_come_again_after_a_loss(void)
{
    struct tributary *client = client_new();
    struct told told = {.registered = 0};
    struct tributary_session *session =
        open_session(client, &told,
                     &(struct tributary_session_options){
                         .name = "again", .batch_events = 10, .linger_ns = TRIBUTARY_NONE});

    for (int i = 0; i < 500; i++)
        CHECK(emit(session, 0, i) == TRIBUTARY_OK);
    CHECK(tributary_session_flush(session, PATIENCE_NS) == TRIBUTARY_OK);
    expect_sums(session, 500, 500, 0);
    CHECK(told.registered == 2 && told.interrupted == 1 && told.stopped == 0);
    CHECK(emit(session, 1, 0) == TRIBUTARY_NOT_FOUND &&
          tributary_session_end(session, 0, TRIBUTARY_OK, NULL) == TRIBUTARY_NOT_FOUND);
    tributary_session_finish(session, 0);
    expect_end(session, TRIBUTARY_OK);
    CHECK(emit(session, 0, 500) == TRIBUTARY_CANCELLED);
    tributary_session_free(session);
    CHECK(told.ended == 1);
    tributary_free(client);
}

static void who_is_replaced_removed_or_refused_does_not_come_back(void)
{
    static const struct {
        const char *name;
        enum tributary_code code;
        const char *reason;
        int registered;
    } cases[] = {{"replaced", TRIBUTARY_ABORTED, "REPLACED", 1},
                 {"replaced_first", TRIBUTARY_ABORTED, "REPLACED", 1},
                 {"removed", TRIBUTARY_FAILED_PRECONDITION, "REMOVED", 1},
                 {"taken", TRIBUTARY_ALREADY_EXISTS, "", 0}};
    struct tributary *client = client_new();

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct told told = {.registered = 0};
        struct tributary_session *session =
            open_session(client, &told, &(struct tributary_session_options){.name = cases[i].name});

        expect_end(session, cases[i].code);
        CHECK(told.registered == cases[i].registered && told.interrupted == 0 && told.ended == 1);
        CHECK(strcmp(told.final.reason, cases[i].reason) == 0 && told.final.message[0] != '\0');
        CHECK(emit(session, 0, 0) == cases[i].code);
        tributary_session_free(session);
    }
    tributary_free(client);
}

static void who_is_refused_for_a_while_comes_back_unless_told_not_to(void)
{
    struct tributary *client = client_new();
    struct told told = {.registered = 0};
    struct told once = {.registered = 0};
    struct tributary_session *session =
        open_session(client, &told, &(struct tributary_session_options){.name = "late"});

    await(&told, &told.registered, 1);
    CHECK(told.interrupted == 1);
    tributary_session_cancel(session);
    expect_end(session, TRIBUTARY_CANCELLED);
    tributary_session_free(session);
    session = open_session(client, &once,
                           &(struct tributary_session_options){.name = "goes", .no_reconnect = true});
    CHECK(emit(session, 0, 0) == TRIBUTARY_OK);
    expect_end(session, TRIBUTARY_UNAVAILABLE);
    CHECK(once.interrupted == 0 && once.registered == 1);
    tributary_session_free(session);
    tributary_free(client);
}

static void nothing_is_lost_while_the_server_goes_away(void)
{
    struct tributary *client = client_new();
    struct told told = {.registered = 0};
    struct tributary_session *session =
        open_session(client, &told,
                     &(struct tributary_session_options){
                         .name = "draining", .batch_events = 5, .linger_ns = TRIBUTARY_NONE});

    for (int i = 0; i < 300; i++)
        CHECK(emit(session, 0, i) == TRIBUTARY_OK);
    CHECK(tributary_session_flush(session, PATIENCE_NS) == TRIBUTARY_OK);
    expect_sums(session, 300, 300, 0);
    tributary_session_free(session);
    tributary_free(client);
}

static void a_hundred(struct told *told, uint64_t activation)
{
    for (int i = 0; i < 100; i++)
        CHECK(emit(told->session, activation, i) == TRIBUTARY_OK);
}

static void say_the_first(struct told *told, uint64_t activation)
{
    CHECK(emit(told->session, activation, 0) == TRIBUTARY_OK);
    if (activation == 2)
        CHECK(tributary_session_end(told->session, activation, TRIBUTARY_OK, NULL) == TRIBUTARY_OK);
}

static void a_paused_activation_waits_and_others_go_on(void)
{
    struct tributary *client = client_new();
    struct told told = {.when_started = say_the_first};
    const struct tributary_session_options options = {
        .name = "pause", .mode = TRIBUTARY_MODE_PER_CONSUMER, .batch_events = 1, .linger_ns = TRIBUTARY_NONE};
    struct tributary_session *session = open_session(client, &told, &options);

    await(&told, &told.paused, 1);
    CHECK(strcmp(told.request, "what") == 0);
    for (int i = 1; i < 100; i++)
        CHECK(emit(session, 1, i) == TRIBUTARY_OK);
    CHECK(tributary_session_end(session, 1, TRIBUTARY_INVALID_ARGUMENT, "done") == TRIBUTARY_OK);
    CHECK(tributary_session_end(session, 1, TRIBUTARY_OK, NULL) == TRIBUTARY_NOT_FOUND);
    CHECK(emit(session, 1, 100) == TRIBUTARY_NOT_FOUND);
    CHECK(tributary_session_flush(session, PATIENCE_NS) == TRIBUTARY_OK);
    expect_sums(session, 101, 101, 0);
    tributary_session_finish(session, 0);
    expect_end(session, TRIBUTARY_OK);
    CHECK(told.started == 2 && told.stopped == 0);
    tributary_session_free(session);
    tributary_free(client);
}

/* Once with events that wait, once with its end behind them: the server never takes either. */
static void a_paused_activation_does_not_hold_the_end_up(void)
{
    struct tributary *client = client_new();

    for (int ended = 0; ended < 2; ended++) {
        struct told told = {.when_started = say_the_first};
        const struct tributary_session_options options = {.name = "stuck",
                                                          .mode = TRIBUTARY_MODE_PER_CONSUMER,
                                                          .batch_events = 1,
                                                          .linger_ns = TRIBUTARY_NONE};
        struct tributary_session *session = open_session(client, &told, &options);
        const int64_t drain_ns = 300 * NS_PER_MS;
        int64_t began_ns = 0;

        await(&told, &told.paused, 1);
        for (int i = 1; i < 10; i++)
            CHECK(emit(session, 1, i) == TRIBUTARY_OK);
        if (ended != 0)
            CHECK(tributary_session_end(session, 1, TRIBUTARY_OK, NULL) == TRIBUTARY_OK);
        began_ns = clock_mono_ns();
        tributary_session_finish(session, drain_ns);
        expect_end(session, TRIBUTARY_OK);
        CHECK(clock_mono_ns() - began_ns >= drain_ns && clock_mono_ns() - began_ns < drain_ns + 3 * NS_PER_S);
        expect_sums(session, 10, 1, 9);
        tributary_session_free(session);
    }
    tributary_free(client);
}

static void a_full_queue_says_so_and_when_there_is_room(void)
{
    struct tributary *client = client_new();
    struct told told = {.registered = 0};
    const struct tributary_session_options options = {
        .name = "full", .mode = TRIBUTARY_MODE_PER_CONSUMER, .queue_events = 10, .full = TRIBUTARY_FULL_FAIL};
    struct tributary_session *session = open_session(client, &told, &options);

    await(&told, &told.paused, 1);
    for (int i = 0; i < 10; i++)
        CHECK(emit(session, 1, i) == TRIBUTARY_OK);
    CHECK(emit(session, 1, 10) == TRIBUTARY_RESOURCE_EXHAUSTED);
    await(&told, &told.capacity, 1);
    CHECK(told.resumed == 1);
    CHECK(emit(session, 1, 10) == TRIBUTARY_OK);
    CHECK(tributary_session_end(session, 1, TRIBUTARY_OK, NULL) == TRIBUTARY_OK);
    tributary_session_finish(session, 0);
    expect_end(session, TRIBUTARY_OK);
    expect_sums(session, 11, 11, 0);
    tributary_session_free(session);
    tributary_free(client);
}

static void a_blocking_emit_is_released_by_the_end_of_its_activation(void)
{
    struct tributary *client = client_new();
    struct told told = {.registered = 0};
    const struct tributary_session_options options = {.name = "lost",
                                                      .mode = TRIBUTARY_MODE_PER_CONSUMER,
                                                      .queue_events = 1,
                                                      .wait_timeout_ns = PATIENCE_NS};
    struct tributary_session *session = open_session(client, &told, &options);
    enum tributary_code code = TRIBUTARY_OK;

    await(&told, &told.started, 1);
    while (code == TRIBUTARY_OK)
        code = emit(session, 1, 0);
    CHECK(code == TRIBUTARY_NOT_FOUND);
    await(&told, &told.registered, 2);
    CHECK(told.stopped == 1 && strcmp(told.stop_reasons[1], "LOST") == 0 && told.stop_deadlines[1] == 0);
    CHECK(told.interrupted == 1);
    tributary_session_finish(session, 0);
    expect_end(session, TRIBUTARY_OK);
    tributary_session_free(session);
    tributary_free(client);
}

static void end_the_second(struct told *told, uint64_t activation)
{
    if (activation != 2)
        return;
    CHECK(emit(told->session, 1, 0) == TRIBUTARY_NOT_FOUND);
    CHECK(tributary_session_end(told->session, 2, TRIBUTARY_OK, NULL) == TRIBUTARY_OK);
}

static void a_stop_cuts_at_once_or_leaves_time_to_end(void)
{
    struct tributary *client = client_new();
    struct told told = {.when_started = a_hundred, .when_stopped = end_the_second};
    const struct tributary_session_options options = {
        .name = "stop", .mode = TRIBUTARY_MODE_PER_CONSUMER, .batch_events = 10, .linger_ns = TRIBUTARY_NONE};
    struct tributary_session *session = open_session(client, &told, &options);
    struct tributary_session_stats stats;

    await(&told, &told.stopped, 2);
    CHECK(strcmp(told.stop_reasons[1], "CANCELLED") == 0 && told.stop_deadlines[1] == 0);
    CHECK(strcmp(told.stop_reasons[2], "FINISHED") == 0 && told.stop_deadlines[2] > 0);
    CHECK(tributary_session_flush(session, PATIENCE_NS) == TRIBUTARY_OK);
    tributary_session_stats(session, &stats);
    CHECK(stats.accepted == 200 && stats.confirmed + stats.dropped == 200 && stats.confirmed >= 100);
    tributary_session_finish(session, 0);
    expect_end(session, TRIBUTARY_OK);
    tributary_session_stats(session, &stats);
    CHECK(stats.activations == 0 && stats.started == 2);
    tributary_session_free(session);
    tributary_free(client);
}

static void what_is_out_of_bounds_is_refused_at_once(void)
{
    struct tributary *client = client_new();
    const struct tributary_session_callbacks callbacks = {.ctx = NULL};
    const struct tributary_session_options options[] = {{.name = NULL},
                                                        {.name = ""},
                                                        {.name = "x", .mode = (enum tributary_mode)3},
                                                        {.name = "x", .label_count = 65},
                                                        {.name = "x", .topic_count = 65},
                                                        {.name = "x", .batch_bytes = (1 << 20) + 1},
                                                        {.name = "x", .batch_events = 65537}};
    struct tributary_session *session = NULL;
    struct tributary_status status;

    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        CHECK(tributary_register(client, &options[i], &callbacks, &session, &status) ==
                  TRIBUTARY_INVALID_ARGUMENT &&
              status.message[0] != '\0');
    CHECK(session == NULL);
    tributary_session_free(NULL);
    tributary_free(client);
}

/* ---- consuming ---- */

struct seen {
    struct told told;
    struct tributary_subscriber *subscriber;
    uint64_t last;
    int events, revisions, answers;
    char answer[64];
};

static void on_event(void *ctx, const struct tributary_delivery *delivery)
{
    struct seen *seen = ctx;

    CHECK(delivery->sequence == seen->last + 1);
    seen->last = delivery->sequence;
    tell(&seen->told, &seen->events);
}

static void on_settings(void *ctx, const struct tributary_settings *settings)
{
    struct seen *seen = ctx;

    CHECK(settings->revision == 1);
    tell(&seen->told, &seen->revisions);
}

static void on_answered(void *ctx, const struct tributary_answer *answer)
{
    struct seen *seen = ctx;

    CHECK(answer->request == 2 && answer->code == TRIBUTARY_INVALID_ARGUMENT);
    snprintf(seen->answer, sizeof(seen->answer), "%.*s/%.*s", (int)answer->message.size,
             (const char *)answer->message.data, (int)answer->reason.size, (const char *)answer->reason.data);
    tell(&seen->told, &seen->answers);
}

static void on_stream_interrupted(void *ctx, const struct tributary_status *why, int64_t retry_ns)
{
    struct seen *seen = ctx;

    on_interrupted(&seen->told, why, retry_ns);
}

static struct tributary_subscriber *consume(struct tributary *client, struct seen *seen,
                                            struct tributary_subscriber_options options)
{
    const struct tributary_subscriber_callbacks callbacks = {.event = on_event,
                                                             .settings = on_settings,
                                                             .answered = on_answered,
                                                             .interrupted = on_stream_interrupted,
                                                             .ctx = seen};

    pthread_mutex_init(&seen->told.lock, NULL);
    pthread_cond_init(&seen->told.changed, NULL);
    options.consume = true;
    options.heartbeat_ns = TRIBUTARY_NONE;
    CHECK(tributary_subscribe(client, &options, &callbacks, &seen->subscriber, NULL) == TRIBUTARY_OK);
    return seen->subscriber;
}

static void expect_stream_end(struct tributary_subscriber *subscriber, enum tributary_code code)
{
    struct tributary_status status;

    if (tributary_subscriber_wait(subscriber, PATIENCE_NS, &status) != code)
        fprintf(stderr, "%s: %s\n", tributary_code_name(status.code), status.message);
    CHECK(status.code == code);
    tributary_subscriber_free(subscriber);
}

static void credit_is_granted_as_it_is_used(void)
{
    struct tributary *client = client_new();
    struct seen seen = {.events = 0};
    struct seen bytes = {.events = 0};
    struct tributary_subscriber *subscriber =
        consume(client, &seen, (struct tributary_subscriber_options){.name = "window", .credit_events = 10});

    CHECK(tributary_subscriber_credit(subscriber, 1, 0) == TRIBUTARY_FAILED_PRECONDITION);
    expect_stream_end(subscriber, TRIBUTARY_OK);
    CHECK(seen.events == 100);
    expect_stream_end(
        consume(client, &bytes, (struct tributary_subscriber_options){.name = "bytes", .credit_bytes = 64}),
        TRIBUTARY_OK);
    CHECK(bytes.events == 30);
    tributary_free(client);
}

static void credit_by_hand_outlives_the_stream(void)
{
    struct tributary *client = client_new();
    struct seen seen = {.events = 0};
    struct tributary_subscriber *subscriber = consume(
        client, &seen,
        (struct tributary_subscriber_options){.name = "hand", .credit_events = 5, .credit_by_hand = true});

    await(&seen.told, &seen.events, 5);
    CHECK(tributary_subscriber_credit(subscriber, 3, 0) == TRIBUTARY_OK);
    expect_stream_end(subscriber, TRIBUTARY_OK);
    CHECK(seen.events == 8 && seen.told.interrupted == 2);
    tributary_free(client);
}

static enum tributary_code select_one(struct tributary_subscriber *subscriber, const char *producer)
{
    const struct tributary_selector selector = {.producer = producer};
    const struct tributary_selector exclude = {.topic = "x"};

    return tributary_subscriber_select(subscriber, &(struct tributary_selection){&selector, 1, &exclude, 1});
}

static void selectors_change_or_are_answered_and_a_drain_ends_it(void)
{
    struct tributary *client = client_new();
    struct seen seen = {.events = 0};
    struct tributary_subscriber *subscriber =
        consume(client, &seen, (struct tributary_subscriber_options){.name = "select"});
    const struct tributary_selector crowd[65] = {{.producer = "p"}};

    CHECK(tributary_subscriber_select(subscriber, &(struct tributary_selection){crowd, 65, NULL, 0}) ==
          TRIBUTARY_INVALID_ARGUMENT);
    CHECK(select_one(subscriber, "bad") == TRIBUTARY_OK);
    await(&seen.told, &seen.answers, 1);
    CHECK(strcmp(seen.answer, "a bad pattern/BAD_NAME") == 0);
    CHECK(select_one(subscriber, "good") == TRIBUTARY_OK);
    await(&seen.told, &seen.revisions, 1);
    CHECK(seen.events == 1);
    tributary_subscriber_finish(subscriber, 2 * NS_PER_S);
    expect_stream_end(subscriber, TRIBUTARY_OK);
    tributary_free(client);
}

static void a_select_that_was_lost_is_asked_again(void)
{
    struct tributary *client = client_new();
    struct seen seen = {.events = 0};
    struct tributary_subscriber *subscriber =
        consume(client, &seen, (struct tributary_subscriber_options){.name = "reselect"});

    CHECK(select_one(subscriber, "a") == TRIBUTARY_OK);
    await(&seen.told, &seen.revisions, 1);
    CHECK(select_one(subscriber, "b") == TRIBUTARY_OK);
    expect_stream_end(subscriber, TRIBUTARY_OK);
    CHECK(seen.revisions == 2 && seen.told.interrupted == 1);
    tributary_free(client);
}

static void a_limit_counts_over_reconnects(void)
{
    struct tributary *client = client_new();
    struct seen seen = {.events = 0};
    const struct tributary_subscriber_options options = {.name = "limit",
                                                         .limit_events = 5,
                                                         .end_when_all_ended = true,
                                                         .start_last = 7,
                                                         .request = {"\0req", 4}};

    expect_stream_end(consume(client, &seen, options), TRIBUTARY_OK);
    CHECK(seen.events == 5 && seen.told.interrupted == 1);
    tributary_free(client);
}

static char removed[128];

static void on_removed(void *ctx, const struct tributary_producer *producer)
{
    (void)ctx;
    CHECK(producer->is_session && producer->per_consumer && producer->label_count == 2 &&
          producer->topic_count == 1);
    CHECK(producer->activations == 3 && producer->paused_activations == 1 &&
          producer->expired_activations == 2);
    removed[0] = '\0';
    for (size_t i = 0; i < 2; i++)
        strcat(strcat(removed, producer->labels[i].value), " ");
}

static void producers_are_removed_gently_or_at_once(void)
{
    struct tributary *client = client_new();
    struct tributary_removal removal = {.name = "x", .drain_ns = 1500 * NS_PER_MS, .each = on_removed};

    CHECK(tributary_producer_remove(client, &removal, NULL) == TRIBUTARY_OK);
    CHECK(strstr(removed, "1 ") != NULL && strstr(removed, "1500000000 ") != NULL);
    removal.cancel = true;
    CHECK(tributary_producer_remove(client, &removal, NULL) == TRIBUTARY_OK);
    CHECK(strstr(removed, "2 ") != NULL && strstr(removed, "0 ") != NULL);
    removal.name = "nobody";
    CHECK(tributary_producer_remove(client, &removal, NULL) == TRIBUTARY_NOT_FOUND);
    tributary_free(client);
}

int main(int argc, char **argv)
{
#define TEST(name)                                                                                           \
    {                                                                                                        \
#name, name                                                                                          \
    }
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
        TEST(shared_events_come_again_after_a_loss),
        TEST(who_is_replaced_removed_or_refused_does_not_come_back),
        TEST(nothing_is_lost_while_the_server_goes_away),
        TEST(who_is_refused_for_a_while_comes_back_unless_told_not_to),
        TEST(a_paused_activation_waits_and_others_go_on),
        TEST(a_paused_activation_does_not_hold_the_end_up),
        TEST(a_full_queue_says_so_and_when_there_is_room),
        TEST(a_blocking_emit_is_released_by_the_end_of_its_activation),
        TEST(a_stop_cuts_at_once_or_leaves_time_to_end),
        TEST(what_is_out_of_bounds_is_refused_at_once),
        TEST(credit_is_granted_as_it_is_used),
        TEST(credit_by_hand_outlives_the_stream),
        TEST(selectors_change_or_are_answered_and_a_drain_ends_it),
        TEST(a_select_that_was_lost_is_asked_again),
        TEST(a_limit_counts_over_reconnects),
        TEST(producers_are_removed_gently_or_at_once),
    };

    CHECK(argc >= 3);
    server_start(argv[1], argv[2]);
    for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
        if (argc > 3 && strcmp(argv[3], tests[i].name) != 0)
            continue;
        printf("%s\n", tests[i].name);
        fflush(stdout);
        tests[i].run();
    }
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    return 0;
}
