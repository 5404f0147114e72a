/* test_batch_ends.c - how operations and batches end: failures, reloads, cancels, stops, losses. */
#include <criterion/criterion.h>

#include "unit/batch/engine_fixture.h"

static struct engine_fixture f;

Test(batch_ends, B7_a_load_that_fails_ends_all_who_wait_and_nothing_is_saved)
{
    fixture_open(&f, NULL);
    for (unsigned i = 1; i <= 3; i++)
        cr_assert_eq(fixture_run(&f, "a", i), FAULT_NONE);
    fixture_loaded(&f, "a", false);
    fixture_expect(&f, "load a; end a LOAD_FAILED 1 2 3;");
    cr_assert_eq(f.record_operations, 0);
    cr_assert_eq(f.record_loads, 1);
    fixture_close(&f);
}

Test(batch_ends, B7_a_load_is_retried_with_growing_waits_until_the_deadline)
{
    fixture_open(&f, &(struct batch_settings){.retry_load = true});
    f.load = ANSWER_ERROR;
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    cr_assert_eq(fixture_run(&f, "a", 2), FAULT_NONE);
    fixture_expect(&f, "load a;");
    fixture_pass_ms(&f, 7);
    fixture_expect(&f, "");
    fixture_pass_ms(&f, 192);
    cr_assert_not_null(strstr(f.text, "load a; load a; load a; "));
    cr_assert_not_null(strstr(f.text, "end a LOAD_FAILED 1 2; "));
    cr_assert_geq(f.record_loads, 4);
    cr_assert_leq(f.record_total_ns, 200 * NS_PER_MS);
    fixture_close(&f);
}

Test(batch_ends, B7_a_load_that_works_at_last_serves_all_who_wait)
{
    fixture_open(&f, &(struct batch_settings){.retry_load = true});
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    fixture_loaded(&f, "a", false);
    cr_assert_eq(fixture_run(&f, "a", 2), FAULT_NONE);
    f.load = f.operate = f.save = ANSWER_OK;
    fixture_pass_ms(&f, 100);
    fixture_expect(&f, "load a; load a; operate a 1; operate a 2; save a; unload a; end a SAVED 1 2;");
    fixture_close(&f);
}

Test(batch_ends, B7_a_batch_whose_last_waiter_leaves_during_the_backoff_ends)
{
    fixture_open(&f, &(struct batch_settings){.retry_load = true});
    f.load = ANSWER_ERROR;
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    cr_assert(fixture_cancel(&f, 1));
    fixture_expect(&f, "load a; end a LOAD_FAILED;");
    fixture_close(&f);
}

Test(batch_ends, B24_a_save_that_fails_fails_every_operation_of_the_batch)
{
    fixture_open(&f, &(struct batch_settings){.window = BATCH_ADAPTIVE, .max_reloads = 3});
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    cr_assert_eq(fixture_run(&f, "a", 2), FAULT_NONE);
    f.operate = ANSWER_OK;
    fixture_loaded(&f, "a", true);
    fixture_saved(&f, "a", BATCH_SAVE_ERROR);
    fixture_expect(&f, "load a; operate a 1; operate a 2; save a; unload a; end a SAVE_FAILED 1 2;");
    fixture_close(&f);
}

Test(batch_ends, B24_a_conflict_loads_again_and_runs_the_operations_again)
{
    fixture_open(&f, &(struct batch_settings){.window = BATCH_ADAPTIVE, .max_reloads = 2});
    f.load = f.operate = ANSWER_OK;
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    cr_assert_eq(fixture_run(&f, "a", 2), FAULT_NONE);
    fixture_expect(&f, "load a; operate a 1; save a;");
    fixture_saved(&f, "a", BATCH_SAVE_CONFLICT);
    fixture_expect(&f, "unload a; load a; operate a 1; save a;");
    f.operate = ANSWER_ERROR;
    fixture_saved(&f, "a", BATCH_SAVE_CONFLICT);
    fixture_expect(&f, "unload a; load a; operate a 1; save a;");
    f.operate = ANSWER_OK;
    fixture_saved(&f, "a", BATCH_SAVE_CONFLICT);
    fixture_expect(&f, "unload a; end a SAVE_FAILED 1!; load a; operate a 2; save a;");
    cr_assert_eq(f.record_loads, 3);
    cr_assert_eq(f.record_saves, 3);
    cr_assert_eq(f.record_operations, 1);
    fixture_saved(&f, "a", BATCH_SAVE_OK);
    fixture_close(&f);
}

