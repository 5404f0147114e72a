/* test_chan_memory.c - the channel when memory runs out: nothing is lost uncounted. The linker puts these in front of the allocator. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "lib/chunks.h"
#include "rig.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *at, size_t size);
void *__real_reallocarray(void *at, size_t count, size_t size);

static bool exhausted;

void *__wrap_malloc(size_t size)
{
    return exhausted ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return exhausted ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *at, size_t size)
{
    return exhausted ? NULL : __real_realloc(at, size);
}

void *__wrap_reallocarray(void *at, size_t count, size_t size)
{
    return exhausted ? NULL : __real_reallocarray(at, count, size);
}

static const struct chan_limits newest = {.max_events = 100, .max_bytes = 10000, .overflow = OVERFLOW_DROP_NEWEST};
static const struct chan_limits block = {
    .max_events = 16, .max_bytes = 10000, .overflow = OVERFLOW_BLOCK, .fallback = OVERFLOW_DROP_OLDEST, .block_timeout_ns = FOR_EVER};

/* A chunk of 40 events, for a channel that has its first sixteen entries. */
static struct chunk *sample(struct rig *rig)
{
    cr_assert_eq(rig_put(rig, 0, 1, 10), ERR_OK);
    rig_deliver(rig, 1);
    return chunk_even(rig->sources[0], 2, 0, 40, 10);
}

Test(chan_memory, nothing_is_made_without_it)
{
    struct chan_watch watch = {0};
    struct rig rig;

    rig_open(&rig, &newest, 1);
    exhausted = true;
    cr_assert_null(chan_new(&newest, &watch));
    cr_assert_null(feed_open(rig.chan, rig.sources[0], 1, NULL));
    exhausted = false;
    rig_close(&rig);
}

Test(chan_memory, an_event_without_an_entry_is_dropped_for_the_budget)
{
    struct chunk *chunk;
    struct rig rig;

    rig_open(&rig, &newest, 1);
    chunk = sample(&rig);
    exhausted = true;
    for (uint32_t i = 0; i < 18; i++)
        cr_assert_eq(chan_put(rig.chan, rig.feeds[0], chunk, i, i + 1, NULL), ERR_OK);
    exhausted = false;
    cr_assert_eq(rig_balance(&rig).dropped[LOSS_BUDGET].events, 2, "the first sixteen had an entry");
    cr_assert_str_eq(rig_losses(&rig, 9), "a:BUDGET 18-19 x2");
    chunk_release(chunk);
    rig_close(&rig);
}

Test(chan_memory, who_cannot_be_parked_does_not_wait)
{
    struct waiter waiter;
    struct chunk *chunk;
    struct rig rig;

    rig_open(&rig, &block, 1);
    chunk = sample(&rig);
    for (uint32_t i = 0; i < 16; i++)
        cr_assert_eq(chan_put(rig.chan, rig.feeds[0], chunk, i, i + 1, NULL), ERR_OK);
    exhausted = true;
    stall_begin(&waiter.stall);
    cr_assert_eq(chan_put(rig.chan, rig.feeds[0], chunk, 16, 20, &waiter.stall), ERR_OK);
    cr_assert_eq(stall_end(&waiter.stall), ERR_OK);
    exhausted = false;
    cr_assert_str_eq(rig_losses(&rig, 9), "a:BUDGET 18-21 x4");
    cr_assert_not(rig_balance(&rig).stalled);
    chunk_release(chunk);
    rig_close(&rig);
}

Test(chan_memory, a_take_without_room_is_shorter)
{
    struct rig rig;

    rig_open(&rig, &newest, 1);
    for (uint32_t i = 0; i < 20; i++)
        cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
    exhausted = true;
    cr_assert(chan_take(rig.chan, &rig.take, 99, 9999, 0), "more waits");
    cr_assert_eq(rig.take.events, 0);
    exhausted = false;
    cr_assert_str_eq(rig_deliver(&rig, 1), "a1");
    exhausted = true;
    cr_assert(chan_take(rig.chan, &rig.take, 99, 9999, 0));
    exhausted = false;
    cr_assert_eq(rig.take.events, 16, "as many as its array holds");
    rig_balance(&rig);
    rig_close(&rig);
}

Test(chan_memory, a_second_reason_without_room_is_told_under_the_first)
{
    struct rig rig;

    rig_open(&rig, &newest, 1);
    cr_assert_eq(rig_put(&rig, 0, 101, 10), ERR_OK);
    rig_take(&rig, 2);
    exhausted = true;
    chan_lost(rig.chan, &rig.take, LOSS_DRAIN_CUT);
    exhausted = false;
    cr_assert_str_eq(rig_losses(&rig, 9), "a:NEWEST 1-101 x3", "the count is right all the same");
    cr_assert_eq(rig_balance(&rig).dropped[LOSS_DRAIN_CUT].events, 2, "and so are the sums");
    rig_close(&rig);
}
