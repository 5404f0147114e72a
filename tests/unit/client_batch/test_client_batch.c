/* test_client_batch.c - the batch processor of the C library: what a batch does for its callers. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "unit/client_batch/batch_fixture.h"

static struct batch_fixture f;

Test(client_batch, B1_without_a_loader_an_operation_sees_a_zero_resource)
{
    struct addition addition = {.fixture = &f, .key = 3, .amount = 7};

    f.options = (struct tributary_batch_options){.resource_bytes = sizeof(struct balance),
                                                 .window = TRIBUTARY_BATCH_ADAPTIVE};
    batch_fixture_open(&f);
    cr_assert_eq(addition_run(&addition), TRIBUTARY_OK);
    cr_assert_eq(f.stored[3], 7);
    cr_assert_eq(addition_run(&addition), TRIBUTARY_OK);
    cr_assert_eq(f.stored[3], 7, "each batch begins with zeroes");
    batch_fixture_close(&f);
    cr_assert_eq(f.loads, 0);
}

Test(client_batch, B2_B3_one_load_and_one_save_for_many_operations)
{
    static struct addition additions[50];

    f.stored[2] = 1000;
    batch_fixture_open(&f);
    for (unsigned i = 0; i < 50; i++) {
        additions[i] = (struct addition){.fixture = &f, .key = 2, .amount = 1};
        cr_assert_eq(addition_submit(&additions[i]), TRIBUTARY_OK);
    }
    for (unsigned i = 0; i < 50; i++)
        EVENTUALLY(additions[i].done);
    batch_fixture_close(&f);
    cr_assert_eq(f.stored[2], 1050);
    cr_assert_eq(f.loads, 1);
    cr_assert_eq(f.saves, 1);
    cr_assert_eq(f.frees, 1);
}

Test(client_batch, B4_B5_a_run_takes_the_window_which_is_100_ms_by_default)
{
    struct addition addition = {.fixture = &f, .amount = 1};
    const int64_t begin = fixture_now_ns();

    batch_fixture_open(&f);
    cr_assert_eq(addition_run(&addition), TRIBUTARY_OK);
    cr_assert_geq(fixture_now_ns() - begin, 100 * MS);
    batch_fixture_close(&f);
}

Test(client_batch, B4_an_adaptive_run_does_not_wait_for_a_window)
{
    struct addition addition = {.fixture = &f, .amount = 1};
    const int64_t begin = fixture_now_ns();

    f.options = (struct tributary_batch_options){.window = TRIBUTARY_BATCH_ADAPTIVE,
                                                 .window_ns = 3600 * INT64_C(1000000000)};
    batch_fixture_open(&f);
    cr_assert_eq(addition_run(&addition), TRIBUTARY_OK);
    cr_assert_lt(fixture_now_ns() - begin, 1800 * INT64_C(1000000000));
    batch_fixture_close(&f);
}

Test(client_batch, B6_an_operation_beyond_the_window_and_another_are_two_saves)
{
    struct addition slow = {.fixture = &f, .amount = 1, .gate = &f.run_gate};
    struct addition next = {.fixture = &f, .amount = 1};

    f.options.window_ns = MS;
    batch_fixture_open(&f);
    gate_close(&f.run_gate);
    addition_start(&slow);
    gate_await(&f.run_gate, 1);
    addition_start(&next);

    const int64_t late = fixture_now_ns() + 20 * MS;

    EVENTUALLY(fixture_now_ns() > late);
    gate_open(&f.run_gate);
    cr_assert_eq(addition_join(&slow), TRIBUTARY_OK);
    cr_assert_eq(addition_join(&next), TRIBUTARY_OK);
    batch_fixture_close(&f);
    cr_assert_eq(f.saves, 2);
    cr_assert_eq(f.stored[0], 2);
}

Test(client_batch, B12_load_and_save_have_one_deadline_of_twice_the_window)
{
    struct addition addition = {.fixture = &f, .amount = 1};
    const int64_t begin = fixture_now_ns();

    f.options.window_ns = 20 * MS;
    batch_fixture_open(&f);
    cr_assert_eq(addition_run(&addition), TRIBUTARY_OK);
    cr_assert_eq(f.deadline_of_load_ns, f.deadline_of_save_ns);
    cr_assert_geq(f.deadline_of_load_ns, begin + 40 * MS);
    cr_assert_leq(f.deadline_of_load_ns, fixture_now_ns() + 20 * MS);
    batch_fixture_close(&f);
}

Test(client_batch, B13_a_deadline_ends_with_its_batch)
{
    struct addition first = {.fixture = &f, .amount = 1}, second = {.fixture = &f, .amount = 1};

    f.options = (struct tributary_batch_options){.window = TRIBUTARY_BATCH_ADAPTIVE, .window_ns = MS};
    batch_fixture_open(&f);
    cr_assert_eq(addition_run(&first), TRIBUTARY_OK);

    const int64_t deadline_ns = f.deadline_of_save_ns;

    EVENTUALLY(fixture_now_ns() > deadline_ns); /* nobody is there to hear of it */
    cr_assert_eq(addition_run(&second), TRIBUTARY_OK);
    cr_assert_geq(f.deadline_of_load_ns, deadline_ns + 2 * MS, "the next batch has one of its own");
    cr_assert_eq(f.deadline_of_load_ns, f.deadline_of_save_ns);
    batch_fixture_close(&f);
    cr_assert_eq(f.stored[0], 2);
}

