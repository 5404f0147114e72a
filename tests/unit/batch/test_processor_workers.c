/* test_processor_workers.c - which worker gets a batch, in what order, and what becomes of a batch
 * that nobody waits for or whose worker goes. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "batch/placement.h"
#include "unit/batch/processor_fixture.h"

static struct processor_fixture f;

/* ---- placement ---- */

#define KEYS 10000

static unsigned chosen_of(const char *const *names, unsigned count, unsigned key)
{
    const uint64_t hash = placement_hash((struct bytes){(const uint8_t *)&key, sizeof(key)});
    unsigned best = 0;

    for (unsigned i = 1; i < count; i++)
        if (placement_weight(placement_hash(text_bytes(names[i])), hash) >
            placement_weight(placement_hash(text_bytes(names[best])), hash))
            best = i;
    return best;
}

Test(processor_workers, B33_keys_are_shared_evenly_and_only_those_of_a_new_worker_move)
{
    const char *const names[] = {"worker-1", "worker-2", "worker-3", "a name of more than eight bytes", ""};
    unsigned shares[5] = {0}, moved = 0;

    for (unsigned key = 0; key < KEYS; key++) {
        const unsigned of_4 = chosen_of(names, 4, key), of_5 = chosen_of(names, 5, key);

        shares[of_5]++;
        moved += of_4 != of_5;
        cr_assert(of_4 == of_5 || of_5 == 4, "a key moves to the new worker only");
    }
    for (unsigned i = 0; i < 5; i++)
        cr_expect(shares[i] > KEYS / 5 * 9 / 10 && shares[i] < KEYS / 5 * 11 / 10, "%u", shares[i]);
    cr_expect_eq(moved, shares[4]);
}

Test(processor_workers, B33_texts_that_differ_in_length_or_in_the_last_byte_have_other_hashes)
{
    const uint64_t first = placement_hash(text_bytes("12345678"));

    cr_expect_neq(first, placement_hash(text_bytes("123456789")));
    cr_expect_neq(first, placement_hash(text_bytes("12345679")));
    cr_expect_neq(placement_hash((struct bytes){(const uint8_t *)"", 0}),
                  placement_hash((struct bytes){(const uint8_t *)"\0", 1}));
}

/* Begins one batch for each of so many keys, and notes which worker has it. */
static void place_keys(unsigned first, unsigned count, char *owners)
{
    for (unsigned i = 0; i < count; i++) {
        char key[16];

        snprintf(key, sizeof(key), "key %u", i);
        cr_assert_eq(processor_run(&f, key, first + i), FAULT_NONE);
        for (const char *worker = "ABCD"; *worker; worker++) {
            if (!f.workers[*worker - 'A'])
                continue;
            processor_fetch(&f, *worker);
            if (f.size == 0)
                continue;
            owners[i] = *worker;
            f.size = 0;
        }
    }
}

/* All batches are lost; the operations are over. */
static void lose_all(void)
{
    for (const char *worker = "ABCD"; *worker; worker++)
        if (f.workers[*worker - 'A'])
            processor_leave(&f, *worker);
    f.size = 0;
}

Test(processor_workers, B33_a_worker_that_comes_back_under_its_name_gets_its_keys_back)
{
    static char before[100], without[100], after[100];
    unsigned of_b = 0;

    processor_open_with(&f, NULL);
    for (const char *worker = "ABC"; *worker; worker++)
        cr_assert_eq(processor_join(&f, *worker, 1000), FAULT_NONE);
    place_keys(0, 100, before);
    lose_all();
    cr_assert_eq(processor_join(&f, 'C', 1000), FAULT_NONE);
    cr_assert_eq(processor_join(&f, 'A', 1000), FAULT_NONE);
    place_keys(200, 100, without);
    lose_all();
    cr_assert_eq(processor_join(&f, 'B', 1000), FAULT_NONE);
    cr_assert_eq(processor_join(&f, 'C', 1000), FAULT_NONE);
    cr_assert_eq(processor_join(&f, 'A', 1000), FAULT_NONE);
    place_keys(400, 100, after);
    cr_expect_eq(memcmp(before, after, sizeof(before)), 0);
    for (unsigned i = 0; i < 100; i++) {
        of_b += before[i] == 'B';
        cr_expect(before[i] == 'B' || before[i] == without[i], "only the keys of B have moved");
    }
    cr_expect(of_b > 10 && of_b < 60, "%u", of_b);
    processor_close(&f);
}