Test(batch_ends, B24_no_reload_after_the_deadline)
{
    fixture_open(&f, &(struct batch_settings){.window = BATCH_ADAPTIVE, .max_reloads = 2});
    f.load = f.operate = ANSWER_OK;
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    fixture_pass_ms(&f, 200);
    fixture_saved(&f, "a", BATCH_SAVE_CONFLICT);
    fixture_expect(&f, "load a; operate a 1; save a; unload a; end a SAVE_FAILED 1;");
    fixture_close(&f);
}

Test(batch_ends, a_reload_that_cannot_load_fails_its_batch_and_not_those_who_wait)
{
    fixture_open(&f, &(struct batch_settings){.window = BATCH_ADAPTIVE, .max_reloads = 1});
    f.load = f.operate = ANSWER_OK;
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    cr_assert_eq(fixture_run(&f, "a", 2), FAULT_NONE);
    f.load = ANSWER_LATER;
    fixture_saved(&f, "a", BATCH_SAVE_CONFLICT);
    fixture_loaded(&f, "a", false);
    fixture_expect(&f, "load a; operate a 1; save a; unload a; load a; end a LOAD_FAILED 1; load a;");
    f.save = ANSWER_OK;
    fixture_loaded(&f, "a", true);
    fixture_close(&f);
}

Test(batch_ends, B28_an_operation_that_fails_fails_alone)
{
    fixture_open(&f, &(struct batch_settings){.window = BATCH_ADAPTIVE});
    f.save = ANSWER_OK;
    for (unsigned i = 1; i <= 3; i++)
        cr_assert_eq(fixture_run(&f, "a", i), FAULT_NONE);
    fixture_loaded(&f, "a", true);
    fixture_operated(&f, 1, true);
    fixture_operated(&f, 2, false);
    fixture_operated(&f, 3, true);
    fixture_expect(&f,
                   "load a; operate a 1; operate a 2; operate a 3; save a; unload a; end a SAVED 1 2! 3;");
    fixture_close(&f);
}

Test(batch_ends, B11_one_that_waits_can_be_cancelled_and_one_that_started_cannot)
{
    fixture_open(&f, NULL);
    f.load = f.save = ANSWER_OK;
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    cr_assert_eq(fixture_run(&f, "a", 2), FAULT_NONE);
    cr_assert_not(fixture_cancel(&f, 1));
    cr_assert(fixture_cancel(&f, 2));
    cr_assert_not(batch_engine_cancel(&f.operations[1].operation));
    fixture_operated(&f, 1, true);
    cr_assert_not(fixture_cancel(&f, 1));
    fixture_pass_ms(&f, 100);
    fixture_expect(&f, "load a; operate a 1; save a; unload a; end a SAVED 1;");
    fixture_close(&f);
}

Test(batch_ends, B11_one_that_was_to_start_and_has_not_begun_can_be_withdrawn)
{
    fixture_open(&f, &(struct batch_settings){.window = BATCH_ADAPTIVE});
    f.load = f.save = ANSWER_OK;
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    cr_assert_eq(fixture_run(&f, "a", 2), FAULT_NONE);
    batch_withdrawn(&f.operations[1].operation);
    fixture_expect(&f, "load a; operate a 1; operate a 2;");
    batch_withdrawn(&f.operations[2].operation);
    fixture_expect(&f, "unload a; end a SAVED;");
    fixture_close(&f);
}

