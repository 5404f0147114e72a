/* test_runner_server.c - runners against a server that plays one scene for each processor
 * (fake_processors.py).
 *
 * Usage: test_runner_server FAKE_SERVER PROTO_FOLDER [TEST] */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "unit/client/client_fixture.h"
#include "unit/client_session/session_fixture.h"

/* What was reported. */
struct reports {
    struct session_fixture fixture;
    struct tributary_runner *runner;
    int done, ok, interrupted;
    uint32_t attempts;
    bool may_have_run;
    struct tributary_status last;
    char data[64];
    size_t data_size;
};

static void on_done(void *ctx, const struct tributary_runner_result *result)
{
    struct reports *reports = ctx;

    if (result->status.code == TRIBUTARY_OK)
        reports->ok++;
    reports->last = result->status;
    reports->attempts = result->attempts;
    reports->may_have_run = result->may_have_run;
    reports->data_size = MIN_OF(result->data.size, sizeof(reports->data));
    if (reports->data_size > 0)
        memcpy(reports->data, result->data.data, reports->data_size);
    session_fixture_count(&reports->fixture, &reports->done);
}

static void on_interrupted(void *ctx, const struct tributary_status *status, int64_t retry_ns)
{
    struct reports *reports = ctx;

    CHECK(status->code == TRIBUTARY_UNAVAILABLE && retry_ns > 0);
    session_fixture_count(&reports->fixture, &reports->interrupted);
}

static struct tributary_runner *open_runner(struct tributary *client, struct reports *reports,
                                            const struct tributary_runner_options *options)
{
    struct tributary_runner_options complete = *options;
    struct tributary_status status;

    *reports = (struct reports){.done = 0};
    session_fixture_init(&reports->fixture);
    complete.interrupted = on_interrupted;
    complete.ctx = reports;
    CHECK(tributary_runner_new(client, &complete, &reports->runner, &status) == TRIBUTARY_OK);
    return reports->runner;
}

static struct tributary_runner_operation operation_of(struct reports *reports, const char *key,
                                                      const char *id, const char *data)
{
    return (struct tributary_runner_operation){.key = tributary_text(key),
                                               .operation_id = tributary_text(id),
                                               .data = tributary_text(data),
                                               .done = on_done,
                                               .ctx = reports};
}

static void submit(struct reports *reports, const char *key, const char *id)
{
    const struct tributary_runner_operation operation = operation_of(reports, key, id, "d");

    CHECK(tributary_runner_submit(reports->runner, &operation, NULL, NULL) == TRIBUTARY_OK);
}

static void close_runner(struct reports *reports, struct tributary *client)
{
    struct tributary_runner_stats stats;

    tributary_runner_stats(reports->runner, &stats);
    CHECK(stats.submitted == stats.ok + stats.failed + stats.in_flight);
    tributary_runner_free(reports->runner);
    tributary_free(client);
}

static void operations_are_answered_with_their_results(void)
{
    struct tributary *client = session_fixture_connect();
    struct reports reports;
    struct tributary_runner *runner =
        open_runner(client, &reports, &(struct tributary_runner_options){.processor = "echo"});
    struct tributary_runner_operation operation = operation_of(&reports, "key", "", "data");
    struct tributary_runner_result result;
    struct tributary_runner_stats stats;

    CHECK(tributary_runner_run(runner, &operation, &result) == TRIBUTARY_OK);
    CHECK(result.data.size == 8 && memcmp(result.data.data, "key=data", 8) == 0);
    CHECK(result.batch == 7 && result.attempts == 1 && !result.may_have_run);
    tributary_runner_result_free(&result);
    for (int i = 0; i < 1000; i++)
        submit(&reports, "k", "");
    CHECK(tributary_runner_flush(runner, TEST_TIMEOUT_NS) == TRIBUTARY_OK);
    CHECK(reports.ok == 1000);
    tributary_runner_stats(runner, &stats);
    CHECK(stats.ok == 1001 && stats.failed == 0 && stats.in_flight == 0 && stats.messages < 1000);
    close_runner(&reports, client);
}

