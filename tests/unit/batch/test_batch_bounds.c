/* test_batch_bounds.c - what an engine refuses, and with which words. */
#include <criterion/criterion.h>

#include "unit/batch/engine_fixture.h"

static struct engine_fixture f;

static void expect_fault(enum fault_reason reason, const char *field, const char *bound)
{
    cr_expect_eq(f.fault.reason, reason, "%s", fault_reason_name(f.fault.reason));
    cr_expect_eq(fault_code(reason), CODE_RESOURCE_EXHAUSTED);
    cr_expect_str_eq(f.fault.field, field);
    cr_expect_str_eq(f.fault.bound, bound);
}

Test(batch_bounds, B27_so_many_waiters_and_no_more)
{
    fixture_open(&f, &(struct batch_settings){.max_waiters = 2, .window = BATCH_ADAPTIVE});
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    cr_assert_eq(fixture_run(&f, "a", 2), FAULT_NONE);
    cr_assert_eq(fixture_run(&f, "a", 3), FAULT_TOO_MANY_WAITERS);
    expect_fault(FAULT_TOO_MANY_WAITERS, "max_waiters", "at most 2 (max_waiters)");
    cr_assert_eq(fixture_run(&f, "b", 4), FAULT_NONE, "another key has waiters of its own");
    f.load = f.operate = f.save = ANSWER_OK;
    fixture_loaded(&f, "a", true);
    cr_assert_eq(fixture_run(&f, "a", 3), FAULT_NONE);
    fixture_loaded(&f, "b", true);
    fixture_close(&f);
}

Test(batch_bounds, B27_so_many_bytes_wait_and_no_more)
{
    fixture_open(&f, &(struct batch_settings){.max_waiting_bytes = 100, .window = BATCH_ADAPTIVE});
    cr_assert_eq(fixture_run_bytes(&f, "a", 1, 101), FAULT_NONE, "the first one always has space");
    cr_assert_eq(fixture_run_bytes(&f, "a", 2, 1), FAULT_WAITING_BYTES);
    expect_fault(FAULT_WAITING_BYTES, "max_waiting_bytes", "at most 100 (max_waiting_bytes)");
    f.load = f.operate = f.save = ANSWER_OK;
    fixture_loaded(&f, "a", true);
    fixture_close(&f);
}

Test(batch_bounds, B27_a_full_batch_ends_and_the_rest_waits_for_the_next)
{
    fixture_open(&f, &(struct batch_settings){.max_bytes = 10});
    f.load = f.operate = f.save = ANSWER_OK;
    cr_assert_eq(fixture_run_bytes(&f, "a", 1, 11), FAULT_OPERATION_TOO_LARGE);
    expect_fault(FAULT_OPERATION_TOO_LARGE, "max_bytes", "at most 10 (max_bytes)");
    cr_assert_eq(fixture_run_bytes(&f, "a", 2, 6), FAULT_NONE);
    cr_assert_eq(fixture_run_bytes(&f, "a", 3, 4), FAULT_NONE);
    cr_assert_eq(fixture_run_bytes(&f, "a", 4, 1), FAULT_NONE);
    fixture_expect(&f, "load a; operate a 2; operate a 3; save a; unload a; end a SAVED 2 3; "
                       "load a; operate a 4;");
    fixture_pass_ms(&f, 100);
    fixture_close(&f);
}

Test(batch_bounds, B27_a_full_batch_refuses_where_that_was_asked_for)
{
    fixture_open(&f,
                 &(struct batch_settings){.max_operations = 2, .max_bytes = 10, .refuse_when_full = true});
    f.load = ANSWER_OK;
    cr_assert_eq(fixture_run_bytes(&f, "a", 1, 5), FAULT_NONE);
    cr_assert_eq(fixture_run_bytes(&f, "a", 2, 6), FAULT_BATCH_FULL);
    expect_fault(FAULT_BATCH_FULL, "max_bytes", "at most 10 (max_bytes)");
    cr_assert_eq(fixture_run_bytes(&f, "a", 3, 5), FAULT_NONE);
    cr_assert_eq(fixture_run_bytes(&f, "a", 4, 0), FAULT_BATCH_FULL);
    expect_fault(FAULT_BATCH_FULL, "max_operations", "at most 2 (max_operations)");
    f.operate = f.save = ANSWER_OK;
    fixture_operated(&f, 1, true);
    fixture_close(&f);
}

Test(batch_bounds, B27_so_many_keys_are_alive_and_no_more)
{
    fixture_open(&f, &(struct batch_settings){.max_keys = 2, .window = BATCH_ADAPTIVE});
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    cr_assert_eq(fixture_run(&f, "b", 2), FAULT_NONE);
    cr_assert_eq(fixture_run(&f, "c", 3), FAULT_TOO_MANY_KEYS);
    expect_fault(FAULT_TOO_MANY_KEYS, "max_keys", "at most 2 (max_keys)");
    cr_assert_eq(fixture_run(&f, "a", 4), FAULT_NONE);
    f.operate = f.save = ANSWER_OK;
    fixture_loaded(&f, "b", true);
    cr_assert_eq(fixture_run(&f, "c", 3), FAULT_NONE);
    fixture_loaded(&f, "a", true);
    fixture_loaded(&f, "c", true);
    fixture_close(&f);
}

