/* test_client_batch_records.c - what observers of a batch processor hear of each batch. */
#include <criterion/criterion.h>
#include <string.h>
#include <time.h>

#include "unit/client_batch/batch_fixture.h"

static struct batch_fixture f;

static struct tributary_batch_observer *observe(uint32_t capacity)
{
    struct tributary_batch_observer *observer = NULL;

    cr_assert_eq(tributary_batch_observe(f.batch, capacity, &observer, NULL), TRIBUTARY_OK);
    return observer;
}

static struct tributary_batch_record next(struct tributary_batch_observer *observer)
{
    struct tributary_batch_record record;

    cr_assert_eq(tributary_batch_record_next(observer, 20000 * MS, &record), TRIBUTARY_OK);
    return record;
}

static void run_one(unsigned key, enum tributary_code code)
{
    struct addition addition = {.fixture = &f, .key = key, .amount = 1};

    cr_assert_eq(addition_run(&addition), code);
}

Test(client_batch_records, B18_a_record_has_key_start_count_and_durations)
{
    struct timespec before;

    f.options.window_ns = 10 * MS;
    f.load_wait_ns = 100 * MS;
    f.save_wait_ns = 50 * MS;
    batch_fixture_open(&f);
    clock_gettime(CLOCK_REALTIME, &before);

    struct tributary_batch_observer *observer = observe(0);

    run_one(5, TRIBUTARY_OK);

    const struct tributary_batch_record record = next(observer);

    cr_assert_str_eq(record.key, "5");
    cr_assert_eq(record.key_size, 1);
    cr_assert_geq(record.started_unix_nano,
                  (uint64_t)before.tv_sec * 1000000000u + (uint64_t)before.tv_nsec - MS);
    cr_assert_eq(record.operations, 1);
    cr_assert_geq(record.load_ns, 100 * MS);
    cr_assert_geq(record.save_ns, 50 * MS);
    cr_assert_geq(record.total_ns, record.load_ns + record.save_ns);
    cr_assert_eq(record.loads, 1);
    cr_assert_eq(record.saves, 1);
    cr_assert_eq(record.status.code, TRIBUTARY_OK);
    tributary_batch_observer_free(observer);
    batch_fixture_close(&f);
}

Test(client_batch_records, B19_B20_a_record_has_the_failure_of_load_or_save)
{
    f.options.window_ns = MS;
    f.load_failures = 1;
    f.load_code = TRIBUTARY_NOT_FOUND;
    batch_fixture_open(&f);

    struct tributary_batch_observer *observer = observe(8);
    struct tributary_batch_record record;

    run_one(1, TRIBUTARY_NOT_FOUND);
    record = next(observer);
    cr_assert_eq(record.status.code, TRIBUTARY_NOT_FOUND);
    cr_assert_str_eq(record.status.reason, "LOAD_FAILED");
    cr_assert_eq(record.operations, 0);
    f.save_code = TRIBUTARY_INTERNAL;
    f.save_failures = 1;
    run_one(1, TRIBUTARY_INTERNAL);
    record = next(observer);
    cr_assert_eq(record.status.code, TRIBUTARY_INTERNAL);
    cr_assert_str_eq(record.status.reason, "SAVE_FAILED");
    cr_assert_eq(record.operations, 1);
    tributary_batch_observer_free(observer);
    batch_fixture_close(&f);
}

Test(client_batch_records, B21_two_observers_get_equal_records)
{
    f.options.window = TRIBUTARY_BATCH_ADAPTIVE;
    batch_fixture_open(&f);

    struct tributary_batch_observer *first = observe(0), *second = observe(0);

    for (unsigned key = 0; key < 8; key++)
        run_one(key, TRIBUTARY_OK);
    for (unsigned key = 0; key < 8; key++) {
        const struct tributary_batch_record a = next(first), b = next(second);

        cr_assert_str_eq(a.key, b.key);
        cr_assert_eq(a.started_unix_nano, b.started_unix_nano);
        cr_assert_eq(a.total_ns, b.total_ns);
    }
    tributary_batch_observer_free(first);
    tributary_batch_observer_free(second);
    batch_fixture_close(&f);
}