static void a_message_has_as_many_operations_as_it_may(void)
{
    struct tributary *client = session_fixture_connect();
    struct reports reports;
    const struct tributary_runner_options options = {.processor = "count", .message_operations = 5};
    struct tributary_runner *runner = open_runner(client, &reports, &options);

    for (int i = 0; i < 200; i++) {
        submit(&reports, "k", "");
        CHECK(reports.done < 200);
    }
    CHECK(tributary_runner_flush(runner, TEST_TIMEOUT_NS) == TRIBUTARY_OK);
    CHECK(reports.ok == 200 && reports.data_size == 1 && reports.data[0] >= '1' && reports.data[0] <= '5');
    close_runner(&reports, client);
}

static void an_operation_with_an_id_is_sent_again_after_a_loss(void)
{
    struct tributary *client = session_fixture_connect();
    struct reports reports;
    struct tributary_runner *runner =
        open_runner(client, &reports, &(struct tributary_runner_options){.processor = "lose"});

    submit(&reports, "k", "the-id");
    session_fixture_await(&reports.fixture, &reports.done, 1);
    CHECK(reports.ok == 1 && reports.attempts == 2 && !reports.may_have_run);
    CHECK(reports.data_size == 6 && memcmp(reports.data, "the-id", 6) == 0);
    CHECK(reports.interrupted == 1);
    submit(&reports, "k", "");
    CHECK(tributary_runner_flush(runner, TEST_TIMEOUT_NS) == TRIBUTARY_OK);
    CHECK(reports.ok == 2);
    close_runner(&reports, client);
}

static void one_without_an_id_may_have_run(void)
{
    struct tributary *client = session_fixture_connect();
    struct reports reports;
    struct tributary_runner *runner =
        open_runner(client, &reports, &(struct tributary_runner_options){.processor = "lost-worker"});
    struct tributary_runner_options made = {.processor = "lost-worker/2", .make_operation_ids = true};

    submit(&reports, "k", "");
    CHECK(tributary_runner_flush(runner, TEST_TIMEOUT_NS) == TRIBUTARY_OK);
    CHECK(reports.ok == 0 && reports.may_have_run && reports.last.code == TRIBUTARY_UNAVAILABLE);
    CHECK(strcmp(reports.last.reason, "WORKER_LOST") == 0);
    submit(&reports, "k2", "id");
    CHECK(tributary_runner_flush(runner, TEST_TIMEOUT_NS) == TRIBUTARY_OK);
    CHECK(reports.ok == 1 && reports.attempts == 2 && !reports.may_have_run);
    tributary_runner_free(runner);
    runner = open_runner(client, &reports, &made);
    submit(&reports, "k", "");
    CHECK(tributary_runner_flush(runner, TEST_TIMEOUT_NS) == TRIBUTARY_OK);
    CHECK(reports.ok == 1 && reports.attempts == 2);
    close_runner(&reports, client);
}

static void refusals_are_retried_where_that_is_wanted(void)
{
    struct tributary *client = session_fixture_connect();
    struct reports reports;
    struct tributary_runner *runner =
        open_runner(client, &reports, &(struct tributary_runner_options){.processor = "no-worker"});
    const struct tributary_runner_options options = {.processor = "no-worker/2", .retry_refused = true};

    submit(&reports, "k", "");
    CHECK(tributary_runner_flush(runner, TEST_TIMEOUT_NS) == TRIBUTARY_OK);
    CHECK(reports.ok == 0 && !reports.may_have_run && strcmp(reports.last.reason, "NO_WORKER") == 0);
    tributary_runner_free(runner);
    runner = open_runner(client, &reports, &options);
    submit(&reports, "k", "");
    CHECK(tributary_runner_flush(runner, TEST_TIMEOUT_NS) == TRIBUTARY_OK);
    CHECK(reports.ok == 1 && reports.attempts == 3);
    close_runner(&reports, client);
}