Test(batch_ends, B14_after_a_stop_everything_is_refused)
{
    fixture_open(&f, NULL);
    batch_engine_stop(f.engine);
    batch_engine_stop(f.engine);
    cr_assert_eq(f.stopped, 1);
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_PROCESSOR_STOPPED);
    cr_assert_eq(fault_code(FAULT_PROCESSOR_STOPPED), CODE_UNAVAILABLE);
    cr_assert_eq(fault_code(FAULT_OPERATION_CANCELLED), CODE_CANCELLED);
    fixture_expect(&f, "");
    fixture_close(&f);
}

Test(batch_ends, B14_B15_B16_a_stop_ends_windows_and_waiters_at_once_and_waits_for_the_saves)
{
    fixture_open(&f, &(struct batch_settings){.window_ns = 10 * NS_PER_S});
    f.load = ANSWER_OK;
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE); /* runs */
    cr_assert_eq(fixture_run(&f, "a", 2), FAULT_NONE); /* waits */
    cr_assert_eq(fixture_run(&f, "b", 3), FAULT_NONE); /* has run */
    fixture_operated(&f, 3, true);
    f.load = ANSWER_LATER;
    cr_assert_eq(fixture_run(&f, "c", 4), FAULT_NONE); /* loads */
    fixture_expect(&f, "load a; operate a 1; load b; operate b 3; load c;");
    batch_engine_stop(f.engine);
    cr_assert_not_null(strstr(f.text, "end a STOPPED 2; "));
    cr_assert_not_null(strstr(f.text, "end c STOPPED 4; "));
    cr_assert_not_null(strstr(f.text, "save b; "));
    f.size = 0;
    batch_engine_stop(f.engine);
    fixture_loaded(&f, "c", true);
    fixture_expect(&f, "unload c; end c SAVED;");
    fixture_saved(&f, "b", BATCH_SAVE_OK);
    fixture_operated(&f, 1, true);
    cr_assert_eq(f.stopped, 0);
    fixture_saved(&f, "a", BATCH_SAVE_ERROR);
    fixture_expect(&f, "unload b; end b SAVED 3; save a; unload a; end a SAVE_FAILED 1;");
    cr_assert_eq(f.stopped, 1);
    fixture_close(&f);
}

Test(batch_ends, B15_a_stop_does_not_wait_between_two_attempts_to_load)
{
    fixture_open(&f, &(struct batch_settings){.window_ns = 10 * NS_PER_S,
                                              .retry_load = true,
                                              .retry_first_ns = 5 * NS_PER_S,
                                              .max_operations = 1,
                                              .max_reloads = 1});
    f.load = f.operate = ANSWER_OK;
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    cr_assert_eq(fixture_run(&f, "b", 2), FAULT_NONE);
    f.load = ANSWER_ERROR;
    fixture_saved(&f, "a", BATCH_SAVE_CONFLICT);
    fixture_saved(&f, "b", BATCH_SAVE_CONFLICT);
    cr_assert_eq(fixture_run(&f, "c", 3), FAULT_NONE);
    fixture_expect(&f, "load a; operate a 1; save a; load b; operate b 2; save b; "
                       "unload a; load a; unload b; load b; load c;");
    f.load = ANSWER_LATER;
    batch_engine_stop(f.engine);
    cr_assert_not_null(strstr(f.text, "load a; "));
    cr_assert_not_null(strstr(f.text, "load b; "));
    cr_assert_not_null(strstr(f.text, "end c STOPPED 3; "));
    f.size = 0;
    fixture_loaded(&f, "a", false); /* the last attempt */
    fixture_loaded(&f, "b", true);
    fixture_expect(&f, "end a LOAD_FAILED 1; operate b 2; save b;");
    fixture_saved(&f, "b", BATCH_SAVE_OK);
    fixture_expect(&f, "unload b; end b SAVED 2;");
    cr_assert_eq(f.stopped, 1);
    fixture_close(&f);
}