Test(client_batch, B10_a_thousand_operations_at_a_time_run_one_after_another)
{
    static struct addition additions[1000];

    f.options = (struct tributary_batch_options){.threads = 4, .window_ns = 5 * MS};
    batch_fixture_open(&f);
    for (unsigned i = 0; i < 1000; i++) {
        additions[i] = (struct addition){.fixture = &f, .amount = 1};
        addition_start(&additions[i]);
    }
    for (unsigned i = 0; i < 1000; i++)
        cr_assert_eq(addition_join(&additions[i]), TRIBUTARY_OK);
    batch_fixture_close(&f);
    cr_assert_eq(f.stored[0], 1000, "every addition saw the one before");
    cr_assert_eq(f.runs, 1000);
}

Test(client_batch, B10_keys_run_side_by_side_and_a_callback_that_blocks_holds_up_its_own_key_only)
{
    struct addition blocked = {.fixture = &f, .key = 0, .gate = &f.run_gate};
    struct addition other = {.fixture = &f, .key = 1, .amount = 5};

    f.options = (struct tributary_batch_options){.threads = 2, .window = TRIBUTARY_BATCH_ADAPTIVE};
    batch_fixture_open(&f);
    gate_close(&f.run_gate);
    addition_start(&blocked);
    gate_await(&f.run_gate, 1);
    cr_assert_eq(addition_run(&other), TRIBUTARY_OK);
    cr_assert_eq(f.stored[1], 5);
    cr_assert_not(blocked.done);
    gate_open(&f.run_gate);
    cr_assert_eq(addition_join(&blocked), TRIBUTARY_OK);
    batch_fixture_close(&f);
}

Test(client_batch, B25_the_next_batch_does_not_begin_before_the_save_has_returned)
{
    struct addition first = {.fixture = &f, .amount = 1}, second = {.fixture = &f, .amount = 1};

    f.options = (struct tributary_batch_options){.threads = 4, .window = TRIBUTARY_BATCH_ADAPTIVE};
    batch_fixture_open(&f);
    gate_close(&f.save_gate);
    addition_start(&first);
    gate_await(&f.save_gate, 1);
    cr_assert_eq(addition_submit(&second), TRIBUTARY_OK);
    cr_assert_eq(f.loads, 1);
    cr_assert_eq(second.runs, 0);
    gate_open(&f.save_gate);
    cr_assert_eq(addition_join(&first), TRIBUTARY_OK);
    EVENTUALLY(second.done);
    cr_assert_eq(f.loads, 2);
    cr_assert_eq(f.stored[0], 2);
    batch_fixture_close(&f);
}

static _Atomic unsigned order;

static enum tributary_code note_order(void *ctx, void *resource, struct tributary_status *status)
{
    (void)resource;
    (void)status;
    *(unsigned *)ctx = atomic_fetch_add(&order, 1);
    return TRIBUTARY_OK;
}

Test(client_batch, B26_operations_of_a_key_run_in_the_order_in_which_they_came)
{
    static unsigned places[500];

    f.options = (struct tributary_batch_options){.threads = 4, .max_operations = 7};
    batch_fixture_open(&f);
    for (unsigned i = 0; i < 500; i++) {
        const struct tributary_batch_operation operation = {
            .key = tributary_text("0"), .operate = note_order, .ctx = &places[i]};

        cr_assert_eq(tributary_batch_submit(f.batch, &operation, NULL), TRIBUTARY_OK);
    }
    EVENTUALLY(order == 500);
    for (unsigned i = 0; i < 500; i++)
        cr_assert_eq(places[i], i);
    batch_fixture_close(&f);
}

