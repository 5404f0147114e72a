/* test_batch_slices.c - one call of an engine does so many steps and no more, however many keys and
 * operations there are; the rest follows, and nothing is forgotten. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/clock.h"
#include "batch/batch_engine.h"

#define COUNT 1000u
#define SLICE 16u

static struct batch_engine *engine;
static struct batch_operation operations[COUNT];
static struct keyed_batch *loading[COUNT];
static unsigned loads, operated, saves, ended, stopped, wakes;
static unsigned calls; /* of the port, and operations handed back, in the present call */
static int64_t now, wake;

static void on_load(void *ctx, struct keyed_batch *batch)
{
    (void)ctx;
    loading[loads++] = batch;
    calls++;
}

static void on_operate(void *ctx, struct keyed_batch *batch, struct batch_operation *operation)
{
    (void)ctx;
    (void)batch;
    operated++;
    calls++;
    batch_operated(operation, true);
}

static void on_save(void *ctx, struct keyed_batch *batch)
{
    (void)ctx;
    saves++;
    batch_saved(batch, BATCH_SAVE_OK);
}

static void on_unload(void *ctx, struct keyed_batch *batch)
{
    (void)ctx;
    batch_unloaded(batch);
}

static void on_ended(void *ctx, struct keyed_batch *batch, struct list *over, enum batch_outcome outcome,
                     const struct batch_record *record)
{
    (void)ctx;
    (void)batch;
    cr_assert(record || outcome == BATCH_STOPPED);
    list_each(node, next, over) {
        list_remove(node);
        ended++;
        calls += !record;
    }
    if (record)
        calls++;
}

static int64_t now_ns(void *ctx)
{
    (void)ctx;
    return now;
}

static void wake_at(void *ctx, int64_t at_ns)
{
    (void)ctx;
    wakes++;
    wake = at_ns;
}

static void on_stopped(void *ctx)
{
    (void)ctx;
    stopped++;
}

static void begin(struct batch_settings settings)
{
    struct fault fault;

    cr_assert_eq(batch_settings_complete(&settings, &fault), FAULT_NONE);
    now = NS_PER_S;
    wake = INT64_MAX;
    engine = batch_engine_new(&settings,
                              &(struct batch_port){.load = on_load,
                                                   .operate = on_operate,
                                                   .save = on_save,
                                                   .unload = on_unload,
                                                   .ended = on_ended,
                                                   .now_ns = now_ns,
                                                   .wake_at = wake_at,
                                                   .stopped = on_stopped},
                              8);
    cr_assert_not_null(engine);
}

/* Runs an operation on key `key`. */
static enum fault_reason run(unsigned key, unsigned operation)
{
    struct fault fault;

    return batch_engine_run(engine, (struct bytes){(const uint8_t *)&key, sizeof(key)},
                            &operations[operation], &fault);
}

static uint64_t keys(void)
{
    struct batch_stats stats;

    batch_engine_stats(engine, &stats);
    return stats.keys;
}

/* Ticks for as long as that is wanted at once. Each time a slice is done, of `per_step` calls for a
 * step at most. Returns how often. */
static unsigned go_on(unsigned per_step)
{
    unsigned ticks = 0;

    for (; wake <= now; ticks++) {
        const unsigned before = wakes;

        calls = 0;
        batch_engine_tick(engine);
        cr_assert_leq(calls, SLICE * per_step);
        cr_assert_eq(wakes, before + 1, "the owner may have forgotten the time that has come");
    }
    return ticks;
}

static void begin_loading(void)
{
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(run(i, i), FAULT_NONE);
    cr_assert_eq(loads, COUNT);
}

static void end(void)
{
    cr_assert_eq(ended, COUNT);
    cr_assert_eq(keys(), 0);
    cr_assert_eq(wake, INT64_MAX);
    batch_engine_free(engine);
}

Test(batch_slices, B15_B29_a_stop_of_many_keys_goes_on_by_ticks)
{
    begin((struct batch_settings){.max_steps = SLICE});
    begin_loading();
    calls = 0;
    batch_engine_stop(engine);
    cr_assert_eq(calls, SLICE);
    cr_assert_eq(wake, now);
    cr_assert_eq(run(COUNT, 0), FAULT_PROCESSOR_STOPPED, "no slice is waited for");
    cr_assert(batch_engine_cancel(&operations[0]) != batch_engine_cancel(&operations[COUNT - 1]),
              "one was handed back, the other one still waits, and is cancelled");
    ended++;
    batch_loaded(loading[COUNT / 2], true); /* it has not been stopped yet: it starts nothing */
    cr_assert_eq(operated, 0);
    cr_assert_eq(go_on(1), (COUNT - 1) / SLICE);
    for (unsigned i = 0; i < COUNT; i++)
        if (i != COUNT / 2)
            batch_loaded(loading[i], true);
    cr_assert_eq(operated + saves, 0);
    cr_assert_eq(stopped, 1);
    end();
}

