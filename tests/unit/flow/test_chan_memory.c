/* test_chan_memory.c - a channel when memory runs out: nothing is lost without being counted. The
 * linker puts these functions in front of the allocator. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/budget.h"
#include "flow/chan_batch.h"
#include "flow/chan_report.h"
#include "flow/feed.h"
#include "flow/put_waiter.h"
#include "flow/shared_feed.h"
#include "keyed.h"
#include "lib/chunks.h"
#include "flow_fixture.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *at, size_t size);
void *__real_reallocarray(void *at, size_t count, size_t size);

static bool exhausted;
static uint32_t allowed; /* this many allocations more, then memory is exhausted */

static bool refuses(void)
{
    return exhausted && (allowed == 0 || allowed-- == 0);
}

void *__wrap_malloc(size_t size)
{
    return refuses() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return refuses() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *at, size_t size)
{
    return refuses() ? NULL : __real_realloc(at, size);
}

void *__wrap_reallocarray(void *at, size_t count, size_t size)
{
    return refuses() ? NULL : __real_reallocarray(at, count, size);
}

static const struct chan_limits newest = {
    .max_events = 100, .max_bytes = 10000, .overflow = OVERFLOW_DROP_NEWEST};
static const struct chan_limits block = {.max_events = 16,
                                         .max_bytes = 10000,
                                         .overflow = OVERFLOW_BLOCK,
                                         .fallback = OVERFLOW_DROP_OLDEST,
                                         .block_timeout_ns = FOR_EVER};
static const struct chan_limits latest = {
    .max_events = 64, .max_bytes = 10000, .overflow = OVERFLOW_LATEST_PER_KEY};

/* A chunk of 40 events, for a channel that has its first sixteen entries. */
static struct chunk *sample(struct flow_fixture *fixture)
{
    cr_assert_eq(flow_fixture_put(fixture, 0, 1, 10), ERR_OK);
    flow_fixture_deliver(fixture, 1);
    return chunk_even(fixture->sources[0], 2, 0, 40, 10);
}

Test(chan_memory, making_a_channel_or_feed_fails_and_leaves_nothing)
{
    struct chan_callbacks callbacks = {0};
    struct chan *chan = chan_new(&block, &callbacks);
    struct source *source = source_named("a", 1);

    exhausted = true;
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert(i == 1 || !chan_new(&newest, &callbacks));
        allowed = i;
        cr_assert_null(chan_new(&latest, &callbacks));
        allowed = i;
        cr_assert_null(feed_open(chan, source, 1, NULL));
    }
    exhausted = false;
    source_release(source);
    chan_release(chan);
}

Test(chan_memory, without_memory_for_a_shared_feed_the_events_are_lost_by_a_loss_without_a_source)
{
    struct flow_fixture fixture;
    struct source *source = source_named("a", 1);
    struct chunk *chunk = chunk_even(source, 1, 0, 3, 10);

    flow_fixture_open(&fixture, &newest, 0);
    exhausted = true;
    shared_state(fixture.chan, source, &(struct source_state){.state = 3});
    cr_assert_eq(chan_put(fixture.chan, NULL, chunk, 0, 2, NULL), ERR_OK);
    cr_assert_eq(chan_put(fixture.chan, NULL, chunk, 2, 3, NULL), ERR_OK);
    shared_end(fixture.chan, source, 8, 0, NULL);
    exhausted = false;
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), ":BUDGET 0-0 x3");
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "", "once");
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "RESYNC");
    cr_assert_eq(flow_fixture_balance(&fixture).dropped[LOSS_BUDGET].events, 3);
    chunk_release(chunk);
    source_release(source);
    flow_fixture_close(&fixture);
}

Test(chan_memory, without_memory_a_gap_is_reported_without_a_source)
{
    struct flow_fixture fixture;
    struct source *source = source_named("a", 1);

    flow_fixture_open(&fixture, &newest, 0);
    exhausted = true;
    shared_gap(fixture.chan, source, 5, 9, false);
    shared_gap(fixture.chan, source, 0, 0, true);
    exhausted = false;
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), ":GAP 0-0 x5+");
    source_release(source);
    flow_fixture_close(&fixture);
}