Test(batch_ends, B10_a_load_that_nobody_waits_for_is_left_out)
{
    fixture_open(&f, &(struct batch_settings){.retry_load = true});
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    cr_assert(batch_needs_load(f.batches[0]));
    cr_assert(fixture_cancel(&f, 1));
    cr_assert_not(batch_needs_load(f.batches[0]));
    batch_not_loaded(f.batches[0]);
    fixture_expect(&f, "load a; end a NOT_LOADED;");
    cr_assert_eq(f.record_loads, 0);
    cr_assert_eq(fixture_run(&f, "a", 2), FAULT_NONE);
    fixture_loaded(&f, "a", false);
    fixture_pass_ms(&f, 20);
    cr_assert(fixture_cancel(&f, 2));
    batch_not_loaded(f.batches[0]);
    fixture_expect(&f, "load a; load a; end a LOAD_FAILED;");
    cr_assert_eq(f.record_loads, 1);
    fixture_close(&f);
}

Test(batch_ends, B25_the_next_batch_begins_when_the_resource_is_unloaded)
{
    fixture_open(&f, &(struct batch_settings){.window = BATCH_ADAPTIVE});
    f.operate = f.save = ANSWER_OK;
    f.unloads_late = true;
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    fixture_loaded(&f, "a", true);
    cr_assert_eq(fixture_run(&f, "a", 2), FAULT_NONE);
    fixture_expect(&f, "load a; operate a 1; save a; unload a;");
    fixture_unloaded(&f, "a");
    cr_assert(fixture_cancel(&f, 2));
    fixture_loaded(&f, "a", true);
    cr_assert_eq(fixture_run(&f, "a", 3), FAULT_NONE);
    fixture_expect(&f, "end a SAVED 1; load a; unload a;");
    fixture_unloaded(&f, "a");
    f.unloads_late = false;
    fixture_loaded(&f, "a", true);
    fixture_expect(&f, "end a SAVED; load a; operate a 3; save a; unload a; end a SAVED 3;");
    fixture_close(&f);
}

Test(batch_ends, a_batch_may_be_lost_between_two_attempts_to_load)
{
    fixture_open(&f, &(struct batch_settings){.retry_load = true});
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    fixture_loaded(&f, "a", false);
    batch_lost(f.batches[0]);
    fixture_expect(&f, "load a; end a LOST; load a;");
    fixture_loaded(&f, "a", true);
    fixture_operated(&f, 1, true);
    f.save = ANSWER_OK;
    fixture_pass_ms(&f, 100);
    fixture_expect(&f, "operate a 1; save a; unload a; end a SAVED 1;");
    fixture_close(&f);
}

Test(batch_ends, a_batch_that_is_lost_fails_what_started_and_the_rest_begins_anew)
{
    fixture_open(&f, NULL);
    f.load = ANSWER_OK;
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    cr_assert_eq(fixture_run(&f, "a", 2), FAULT_NONE);
    f.load = ANSWER_LATER;
    batch_lost(f.batches[0]);
    fixture_expect(&f, "load a; operate a 1; end a LOST 1; load a;");
    batch_lost(f.batches[0]);
    fixture_expect(&f, "end a LOST; load a;");
    f.operate = ANSWER_OK;
    fixture_loaded(&f, "a", true);
    fixture_pass_ms(&f, 100);
    fixture_expect(&f, "operate a 2; save a;");
    batch_lost(f.batches[0]);
    fixture_expect(&f, "end a LOST 2;");
    fixture_close(&f);
}

Test(batch_ends, B18_a_record_has_the_durations)
{
    fixture_open(&f, NULL);
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    fixture_pass_ms(&f, 100);
    f.operate = ANSWER_OK;
    fixture_loaded(&f, "a", true);
    fixture_pass_ms(&f, 50);
    fixture_saved(&f, "a", BATCH_SAVE_OK);
    cr_assert_eq(f.record_load_ns, 100 * NS_PER_MS);
    cr_assert_eq(f.record_save_ns, 50 * NS_PER_MS);
    cr_assert_eq(f.record_total_ns, 150 * NS_PER_MS);
    fixture_close(&f);
}
