/* test_worker_server.c - workers against a server that plays one scene for each processor
 * (fake_processors.py).
 *
 * Usage: test_worker_server FAKE_SERVER PROTO_FOLDER [TEST] */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/client/client_fixture.h"
#include "unit/client_session/session_fixture.h"

/* What a worker's callbacks saw. */
struct reports {
    struct session_fixture fixture;
    struct tributary *client;
    struct tributary_worker *worker;
    int welcomed, interrupted, ended, loaded, saved, freed, saves_of_slow;
    _Atomic int in_key; /* callbacks of the key `slow` at this moment */
    bool hold_slow;     /* under the fixture's lock: a save of `slow` waits; at first it does */
    char name[32];
    struct tributary_status final;
};

static bool key_is(const struct tributary_worker_batch *batch, const char *key)
{
    const struct tributary_bytes have = tributary_worker_batch_key(batch);

    return have.size == strlen(key) && memcmp(have.data, key, have.size) == 0;
}

static enum tributary_code load(void *ctx, struct tributary_worker_batch *batch, void **resource_out,
                                uint64_t *generation_out, struct tributary_status *status)
{
    struct reports *reports = ctx;

    if (key_is(batch, "no-load")) {
        snprintf(status->message, sizeof(status->message), "there is no such thing");
        return TRIBUTARY_NOT_FOUND;
    }
    if (key_is(batch, "slow"))
        CHECK(atomic_fetch_add(&reports->in_key, 1) == 0); /* one batch of a key at a time */
    CHECK(tributary_worker_batch_deadline_ns(batch) > clock_mono_ns());
    *generation_out = 41;
    *resource_out = malloc(1);
    session_fixture_count(&reports->fixture, &reports->loaded);
    return TRIBUTARY_OK;
}

static enum tributary_code operate(void *ctx, struct tributary_worker_batch *batch, void *resource,
                                   const struct tributary_worker_operation *operation,
                                   struct tributary_status *status)
{
    const struct tributary_bytes key = tributary_worker_batch_key(batch);
    char text[64];
    int size = 0;

    (void)ctx;
    CHECK(resource && tributary_worker_batch_generation(batch) == 41);
    if (operation->data.size == 3 && memcmp(operation->data.data, "bad", 3) == 0) {
        snprintf(status->message, sizeof(status->message), "is \xff\xfe\xfd bad");
        return TRIBUTARY_FAILED_PRECONDITION;
    }
    size = snprintf(text, sizeof(text), "%.*s:%.*s", (int)key.size, (const char *)key.data,
                    (int)operation->data.size, (const char *)operation->data.data);
    CHECK(tributary_worker_set_result(batch, operation, (struct tributary_bytes){text, (size_t)size}) ==
          TRIBUTARY_OK);
    return TRIBUTARY_OK;
}

static enum tributary_code save(void *ctx, struct tributary_worker_batch *batch, void *resource,
                                const struct tributary_worker_operation *const *operations, size_t count,
                                struct tributary_status *status)
{
    struct reports *reports = ctx;

    (void)status;
    CHECK(resource && count > 0 && operations[0]->id == 1);
    if (key_is(batch, "conflict"))
        return TRIBUTARY_ABORTED;
    if (key_is(batch, "slow")) {
        session_fixture_count(&reports->fixture, &reports->saves_of_slow);
        pthread_mutex_lock(&reports->fixture.lock);
        while (reports->hold_slow)
            pthread_cond_wait(&reports->fixture.changed, &reports->fixture.lock);
        pthread_mutex_unlock(&reports->fixture.lock);
    }
    session_fixture_count(&reports->fixture, &reports->saved);
    return TRIBUTARY_OK;
}

static enum tributary_code save_together(void *ctx, struct tributary_worker_batch *batch, void *resource,
                                         const struct tributary_worker_operation *const *operations,
                                         size_t count, struct tributary_status *status)
{
    (void)ctx;
    (void)resource;
    CHECK(count == 3000);
    for (size_t i = 0; i < count; i++)
        CHECK(tributary_worker_set_result(batch, operations[i], operations[i]->data) == TRIBUTARY_OK);
    status->code = TRIBUTARY_OK;
    CHECK(tributary_worker_fail(batch, operations[7], status) == TRIBUTARY_INVALID_ARGUMENT);
    status->code = TRIBUTARY_INVALID_ARGUMENT;
    strcpy(status->reason, "SEVEN");
    CHECK(tributary_worker_fail(batch, operations[7], status) == TRIBUTARY_OK);
    CHECK(operations[7]->code == TRIBUTARY_INVALID_ARGUMENT && operations[8]->code == TRIBUTARY_OK);
    return TRIBUTARY_OK;
}

static void free_resource(void *ctx, void *resource)
{
    struct reports *reports = ctx;

    free(resource);
    atomic_store(&reports->in_key, 0);
    session_fixture_count(&reports->fixture, &reports->freed);
}

static void on_welcomed(void *ctx, const char *worker)
{
    struct reports *reports = ctx;

    snprintf(reports->name, sizeof(reports->name), "%s", worker);
    CHECK(tributary_worker_wait(reports->worker, 0, NULL) == TRIBUTARY_FAILED_PRECONDITION);
    session_fixture_count(&reports->fixture, &reports->welcomed);
}