Test(chan_memory, an_event_without_an_entry_is_dropped_for_the_budget)
{
    struct chunk *chunk;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &newest, 1);
    chunk = sample(&fixture);
    exhausted = true;
    for (uint32_t i = 0; i < 18; i++)
        cr_assert_eq(chan_put(fixture.chan, fixture.feeds[0], chunk, i, i + 1, NULL), ERR_OK);
    exhausted = false;
    cr_assert_eq(flow_fixture_balance(&fixture).dropped[LOSS_BUDGET].events, 2,
                 "the first sixteen had an entry");
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:BUDGET 18-19 x2");
    chunk_release(chunk);
    flow_fixture_close(&fixture);
}

/* Finding 10. Sixteen entries of each channel, and what nobody may lose, are not refused. */
Test(chan_memory, an_entry_beyond_the_budget_is_dropped_unless_nobody_may_lose_it)
{
    for (int firm = 0; firm < 2; firm++) {
        struct chunk *chunk;
        struct flow_fixture fixture;

        if (firm)
            flow_fixture_open_pausable(&fixture, &block, 0, 1);
        else
            flow_fixture_open(&fixture, &newest, 1);
        chunk = sample(&fixture);
        budget_set(budget_used());
        for (uint32_t i = 0; i < 18; i++)
            (void)!chan_put(fixture.chan, fixture.feeds[0], chunk, i, i + 1, NULL);
        budget_set(0);
        cr_assert_eq(flow_fixture_balance(&fixture).dropped[LOSS_BUDGET].events, firm ? 0 : 2);
        chunk_release(chunk);
        flow_fixture_close(&fixture);
    }
    cr_assert_eq(budget_used(), 0);
}

Test(chan_memory, an_idle_channel_gives_its_entries_back_while_the_budget_is_short)
{
    struct flow_fixture fixture;
    struct chunk *chunk;

    flow_fixture_open(&fixture, &newest, 1);
    chunk = sample(&fixture);
    for (uint32_t i = 0; i < 40; i++)
        cr_assert_eq(chan_put(fixture.chan, fixture.feeds[0], chunk, i, i + 1, NULL), ERR_OK);
    flow_fixture_deliver(&fixture, 40);
    chan_trim(fixture.chan);
    cr_assert_gt(count_get(COUNT_LIVE_ENTRY_BYTES), 1000, "they are kept for later");
    budget_set(budget_used());
    chan_trim(fixture.chan);
    cr_assert_eq(count_get(COUNT_LIVE_ENTRY_BYTES), 0);
    budget_set(0);
    cr_assert_eq(chan_put(fixture.chan, fixture.feeds[0], chunk, 0, 1, NULL), ERR_OK);
    chunk_release(chunk);
    flow_fixture_balance(&fixture);
    flow_fixture_close(&fixture);
}

static void ignore_position(void *ctx, const struct source *source, uint64_t sequence)
{
    (void)ctx;
    (void)source;
    (void)sequence;
}

Test(chan_memory, the_entries_and_the_array_of_a_burst_are_given_back_when_batches_are_small_again)
{
    struct flow_fixture fixture;
    struct chunk *chunk;
    int64_t at_first;

    flow_fixture_open(&fixture, &newest, 1);
    chunk = sample(&fixture);
    at_first = count_get(COUNT_LIVE_ENTRY_BYTES);
    for (uint32_t i = 0; i < 80; i++)
        cr_assert_eq(chan_put(fixture.chan, fixture.feeds[0], chunk, i % 40, i % 40 + 1, NULL), ERR_OK);
    flow_fixture_deliver(&fixture, 80);
    cr_assert_eq(fixture.batch.capacity, 0, "the array of a large batch");
    (void)chan_positions(fixture.chan, 9, ignore_position, NULL);
    cr_assert_gt(count_get(COUNT_LIVE_ENTRY_BYTES), at_first, "a burst may come again");
    (void)chan_positions(fixture.chan, 9, ignore_position, NULL);
    cr_assert_leq(count_get(COUNT_LIVE_ENTRY_BYTES), at_first);
    chunk_release(chunk);
    flow_fixture_balance(&fixture);
    flow_fixture_close(&fixture);
}

