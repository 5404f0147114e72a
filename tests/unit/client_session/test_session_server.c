/* test_session_server.c - sessions against a server that plays one scene for each name
 * (fake_sessions.py).
 *
 * Usage: test_session_server FAKE_SERVER PROTO_FOLDER [TEST] */
#include "session_fixture.h"
#include "unit/client/client_fixture.h"

#include <stdio.h>
#include <string.h>

#define MAX_ACTIVATIONS 8

/* What a session reported. */
struct reports {
    struct session_fixture fixture;
    struct tributary_session *session;
    int registered, started, stopped, paused, resumed, writable, closing, ended;
    char stop_reasons[MAX_ACTIVATIONS][16];
    uint64_t stop_deadlines[MAX_ACTIVATIONS];
    char request[16];
    struct tributary_status final;
    void (*when_started)(struct reports *reports, uint64_t activation);
    void (*when_stopped)(struct reports *reports, uint64_t activation);
};

static void on_registered(void *ctx, uint64_t epoch)
{
    struct reports *reports = ctx;

    CHECK(epoch == 7);
    session_fixture_count(&reports->fixture, &reports->registered);
}

static void on_start(void *ctx, const struct tributary_activation *activation)
{
    struct reports *reports = ctx;

    snprintf(reports->request, sizeof(reports->request), "%.*s", (int)activation->request.size,
             (const char *)activation->request.data);
    if (reports->when_started)
        reports->when_started(reports, activation->activation);
    session_fixture_count(&reports->fixture, &reports->started);
}

static void on_stop(void *ctx, uint64_t activation, const char *reason, uint64_t deadline_unix_nano)
{
    struct reports *reports = ctx;

    CHECK(activation < MAX_ACTIVATIONS);
    snprintf(reports->stop_reasons[activation], sizeof(reports->stop_reasons[activation]), "%s", reason);
    reports->stop_deadlines[activation] = deadline_unix_nano;
    if (reports->when_stopped)
        reports->when_stopped(reports, activation);
    session_fixture_count(&reports->fixture, &reports->stopped);
}

static void on_paused(void *ctx, uint64_t activation)
{
    struct reports *reports = ctx;

    (void)activation;
    session_fixture_count(&reports->fixture, &reports->paused);
}

static void on_resumed(void *ctx, uint64_t activation)
{
    struct reports *reports = ctx;

    (void)activation;
    session_fixture_count(&reports->fixture, &reports->resumed);
}

static void on_writable(void *ctx, uint64_t activation)
{
    struct reports *reports = ctx;

    CHECK(activation == 1);
    session_fixture_count(&reports->fixture, &reports->writable);
}

static void on_closing(void *ctx, const char *reason, uint64_t deadline_unix_nano)
{
    struct reports *reports = ctx;

    CHECK(reason[0] != '\0' && deadline_unix_nano > 0);
    session_fixture_count(&reports->fixture, &reports->closing);
}

static void on_interrupted(void *ctx, const struct tributary_status *status, int64_t retry_ns)
{
    struct reports *reports = ctx;

    session_fixture_interrupted(&reports->fixture, status, retry_ns);
}

static void on_ended(void *ctx, const struct tributary_status *status)
{
    struct reports *reports = ctx;

    reports->final = *status;
    if (status->code == TRIBUTARY_INTERNAL)
        fprintf(stderr, "%s\n", status->message);
    session_fixture_count(&reports->fixture, &reports->ended);
}

static struct tributary_session *open_session(struct tributary *client, struct reports *reports,
                                              const struct tributary_session_options *options)
{
    const struct tributary_session_callbacks callbacks = {.registered = on_registered,
                                                          .start = on_start,
                                                          .stop = on_stop,
                                                          .paused = on_paused,
                                                          .resumed = on_resumed,
                                                          .writable = on_writable,
                                                          .closing = on_closing,
                                                          .interrupted = on_interrupted,
                                                          .ended = on_ended,
                                                          .ctx = reports};

    session_fixture_init(&reports->fixture);
    CHECK(tributary_register(client, options, &callbacks, &reports->session, NULL) == TRIBUTARY_OK);
    return reports->session;
}

static enum tributary_code emit(struct tributary_session *session, uint64_t activation, int number)
{
    char text[16];
    const int size = snprintf(text, sizeof(text), "%d", number);

    return tributary_session_emit(session, activation,
                                  &(struct tributary_event){.data = {text, (size_t)size}});
}