Test(client_batch, B27_bounds_are_refused_and_named)
{
    struct addition first = {.fixture = &f, .key = 1}, second = {.fixture = &f, .key = 1};
    struct addition third = {.fixture = &f, .key = 1}, other = {.fixture = &f, .key = 2};

    f.options = (struct tributary_batch_options){.max_waiters = 1, .max_keys = 1, .window_ns = MS};
    batch_fixture_open(&f);
    gate_close(&f.load_gate);
    cr_assert_eq(addition_submit(&first), TRIBUTARY_OK);
    cr_assert_eq(addition_submit(&third), TRIBUTARY_RESOURCE_EXHAUSTED);
    cr_assert_str_eq(third.status.reason, "TOO_MANY_WAITERS");
    cr_assert_not_null(strstr(third.status.message, "at most 1 (max_waiters)"), "%s", third.status.message);
    cr_assert_eq(addition_run(&other), TRIBUTARY_RESOURCE_EXHAUSTED);
    cr_assert_str_eq(other.status.reason, "TOO_MANY_KEYS");
    gate_open(&f.load_gate);
    EVENTUALLY(first.done);
    cr_assert_eq(addition_run(&second), TRIBUTARY_OK);
    batch_fixture_close(&f);
}

Test(client_batch, B27_the_bounds_of_keys_and_batches_hold_for_the_whole_processor)
{
    static struct addition additions[FIXTURE_KEYS];
    struct tributary_batch_stats stats;

    f.options = (struct tributary_batch_options){
        .max_keys = 12, .max_batches = 5, .threads = 8, .window = TRIBUTARY_BATCH_ADAPTIVE};
    batch_fixture_open(&f);
    gate_close(&f.load_gate);
    for (unsigned i = 0; i < FIXTURE_KEYS; i++) {
        additions[i] = (struct addition){.fixture = &f, .key = i, .amount = 1};
        cr_assert_eq(addition_submit(&additions[i]), i < 12 ? TRIBUTARY_OK : TRIBUTARY_RESOURCE_EXHAUSTED);
    }
    gate_await(&f.load_gate, 5);
    tributary_batch_stats(f.batch, &stats);
    cr_assert_eq(stats.keys, 12);
    cr_assert_eq(stats.batches, 5);
    cr_assert_eq(stats.waiters, 12);
    cr_assert_eq(f.loads, 5);
    gate_open(&f.load_gate);
    for (unsigned i = 0; i < 12; i++)
        EVENTUALLY(additions[i].done);
    batch_fixture_close(&f);
    cr_assert_eq(f.loads, 12);
}

Test(client_batch, options_out_of_their_bounds_are_named)
{
    struct tributary_batch *batch = NULL;
    struct tributary_status status;

    cr_assert_eq(tributary_batch_new(&(struct tributary_batch_options){.window_ns = 1}, &batch, &status),
                 TRIBUTARY_INVALID_ARGUMENT);
    cr_assert_not_null(strstr(status.message, "window_ns"), "%s", status.message);
    cr_assert_eq(tributary_batch_new(&(struct tributary_batch_options){.threads = 1025}, &batch, &status),
                 TRIBUTARY_INVALID_ARGUMENT);
    cr_assert_eq(tributary_batch_new(&(struct tributary_batch_options){.max_reloads = 1001}, &batch, NULL),
                 TRIBUTARY_INVALID_ARGUMENT);
    cr_assert_null(batch);
}

Test(client_batch, a_key_that_is_too_long_and_an_operation_without_a_function_are_refused)
{
    char key[TRIBUTARY_MAX_BATCH_KEY + 1] = {0};
    struct tributary_batch_operation operation = {.key = {key, sizeof(key)}, .operate = note_order};
    struct tributary_status status;

    batch_fixture_open(&f);
    cr_assert_eq(tributary_batch_run(f.batch, &operation, TRIBUTARY_FOREVER, &status),
                 TRIBUTARY_INVALID_ARGUMENT);
    cr_assert_str_eq(status.reason, "TOO_LONG");
    operation.operate = NULL;
    cr_assert_eq(tributary_batch_run(f.batch, &operation, TRIBUTARY_FOREVER, &status),
                 TRIBUTARY_INVALID_ARGUMENT);
    batch_fixture_close(&f);
}

static enum tributary_code wait_within(void *ctx, void *resource, struct tributary_status *status)
{
    struct addition *addition = ctx;

    (void)resource;
    (void)status;
    addition->status.code = addition_run(addition);
    cr_expect_eq(tributary_batch_stop(addition->fixture->batch), TRIBUTARY_FAILED_PRECONDITION);
    return TRIBUTARY_OK;
}

Test(client_batch, a_callback_must_not_wait_for_its_own_processor)
{
    struct addition inner = {.fixture = &f, .key = 1};
    const struct tributary_batch_operation operation = {
        .key = tributary_text("0"), .operate = wait_within, .ctx = &inner};

    f.options.window = TRIBUTARY_BATCH_ADAPTIVE;
    batch_fixture_open(&f);
    cr_assert_eq(tributary_batch_run(f.batch, &operation, TRIBUTARY_FOREVER, NULL), TRIBUTARY_OK);
    cr_assert_eq(inner.status.code, TRIBUTARY_FAILED_PRECONDITION);
    batch_fixture_close(&f);
}