Test(processor_workers, B33_a_name_that_is_in_use_is_refused_and_other_policies_too)
{
    processor_open_with(&f, NULL);
    cr_assert_eq(processor_join(&f, 'A', 1), FAULT_NONE);
    struct batch_worker *first = f.workers[0];

    cr_expect_eq(processor_join(&f, 'A', 1), FAULT_WORKER_EXISTS);
    cr_expect_str_eq(f.fault.field, "hello.worker");
    f.settings.max_keys++;
    cr_expect_eq(processor_join(&f, 'B', 1), FAULT_POLICY_DIFFERS);
    cr_expect_str_eq(f.fault.field, "hello.policy.max_keys");
    cr_assert_eq(f.workers[0], first);
    processor_leave(&f, 'A');
    cr_expect_eq(processor_run(&f, "k", 1), FAULT_NO_WORKER);
    cr_assert_eq(processor_join(&f, 'B', 1), FAULT_NONE, "the processor had gone");
    processor_close(&f);
}

/* ---- turns ---- */

/* The worker's batch runs one operation to its end. */
static void serve(char worker, uint64_t batch)
{
    processor_fetch(&f, worker);
    processor_loaded(&f, worker, batch);
    processor_fetch(&f, worker);
    processor_result(&f, worker, batch, 1);
    processor_pass_ms(&f, 100);
    processor_fetch(&f, worker);
    processor_saved(&f, worker, batch);
}

Test(processor_workers, B34_a_hot_key_does_not_hold_up_the_others_at_a_worker_with_one_batch)
{
    processor_open_with(&f, &(struct batch_settings){.max_operations = 1});
    cr_assert_eq(processor_join(&f, 'A', 1), FAULT_NONE);
    for (unsigned i = 1; i <= 3; i++)
        cr_assert_eq(processor_run(&f, "hot", i), FAULT_NONE);
    cr_assert_eq(processor_run(&f, "x", 4), FAULT_NONE);
    cr_assert_eq(processor_run(&f, "y", 5), FAULT_NONE);
    for (uint64_t batch = 1; batch <= 5; batch++)
        serve('A', batch);
    processor_expect(&f, "A begin 1 hot; A run 1.1 1; A finish 1; end 1 OK; "
                         "A begin 2 x; A run 2.1 4; A finish 2; end 4 OK; "
                         "A begin 3 y; A run 3.1 5; A finish 3; end 5 OK; "
                         "A begin 4 hot; A run 4.1 2; A finish 4; end 2 OK; "
                         "A begin 5 hot; A run 5.1 3; A finish 5; end 3 OK;");
    processor_close(&f);
}

Test(processor_workers, B34_the_window_of_a_batch_begins_with_its_turn)
{
    processor_open_with(&f, NULL);
    cr_assert_eq(processor_join(&f, 'A', 1), FAULT_NONE);
    cr_assert_eq(processor_run(&f, "a", 1), FAULT_NONE);
    cr_assert_eq(processor_run(&f, "b", 2), FAULT_NONE);
    processor_fetch(&f, 'A');
    processor_pass_ms(&f, 190);
    processor_loaded(&f, 'A', 1);
    processor_fetch(&f, 'A');
    processor_pass_ms(&f, 50); /* "a" is past its deadline; "b" has not begun */
    processor_fetch(&f, 'A');
    processor_pass_ms(&f, 500);
    processor_aborted(&f, 'A', 1);
    processor_expect(&f, "A begin 1 a; A run 1.1 1; A finish 1; A abort 1 BATCH_DEADLINE; "
                         "end 1 BATCH_DEADLINE;");
    serve('A', 2);
    processor_expect(&f, "A begin 2 b; A run 2.1 2; A finish 2; end 2 OK;");
    processor_close(&f);
}

