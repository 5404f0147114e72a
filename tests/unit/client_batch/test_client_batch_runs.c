/* test_client_batch_runs.c - quick operations run in runs, directly one after another. Nobody sees
 * that: one that blocks in the middle of a run holds up nothing that has not begun. */
#include <criterion/criterion.h>

#include "unit/client_batch/batch_fixture.h"

#define QUICK 100 /* so many precede the one that blocks: runs are long then */
#define BEHIND 40

static struct batch_fixture f;
static struct addition quick[QUICK], slow, behind[BEHIND];
static struct tributary_batch_cancel *cancel;

/* The first one is held up until all have been submitted; then those that are quick run, and `slow`
 * stands in front of the gate. */
static void begin(int64_t window_ns)
{
    f.options = (struct tributary_batch_options){.threads = 1, .window_ns = window_ns, .max_reloads = 1};
    cancel = tributary_batch_cancel_new();
    batch_fixture_open(&f);
    gate_close(&f.run_gate);
    for (unsigned i = 0; i < QUICK; i++) {
        quick[i] = (struct addition){.fixture = &f, .amount = 1, .gate = i == 0 ? &f.done_gate : NULL};
        if (i == 0)
            gate_close(&f.done_gate);
        cr_assert_eq(addition_submit(&quick[i]), TRIBUTARY_OK);
    }
    slow = (struct addition){.fixture = &f, .amount = 1, .gate = &f.run_gate};
    cr_assert_eq(addition_submit(&slow), TRIBUTARY_OK);
    for (unsigned i = 0; i < BEHIND; i++) {
        behind[i] = (struct addition){.fixture = &f, .amount = 1, .cancel = i % 2 == 0 ? cancel : NULL};
        cr_assert_eq(addition_submit(&behind[i]), TRIBUTARY_OK);
    }
    gate_await(&f.done_gate, 1);
    gate_open(&f.done_gate);
    gate_await(&f.run_gate, 1);
}

static void end(void)
{
    gate_open(&f.run_gate);
    for (unsigned i = 0; i < BEHIND; i++)
        EVENTUALLY(behind[i].done);
    batch_fixture_close(&f);
    tributary_batch_cancel_free(cancel);
    cr_assert(!f.overlap);
}

static unsigned count_code(enum tributary_code code)
{
    unsigned count = 0;

    for (unsigned i = 0; i < BEHIND; i++)
        count += behind[i].status.code == code;
    return count;
}

Test(client_batch_runs, B11_what_is_cancelled_behind_one_that_blocks_in_a_run_never_runs)
{
    begin(3600 * INT64_C(1000000000));
    tributary_batch_cancel(cancel);
    gate_open(&f.run_gate);
    EVENTUALLY(f.runs == QUICK + 1 + BEHIND / 2);
    tributary_batch_stop(f.batch);
    end();
    cr_assert_eq(count_code(TRIBUTARY_CANCELLED), BEHIND / 2);
    cr_assert_eq(count_code(TRIBUTARY_OK), BEHIND / 2);
    cr_assert_eq(f.stored[0], QUICK + 1 + BEHIND / 2);
    cr_assert_eq(f.saves, 1);
}

Test(client_batch_runs, B6_behind_one_that_blocks_until_the_window_is_over_the_next_batch_begins)
{
    int64_t until_ns = 0;

    begin(1000 * MS);
    for (until_ns = fixture_now_ns() + 1000 * MS; fixture_now_ns() < until_ns;)
        fixture_rest();
    cr_assert_eq(f.saves, 0);
    end();
    cr_assert_eq(count_code(TRIBUTARY_OK), BEHIND);
    cr_assert_eq(f.stored[0], QUICK + 1 + BEHIND);
    cr_assert_eq(f.saves, 2);
}

static void *stop(void *batch)
{
    cr_assert_eq(tributary_batch_stop(batch), TRIBUTARY_OK);
    return NULL;
}

Test(client_batch_runs, B14_B15_a_stop_while_one_blocks_in_a_run_ends_what_has_not_begun)
{
    static struct addition another = {.fixture = &f, .key = 1, .amount = 1};
    pthread_t stopper;

    begin(3600 * INT64_C(1000000000));
    cr_assert_eq(pthread_create(&stopper, NULL, stop, f.batch), 0);
    EVENTUALLY(addition_submit(&another) == TRIBUTARY_UNAVAILABLE);
    gate_open(&f.run_gate);
    pthread_join(stopper, NULL);
    cr_assert_eq(f.saves, 1);
    end();
    cr_assert_eq(count_code(TRIBUTARY_UNAVAILABLE), BEHIND);
    cr_assert_eq(f.runs, QUICK + 1);
    cr_assert_eq(f.stored[0], QUICK + 1);
}

Test(client_batch_runs, after_a_conflict_all_of_a_run_run_again)
{
    f.save_failures = 1;
    f.save_code = TRIBUTARY_ABORTED;
    begin(500 * MS);
    end();
    cr_assert_eq(count_code(TRIBUTARY_OK), BEHIND);
    cr_assert_eq(f.stored[0], QUICK + 1 + BEHIND);
    cr_assert_gt(f.runs, QUICK + 1 + BEHIND);
}