static void retries_end_with_the_timeout_and_the_cause(void)
{
    struct tributary *client = session_fixture_connect();
    struct reports reports;
    const struct tributary_runner_options options = {
        .processor = "never", .retry_refused = true, .timeout_ns = 3 * NS_PER_S};
    struct tributary_runner *runner = open_runner(client, &reports, &options);

    submit(&reports, "k", "");
    CHECK(tributary_runner_flush(runner, TEST_TIMEOUT_NS) == TRIBUTARY_OK);
    /* Where the time passes while the last attempt waits to be sent, the cause is the time. */
    CHECK(reports.ok == 0 && reports.attempts > 1 && !reports.may_have_run);
    CHECK(strcmp(reports.last.reason, "NO_WORKER") == 0 || strcmp(reports.last.reason, "DEADLINE") == 0);
    close_runner(&reports, client);
}

static void what_was_not_sent_ends_at_its_timeout(void)
{
    const struct tributary_options nowhere = {.target = "127.0.0.1:1", .backoff_base_ns = 20 * NS_PER_MS};
    struct tributary *client = NULL;
    struct reports reports;
    struct tributary_runner *runner = NULL;
    struct tributary_runner_operation operation;
    struct tributary_runner_result result;

    CHECK(tributary_connect(&nowhere, &client, NULL) == TRIBUTARY_OK);
    runner = open_runner(client, &reports,
                         &(struct tributary_runner_options){.processor = "x", .max_operations = 1});
    operation = operation_of(&reports, "k", "", "d");
    operation.timeout_ns = 200 * NS_PER_MS;
    CHECK(tributary_runner_run(runner, &operation, &result) == TRIBUTARY_DEADLINE_EXCEEDED);
    CHECK(!result.may_have_run && strcmp(result.status.reason, "DEADLINE") == 0);
    submit(&reports, "k", "");
    CHECK(tributary_runner_run(runner, &operation, &result) == TRIBUTARY_DEADLINE_EXCEEDED);
    tributary_runner_free(runner);
    CHECK(reports.done == 1 && reports.last.code == TRIBUTARY_CANCELLED && !reports.may_have_run);
    tributary_free(client);
}

static void a_cancel_reaches_one_operation(void)
{
    struct tributary *client = session_fixture_connect();
    struct reports reports;
    struct tributary_runner *runner =
        open_runner(client, &reports, &(struct tributary_runner_options){.processor = "waits"});
    const struct tributary_runner_operation operation = operation_of(&reports, "k", "", "d");
    uint64_t numbers[3] = {0};

    for (int i = 0; i < 3; i++)
        CHECK(tributary_runner_submit(runner, &operation, &numbers[i], NULL) == TRIBUTARY_OK);
    tributary_runner_cancel(runner, numbers[1]);
    tributary_runner_cancel(runner, numbers[1]);
    tributary_runner_cancel(runner, numbers[1] + (UINT64_C(1) << 40));
    session_fixture_await(&reports.fixture, &reports.done, 1);
    CHECK(strcmp(reports.last.reason, "OPERATION_CANCELLED") == 0);
    CHECK(tributary_runner_flush(runner, 50 * NS_PER_MS) == TRIBUTARY_DEADLINE_EXCEEDED);
    CHECK(reports.done == 1);
    close_runner(&reports, client);
    CHECK(reports.done == 3 && reports.last.code == TRIBUTARY_CANCELLED && reports.may_have_run);
}