Test(chan_memory, without_memory_for_the_set_of_moved_sources_their_feeds_stay)
{
    struct source *sources[9];
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &newest, 0);
    for (uint32_t i = 0; i < ARRAY_LEN(sources); i++) {
        struct chunk *chunk;

        sources[i] = source_named("many", i);
        chunk = chunk_even(sources[i], 1, 0, 1, 10);
        cr_assert_eq(chan_put(fixture.chan, NULL, chunk, 0, 1, NULL), ERR_OK);
        atomic_store(&sources[i]->routed, 1);
        chunk_release(chunk);
    }
    (void)chan_dequeue(fixture.chan, &fixture.batch, 99, 9999, 0);
    exhausted = true;
    chan_delivered(fixture.chan, &fixture.batch);
    exhausted = false;
    cr_assert_eq(chan_positions(fixture.chan, 99, ignore_position, NULL), ARRAY_LEN(sources));
    cr_assert_eq(count_get(COUNT_LIVE_FEED_BYTES), 0, "all are given back");
    for (uint32_t i = 0; i < ARRAY_LEN(sources); i++)
        source_release(sources[i]);
    flow_fixture_close(&fixture);
}

Test(chan_memory, a_range_that_cannot_be_parked_is_dropped_and_its_putter_goes_on)
{
    struct waiter waiter;
    struct chunk *chunk;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &block, 1);
    chunk = sample(&fixture);
    for (uint32_t i = 0; i < 16; i++)
        cr_assert_eq(chan_put(fixture.chan, fixture.feeds[0], chunk, i, i + 1, NULL), ERR_OK);
    exhausted = true;
    put_waiter_begin(&waiter.waiter);
    cr_assert_eq(chan_put(fixture.chan, fixture.feeds[0], chunk, 16, 20, &waiter.waiter), ERR_OK);
    cr_assert_eq(put_waiter_end(&waiter.waiter), ERR_OK);
    exhausted = false;
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:BUDGET 18-21 x4");
    cr_assert_not(flow_fixture_balance(&fixture).blocked);
    chunk_release(chunk);
    flow_fixture_close(&fixture);
}

Test(chan_memory, a_pausable_feed_that_cannot_park_is_not_asked_to_pause)
{
    struct chunk *chunk;
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &block, 0, 1);
    chunk = sample(&fixture);
    for (uint32_t i = 0; i < 16; i++)
        cr_assert_eq(chan_put(fixture.chan, fixture.feeds[0], chunk, i, i + 1, NULL), ERR_OK);
    exhausted = true;
    cr_assert_eq(chan_put(fixture.chan, fixture.feeds[0], chunk, 16, 20, NULL), ERR_OK);
    exhausted = false;
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:BUDGET 18-21 x4");
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "");
    chunk_release(chunk);
    flow_fixture_balance(&fixture);
    flow_fixture_close(&fixture);
}

Test(chan_memory, a_parked_range_is_admitted_without_memory)
{
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &block, 0, 1);
    for (uint32_t i = 0; i < 15; i++)
        cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 2, 10), ERR_AGAIN,
                 "sixteen entries wait, the seventeenth is parked");
    flow_fixture_dequeue(&fixture, 8);
    exhausted = true;
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "a stops a goes");
    chan_drain(fixture.chan);
    exhausted = false;
    cr_assert_eq(flow_fixture_balance(&fixture).dropped[LOSS_BUDGET].events, 0);
    flow_fixture_close(&fixture);
}

