/* test_shared_feed.c - shared feeds: when the channel makes one, when it gives it back, and that
 * nothing is lost or counted wrongly on the way. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "flow/chan_report.h"
#include "flow/chan_stats.h"
#include "flow/producer_state.h"
#include "flow/shared_feed.h"
#include "flow_fixture.h"
#include "lib/chunks.h"

static const struct chan_limits oldest = {
    .max_events = 4, .max_bytes = 1000, .overflow = OVERFLOW_DROP_OLDEST};
static const struct chan_limits block = {.max_events = 4,
                                         .max_bytes = 1000,
                                         .overflow = OVERFLOW_BLOCK,
                                         .fallback = OVERFLOW_DROP_OLDEST,
                                         .block_timeout_ns = FOR_EVER};
static const struct chan_limits silent = {
    .max_events = 4, .max_bytes = 1000, .overflow = OVERFLOW_DROP_OLDEST, .no_states = true};

static struct flow_fixture fixture;
static struct source *web;
static uint64_t next;

static void begin(struct source *source)
{
    shared_state(fixture.chan, source, &(struct source_state){.state = PRODUCER_ACTIVE});
}

static void open_fixture(const struct chan_limits *limits)
{
    flow_fixture_open(&fixture, limits, 0);
    web = source_named("web", 1);
    next = 1;
}

static void close_fixture(void)
{
    source_release(web);
    flow_fixture_close(&fixture);
}

TestSuite(shared_feed, .fini = close_fixture);

/* Publishes: puts `events` events of 10 bytes, then says that they were put. */
static enum err put(uint32_t events, struct put_waiter *waiter)
{
    struct chunk *chunk = chunk_even(web, next, 0, events, 10);
    enum err err = chan_put(fixture.chan, NULL, chunk, 0, events, waiter);

    chunk_release(chunk);
    next += events;
    atomic_store(&web->routed, next - 1);
    return err;
}

static uint32_t feeds(void)
{
    return flow_fixture_feeds(&fixture);
}

static bool next_web(void *ctx, const struct source **source_out, uint64_t *routed_out)
{
    *source_out = web;
    *routed_out = atomic_load(&web->routed);
    return (*(int *)ctx)++ == 0;
}

static bool on_position(void *ctx, const struct source *source, uint64_t sequence)
{
    cr_expect_str_eq(source->name, "web");
    cr_expect_eq(*(uint64_t *)ctx, 0, "once");
    *(uint64_t *)ctx = sequence;
    return true;
}

/* Where the channel stands in the source, whether it has a feed or not. */
static uint64_t position(void)
{
    uint64_t sequence = 0;
    int at = 0;

    chan_all_positions(fixture.chan, &(struct chan_sources){next_web, &at}, on_position, &sequence);
    return sequence;
}

Test(shared_feed, it_is_made_by_a_put_and_given_back_when_all_was_delivered_and_reported)
{
    open_fixture(&oldest);
    cr_assert_eq(feeds(), 0);
    cr_assert_eq(put(3, NULL), ERR_OK);
    cr_assert_eq(feeds(), 1, "events wait");
    cr_assert_eq(position(), 0);
    cr_assert_str_eq(flow_fixture_dequeue(&fixture, 9), "web1-3");
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "web=3");
    cr_assert_eq(feeds(), 1, "they are in flight");
    chan_delivered(fixture.chan, &fixture.batch);
    cr_assert_eq(feeds(), 0);
    cr_assert_eq(position(), 3, "source->routed");
    cr_assert_eq(flow_fixture_balance(&fixture).delivered.events, 3, "the totals stay");
    cr_assert_eq(put(1, NULL), ERR_OK);
    cr_assert_eq(position(), 3);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "web4");
    cr_assert_eq(feeds(), 1, "its position was not reported");
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "web=4");
    cr_assert_eq(feeds(), 0);
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "", "once");
}