Test(processor_workers, B34_a_batch_that_waits_for_a_place_moves_when_its_worker_goes)
{
    processor_open_with(&f, NULL);
    cr_assert_eq(processor_join(&f, 'A', 1), FAULT_NONE);
    cr_assert_eq(processor_run(&f, "a", 1), FAULT_NONE);
    cr_assert_eq(processor_run(&f, "b", 2), FAULT_NONE);
    cr_assert_eq(processor_run(&f, "c", 3), FAULT_NONE);
    processor_fetch(&f, 'A');
    processor_pass_ms(&f, 150);
    cr_assert_eq(processor_join(&f, 'B', 1), FAULT_NONE);
    processor_drain(&f, 'A');
    serve('B', 2);
    processor_expect(&f, "A begin 1 a; B begin 2 b; B run 2.1 2; B finish 2; end 2 OK;");
    processor_leave(&f, 'A'); /* nothing of "a" was sent: it goes on */
    serve('B', 3);
    serve('B', 4);
    processor_expect(&f, "B begin 3 c; B run 3.1 3; B finish 3; end 3 OK; "
                         "B begin 4 a; B run 4.1 1; B finish 4; end 1 OK;");
    processor_close(&f);
}

Test(processor_workers, B34_where_no_worker_accepts_batches_those_that_wait_end)
{
    processor_open_with(&f, NULL);
    cr_assert_eq(processor_join(&f, 'A', 1), FAULT_NONE);
    cr_assert_eq(processor_run(&f, "a", 1), FAULT_NONE);
    cr_assert_eq(processor_run(&f, "b", 2), FAULT_NONE);
    processor_fetch(&f, 'A');
    processor_drain(&f, 'A');
    cr_expect_eq(processor_run(&f, "c", 3), FAULT_NO_WORKER);
    processor_expect(&f, "A begin 1 a; end 2 NO_WORKER;");
    processor_loaded(&f, 'A', 1);
    processor_fetch(&f, 'A');
    processor_leave(&f, 'A');
    processor_expect(&f, "A run 1.1 1; end 1 WORKER_LOST?;");
    processor_close(&f);
}

#define MANY 700u /* batches: more than one slice */
#define AT_WORKER 300u

/* MANY operations, each of its own key, for "A": AT_WORKER of them were sent, and the others wait
 * for a place. Then "B" comes, and "A" leaves: its first slice is done. */
static void leave_many(void)
{
    processor_open_with(&f, NULL);
    cr_assert_eq(processor_join(&f, 'A', AT_WORKER), FAULT_NONE);
    for (unsigned i = 0; i < MANY; i++) {
        char key[16];

        snprintf(key, sizeof(key), "key %u", i);
        cr_assert_eq(processor_run(&f, key, i), FAULT_NONE);
    }
    processor_fetch(&f, 'A');
    for (unsigned i = 0; i < AT_WORKER; i++)
        processor_loaded(&f, 'A', i + 1);
    processor_fetch(&f, 'A');
    cr_assert_eq(processor_join(&f, 'B', MANY), FAULT_NONE);
    batch_worker_leave(processor_worker(&f, 'A'));
    f.workers[0] = NULL;
}

static void expect_ends(unsigned first, unsigned end, unsigned ends, enum fault_reason reason)
{
    for (unsigned i = first; i < end; i++) {
        cr_assert_eq(f.runs[i].ends, ends, "operation %u ended %u times", i, f.runs[i].ends);
        cr_assert_eq(f.runs[i].operation.reason, reason, "operation %u", i);
        cr_assert_eq(f.runs[i].operation.may_have_run, reason == FAULT_WORKER_LOST);
    }
}

Test(processor_workers, B34_a_worker_with_many_batches_leaves_and_its_name_comes_back_meanwhile)
{
    leave_many();
    cr_assert_eq(processor_join(&f, 'A', MANY), FAULT_NONE);
    cr_assert_eq(processor_run(&f, "key 0", MANY), FAULT_NONE);
    processor_fetch(&f, 'A'); /* the loop turns */
    expect_ends(0, AT_WORKER, 1, FAULT_WORKER_LOST);
    expect_ends(AT_WORKER, MANY + 1, 0, FAULT_NONE);
    f.size = 0;
    processor_close(&f);
    expect_ends(AT_WORKER, MANY + 1, 1, FAULT_NO_WORKER);
}

Test(processor_workers, B34_a_stop_while_the_batches_of_a_worker_that_has_left_are_lost)
{
    leave_many();
    processor_stop(&f);
    expect_ends(0, AT_WORKER, 1, FAULT_WORKER_LOST);
    expect_ends(AT_WORKER, MANY, 1, FAULT_PROCESSOR_STOPPED);
    cr_expect_eq(f.stopped, 1);
    processor_close(&f);
}