Test(client_batch_records, B17_B22_after_the_stop_records_end_and_a_late_observer_hears_nothing)
{
    struct tributary_batch_record record;

    f.options.window_ns = 3600 * INT64_C(1000000000);
    batch_fixture_open(&f);

    struct tributary_batch_observer *observer = observe(0);
    struct addition addition = {.fixture = &f, .key = 9};

    cr_assert_eq(tributary_batch_record_next(observer, 0, &record), TRIBUTARY_DEADLINE_EXCEEDED);
    cr_assert_eq(addition_submit(&addition), TRIBUTARY_OK);
    EVENTUALLY(addition.runs == 1);
    tributary_batch_stop(f.batch);
    cr_assert_str_eq(next(observer).key, "9", "the last records can still be read");
    cr_assert_eq(tributary_batch_record_next(observer, TRIBUTARY_FOREVER, &record), TRIBUTARY_UNAVAILABLE);

    struct tributary_batch_observer *late = observe(0);

    cr_assert_eq(tributary_batch_record_next(late, TRIBUTARY_FOREVER, &record), TRIBUTARY_UNAVAILABLE);
    tributary_batch_observer_free(observer);
    tributary_batch_observer_free(late);
    batch_fixture_close(&f);
}

Test(client_batch_records, B17_an_observer_that_does_not_read_loses_records_and_holds_up_nobody)
{
    f.options.window = TRIBUTARY_BATCH_ADAPTIVE;
    batch_fixture_open(&f);

    struct tributary_batch_observer *slow = observe(10);

    for (unsigned i = 0; i < 1100; i++)
        run_one(i % FIXTURE_KEYS, TRIBUTARY_OK);
    EVENTUALLY(tributary_batch_records_lost(slow) == 1090);
    cr_assert_str_eq(next(slow).key, "0", "the oldest are kept");
    run_one(3, TRIBUTARY_OK);
    for (unsigned i = 1; i < 10; i++)
        next(slow);
    cr_assert_str_eq(next(slow).key, "3");
    tributary_batch_observer_free(slow);
    batch_fixture_close(&f);
}

static void *come_and_go(void *ctx)
{
    const unsigned key = *(unsigned *)ctx;
    struct tributary_batch_record record;

    for (unsigned i = 0; i < 20; i++) {
        struct tributary_batch_observer *observer = observe(1 + i);

        run_one(key % FIXTURE_KEYS, TRIBUTARY_OK);
        (void)tributary_batch_record_next(observer, 0, &record);
        tributary_batch_observer_free(observer);
    }
    return NULL;
}

Test(client_batch_records, B23_observers_come_and_go_while_batches_end)
{
    static pthread_t threads[50];
    static unsigned keys[50];

    f.options = (struct tributary_batch_options){.window = TRIBUTARY_BATCH_ADAPTIVE, .threads = 4};
    batch_fixture_open(&f);
    for (unsigned i = 0; i < 50; i++) {
        keys[i] = i;
        cr_assert_eq(pthread_create(&threads[i], NULL, come_and_go, &keys[i]), 0);
    }
    for (unsigned i = 0; i < 50; i++)
        pthread_join(threads[i], NULL);
    batch_fixture_close(&f);
    cr_assert_eq(f.stored[0] + f.stored[15], 20 * (4 + 3));
}

Test(client_batch_records, a_ring_has_a_bound)
{
    struct tributary_batch_observer *observer = NULL;

    batch_fixture_open(&f);
    cr_assert_eq(tributary_batch_observe(f.batch, (1u << 20) + 1, &observer, NULL),
                 TRIBUTARY_INVALID_ARGUMENT);
    batch_fixture_close(&f);
}