Test(shared_feed, it_stays_until_its_put_was_stored_at_the_source)
{
    open_fixture(&oldest);
    cr_assert_eq(put(3, NULL), ERR_OK);
    atomic_store(&web->routed, 0); /* the putter is busy with other channels */
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "web1-3");
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "web=3");
    cr_assert_eq(position(), 3, "it does not go back");
    cr_assert_eq(feeds(), 1);
    atomic_store(&web->routed, 3);
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "");
    cr_assert_eq(feeds(), 0);
    cr_assert_eq(position(), 3);
}

Test(shared_feed, it_stays_while_a_loss_is_to_be_reported)
{
    open_fixture(&oldest);
    cr_assert_eq(put(6, NULL), ERR_OK);
    flow_fixture_deliver(&fixture, 9);
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "");
    cr_assert_eq(feeds(), 1);
    cr_assert_eq(position(), 0, "1 and 2 are not reported yet");
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "web:OLDEST 1-2 x2");
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "web=6");
    cr_assert_eq(feeds(), 0);
}

Test(shared_feed, a_put_that_drops_the_last_of_its_own_events_keeps_it)
{
    open_fixture(&oldest);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(put(9, NULL), ERR_OK);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "web42-45");
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "web:OLDEST 1-41 x41");
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "web=45");
    cr_assert_eq(feeds(), 0);
}

static void over(struct put_waiter *waiter)
{
    container_of(waiter, struct waiter, waiter)->over++;
}

Test(shared_feed, what_a_putter_gives_up_is_found_by_its_source)
{
    struct waiter waiter = {.waiter = {.over = over}};

    open_fixture(&block);
    put_waiter_begin(&waiter.waiter);
    cr_assert_eq(put(6, &waiter.waiter), ERR_AGAIN);
    cr_assert_eq(put_waiter_end(&waiter.waiter), ERR_AGAIN);
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "");
    shared_give_up(fixture.chan, web, &waiter.waiter);
    cr_assert_eq(waiter.over, 1);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "web3-4 web5-6");
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "web:TIMEOUT 1-2 x2");
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "web=6");
    cr_assert_eq(feeds(), 0);
    shared_give_up(fixture.chan, web, &waiter.waiter);
    cr_assert_eq(waiter.over, 1, "there is nothing to give up");
}

Test(shared_feed, a_state_is_reported_once_and_needs_a_feed_only_until_then)
{
    open_fixture(&oldest);
    begin(web);
    cr_assert_eq(feeds(), 1);
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "web is 3");
    cr_assert_eq(feeds(), 0);
    cr_assert_eq(put(1, NULL), ERR_OK);
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "", "it is ACTIVE still");
    shared_end(fixture.chan, web, PRODUCER_ENDED, 5, "no such table");
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "", "an event waits");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "web1");
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "web is 7 for 5: no such table");
    cr_assert_eq(feeds(), 0);
    shared_end(fixture.chan, web, PRODUCER_REMOVED, 0, NULL);
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "web is 8", "also where there was no feed");
    cr_assert_eq(feeds(), 0);
}

Test(shared_feed, a_state_may_change_and_the_latest_one_is_reported_with_its_cause)
{
    const struct source_state lost = {PRODUCER_UNAVAILABLE, 14, "refused"};
    const struct source_state lost_again = {PRODUCER_UNAVAILABLE, 4, NULL};

    open_fixture(&oldest);
    begin(web);
    shared_state(fixture.chan, web, &lost);
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "web is 5 for 14: refused");
    cr_assert_eq(feeds(), 0);
    cr_assert_eq(put(1, NULL), ERR_OK);
    shared_state(fixture.chan, web, &lost);
    shared_state(fixture.chan, web, &lost_again);
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "web is 5 for 4: ");
    shared_state(fixture.chan, web, &lost);
    begin(web);
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "web is 3");
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "");
    shared_state(fixture.chan, web, &lost);
    shared_end(fixture.chan, web, PRODUCER_ENDED, 0, NULL);
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "", "an event waits, and nothing comes after the end");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "web1");
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "web is 7");
    cr_assert_eq(feeds(), 0);
}