Test(processor_workers, B34_the_last_worker_leaves_with_many_batches)
{
    leave_many();
    processor_leave(&f, 'B');
    expect_ends(0, AT_WORKER, 1, FAULT_WORKER_LOST);
    expect_ends(AT_WORKER, MANY, 1, FAULT_NO_WORKER);
    processor_close(&f);
}

/* ---- what nobody waits for ---- */

Test(processor_workers, B35_a_load_that_waits_for_a_place_is_given_up)
{
    processor_open_with(&f, NULL);
    cr_assert_eq(processor_join(&f, 'A', 1), FAULT_NONE);
    cr_assert_eq(processor_run(&f, "a", 1), FAULT_NONE);
    cr_assert_eq(processor_run(&f, "b", 2), FAULT_NONE);
    cr_expect(processor_cancel(&f, 2));
    cr_expect_eq(f.records, 0);
    serve('A', 1);
    processor_fetch(&f, 'A');
    processor_expect(&f, "A begin 1 a; A run 1.1 1; A finish 1; end 1 OK;");
    processor_close(&f);
}

Test(processor_workers, B35_a_load_that_was_not_sent_is_given_up_and_its_place_is_free)
{
    processor_open_with(&f, NULL);
    cr_assert_eq(processor_join(&f, 'A', 1), FAULT_NONE);
    cr_assert_eq(processor_run(&f, "a", 1), FAULT_NONE);
    cr_assert_eq(processor_run(&f, "b", 2), FAULT_NONE);
    cr_expect(processor_cancel(&f, 1));
    cr_expect_eq(f.records, 0);
    serve('A', 2);
    processor_expect(&f, "A begin 2 b; A run 2.1 2; A finish 2; end 2 OK;");
    processor_close(&f);
}

Test(processor_workers, B35_a_load_that_was_sent_is_aborted_and_a_new_operation_waits_for_that)
{
    processor_open_with(&f, NULL);
    cr_assert_eq(processor_join(&f, 'A', 4), FAULT_NONE);
    cr_assert_eq(processor_run(&f, "a", 1), FAULT_NONE);
    processor_fetch(&f, 'A');
    cr_expect(processor_cancel(&f, 1));
    cr_assert_eq(processor_run(&f, "a", 2), FAULT_NONE);
    processor_loaded(&f, 'A', 1); /* it has crossed the abort */
    processor_fetch(&f, 'A');
    processor_expect(&f, "A begin 1 a; A abort 1 NOTHING_TO_SAVE;");
    processor_aborted(&f, 'A', 1);
    serve('A', 2);
    processor_expect(&f, "A begin 2 a; A run 2.1 2; A finish 2; end 2 OK;");
    cr_expect_eq(f.records, 1);
    processor_close(&f);
}

Test(processor_workers, B35_a_save_whose_last_operation_is_withdrawn_is_not_made)
{
    processor_open_with(&f, NULL);
    cr_assert_eq(processor_join(&f, 'A', 4), FAULT_NONE);
    cr_assert_eq(processor_run(&f, "a", 1), FAULT_NONE);
    processor_fetch(&f, 'A');
    processor_loaded(&f, 'A', 1);
    processor_pass_ms(&f, 101); /* the window is over; nothing was fetched */
    cr_expect(processor_cancel(&f, 1));
    processor_fetch(&f, 'A');
    processor_expect(&f, "A begin 1 a; A abort 1 NOTHING_TO_SAVE;");
    processor_aborted(&f, 'A', 1);
    cr_expect_eq(f.records, 1);
    cr_expect_eq(f.outcome, BATCH_SAVED);
    cr_expect_not(f.record_has_error);
    processor_close(&f);
}