Test(batch_bounds, B27_so_many_batches_have_begun_and_other_keys_wait_in_turn)
{
    fixture_open(&f, &(struct batch_settings){.max_batches = 2, .window = BATCH_ADAPTIVE});
    for (unsigned i = 0; i < 5; i++)
        cr_assert_eq(fixture_run(&f, (char[]){(char)('a' + i), '\0'}, i), FAULT_NONE);
    cr_assert_eq(fixture_run(&f, "a", 5), FAULT_NONE);
    fixture_expect(&f, "load a; load b;");
    cr_assert(fixture_cancel(&f, 2));
    f.operate = f.save = ANSWER_OK;
    fixture_loaded(&f, "b", true);
    fixture_expect(&f, "operate b 1; save b; unload b; end b SAVED 1; load d;");
    fixture_loaded(&f, "a", true);
    fixture_expect(&f, "operate a 0; operate a 5; save a; unload a; end a SAVED 0 5; load e;");
    fixture_loaded(&f, "d", true);
    fixture_loaded(&f, "e", true);
    fixture_close(&f);
}

Test(batch_bounds, B27_a_key_with_waiters_goes_behind_the_keys_that_wait_for_their_turn)
{
    fixture_open(&f, &(struct batch_settings){.max_batches = 1, .max_operations = 1});
    f.operate = f.save = ANSWER_OK;
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    cr_assert_eq(fixture_run(&f, "a", 2), FAULT_NONE);
    cr_assert_eq(fixture_run(&f, "b", 3), FAULT_NONE);
    f.load = ANSWER_OK;
    fixture_loaded(&f, "a", true);
    fixture_expect(&f, "load a; operate a 1; save a; unload a; end a SAVED 1; "
                       "load b; operate b 3; save b; unload b; end b SAVED 3; "
                       "load a; operate a 2; save a; unload a; end a SAVED 2;");
    fixture_close(&f);
}

Test(batch_bounds, B27_a_batch_beyond_the_bound_is_refused_where_that_was_asked_for)
{
    fixture_open(&f, &(struct batch_settings){.max_batches = 1, .refuse_when_full = true});
    cr_assert_eq(fixture_run(&f, "a", 1), FAULT_NONE);
    cr_assert_eq(fixture_run(&f, "b", 2), FAULT_TOO_MANY_BATCHES);
    expect_fault(FAULT_TOO_MANY_BATCHES, "max_batches", "at most 1 (max_batches)");
    fixture_loaded(&f, "a", false);
    fixture_close(&f);
}

Test(batch_bounds, a_key_has_at_most_256_bytes_and_may_have_any)
{
    char key[MAX_BATCH_KEY_BYTES + 2];
    struct bytes bytes = {(const uint8_t *)key, MAX_BATCH_KEY_BYTES + 1};
    struct fixture_operation *operation = &f.operations[0];

    memset(key, 'a', sizeof(key));
    key[5] = '\0';
    fixture_open(&f, &(struct batch_settings){.window = BATCH_ADAPTIVE});
    f.load = f.operate = f.save = ANSWER_OK;
    cr_assert_eq(batch_engine_run(f.engine, bytes, &operation->operation, &f.fault), FAULT_TOO_LONG);
    bytes.size--;
    cr_assert_eq(batch_engine_run(f.engine, bytes, &operation->operation, &f.fault), FAULT_NONE);
    fixture_close(&f);
}

static enum fault_reason complete(struct batch_settings settings)
{
    return batch_settings_complete(&settings, &f.fault);
}

Test(batch_bounds, settings_have_defaults_and_bounds_that_a_fault_names)
{
    struct batch_settings settings = {0};

    cr_assert_eq(batch_settings_complete(&settings, &f.fault), FAULT_NONE);
    cr_assert_eq(settings.window_ns, 100 * NS_PER_MS);
    cr_assert_eq(settings.deadline_ns, 200 * NS_PER_MS);
    cr_assert_eq(settings.max_batches, settings.max_keys);
    cr_assert_eq(complete((struct batch_settings){.window_ns = NS_PER_MS - 1}), FAULT_OUT_OF_BOUNDS);
    cr_assert_str_eq(f.fault.field, "window_ns");
    cr_assert_str_eq(f.fault.bound, "1000000 to 3600000000000");
    cr_assert_eq(complete((struct batch_settings){.window_ns = -1}), FAULT_OUT_OF_BOUNDS);
    cr_assert_eq(complete((struct batch_settings){.deadline_ns = 99 * NS_PER_MS}), FAULT_OUT_OF_BOUNDS);
    cr_assert_str_eq(f.fault.field, "deadline_ns");
    cr_assert_eq(complete((struct batch_settings){.max_operations = UINT64_MAX}), FAULT_OUT_OF_BOUNDS);
    cr_assert_eq(complete((struct batch_settings){.max_reloads = 1001}), FAULT_OUT_OF_BOUNDS);
    cr_assert_eq(complete((struct batch_settings){.window = (enum batch_window)7}), FAULT_UNKNOWN_ENUM);
}
