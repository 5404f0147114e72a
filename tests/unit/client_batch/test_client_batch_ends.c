/* test_client_batch_ends.c - the batch processor of the C library: failures, cancels, stops. */
#include <criterion/criterion.h>
#include <string.h>

#include "unit/client_batch/batch_fixture.h"

static struct batch_fixture f;

Test(client_batch_ends, B7_a_load_that_fails_reaches_all_who_wait_with_its_cause)
{
    struct addition additions[3];

    f.load_failures = -1;
    f.load_code = TRIBUTARY_DATA_LOSS;
    batch_fixture_open(&f);
    gate_close(&f.load_gate);
    for (unsigned i = 0; i < 3; i++) {
        additions[i] = (struct addition){.fixture = &f, .amount = 1};
        cr_assert_eq(addition_submit(&additions[i]), TRIBUTARY_OK);
    }
    gate_open(&f.load_gate);
    for (unsigned i = 0; i < 3; i++) {
        EVENTUALLY(additions[i].done);
        cr_assert_eq(additions[i].status.code, TRIBUTARY_DATA_LOSS);
        cr_assert_str_eq(additions[i].status.reason, "LOAD_FAILED");
        cr_assert_str_eq(additions[i].status.message,
                         "loading the resource of key \"0\" failed: the disk is gone");
        cr_assert_eq(additions[i].runs, 0);
    }
    batch_fixture_close(&f);
    cr_assert_eq(f.loads, 1);
    cr_assert_eq(f.saves, 0);
    cr_assert_eq(f.frees, 0);
}

Test(client_batch_ends, B7_a_load_is_retried_where_that_was_asked_for)
{
    struct addition addition = {.fixture = &f, .amount = 1};

    f.load_failures = 3;
    f.load_code = TRIBUTARY_UNAVAILABLE;
    f.options = (struct tributary_batch_options){.retry_load = true,
                                                 .retry_first_ns = MS,
                                                 .window = TRIBUTARY_BATCH_ADAPTIVE,
                                                 .deadline_ns = 20000 * MS};
    batch_fixture_open(&f);
    cr_assert_eq(addition_run(&addition), TRIBUTARY_OK);
    batch_fixture_close(&f);
    cr_assert_eq(f.loads, 4);
    cr_assert_eq(f.stored[0], 1);
}

Test(client_batch_ends, B8_a_load_that_waits_for_its_deadline_fails_its_callers)
{
    struct addition addition = {.fixture = &f, .amount = 1};

    f.load_failures = -1;
    f.load_code = TRIBUTARY_DEADLINE_EXCEEDED;
    f.until_deadline = true;
    f.options.window_ns = MS;
    batch_fixture_open(&f);
    cr_assert_eq(addition_run(&addition), TRIBUTARY_DEADLINE_EXCEEDED);
    batch_fixture_close(&f);
    cr_assert_eq(f.saves, 0);
}

Test(client_batch_ends, B9_a_save_that_waits_for_its_deadline_fails_its_callers)
{
    struct addition addition = {.fixture = &f, .amount = 1};

    f.save_failures = -1;
    f.save_code = TRIBUTARY_DEADLINE_EXCEEDED;
    f.until_deadline = true;
    f.options.window_ns = MS;
    batch_fixture_open(&f);
    cr_assert_eq(addition_run(&addition), TRIBUTARY_DEADLINE_EXCEEDED);
    cr_assert_str_eq(addition.status.reason, "SAVE_FAILED");
    batch_fixture_close(&f);
    cr_assert_eq(f.stored[0], 0);
}

Test(client_batch_ends, B24_a_save_that_fails_fails_every_operation)
{
    struct addition additions[5];

    f.save_failures = -1;
    f.save_code = TRIBUTARY_INTERNAL;
    f.options = (struct tributary_batch_options){.window_ns = MS, .max_reloads = 5};
    batch_fixture_open(&f);
    gate_close(&f.load_gate);
    for (unsigned i = 0; i < 5; i++) {
        additions[i] =
            (struct addition){.fixture = &f, .amount = 1, .code = i == 2 ? TRIBUTARY_NOT_FOUND : 0};
        cr_assert_eq(addition_submit(&additions[i]), TRIBUTARY_OK);
    }
    gate_open(&f.load_gate);
    for (unsigned i = 0; i < 5; i++) {
        EVENTUALLY(additions[i].done);
        cr_assert_eq(additions[i].status.code, TRIBUTARY_INTERNAL);
        cr_assert_str_eq(additions[i].status.message,
                         "saving the resource of key \"0\" failed: the disk is full");
    }
    batch_fixture_close(&f);
    cr_assert_eq(f.saves, 1, "only a conflict is worth a reload");
}