static void expect_stats(struct tributary_session *session, uint64_t accepted, uint64_t confirmed,
                         uint64_t dropped)
{
    struct tributary_session_stats stats;

    tributary_session_stats(session, &stats);
    if (stats.accepted != accepted || stats.confirmed != confirmed || stats.dropped != dropped)
        fprintf(stderr, "accepted %lu confirmed %lu dropped %lu\n", (unsigned long)stats.accepted,
                (unsigned long)stats.confirmed, (unsigned long)stats.dropped);
    CHECK(stats.accepted == accepted && stats.confirmed == confirmed && stats.dropped == dropped);
}

/* Prints an unexpected status: the fake server reports in it what went wrong. */
static void expect_status(struct tributary_session *session, enum tributary_code code)
{
    struct tributary_status status;

    if (tributary_session_wait(session, TEST_TIMEOUT_NS, &status) != code)
        fprintf(stderr, "%s: %s\n", tributary_code_name(status.code), status.message);
    CHECK(status.code == code);
}

static void shared_events_come_again_after_a_loss(void)
{
    struct tributary *client = session_fixture_connect();
    struct reports reports = {.registered = 0};
    struct tributary_session *session =
        open_session(client, &reports,
                     &(struct tributary_session_options){
                         .name = "again", .batch_events = 10, .linger_ns = TRIBUTARY_NONE});

    for (int i = 0; i < 500; i++)
        CHECK(emit(session, 0, i) == TRIBUTARY_OK);
    CHECK(tributary_session_flush(session, TEST_TIMEOUT_NS) == TRIBUTARY_OK);
    expect_stats(session, 500, 500, 0);
    CHECK(reports.registered == 2 && reports.fixture.interrupted == 1 && reports.stopped == 0);
    CHECK(emit(session, 1, 0) == TRIBUTARY_NOT_FOUND &&
          tributary_session_end(session, 0, TRIBUTARY_OK, NULL) == TRIBUTARY_NOT_FOUND);
    tributary_session_finish(session, 0);
    expect_status(session, TRIBUTARY_OK);
    CHECK(emit(session, 0, 500) == TRIBUTARY_CANCELLED);
    tributary_session_free(session);
    CHECK(reports.ended == 1);
    tributary_free(client);
}

static void a_replaced_removed_or_refused_session_does_not_register_again(void)
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
    struct tributary *client = session_fixture_connect();

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct reports reports = {.registered = 0};
        struct tributary_session *session =
            open_session(client, &reports, &(struct tributary_session_options){.name = cases[i].name});

        expect_status(session, cases[i].code);
        CHECK(reports.registered == cases[i].registered && reports.fixture.interrupted == 0 &&
              reports.ended == 1);
        CHECK(strcmp(reports.final.reason, cases[i].reason) == 0 && reports.final.message[0] != '\0');
        CHECK(emit(session, 0, 0) == cases[i].code);
        tributary_session_free(session);
    }
    tributary_free(client);
}

static void an_unavailable_server_is_tried_again_unless_no_reconnect_is_set(void)
{
    struct tributary *client = session_fixture_connect();
    struct reports reports = {.registered = 0};
    struct reports once = {.registered = 0};
    struct tributary_session *session =
        open_session(client, &reports, &(struct tributary_session_options){.name = "late"});

    session_fixture_await(&reports.fixture, &reports.registered, 1);
    CHECK(reports.fixture.interrupted == 1);
    tributary_session_cancel(session);
    expect_status(session, TRIBUTARY_CANCELLED);
    tributary_session_free(session);
    session = open_session(client, &once,
                           &(struct tributary_session_options){.name = "goes", .no_reconnect = true});
    CHECK(emit(session, 0, 0) == TRIBUTARY_OK);
    expect_status(session, TRIBUTARY_UNAVAILABLE);
    CHECK(once.fixture.interrupted == 0 && once.registered == 1);
    tributary_session_free(session);
    tributary_free(client);
}

static void no_shared_event_is_lost_while_the_server_drains(void)
{
    struct tributary *client = session_fixture_connect();
    struct reports reports = {.registered = 0};
    struct tributary_session *session =
        open_session(client, &reports,
                     &(struct tributary_session_options){
                         .name = "draining", .batch_events = 5, .linger_ns = TRIBUTARY_NONE});

    for (int i = 0; i < 300; i++)
        CHECK(emit(session, 0, i) == TRIBUTARY_OK);
    CHECK(tributary_session_flush(session, TEST_TIMEOUT_NS) == TRIBUTARY_OK);
    expect_stats(session, 300, 300, 0);
    tributary_session_free(session);
    tributary_free(client);
}