static void on_interrupted(void *ctx, const struct tributary_status *status, int64_t retry_ns)
{
    struct reports *reports = ctx;

    CHECK(status->code != TRIBUTARY_OK && retry_ns > 0);
    session_fixture_count(&reports->fixture, &reports->interrupted);
}

static void on_ended(void *ctx, const struct tributary_status *status)
{
    struct reports *reports = ctx;

    reports->final = *status;
    session_fixture_count(&reports->fixture, &reports->ended);
}

static struct tributary_worker *open_worker(struct reports *reports, const char *processor, const char *name)
{
    const struct tributary_worker_options options = {
        .processor = processor,
        .worker = name,
        .policy = {.window = TRIBUTARY_BATCH_ADAPTIVE, .max_reloads = 2},
        .max_batches = 3,
        .threads = 2,
        .load = load,
        .operate = operate,
        .save = save,
        .free = free_resource,
        .welcomed = on_welcomed,
        .interrupted = on_interrupted,
        .ended = on_ended,
        .ctx = reports,
    };
    struct tributary_worker_options together = options;
    struct tributary_status status;

    *reports = (struct reports){.client = session_fixture_connect(), .hold_slow = true};
    session_fixture_init(&reports->fixture);
    if (strcmp(processor, "together") == 0) {
        together.load = NULL;
        together.operate = NULL;
        together.save = save_together;
    }
    /* The callback `welcomed` reads `worker`. */
    pthread_mutex_lock(&reports->fixture.lock);
    CHECK(tributary_worker_new(reports->client, &together, &reports->worker, &status) == TRIBUTARY_OK);
    pthread_mutex_unlock(&reports->fixture.lock);
    return reports->worker;
}

/* Lets it end gently. The scene goes on until it has seen that. */
static void expect_good_end(struct reports *reports)
{
    struct tributary_status status;

    tributary_worker_finish(reports->worker, TEST_TIMEOUT_NS);
    if (tributary_worker_wait(reports->worker, TEST_TIMEOUT_NS, &status) != TRIBUTARY_OK) {
        fprintf(stderr, "%s: %s\n", tributary_code_name(status.code), status.message);
        abort();
    }
    CHECK(reports->ended == 1 && reports->final.code == TRIBUTARY_OK);
    CHECK(reports->freed == reports->loaded);
    tributary_worker_free(reports->worker);
    tributary_free(reports->client);
}

static void await_saved(struct reports *reports, uint64_t batches)
{
    struct tributary_worker_stats stats;
    const int64_t until_ns = clock_mono_ns() + TEST_TIMEOUT_NS;

    do {
        tributary_worker_stats(reports->worker, &stats);
        CHECK(clock_mono_ns() < until_ns);
    } while (stats.saved + stats.failed + stats.aborted < batches);
}

static void batches_are_loaded_run_and_saved(void)
{
    struct reports reports;
    struct tributary_worker_stats stats;

    open_worker(&reports, "work", "w1");
    await_saved(&reports, 4);
    tributary_worker_stats(reports.worker, &stats);
    CHECK(stats.saved == 2 && stats.failed == 2 && stats.aborted == 0 && stats.operations == 6);
    CHECK(stats.welcomes == 1 && strcmp(reports.name, "w1") == 0);
    expect_good_end(&reports);
    CHECK(reports.saved == 2);
}

static void results_of_a_batch_may_be_set_together(void)
{
    struct reports reports;

    open_worker(&reports, "together", "w1");
    await_saved(&reports, 1);
    expect_good_end(&reports);
}

static void a_batch_that_is_aborted_is_not_saved(void)
{
    struct reports reports;

    open_worker(&reports, "aborts", "w1");
    await_saved(&reports, 2);
    expect_good_end(&reports);
    CHECK(reports.saved == 1 && reports.loaded == 2);
}

static void an_abort_is_answered_while_the_key_hangs(void)
{
    struct reports reports;
    struct tributary_worker_stats stats;

    open_worker(&reports, "aborts-waiting", "w1");
    await_saved(&reports, 1);
    CHECK(reports.saves_of_slow == 1 && reports.loaded == 2);
    pthread_mutex_lock(&reports.fixture.lock);
    reports.hold_slow = false;
    pthread_cond_broadcast(&reports.fixture.changed);
    pthread_mutex_unlock(&reports.fixture.lock);
    await_saved(&reports, 4);
    tributary_worker_stats(reports.worker, &stats);
    CHECK(stats.saved == 3 && stats.aborted == 1 && stats.orphaned == 0);
    expect_good_end(&reports);
}