Test(batch_slices, B15_B29_a_stop_of_keys_that_wait_for_their_turn_begins_none)
{
    begin((struct batch_settings){.max_steps = SLICE, .max_batches = 1});
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(run(i, i), FAULT_NONE);
    batch_engine_stop(engine);
    cr_assert_geq(keys(), COUNT - SLICE);
    go_on(1);
    cr_assert_eq(keys(), 1, "the one that loads");
    batch_not_loaded(loading[0]);
    cr_assert_eq(loads, 1);
    cr_assert_eq(stopped, 1);
    end();
}

Test(batch_slices, B15_waiters_of_one_key_are_handed_back_in_slices)
{
    begin((struct batch_settings){.max_steps = SLICE});
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(run(0, i), FAULT_NONE);
    calls = 0;
    batch_engine_stop(engine);
    cr_assert_eq(calls, SLICE);
    cr_assert_eq(go_on(1), COUNT / SLICE);
    cr_assert_eq(ended, COUNT);
    batch_not_loaded(loading[0]);
    end();
}

Test(batch_slices, windows_that_are_over_at_one_moment_end_in_slices)
{
    begin((struct batch_settings){.max_steps = SLICE, .window_ns = NS_PER_MS});
    begin_loading();
    for (unsigned i = 0; i < COUNT; i++)
        batch_loaded(loading[i], true);
    cr_assert_eq(operated, COUNT);
    cr_assert_eq(saves, 0);
    now += NS_PER_MS;
    cr_assert_geq(go_on(1), COUNT / SLICE);
    cr_assert_eq(saves, COUNT);
    end();
}

Test(batch_slices, many_operations_of_one_key_start_in_slices_and_in_order)
{
    begin((struct batch_settings){.max_steps = SLICE, .window = BATCH_ADAPTIVE});
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(run(0, i), FAULT_NONE);
    calls = 0;
    batch_loaded(loading[0], true);
    cr_assert_eq(operated, SLICE);
    cr_assert_eq(operations[SLICE - 1].state, OPERATION_RAN);
    cr_assert_eq(operations[SLICE].state, OPERATION_WAITING);
    go_on(1);
    cr_assert_eq(operated, COUNT);
    cr_assert_eq(saves, 1);
    end();
}

Test(batch_slices, B26_a_batch_that_is_lost_between_two_slices_starts_nothing_more)
{
    begin((struct batch_settings){.max_steps = 1, .window = BATCH_ADAPTIVE});
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(run(0, i), FAULT_NONE);
    batch_loaded(loading[0], true);
    cr_assert_eq(operated, 1);
    batch_lost(loading[0]);
    cr_assert_eq(ended, 1);
    cr_assert_eq(loads, 1);
    batch_engine_tick(engine);
    cr_assert_eq(loads, 2, "those that wait begin a new batch");
    batch_loaded(loading[1], true);
    while (wake <= now)
        batch_engine_tick(engine);
    cr_assert_eq(saves, 1);
    end();
}

/* The second attempt to load was left out, since nobody waited any more. Before the engine comes to
 * that, an operation is run: it did not wait for that load. */
Test(batch_slices, B14_what_comes_after_a_load_was_left_out_does_not_fail_with_it)
{
    begin((struct batch_settings){.max_steps = 1, .window_ns = NS_PER_S, .retry_load = true});
    cr_assert_eq(run(0, 0), FAULT_NONE);
    batch_loaded(loading[0], false);
    now += NS_PER_S / 10;
    batch_engine_tick(engine);
    cr_assert_eq(loads, 2);
    cr_assert(batch_engine_cancel(&operations[0]));
    for (unsigned i = 1; i < COUNT; i++)
        cr_assert_eq(run(1, i), FAULT_NONE);
    batch_loaded(loading[2], true);
    cr_assert_lt(operated, COUNT / 2, "the other key keeps the engine busy");
    batch_not_loaded(loading[1]);
    cr_assert_eq(run(0, 0), FAULT_NONE);
    cr_assert_eq(ended, 0);
    while (wake <= now)
        batch_engine_tick(engine);
    cr_assert_eq(operated, COUNT - 1);
    cr_assert_eq(ended, 0);
    cr_assert_eq(loads, 4, "a new batch");
    batch_loaded(loading[3], true);
    for (now += NS_PER_S; wake <= now;)
        batch_engine_tick(engine);
    cr_assert_eq(saves, 2);
    end();
}
