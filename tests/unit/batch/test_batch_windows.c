/* test_batch_windows.c - when a batch begins, which operations it gets, and when it is saved. */
#include <criterion/criterion.h>

#include "unit/batch/engine_fixture.h"

static struct engine_fixture f;

static struct batch_settings adaptive(void)
{
    return (struct batch_settings){.window = BATCH_ADAPTIVE};
}

Test(batch_windows, B2_B3_one_load_many_operations_one_save)
{
    fixture_open(&f, NULL);
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    cr_assert_eq(fixture_run(&f, "a", 2), FAULT_NONE);
    fixture_expect(&f, "load a;");
    fixture_loaded(&f, "a", true);
    fixture_expect(&f, "operate a 1;");
    fixture_operated(&f, 1, true);
    fixture_expect(&f, "operate a 2;");
    fixture_operated(&f, 2, true);
    fixture_pass_ms(&f, 99);
    fixture_expect(&f, "");
    fixture_pass_ms(&f, 1);
    fixture_expect(&f, "save a;");
    fixture_saved(&f, "a", BATCH_SAVE_OK);
    fixture_expect(&f, "unload a; end a SAVED 1 2;");
    fixture_close(&f);
}

Test(batch_windows, B4_B5_a_window_of_100_ms_counts_from_the_beginning_and_includes_the_load)
{
    fixture_open(&f, NULL);
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    fixture_pass_ms(&f, 60);
    f.operate = f.save = ANSWER_OK;
    fixture_loaded(&f, "a", true);
    fixture_pass_ms(&f, 39);
    fixture_expect(&f, "load a; operate a 1;");
    fixture_pass_ms(&f, 1);
    fixture_expect(&f, "save a; unload a; end a SAVED 1;");
    cr_assert_eq(f.record_total_ns, 100 * NS_PER_MS);
    fixture_close(&f);
}

Test(batch_windows, B6_an_operation_that_outlasts_the_window_leaves_the_next_to_the_next_batch)
{
    fixture_open(&f, &(struct batch_settings){.window_ns = NS_PER_MS});
    f.load = f.save = ANSWER_OK;
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    cr_assert_eq(fixture_run(&f, "a", 2), FAULT_NONE);
    fixture_pass_ms(&f, 100);
    fixture_expect(&f, "load a; operate a 1;");
    fixture_operated(&f, 1, true);
    fixture_expect(&f, "save a; unload a; end a SAVED 1; load a; operate a 2;");
    fixture_pass_ms(&f, 100);
    fixture_operated(&f, 2, true);
    fixture_expect(&f, "save a; unload a; end a SAVED 2;");
    fixture_close(&f);
}

Test(batch_windows, B4_adaptive_saves_an_idle_key_at_once_and_gathers_during_a_save)
{
    const struct batch_settings settings = adaptive();

    fixture_open(&f, &settings);
    f.load = f.operate = ANSWER_OK;
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    fixture_expect(&f, "load a; operate a 1; save a;");
    cr_assert_eq(fixture_run(&f, "a", 2), FAULT_NONE);
    cr_assert_eq(fixture_run(&f, "a", 3), FAULT_NONE);
    fixture_expect(&f, "");
    fixture_saved(&f, "a", BATCH_SAVE_OK);
    fixture_expect(&f, "unload a; end a SAVED 1; load a; operate a 2; operate a 3; save a;");
    fixture_saved(&f, "a", BATCH_SAVE_OK);
    fixture_expect(&f, "unload a; end a SAVED 2 3;");
    cr_assert_eq(f.wake_ns, INT64_MAX, "an adaptive batch needs no timer");
    fixture_close(&f);
}

Test(batch_windows, B4_adaptive_ends_at_the_window_while_more_and_more_comes)
{
    const struct batch_settings settings = adaptive();

    fixture_open(&f, &settings);
    f.load = f.save = ANSWER_OK;
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    for (unsigned i = 1; i <= 10; i++) {
        cr_assert_eq(fixture_run(&f, "a", i + 1), FAULT_NONE);
        fixture_pass_ms(&f, 10);
        fixture_operated(&f, i, true);
    }
    cr_assert_not_null(strstr(f.text, "save a; unload a; end a SAVED 1 2 3 4 5 6 7 8 9 10; load a; "));
    fixture_operated(&f, 11, true);
    fixture_close(&f);
}

Test(batch_windows, B12_load_and_save_have_one_deadline_of_twice_the_window)
{
    f.with_expired = true;
    fixture_open(&f, NULL);
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    cr_assert_eq(batch_deadline_ns(f.batches[0]), f.now_ns + 200 * NS_PER_MS);
    fixture_pass_ms(&f, 50);
    cr_assert_eq(batch_deadline_ns(f.batches[0]), f.now_ns + 150 * NS_PER_MS);
    fixture_loaded(&f, "a", true);
    fixture_operated(&f, 1, true);
    fixture_pass_ms(&f, 149);
    fixture_expect(&f, "load a; operate a 1; save a;");
    fixture_pass_ms(&f, 1);
    fixture_expect(&f, "expired a;");
    fixture_pass_ms(&f, 1000);
    fixture_saved(&f, "a", BATCH_SAVE_OK);
    fixture_expect(&f, "unload a; end a SAVED 1;");
    f.with_expired = false;
    fixture_close(&f);
}