static void bounds_are_named_and_space_can_be_awaited(void)
{
    struct tributary *client = session_fixture_connect();
    struct reports reports;
    const struct tributary_runner_options options = {
        .processor = "waits", .max_operations = 2, .max_bytes = 100};
    struct tributary_runner *runner = open_runner(client, &reports, &options);
    struct tributary_runner_operation operation = operation_of(&reports, "k", "", "d");
    struct tributary_status status;
    uint64_t numbers[2] = {0};
    char large[200] = "";

    CHECK(tributary_runner_wait(runner, 0) == TRIBUTARY_OK);
    operation.data = (struct tributary_bytes){large, sizeof(large)};
    CHECK(tributary_runner_submit(runner, &operation, &numbers[0], &status) == TRIBUTARY_OK);
    operation.data.size = 1;
    CHECK(tributary_runner_submit(runner, &operation, NULL, &status) == TRIBUTARY_RESOURCE_EXHAUSTED);
    CHECK(strcmp(status.reason, "RUNNER_FULL") == 0 && strstr(status.message, "max_bytes"));
    tributary_runner_cancel(runner, numbers[0]);
    CHECK(tributary_runner_wait(runner, TEST_TIMEOUT_NS) == TRIBUTARY_OK);
    CHECK(tributary_runner_submit(runner, &operation, &numbers[0], &status) == TRIBUTARY_OK);
    CHECK(tributary_runner_submit(runner, &operation, &numbers[1], &status) == TRIBUTARY_OK);
    CHECK(tributary_runner_submit(runner, &operation, NULL, &status) == TRIBUTARY_RESOURCE_EXHAUSTED);
    CHECK(strstr(status.message, "max_operations"));
    CHECK(tributary_runner_wait(runner, 10 * NS_PER_MS) == TRIBUTARY_DEADLINE_EXCEEDED);
    operation.key.size = 0;
    CHECK(tributary_runner_submit(runner, &operation, NULL, &status) == TRIBUTARY_INVALID_ARGUMENT);
    CHECK(strstr(status.message, "key"));
    close_runner(&reports, client);
}

static void a_large_operation_waits_without_work(void)
{
    struct tributary *client = session_fixture_connect();
    struct reports reports;
    const struct tributary_runner_options options = {.processor = "waits", .max_bytes = 100};
    struct tributary_runner *runner = open_runner(client, &reports, &options);
    struct tributary_runner_operation operation = operation_of(&reports, "k", "", "d");
    struct tributary_runner_result result;
    struct timespec used;
    char large[60] = "";

    operation.data = (struct tributary_bytes){large, sizeof(large)};
    CHECK(tributary_runner_submit(runner, &operation, NULL, NULL) == TRIBUTARY_OK);
    operation.timeout_ns = 300 * NS_PER_MS;
    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) == 0);

    const int64_t before_ns = used.tv_sec * NS_PER_S + used.tv_nsec;

    CHECK(tributary_runner_run(runner, &operation, &result) == TRIBUTARY_DEADLINE_EXCEEDED);
    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) == 0);
    CHECK(used.tv_sec * NS_PER_S + used.tv_nsec - before_ns < 50 * NS_PER_MS);
    close_runner(&reports, client);
}

static void on_second_done(void *ctx, const struct tributary_runner_result *result)
{
    submit(ctx, "k", "");
    on_done(ctx, result);
}

static void a_flush_waits_for_those_before_it(void)
{
    struct tributary *client = session_fixture_connect();
    struct reports reports;
    struct tributary_runner *runner =
        open_runner(client, &reports, &(struct tributary_runner_options){.processor = "first-last"});
    struct tributary_runner_operation second = operation_of(&reports, "k", "", "d");

    second.done = on_second_done;
    submit(&reports, "k", "");
    CHECK(tributary_runner_submit(runner, &second, NULL, NULL) == TRIBUTARY_OK);
    CHECK(tributary_runner_flush(runner, TEST_TIMEOUT_NS) == TRIBUTARY_OK);
    CHECK(reports.ok == 3);
    close_runner(&reports, client);
}