Test(chan_memory, without_memory_an_older_event_still_makes_way_for_the_newer)
{
    struct keyed_event events[40];
    char keys[40][4];
    struct chunk *chunk;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &latest, 1);
    cr_assert_eq(flow_fixture_put_keys(&fixture, 0, "-"), ERR_OK);
    flow_fixture_deliver(&fixture, 1);
    for (uint32_t i = 0; i < 40; i++) {
        snprintf(keys[i], sizeof(keys[i]), "%u", i % 20);
        events[i] = (struct keyed_event){.topic = "t", .key = keys[i]};
    }
    chunk = chunk_keyed(fixture.sources[0], 2, 0, 40, events);
    exhausted = true;
    cr_assert_eq(chan_put(fixture.chan, fixture.feeds[0], chunk, 0, 16, NULL), ERR_OK,
                 "sixteen have an entry");
    cr_assert_eq(chan_put(fixture.chan, fixture.feeds[0], chunk, 20, 36, NULL), ERR_OK,
                 "and so do their successors");
    exhausted = false;
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:COALESCED 2-17 x16");
    cr_assert_eq(chan_put(fixture.chan, fixture.feeds[0], chunk, 16, 20, NULL), ERR_OK);
    exhausted = true;
    cr_assert_eq(chan_put(fixture.chan, fixture.feeds[0], chunk, 36, 40, NULL), ERR_OK);
    exhausted = false;
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:COALESCED 18-21 x4");
    flow_fixture_deliver(&fixture, 99);
    cr_assert_eq(flow_fixture_balance(&fixture).delivered.events, 21);
    chunk_release(chunk);
    flow_fixture_close(&fixture);
}

Test(chan_memory, keys_are_found_where_their_table_could_not_grow)
{
    struct keyed_event events[64];
    char keys[64][4];
    struct chunk *chunk;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &latest, 1);
    for (uint32_t i = 0; i < 64; i++)
        cr_assert_eq(flow_fixture_put_keys(&fixture, 0, "-"), ERR_OK);
    flow_fixture_deliver(&fixture, 99);
    for (uint32_t i = 0; i < 64; i++) {
        snprintf(keys[i], sizeof(keys[i]), "%u", i);
        events[i] = (struct keyed_event){.topic = "t", .key = keys[i]};
    }
    chunk = chunk_keyed(fixture.sources[0], 65, 0, 64, events);
    exhausted = true;
    for (int round = 0; round < 2; round++)
        cr_assert_eq(chan_put(fixture.chan, fixture.feeds[0], chunk, 0, 64, NULL), ERR_OK,
                     "64 entries are there, and 16 slots");
    exhausted = false;
    cr_assert_eq(flow_fixture_balance(&fixture).dropped[LOSS_COALESCED].events, 64);
    cr_assert_eq(chan_put(fixture.chan, fixture.feeds[0], chunk, 0, 64, NULL), ERR_OK);
    cr_assert_eq(flow_fixture_balance(&fixture).dropped[LOSS_COALESCED].events, 128);
    chunk_release(chunk);
    flow_fixture_close(&fixture);
}

Test(chan_memory, a_feed_ends_without_its_message)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &newest, 1);
    exhausted = true;
    feed_close(fixture.chan, fixture.feeds[0], 7, 5, "a reason");
    exhausted = false;
    fixture.feeds[0] = NULL;
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "a is 7 for 5: ");
    flow_fixture_close(&fixture);
}

Test(chan_memory, a_batch_that_cannot_grow_is_shorter)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &newest, 1);
    for (uint32_t i = 0; i < 20; i++)
        cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    exhausted = true;
    cr_assert(chan_dequeue(fixture.chan, &fixture.batch, 99, 9999, 0), "more waits");
    cr_assert_eq(fixture.batch.events, 0);
    exhausted = false;
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 1), "a1");
    exhausted = true;
    cr_assert(chan_dequeue(fixture.chan, &fixture.batch, 99, 9999, 0));
    exhausted = false;
    cr_assert_eq(fixture.batch.events, 16, "as many as its array holds");
    flow_fixture_balance(&fixture);
    flow_fixture_close(&fixture);
}

Test(chan_memory, without_memory_a_second_reason_is_reported_under_the_first)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &newest, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 101, 10), ERR_OK);
    flow_fixture_dequeue(&fixture, 2);
    exhausted = true;
    chan_lost(fixture.chan, &fixture.batch, LOSS_DRAIN_CUT);
    exhausted = false;
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:NEWEST 1-101 x3",
                     "the count is right all the same");
    cr_assert_eq(flow_fixture_balance(&fixture).dropped[LOSS_DRAIN_CUT].events, 2, "and so are the sums");
    flow_fixture_close(&fixture);
}