Test(client_batch_ends, B24_a_conflict_is_loaded_and_run_again)
{
    struct addition good = {.fixture = &f, .amount = 1};
    struct addition bad = {.fixture = &f, .amount = 1, .code = TRIBUTARY_INVALID_ARGUMENT};

    f.save_failures = 2;
    f.save_code = TRIBUTARY_ABORTED;
    f.options =
        (struct tributary_batch_options){.window_ns = MS, .max_reloads = 2, .deadline_ns = 20000 * MS};
    batch_fixture_open(&f);
    gate_close(&f.load_gate);
    cr_assert_eq(addition_submit(&good), TRIBUTARY_OK);
    cr_assert_eq(addition_submit(&bad), TRIBUTARY_OK);
    gate_open(&f.load_gate);
    EVENTUALLY(good.done && bad.done);
    cr_assert_eq(good.status.code, TRIBUTARY_OK);
    cr_assert_eq(bad.status.code, TRIBUTARY_INVALID_ARGUMENT);
    batch_fixture_close(&f);
    cr_assert_eq(f.stored[0], 1);
    cr_assert_eq(good.runs, 3);
    cr_assert_eq(f.loads, 3);
    cr_assert_eq(f.frees, 3);
}

Test(client_batch_ends, B28_an_operation_that_fails_fails_alone)
{
    struct addition bad = {.fixture = &f, .amount = 5, .code = TRIBUTARY_FAILED_PRECONDITION};
    struct addition good = {.fixture = &f, .amount = 2};

    f.options.window_ns = MS;
    batch_fixture_open(&f);
    cr_assert_eq(addition_submit(&bad), TRIBUTARY_OK);
    cr_assert_eq(addition_run(&good), TRIBUTARY_OK);
    EVENTUALLY(bad.done);
    cr_assert_eq(bad.status.code, TRIBUTARY_FAILED_PRECONDITION);
    cr_assert_str_eq(bad.status.reason, "OPERATION_FAILED");
    cr_assert_str_eq(bad.status.message, "not with me");
    batch_fixture_close(&f);
    cr_assert_eq(f.stored[0], 2);
}

Test(client_batch_ends, B11_one_that_waits_behind_a_slow_one_and_is_cancelled_is_not_run)
{
    struct tributary_batch_cancel *cancel = tributary_batch_cancel_new();
    struct addition slow = {.fixture = &f, .amount = 1, .gate = &f.run_gate, .cancel = cancel};
    struct addition waits = {.fixture = &f, .amount = 1, .cancel = cancel};
    struct addition submitted = {.fixture = &f, .amount = 1, .cancel = cancel};

    f.options.window_ns = MS;
    batch_fixture_open(&f);
    gate_close(&f.run_gate);
    addition_start(&slow);
    gate_await(&f.run_gate, 1);
    addition_start(&waits);
    cr_assert_eq(addition_submit(&submitted), TRIBUTARY_OK);
    tributary_batch_cancel(cancel);
    cr_assert_eq(addition_join(&waits), TRIBUTARY_CANCELLED);
    cr_assert_str_eq(waits.status.reason, "OPERATION_CANCELLED");
    EVENTUALLY(submitted.done);
    cr_assert_eq(submitted.status.code, TRIBUTARY_CANCELLED);
    cr_assert_not(slow.done, "it has started, so it waits for the save");
    gate_open(&f.run_gate);
    cr_assert_eq(addition_join(&slow), TRIBUTARY_OK);
    batch_fixture_close(&f);
    cr_assert_eq(waits.runs + submitted.runs, 0);
    cr_assert_eq(f.stored[0], 1);
    tributary_batch_cancel_free(cancel);
}