Test(processor_workers, B35_a_save_that_is_not_wanted_is_not_sent_while_the_engine_has_other_steps_to_do)
{
    processor_open_with(&f, &(struct batch_settings){.max_steps = 1});
    cr_assert_eq(processor_join(&f, 'A', 4), FAULT_NONE);
    cr_assert_eq(processor_run(&f, "a", 1), FAULT_NONE);
    for (unsigned i = 2; i <= 5; i++)
        cr_assert_eq(processor_run(&f, "b", i), FAULT_NONE);
    processor_fetch(&f, 'A');
    processor_loaded(&f, 'A', 1);
    processor_pass_ms(&f, 101);
    struct batch_worker *worker = processor_worker(&f, 'A');

    batch_processor_lock(batch_worker_processor(worker));
    cr_assert_eq(batch_worker_loaded(worker, 2, 0, &f.fault), FAULT_NONE);
    batch_processor_unlock(batch_worker_processor(worker));
    cr_assert(processor_cancel(&f, 1)); /* the engine goes on with "b" first */
    processor_fetch(&f, 'A');
    processor_fetch(&f, 'A');
    processor_expect(&f, "A begin 1 a; A begin 2 b; A run 2.1 2; A run 2.2 3; A abort 1 NOTHING_TO_SAVE; "
                         "A run 2.3 4; A run 2.4 5; A finish 2;");
    processor_close(&f);
}

Test(processor_workers, B35_a_batch_with_nothing_to_save_has_no_error_however_its_worker_gives_it_up)
{
    for (unsigned how = 0; how < 3; how++) {
        processor_open_with(&f, NULL);
        cr_assert_eq(processor_join(&f, 'A', 4), FAULT_NONE);
        cr_assert_eq(processor_run(&f, "a", 1), FAULT_NONE);
        processor_fetch(&f, 'A');
        processor_loaded(&f, 'A', 1);
        cr_expect(processor_cancel(&f, 1));
        processor_pass_ms(&f, how == 2 ? 201 : 101); /* 2: and past the deadline */
        processor_fetch(&f, 'A');
        processor_expect(&f, "A begin 1 a; A abort 1 NOTHING_TO_SAVE;");
        if (how == 0)
            processor_failed(&f, 'A', 1, "BROKEN");
        else if (how == 1)
            processor_leave(&f, 'A');
        else
            processor_aborted(&f, 'A', 1);
        cr_expect_eq(f.records, 1);
        cr_expect_eq(f.outcome, BATCH_SAVED);
        cr_expect_not(f.record_has_error, "%u", how);
        processor_close(&f);
    }
}

Test(processor_workers, B35_an_operation_that_was_sent_waits_for_its_save)
{
    processor_open_with(&f, NULL);
    cr_assert_eq(processor_join(&f, 'A', 4), FAULT_NONE);
    cr_assert_eq(processor_run(&f, "a", 1), FAULT_NONE);
    cr_assert_eq(processor_run(&f, "a", 2), FAULT_NONE);
    processor_fetch(&f, 'A');
    processor_loaded(&f, 'A', 1);
    processor_fetch_some(&f, 'A', 1);
    cr_expect_not(processor_cancel(&f, 1));
    cr_expect(processor_cancel(&f, 2));
    processor_pass_ms(&f, 101);
    processor_fetch(&f, 'A');
    processor_result(&f, 'A', 1, 1);
    processor_saved(&f, 'A', 1);
    processor_expect(&f, "A begin 1 a; A run 1.1 1; A finish 1; end 1 OK;");
    processor_close(&f);
}

Test(processor_workers, B35_a_worker_that_does_not_answer_an_abort_is_ended)
{
    processor_open_with(&f, NULL);
    cr_assert_eq(processor_join(&f, 'A', 4), FAULT_NONE);
    cr_assert_eq(processor_run(&f, "a", 1), FAULT_NONE);
    processor_fetch(&f, 'A');
    processor_pass_ms(&f, 200);
    processor_fetch(&f, 'A');
    cr_expect_eq(processor_run(&f, "a", 2), FAULT_NONE);
    processor_pass_ms(&f, 4999);
    cr_expect_eq(batch_worker_fault(processor_worker(&f, 'A')), FAULT_NONE);
    const unsigned wakes = f.wakes[0];

    processor_pass_ms(&f, 1);
    cr_expect_eq(batch_worker_fault(processor_worker(&f, 'A')), FAULT_WORKER_SILENT);
    cr_expect_gt(f.wakes[0], wakes);
    cr_expect_eq(processor_run(&f, "a", 3), FAULT_NO_WORKER);
    processor_fetch(&f, 'A');
    processor_leave(&f, 'A');
    processor_expect(&f, "A begin 1 a; A abort 1 BATCH_DEADLINE; end 1 NO_WORKER; end 2 NO_WORKER;");
    processor_close(&f);
}