static void a_stream_that_is_refused_ends_what_it_carries(void)
{
    struct tributary *client = session_fixture_connect();
    struct reports reports;
    struct tributary_runner *runner =
        open_runner(client, &reports, &(struct tributary_runner_options){.processor = "forbidden"});

    submit(&reports, "k", "id");
    CHECK(tributary_runner_flush(runner, TEST_TIMEOUT_NS) == TRIBUTARY_OK);
    CHECK(reports.last.code == TRIBUTARY_PERMISSION_DENIED && reports.attempts == 1);
    close_runner(&reports, client);
}

static void waiting_is_refused_in_a_callback_done(void *ctx, const struct tributary_runner_result *result)
{
    struct reports *reports = ctx;
    const struct tributary_runner_operation operation = {.key = tributary_text("k")};
    struct tributary_runner_result inner;

    CHECK(result->status.code == TRIBUTARY_OK);
    CHECK(tributary_runner_wait(reports->runner, 0) == TRIBUTARY_FAILED_PRECONDITION);
    CHECK(tributary_runner_flush(reports->runner, 0) == TRIBUTARY_FAILED_PRECONDITION);
    CHECK(tributary_runner_run(reports->runner, &operation, &inner) == TRIBUTARY_FAILED_PRECONDITION);
    submit(reports, "k", ""); /* this is allowed */
}

static void waiting_is_refused_in_a_callback(void)
{
    struct tributary *client = session_fixture_connect();
    struct reports reports;
    struct tributary_runner *runner =
        open_runner(client, &reports, &(struct tributary_runner_options){.processor = "echo"});
    struct tributary_runner_operation operation = operation_of(&reports, "k", "", "d");

    operation.done = waiting_is_refused_in_a_callback_done;
    CHECK(tributary_runner_submit(runner, &operation, NULL, NULL) == TRIBUTARY_OK);
    session_fixture_await(&reports.fixture, &reports.done, 1);
    CHECK(reports.ok == 1);
    close_runner(&reports, client);
}

static void options_out_of_bounds_are_refused(void)
{
    struct tributary *client = session_fixture_connect();
    const struct tributary_runner_options options[] = {{.processor = NULL},
                                                       {.processor = ""},
                                                       {.processor = "x", .max_operations = (1u << 20) + 1},
                                                       {.processor = "x", .message_operations = 4097},
                                                       {.processor = "x", .message_bytes = (1u << 20) + 1}};
    struct tributary_runner *runner = NULL;
    struct tributary_status status;

    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        CHECK(tributary_runner_new(client, &options[i], &runner, &status) == TRIBUTARY_INVALID_ARGUMENT &&
              status.message[0] != '\0');
    CHECK(!runner);
    tributary_runner_free(NULL);
    tributary_free(client);
}

int main(int argc, char **argv)
{
    static const struct client_fixture_test tests[] = {
        CLIENT_TEST(operations_are_answered_with_their_results),
        CLIENT_TEST(a_message_has_as_many_operations_as_it_may),
        CLIENT_TEST(an_operation_with_an_id_is_sent_again_after_a_loss),
        CLIENT_TEST(one_without_an_id_may_have_run),
        CLIENT_TEST(refusals_are_retried_where_that_is_wanted),
        CLIENT_TEST(retries_end_with_the_timeout_and_the_cause),
        CLIENT_TEST(what_was_not_sent_ends_at_its_timeout),
        CLIENT_TEST(a_cancel_reaches_one_operation),
        CLIENT_TEST(bounds_are_named_and_space_can_be_awaited),
        CLIENT_TEST(a_large_operation_waits_without_work),
        CLIENT_TEST(a_flush_waits_for_those_before_it),
        CLIENT_TEST(a_stream_that_is_refused_ends_what_it_carries),
        CLIENT_TEST(waiting_is_refused_in_a_callback),
        CLIENT_TEST(options_out_of_bounds_are_refused),
    };

    client_fixture_run(argc, argv, NULL, tests, ARRAY_LEN(tests));
    return 0;
}