Test(client_batch_ends, B11_an_operation_that_was_cancelled_before_never_runs)
{
    struct tributary_batch_cancel *cancel = tributary_batch_cancel_new();
    struct addition addition = {.fixture = &f, .amount = 1, .cancel = cancel};

    batch_fixture_open(&f);
    tributary_batch_cancel(cancel);
    tributary_batch_cancel(cancel);
    for (unsigned i = 0; i < 300; i++) {
        cr_assert_eq(addition_run(&addition), TRIBUTARY_CANCELLED);
        cr_assert_eq(addition_submit(&addition), TRIBUTARY_CANCELLED);
    }
    tributary_batch_cancel_free(cancel);
    batch_fixture_close(&f);
    cr_assert_eq(f.loads, 0);
    cr_assert_eq(f.runs, 0);
}

/* All threads are blocked: nothing but the canceller itself can report the end. */
Test(client_batch_ends, B11_a_cancel_is_prompt_while_every_thread_is_blocked)
{
    struct tributary_batch_cancel *cancel = tributary_batch_cancel_new();
    struct addition blocked = {.fixture = &f, .key = 0, .gate = &f.run_gate};
    struct addition open = {.fixture = &f, .key = 1, .amount = 1};
    struct addition waits = {.fixture = &f, .key = 1, .amount = 1, .cancel = cancel};
    struct addition late = {.fixture = &f, .key = 1, .amount = 1, .timeout_ns = 5 * MS};

    f.options = (struct tributary_batch_options){.threads = 1, .window_ns = 3600 * INT64_C(1000000000)};
    batch_fixture_open(&f);
    cr_assert_eq(addition_submit(&open), TRIBUTARY_OK);
    EVENTUALLY(open.runs == 1);
    gate_close(&f.run_gate);
    cr_assert_eq(addition_submit(&blocked), TRIBUTARY_OK);
    gate_await(&f.run_gate, 1);
    addition_start(&waits);
    cr_assert_eq(addition_run(&late), TRIBUTARY_DEADLINE_EXCEEDED);
    cr_assert_str_eq(late.status.reason, "DEADLINE");
    tributary_batch_cancel(cancel);
    cr_assert_eq(addition_join(&waits), TRIBUTARY_CANCELLED);
    gate_open(&f.run_gate);
    batch_fixture_close(&f);
    cr_assert_eq(waits.runs + late.runs, 0);
    cr_assert_eq(f.stored[1], 1);
    tributary_batch_cancel_free(cancel);
}

Test(client_batch_ends, B14_after_a_stop_every_operation_is_refused)
{
    struct addition addition = {.fixture = &f, .amount = 1};

    batch_fixture_open(&f);
    cr_assert_eq(tributary_batch_stop(f.batch), TRIBUTARY_OK);
    cr_assert_eq(tributary_batch_stop(f.batch), TRIBUTARY_OK);
    cr_assert_eq(addition_run(&addition), TRIBUTARY_UNAVAILABLE);
    cr_assert_str_eq(addition.status.reason, "PROCESSOR_STOPPED");
    cr_assert_eq(addition_submit(&addition), TRIBUTARY_UNAVAILABLE);
    batch_fixture_close(&f);
    cr_assert_eq(f.runs, 0);
}

Test(client_batch_ends, B15_B16_a_stop_ends_the_window_and_returns_after_the_save)
{
    struct addition addition = {.fixture = &f, .amount = 1}, waits = {.fixture = &f, .amount = 1};
    struct addition slow = {.fixture = &f, .amount = 1, .gate = &f.run_gate, .key = 1};

    f.options.window_ns = 3600 * INT64_C(1000000000);
    f.save_wait_ns = 50 * MS;
    batch_fixture_open(&f);
    cr_assert_eq(addition_submit(&addition), TRIBUTARY_OK);
    EVENTUALLY(addition.runs == 1);
    gate_close(&f.run_gate);
    addition_start(&slow);
    gate_await(&f.run_gate, 1);
    waits.key = 1;
    cr_assert_eq(addition_submit(&waits), TRIBUTARY_OK);

    struct batch_fixture *fixture = &f;
    pthread_t stopper;

    cr_assert_eq(
        pthread_create(&stopper, NULL, (void *(*)(void *))(void *)tributary_batch_stop, fixture->batch), 0);
    EVENTUALLY(waits.done);
    cr_assert_eq(waits.status.code, TRIBUTARY_UNAVAILABLE);
    gate_open(&f.run_gate);
    pthread_join(stopper, NULL);
    cr_assert_eq(f.saves, 2);
    cr_assert_eq(f.stored[0], 1);
    cr_assert_eq(f.stored[1], 1);
    cr_assert(addition.done);
    cr_assert_eq(addition.status.code, TRIBUTARY_OK);
    cr_assert_eq(addition_join(&slow), TRIBUTARY_OK);
    batch_fixture_close(&f);
    cr_assert_eq(waits.runs, 0);
}