static void emit_a_hundred(struct reports *reports, uint64_t activation)
{
    for (int i = 0; i < 100; i++)
        CHECK(emit(reports->session, activation, i) == TRIBUTARY_OK);
}

static void emit_the_first(struct reports *reports, uint64_t activation)
{
    CHECK(emit(reports->session, activation, 0) == TRIBUTARY_OK);
    if (activation == 2)
        CHECK(tributary_session_end(reports->session, activation, TRIBUTARY_OK, NULL) == TRIBUTARY_OK);
}

static void a_paused_activation_waits_and_others_go_on(void)
{
    struct tributary *client = session_fixture_connect();
    struct reports reports = {.when_started = emit_the_first};
    const struct tributary_session_options options = {
        .name = "pause", .mode = TRIBUTARY_MODE_PER_CONSUMER, .batch_events = 1, .linger_ns = TRIBUTARY_NONE};
    struct tributary_session *session = open_session(client, &reports, &options);

    session_fixture_await(&reports.fixture, &reports.paused, 1);
    CHECK(strcmp(reports.request, "what") == 0);
    for (int i = 1; i < 100; i++)
        CHECK(emit(session, 1, i) == TRIBUTARY_OK);
    CHECK(tributary_session_end(session, 1, TRIBUTARY_INVALID_ARGUMENT, "done") == TRIBUTARY_OK);
    CHECK(tributary_session_end(session, 1, TRIBUTARY_OK, NULL) == TRIBUTARY_NOT_FOUND);
    CHECK(emit(session, 1, 100) == TRIBUTARY_NOT_FOUND);
    /* A flush waits for what was emitted before it: the other one emits when it starts. */
    session_fixture_await(&reports.fixture, &reports.started, 2);
    CHECK(tributary_session_flush(session, TEST_TIMEOUT_NS) == TRIBUTARY_OK);
    expect_stats(session, 101, 101, 0);
    tributary_session_finish(session, 0);
    expect_status(session, TRIBUTARY_OK);
    CHECK(reports.started == 2 && reports.stopped == 0);
    tributary_session_free(session);
    tributary_free(client);
}

/* Once with events that wait, once with the end behind them. The server never resumes the
 * activation. */
static void a_paused_activation_does_not_delay_the_end_beyond_the_drain(void)
{
    struct tributary *client = session_fixture_connect();

    for (int ended = 0; ended < 2; ended++) {
        struct reports reports = {.when_started = emit_the_first};
        const struct tributary_session_options options = {.name = "stuck",
                                                          .mode = TRIBUTARY_MODE_PER_CONSUMER,
                                                          .batch_events = 1,
                                                          .linger_ns = TRIBUTARY_NONE};
        struct tributary_session *session = open_session(client, &reports, &options);
        const int64_t drain_ns = 300 * NS_PER_MS;
        int64_t began_ns = 0;

        session_fixture_await(&reports.fixture, &reports.paused, 1);
        for (int i = 1; i < 10; i++)
            CHECK(emit(session, 1, i) == TRIBUTARY_OK);
        if (ended != 0)
            CHECK(tributary_session_end(session, 1, TRIBUTARY_OK, NULL) == TRIBUTARY_OK);
        began_ns = clock_mono_ns();
        tributary_session_finish(session, drain_ns);
        expect_status(session, TRIBUTARY_OK);
        CHECK(clock_mono_ns() - began_ns >= drain_ns && clock_mono_ns() - began_ns < drain_ns + 3 * NS_PER_S);
        expect_stats(session, 10, 1, 9);
        tributary_session_free(session);
    }
    tributary_free(client);
}

static void a_full_queue_fails_an_emit_and_is_writable_at_its_low_watermark(void)
{
    struct tributary *client = session_fixture_connect();
    struct reports reports = {.registered = 0};
    const struct tributary_session_options options = {.name = "full",
                                                      .mode = TRIBUTARY_MODE_PER_CONSUMER,
                                                      .queue_events = 10,
                                                      .when_full = TRIBUTARY_WHEN_FULL_FAIL};
    struct tributary_session *session = open_session(client, &reports, &options);

    session_fixture_await(&reports.fixture, &reports.paused, 1);
    for (int i = 0; i < 10; i++)
        CHECK(emit(session, 1, i) == TRIBUTARY_OK);
    CHECK(emit(session, 1, 10) == TRIBUTARY_RESOURCE_EXHAUSTED);
    session_fixture_await(&reports.fixture, &reports.writable, 1);
    CHECK(reports.resumed == 1);
    CHECK(emit(session, 1, 10) == TRIBUTARY_OK);
    CHECK(tributary_session_end(session, 1, TRIBUTARY_OK, NULL) == TRIBUTARY_OK);
    tributary_session_finish(session, 0);
    expect_status(session, TRIBUTARY_OK);
    expect_stats(session, 11, 11, 0);
    tributary_session_free(session);
    tributary_free(client);
}