Test(shared_feed, a_long_message_is_truncated_between_characters)
{
    char message[300], expected[300];
    int size = 0;

    open_fixture(&oldest);
    memset(message, 'a', 255);
    strcpy(message + 255, "\xc3\xa4 and more");
    size = snprintf(expected, sizeof(expected), "web is 5 for 14: ");
    memset(expected + size, 'a', 255);
    expected[size + 255] = '\0';
    shared_state(fixture.chan, web, &(struct source_state){PRODUCER_UNAVAILABLE, 14, message});
    memset(message, 'b', 255); /* it was copied */
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), expected);
}

Test(shared_feed, where_nobody_wants_states_none_is_kept)
{
    open_fixture(&silent);
    begin(web);
    shared_end(fixture.chan, web, PRODUCER_REMOVED, 0, NULL);
    cr_assert_eq(feeds(), 0);
    cr_assert_eq(put(1, NULL), ERR_OK);
    shared_end(fixture.chan, web, PRODUCER_REMOVED, 0, NULL);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "web1");
    (void)chan_states(fixture.chan, 9, NULL, NULL);
    cr_assert_eq(feeds(), 0);
}

static uint64_t ended_sources(void)
{
    struct chan_stats stats;

    chan_stats(fixture.chan, &stats);
    return stats.ended_sources;
}

Test(shared_feed, a_source_that_ended_is_counted_when_it_has_no_position_any_more)
{
    open_fixture(&oldest);
    cr_assert_eq(put(1, NULL), ERR_OK);
    shared_end(fixture.chan, web, PRODUCER_REMOVED, 0, NULL);
    chan_states(fixture.chan, 9, NULL, NULL);
    cr_assert_eq(ended_sources(), 0, "its event waits");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "web1");
    cr_assert_eq(ended_sources(), 0, "its end is not reported");
    chan_states(fixture.chan, 9, NULL, NULL);
    cr_assert_eq(ended_sources(), 1);
    cr_assert_eq(feeds(), 0);
}

Test(shared_feed, a_source_that_ended_without_a_feed_is_counted)
{
    open_fixture(&silent);
    shared_end(fixture.chan, web, PRODUCER_REMOVED, 0, NULL);
    cr_assert_eq(ended_sources(), 1);
}

Test(shared_feed, a_source_that_comes_back_gets_a_feed_of_its_own)
{
    open_fixture(&oldest);
    cr_assert_eq(put(2, NULL), ERR_OK);
    shared_end(fixture.chan, web, PRODUCER_ENDED, 0, NULL);
    begin(web);
    cr_assert_eq(put(1, NULL), ERR_OK);
    cr_assert_eq(feeds(), 2);
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "web is 3", "its first life still has events");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "web1-2 web3");
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "web is 7");
}

Test(shared_feed, a_source_that_comes_back_stands_where_its_earlier_feed_stands)
{
    open_fixture(&oldest);
    cr_assert_eq(put(1, NULL), ERR_OK);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "web1");
    cr_assert_eq(put(2, NULL), ERR_OK);
    shared_end(fixture.chan, web, PRODUCER_ENDED, 0, NULL);
    next = 8;
    atomic_store(&web->routed, 7); /* what it publishes while it is not selected */
    cr_assert_eq(position(), 1, "2 and 3 wait, and no feed is open");
    begin(web);
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "web is 3");
    cr_assert_eq(position(), 1);
    cr_assert_eq(put(1, NULL), ERR_OK);
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "web=1 web=1");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 1), "web2");
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "web=2 web=2");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "web3 web8");
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "web is 7");
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "web=8");
    cr_assert_eq(position(), 8);
    cr_assert_eq(feeds(), 0);
}