/* The thread that saved is in free(); the other one could load. */
Test(client_batch_ends, B25_the_next_batch_of_a_key_loads_after_the_free_of_the_one_before)
{
    struct addition first = {.fixture = &f, .amount = 1}, second = {.fixture = &f, .amount = 1};
    struct addition other = {.fixture = &f, .amount = 1, .key = 1};

    f.options = (struct tributary_batch_options){.threads = 2, .window = TRIBUTARY_BATCH_ADAPTIVE};
    batch_fixture_open(&f);
    gate_close(&f.save_gate);
    gate_close(&f.free_gate);
    cr_assert_eq(addition_submit(&first), TRIBUTARY_OK);
    gate_await(&f.save_gate, 1);
    cr_assert_eq(addition_submit(&second), TRIBUTARY_OK);
    gate_open(&f.save_gate);
    gate_await(&f.free_gate, 1);
    cr_assert_eq(addition_run(&other), TRIBUTARY_OK); /* a load of key 0 would come first */
    cr_assert_eq(f.loads, 2);
    gate_open(&f.free_gate);
    EVENTUALLY(second.done);
    batch_fixture_close(&f);
    cr_assert_eq(f.frees, 3);
    cr_assert_eq(f.stored[0], 2);
}

/* Its only operation is cancelled while it loads: nothing is saved, and stop is not the thread that
 * frees. */
Test(client_batch_ends, B25_a_resource_that_nobody_used_is_freed_before_the_next_load)
{
    struct tributary_batch_cancel *cancel = tributary_batch_cancel_new();
    struct addition first = {.fixture = &f, .amount = 1, .cancel = cancel};
    struct addition second = {.fixture = &f, .amount = 1};
    struct addition other = {.fixture = &f, .amount = 1, .key = 1};

    f.options = (struct tributary_batch_options){.threads = 2, .window = TRIBUTARY_BATCH_ADAPTIVE};
    batch_fixture_open(&f);
    gate_close(&f.load_gate);
    gate_close(&f.free_gate);
    cr_assert_eq(addition_submit(&first), TRIBUTARY_OK);
    gate_await(&f.load_gate, 1);
    tributary_batch_cancel(cancel);
    gate_open(&f.load_gate);
    gate_await(&f.free_gate, 1);
    cr_assert_eq(addition_submit(&second), TRIBUTARY_OK);
    cr_assert_eq(addition_run(&other), TRIBUTARY_OK);
    cr_assert_eq(f.loads, 2);
    gate_open(&f.free_gate);
    EVENTUALLY(second.done && first.done);
    cr_assert_eq(first.status.code, TRIBUTARY_CANCELLED);
    batch_fixture_close(&f);
    cr_assert_eq(f.stored[0], 1);
    tributary_batch_cancel_free(cancel);
}

static uint64_t waiters(void)
{
    struct tributary_batch_stats stats;

    tributary_batch_stats(f.batch, &stats);
    return stats.waiters;
}