static void after_a_loss_a_key_waits_for_its_older_batch(void)
{
    struct reports reports;
    struct tributary_worker_stats stats;

    open_worker(&reports, "loses", NULL);
    session_fixture_await(&reports.fixture, &reports.welcomed, 2);
    CHECK(reports.saves_of_slow == 1 && reports.saved == 0);
    pthread_mutex_lock(&reports.fixture.lock);
    reports.hold_slow = false;
    pthread_cond_broadcast(&reports.fixture.changed);
    pthread_mutex_unlock(&reports.fixture.lock);
    await_saved(&reports, 3);
    tributary_worker_stats(reports.worker, &stats);
    CHECK(stats.saved == 2 && stats.aborted == 1 && stats.orphaned == 2 && stats.welcomes == 2);
    expect_good_end(&reports);
    CHECK(reports.interrupted == 2 && reports.saves_of_slow == 2);
}

static void a_server_that_breaks_the_order_ends_the_worker(void)
{
    struct reports reports;
    struct tributary_status status;

    open_worker(&reports, "twice", "w1");
    CHECK(tributary_worker_wait(reports.worker, TEST_TIMEOUT_NS, &status) == TRIBUTARY_INTERNAL);
    CHECK(strstr(status.message, "twice"));
    CHECK(reports.freed == reports.loaded && reports.saved == 0);
    tributary_worker_free(reports.worker);
    tributary_free(reports.client);
}

static void a_server_that_ends_gets_its_batches_and_the_worker_comes_back(void)
{
    struct reports reports;

    open_worker(&reports, "closing", "w1");
    session_fixture_await(&reports.fixture, &reports.welcomed, 2);
    expect_good_end(&reports);
    CHECK(reports.saved == 1 && reports.interrupted == 1);
}

static void a_worker_can_be_cancelled_and_freed_at_any_time(void)
{
    struct reports reports;
    struct tributary_status status;

    open_worker(&reports, "quiet", "w1");
    tributary_worker_free(reports.worker);
    CHECK(reports.ended == 1 && reports.final.code == TRIBUTARY_CANCELLED);
    tributary_free(reports.client);
    open_worker(&reports, "quiet", "w1");
    session_fixture_await(&reports.fixture, &reports.welcomed, 1);
    CHECK(tributary_worker_wait(reports.worker, 1, &status) == TRIBUTARY_DEADLINE_EXCEEDED);
    CHECK(strcmp(status.reason, "STILL_RUNNING") == 0);
    tributary_worker_cancel(reports.worker);
    tributary_worker_cancel(reports.worker);
    CHECK(tributary_worker_wait(reports.worker, TEST_TIMEOUT_NS, &status) == TRIBUTARY_CANCELLED);
    tributary_worker_free(reports.worker);
    tributary_free(reports.client);
    open_worker(&reports, "quiet", "w1");
    expect_good_end(&reports);
}

static void a_worker_that_was_slow_comes_back(void)
{
    struct reports reports;

    open_worker(&reports, "slow", "w1");
    session_fixture_await(&reports.fixture, &reports.welcomed, 3);
    expect_good_end(&reports);
    CHECK(reports.interrupted == 2);
}

static void an_idle_worker_needs_no_time_to_finish(void)
{
    struct reports reports;
    struct tributary_status status;

    open_worker(&reports, "quiet", "w1");
    session_fixture_await(&reports.fixture, &reports.welcomed, 1);
    tributary_worker_finish(reports.worker, -1);
    CHECK(tributary_worker_wait(reports.worker, TEST_TIMEOUT_NS, &status) == TRIBUTARY_OK);
    tributary_worker_free(reports.worker);
    tributary_free(reports.client);
}

static void options_out_of_bounds_are_refused(void)
{
    struct tributary *client = session_fixture_connect();
    const struct tributary_worker_options options[] = {
        {.processor = NULL, .save = save},
        {.processor = "x"},
        {.processor = "x", .save = save, .max_batches = 10001},
        {.processor = "x", .save = save, .threads = 1025},
        {.processor = "x", .save = save, .policy.window = (enum tributary_batch_window)2}};
    struct tributary_worker *worker = NULL;
    struct tributary_status status;

    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        CHECK(tributary_worker_new(client, &options[i], &worker, &status) == TRIBUTARY_INVALID_ARGUMENT &&
              status.message[0] != '\0');
    CHECK(!worker);
    tributary_worker_free(NULL);
    tributary_free(client);
}

int main(int argc, char **argv)
{
    static const struct client_fixture_test tests[] = {
        CLIENT_TEST(batches_are_loaded_run_and_saved),
        CLIENT_TEST(results_of_a_batch_may_be_set_together),
        CLIENT_TEST(a_batch_that_is_aborted_is_not_saved),
        CLIENT_TEST(an_abort_is_answered_while_the_key_hangs),
        CLIENT_TEST(after_a_loss_a_key_waits_for_its_older_batch),
        CLIENT_TEST(a_server_that_breaks_the_order_ends_the_worker),
        CLIENT_TEST(a_server_that_ends_gets_its_batches_and_the_worker_comes_back),
        CLIENT_TEST(a_worker_can_be_cancelled_and_freed_at_any_time),
        CLIENT_TEST(a_worker_that_was_slow_comes_back),
        CLIENT_TEST(an_idle_worker_needs_no_time_to_finish),
        CLIENT_TEST(options_out_of_bounds_are_refused),
    };

    client_fixture_run(argc, argv, NULL, tests, ARRAY_LEN(tests));
    return 0;
}