Test(shared_feed, a_frozen_position_stays_where_it_was)
{
    open_fixture(&oldest);
    cr_assert_not(shared_freeze(fixture.chan, web), "there is no feed that could keep it");
    cr_assert_eq(put(2, NULL), ERR_OK);
    cr_assert(shared_freeze(fixture.chan, web));
    atomic_store(&web->routed, 50);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "web1-2");
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "web=2");
    cr_assert_eq(position(), 2);
    cr_assert_eq(feeds(), 1, "it keeps the position");
}

Test(shared_feed, a_gap_before_the_first_event_is_reported_and_in_no_total)
{
    open_fixture(&oldest);
    atomic_store(&web->routed, 9);
    next = 10;
    begin(web);
    shared_gap(fixture.chan, web, 5, 9, false);
    cr_assert_eq(position(), 4);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "web:GAP 5-9 x5");
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "web=9");
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "web is 3");
    cr_assert_eq(feeds(), 0);
    cr_assert_eq(flow_fixture_balance(&fixture).accepted.events, 0);
}

/* Begins `count` sources and lets go of them. */
static void begin_many(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct source *source = source_named("many", i);

        begin(source);
        source_release(source);
    }
}

static void count_state(void *ctx, const struct feed_change *change)
{
    uint32_t *counts = ctx;

    counts[change->source ? 0 : 1]++;
    if (!change->source)
        cr_expect_eq(change->state, PRODUCER_RESYNC);
}

Test(shared_feed, one_state_too_many_and_resync_stands_for_all)
{
    uint32_t counts[2] = {0};

    open_fixture(&oldest);
    begin_many(MAX_SHARED_STATES);
    cr_assert_eq(feeds(), MAX_SHARED_STATES);
    begin_many(1);
    cr_assert_eq(feeds(), 0, "nothing is left to keep for them");
    begin_many(10);
    cr_assert_eq(feeds(), 0);
    chan_states(fixture.chan, UINT32_MAX, count_state, counts);
    cr_assert_eq(counts[0], 0);
    cr_assert_eq(counts[1], 1);
    begin_many(3);
    chan_states(fixture.chan, UINT32_MAX, count_state, counts);
    cr_assert_eq(counts[0], 3, "after it states are reported again");
    cr_assert_eq(counts[1], 1);
}

Test(shared_feed, a_last_state_that_still_waits_for_events_outlives_a_resync)
{
    open_fixture(&oldest);
    cr_assert_eq(put(1, NULL), ERR_OK);
    shared_end(fixture.chan, web, PRODUCER_REMOVED, 0, NULL);
    begin_many(MAX_SHARED_STATES + 1);
    cr_assert_eq(feeds(), 1);
    cr_assert_eq(chan_states(fixture.chan, 1, NULL, NULL), 1, "RESYNC");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "web1");
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "web is 8");
    cr_assert_eq(feeds(), 0);
}

Test(shared_feed, many_sources_are_found_and_forgotten)
{
    struct source *sources[200];
    const uint32_t count = ARRAY_LEN(sources);

    open_fixture(&(struct chan_limits){
        .max_events = 1000, .max_bytes = 100000, .overflow = OVERFLOW_DROP_OLDEST, .no_states = true});
    for (uint32_t i = 0; i < 2 * count; i++) {
        struct chunk *chunk;

        if (i < count)
            sources[i] = source_named("many", i);
        chunk = chunk_even(sources[i % count], 1 + i / count, 0, 1, 10);
        cr_assert_eq(chan_put(fixture.chan, NULL, chunk, 0, 1, NULL), ERR_OK);
        atomic_store(&sources[i % count]->routed, 1 + i / count);
        chunk_release(chunk);
        cr_assert_eq(feeds(), MIN_OF(i + 1, count));
    }
    flow_fixture_deliver(&fixture, 1000);
    for (uint32_t i = 0; i < count; i++)
        source_release(sources[i]);
    flow_fixture_positions(&fixture, UINT32_MAX);
    cr_assert_eq(feeds(), 0);
}