Test(batch_windows, B8_the_deadline_of_a_load_is_reported_and_its_failure_ends_the_batch)
{
    f.with_expired = true;
    fixture_open(&f, &(struct batch_settings){.window_ns = NS_PER_MS, .retry_load = true});
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    fixture_pass_ms(&f, 2);
    fixture_expect(&f, "load a; expired a;");
    fixture_loaded(&f, "a", false);
    fixture_expect(&f, "end a LOAD_FAILED 1;");
    fixture_close(&f);
}

Test(batch_windows, a_load_that_outlasts_the_window_still_serves_all_who_wait)
{
    fixture_open(&f, NULL);
    f.operate = f.save = ANSWER_OK;
    for (unsigned i = 1; i <= 5; i++)
        cr_assert_eq(fixture_run(&f, "a", i), FAULT_NONE);
    fixture_pass_ms(&f, 500);
    fixture_loaded(&f, "a", true);
    fixture_expect(&f, "load a; operate a 1; operate a 2; operate a 3; operate a 4; operate a 5; "
                       "save a; unload a; end a SAVED 1 2 3 4 5;");
    fixture_close(&f);
}

Test(batch_windows, B10_operations_of_a_key_run_one_at_a_time_and_keys_side_by_side)
{
    fixture_open(&f, NULL);
    f.load = f.save = ANSWER_OK;
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    cr_assert_eq(fixture_run(&f, "a", 2), FAULT_NONE);
    cr_assert_eq(fixture_run(&f, "b", 3), FAULT_NONE);
    fixture_expect(&f, "load a; operate a 1; load b; operate b 3;");
    fixture_operated(&f, 3, true);
    fixture_operated(&f, 1, true);
    fixture_expect(&f, "operate a 2;");
    fixture_operated(&f, 2, true);
    fixture_pass_ms(&f, 100);
    fixture_close(&f);
}

Test(batch_windows, B10_reports_from_within_do_not_nest)
{
    fixture_open(&f, &(struct batch_settings){.window = BATCH_ADAPTIVE});
    f.operate = f.save = ANSWER_OK;
    for (unsigned i = 0; i < 4000; i++)
        cr_assert_eq(fixture_run(&f, "a", i), FAULT_NONE);
    fixture_loaded(&f, "a", true);
    fixture_pass_ms(&f, 0); /* slices */
    cr_assert_eq(f.record_operations, 4000);
    cr_assert_eq(f.record_saves, 1);
    fixture_close(&f);
}

Test(batch_windows, B10_a_batch_without_an_operation_saves_nothing)
{
    fixture_open(&f, NULL);
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    cr_assert(fixture_cancel(&f, 1));
    fixture_loaded(&f, "a", true);
    fixture_pass_ms(&f, 100);
    fixture_expect(&f, "load a; unload a; end a SAVED;");
    cr_assert_eq(f.record_operations, 0);
    fixture_close(&f);
}

Test(batch_windows, B25_the_next_batch_begins_when_the_save_before_was_reported)
{
    fixture_open(&f, &(struct batch_settings){.window_ns = NS_PER_MS});
    f.load = f.operate = ANSWER_OK;
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    fixture_pass_ms(&f, 1);
    cr_assert_eq(fixture_run(&f, "a", 2), FAULT_NONE);
    fixture_pass_ms(&f, 1000);
    fixture_expect(&f, "load a; operate a 1; save a;");
    fixture_saved(&f, "a", BATCH_SAVE_ERROR);
    fixture_expect(&f, "unload a; end a SAVE_FAILED 1; load a; operate a 2;");
    f.save = ANSWER_OK;
    fixture_pass_ms(&f, 1);
    fixture_close(&f);
}

Test(batch_windows, B26_waiters_start_in_the_order_in_which_they_came)
{
    fixture_open(&f, &(struct batch_settings){.max_operations = 2});
    f.load = f.operate = ANSWER_OK;
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    cr_assert_eq(fixture_run(&f, "a", 2), FAULT_NONE);
    for (unsigned i = 3; i <= 6; i++)
        cr_assert_eq(fixture_run(&f, "a", i), FAULT_NONE);
    cr_assert(fixture_cancel(&f, 4));
    f.save = ANSWER_OK;
    fixture_saved(&f, "a", BATCH_SAVE_OK);
    fixture_pass_ms(&f, 100);
    fixture_expect(&f, "load a; operate a 1; operate a 2; save a; unload a; end a SAVED 1 2; "
                       "load a; operate a 3; operate a 5; save a; unload a; end a SAVED 3 5; "
                       "load a; operate a 6; save a; unload a; end a SAVED 6;");
    fixture_close(&f);
}

Test(batch_windows, pipelined_operations_start_at_once_and_the_save_does_not_wait_for_them)
{
    fixture_open(&f, &(struct batch_settings){.window = BATCH_ADAPTIVE, .pipelined = true});
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    cr_assert_eq(fixture_run(&f, "a", 2), FAULT_NONE);
    fixture_loaded(&f, "a", true);
    fixture_expect(&f, "load a; operate a 1; operate a 2; save a;");
    fixture_operated(&f, 1, true);
    fixture_operated(&f, 2, false);
    fixture_saved(&f, "a", BATCH_SAVE_OK);
    fixture_expect(&f, "unload a; end a SAVED 1 2!;");
    fixture_close(&f);
}