static void a_blocking_emit_is_released_by_the_end_of_its_activation(void)
{
    struct tributary *client = session_fixture_connect();
    struct reports reports = {.registered = 0};
    const struct tributary_session_options options = {.name = "lost",
                                                      .mode = TRIBUTARY_MODE_PER_CONSUMER,
                                                      .queue_events = 1,
                                                      .wait_timeout_ns = TEST_TIMEOUT_NS};
    struct tributary_session *session = open_session(client, &reports, &options);
    enum tributary_code code = TRIBUTARY_OK;

    session_fixture_await(&reports.fixture, &reports.started, 1);
    while (code == TRIBUTARY_OK)
        code = emit(session, 1, 0);
    CHECK(code == TRIBUTARY_NOT_FOUND);
    session_fixture_await(&reports.fixture, &reports.registered, 2);
    CHECK(reports.stopped == 1 && strcmp(reports.stop_reasons[1], "LOST") == 0 &&
          reports.stop_deadlines[1] == 0);
    CHECK(reports.fixture.interrupted == 1);
    tributary_session_finish(session, 0);
    expect_status(session, TRIBUTARY_OK);
    tributary_session_free(session);
    tributary_free(client);
}

static void end_the_second(struct reports *reports, uint64_t activation)
{
    if (activation != 2)
        return;
    CHECK(emit(reports->session, 1, 0) == TRIBUTARY_NOT_FOUND);
    CHECK(tributary_session_end(reports->session, 2, TRIBUTARY_OK, NULL) == TRIBUTARY_OK);
}

static void a_stop_ends_at_once_or_leaves_time_until_its_deadline(void)
{
    struct tributary *client = session_fixture_connect();
    struct reports reports = {.when_started = emit_a_hundred, .when_stopped = end_the_second};
    const struct tributary_session_options options = {
        .name = "stop", .mode = TRIBUTARY_MODE_PER_CONSUMER, .batch_events = 10, .linger_ns = TRIBUTARY_NONE};
    struct tributary_session *session = open_session(client, &reports, &options);
    struct tributary_session_stats stats;

    session_fixture_await(&reports.fixture, &reports.stopped, 2);
    CHECK(strcmp(reports.stop_reasons[1], "CANCELLED") == 0 && reports.stop_deadlines[1] == 0);
    CHECK(strcmp(reports.stop_reasons[2], "FINISHED") == 0 && reports.stop_deadlines[2] > 0);
    CHECK(tributary_session_flush(session, TEST_TIMEOUT_NS) == TRIBUTARY_OK);
    tributary_session_stats(session, &stats);
    CHECK(stats.accepted == 200 && stats.confirmed + stats.dropped == 200 && stats.confirmed >= 100);
    tributary_session_finish(session, 0);
    expect_status(session, TRIBUTARY_OK);
    tributary_session_stats(session, &stats);
    CHECK(stats.activations == 0 && stats.started == 2);
    tributary_session_free(session);
    tributary_free(client);
}

static void options_out_of_bounds_are_refused_at_once(void)
{
    struct tributary *client = session_fixture_connect();
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
    CHECK(!session);
    tributary_session_free(NULL);
    tributary_free(client);
}

int main(int argc, char **argv)
{
    static const struct client_fixture_test tests[] = {
        CLIENT_TEST(shared_events_come_again_after_a_loss),
        CLIENT_TEST(a_replaced_removed_or_refused_session_does_not_register_again),
        CLIENT_TEST(no_shared_event_is_lost_while_the_server_drains),
        CLIENT_TEST(an_unavailable_server_is_tried_again_unless_no_reconnect_is_set),
        CLIENT_TEST(a_paused_activation_waits_and_others_go_on),
        CLIENT_TEST(a_paused_activation_does_not_delay_the_end_beyond_the_drain),
        CLIENT_TEST(a_full_queue_fails_an_emit_and_is_writable_at_its_low_watermark),
        CLIENT_TEST(a_blocking_emit_is_released_by_the_end_of_its_activation),
        CLIENT_TEST(a_stop_ends_at_once_or_leaves_time_until_its_deadline),
        CLIENT_TEST(options_out_of_bounds_are_refused_at_once),
    };

    client_fixture_run(argc, argv, NULL, tests, ARRAY_LEN(tests));
    return 0;
}
