/* test_batch_keys.c - B29: memory follows the keys that have a batch or a waiter, not those that
 * were ever seen: a million operations whose keys are drawn from a million, by a Zipf
 * distribution. */
#include <criterion/criterion.h>
#include <malloc.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/splitmix.h"
#include "batch/batch_engine.h"

#define KEYS 1000000.0
#define OPERATIONS 1000000u
#define KEPT 4096u
#define SMALL 16384u /* what malloc() keeps for the next one counts as used */

static struct batch_engine *engine;
static struct batch_operation operations[KEPT]; /* used in turn: none waits for so long */
static int64_t now, wake;
static uint64_t ended;

static void on_load(void *ctx, struct keyed_batch *batch)
{
    (void)ctx;
    batch_loaded(batch, true);
}

static void on_operate(void *ctx, struct keyed_batch *batch, struct batch_operation *operation)
{
    (void)ctx;
    (void)batch;
    batch_operated(operation, true);
}

static void on_save(void *ctx, struct keyed_batch *batch)
{
    (void)ctx;
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
    (void)outcome;
    (void)record;
    list_each(node, next, over) {
        list_remove(node);
        *container_of(node, struct batch_operation, node) = (struct batch_operation){.bytes = 1};
        ended++;
    }
}

static int64_t now_ns(void *ctx)
{
    (void)ctx;
    return now;
}

static void wake_at(void *ctx, int64_t at_ns)
{
    (void)ctx;
    wake = at_ns;
}

static void on_stopped(void *ctx)
{
    (void)ctx;
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
                              64);
}

static double draw(uint64_t *random)
{
    return (double)(splitmix64(random) >> 11) / (double)(UINT64_C(1) << 53);
}

/* Runs all of them, a hundred in a millisecond. Returns the most keys that were alive. */
static uint64_t run_all(void)
{
    uint64_t random = 1, max_alive = 0;
    struct batch_stats stats;
    struct fault fault;

    for (unsigned i = 0; i < OPERATIONS; i++) {
        const uint64_t key = (uint64_t)exp(draw(&random) * log(KEYS)); /* Zipf, of exponent 1 */
        struct batch_operation *operation = &operations[i % KEPT];

        if (i % 100 == 0)
            now += NS_PER_MS;
        while (wake <= now)
            batch_engine_tick(engine);
        cr_assert_eq(
            batch_engine_run(engine, (struct bytes){(const uint8_t *)&key, sizeof(key)}, operation, &fault),
            FAULT_NONE);
        batch_engine_stats(engine, &stats);
        max_alive = MAX_OF(max_alive, stats.keys);
    }
    now += NS_PER_S;
    while (wake <= now)
        batch_engine_tick(engine);
    batch_engine_stats(engine, &stats);
    cr_assert_eq(stats.keys, 0);
    cr_assert_eq(ended, OPERATIONS);
    return max_alive;
}

Test(batch_keys, B29_an_adaptive_engine_keeps_nothing_of_a_million_keys)
{
    begin((struct batch_settings){.window = BATCH_ADAPTIVE});

    const size_t before = mallinfo2().uordblks;

    cr_assert_eq(run_all(), 0);
    cr_assert_leq(mallinfo2().uordblks, before + SMALL, "two tables of 16 entries");
    batch_engine_free(engine);
}

Test(batch_keys, B29_with_windows_an_engine_keeps_what_is_alive)
{
    begin((struct batch_settings){.window_ns = 10 * NS_PER_MS});

    const size_t before = mallinfo2().uordblks;
    const uint64_t max_alive = run_all();

    cr_assert_leq(max_alive, 1100, "a hundred in a millisecond, for ten milliseconds");
    /* Nothing is alive: what is left are the tables, of at most 2048 entries of 8 bytes each. */
    cr_assert_leq(mallinfo2().uordblks, before + 2 * 2048 * 8 + SMALL);
    batch_engine_free(engine);
}