/* The only thread loads key 0; the other keys have not come to their loads. */
Test(client_batch_ends, B10_B15_a_key_whose_operations_have_all_ended_is_not_loaded)
{
    struct tributary_batch_cancel *cancel = tributary_batch_cancel_new();
    struct addition additions[FIXTURE_KEYS];
    struct tributary_batch_observer *observer = NULL;
    struct tributary_batch_record record;
    pthread_t stopper;
    struct batch_fixture *fixture = &f;

    f.options.threads = 1;
    batch_fixture_open(&f);
    cr_assert_eq(tributary_batch_observe(f.batch, 0, &observer, NULL), TRIBUTARY_OK);
    gate_close(&f.load_gate);
    for (unsigned i = 0; i < FIXTURE_KEYS; i++) {
        additions[i] = (struct addition){
            .fixture = &f, .key = i, .amount = 1, .cancel = i > 0 && i < FIXTURE_KEYS / 2 ? cancel : NULL};
        cr_assert_eq(addition_submit(&additions[i]), TRIBUTARY_OK);
        gate_await(&f.load_gate, 1);
    }
    tributary_batch_cancel(cancel);
    cr_assert_eq(
        pthread_create(&stopper, NULL, (void *(*)(void *))(void *)tributary_batch_stop, fixture->batch), 0);
    EVENTUALLY(waiters() == 0);
    gate_open(&f.load_gate);
    pthread_join(stopper, NULL);
    for (unsigned i = 0; i < FIXTURE_KEYS; i++)
        cr_assert_eq(additions[i].status.code,
                     i > 0 && i < FIXTURE_KEYS / 2 ? TRIBUTARY_CANCELLED : TRIBUTARY_UNAVAILABLE);
    cr_assert_eq(f.loads, 1);
    cr_assert_eq(tributary_batch_record_next(observer, 0, &record), TRIBUTARY_OK);
    cr_assert_str_eq(record.key, "0");
    cr_assert_eq(tributary_batch_record_next(observer, 0, &record), TRIBUTARY_UNAVAILABLE);
    tributary_batch_observer_free(observer);
    batch_fixture_close(&f);
    cr_assert_eq(f.runs + f.saves, 0);
    tributary_batch_cancel_free(cancel);
}

/* The only thread is busy, so none of the two has begun. The one that would be next is cancelled by
 * the other one's done(). */
Test(client_batch_ends, B11_a_done_cancels_the_operation_that_would_begin_next)
{
    struct tributary_batch_cancel *cancel = tributary_batch_cancel_new();
    struct tributary_batch_cancel *next = tributary_batch_cancel_new();
    struct addition open = {.fixture = &f, .amount = 1};
    struct addition blocked = {.fixture = &f, .key = 1, .gate = &f.run_gate};
    struct addition first = {.fixture = &f, .amount = 1, .cancel = cancel, .done_cancels = next};
    struct addition second = {.fixture = &f, .amount = 1, .cancel = next};

    f.options = (struct tributary_batch_options){.threads = 1, .window_ns = 3600 * INT64_C(1000000000)};
    batch_fixture_open(&f);
    cr_assert_eq(addition_submit(&open), TRIBUTARY_OK);
    EVENTUALLY(open.runs == 1);
    gate_close(&f.run_gate);
    cr_assert_eq(addition_submit(&blocked), TRIBUTARY_OK);
    gate_await(&f.run_gate, 1);
    cr_assert_eq(addition_submit(&first), TRIBUTARY_OK);
    cr_assert_eq(addition_submit(&second), TRIBUTARY_OK);
    tributary_batch_cancel(cancel);
    gate_open(&f.run_gate);
    EVENTUALLY(first.done && second.done);
    cr_assert_eq(second.status.code, TRIBUTARY_CANCELLED);
    batch_fixture_close(&f);
    cr_assert_eq(first.runs + second.runs, 0);
    cr_assert_eq(f.stored[0], 1);
    tributary_batch_cancel_free(cancel);
    tributary_batch_cancel_free(next);
}

Test(client_batch_ends, a_done_that_blocks_does_not_hold_up_those_that_wait_for_their_outcome)
{
    struct addition blocks = {.fixture = &f, .amount = 1, .done_gate = &f.done_gate};
    struct addition waits = {.fixture = &f, .amount = 1};

    f.options = (struct tributary_batch_options){.threads = 1, .window = TRIBUTARY_BATCH_ADAPTIVE};
    batch_fixture_open(&f);
    gate_close(&f.load_gate);
    gate_close(&f.done_gate);
    cr_assert_eq(addition_submit(&blocks), TRIBUTARY_OK);
    addition_start(&waits);
    EVENTUALLY(waiters() == 2);
    gate_open(&f.load_gate);
    cr_assert_eq(addition_join(&waits), TRIBUTARY_OK);
    gate_await(&f.done_gate, 1);
    cr_assert_not(blocks.done);
    gate_open(&f.done_gate);
    batch_fixture_close(&f);
    cr_assert_eq(blocks.status.code, TRIBUTARY_OK);
    cr_assert_eq(f.saves, 1);
}
