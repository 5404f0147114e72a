/* test_chan_pausable.c - pausable feeds: when their producers are asked to pause and to go on, what
 * they may put meanwhile, and who loses beyond that. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "base/clock.h"
#include "flow/chan_batch.h"
#include "flow/chan_internal.h"
#include "flow/feed.h"
#include "flow_fixture.h"

static struct chan_limits limits(enum overflow overflow, enum overflow fallback, uint32_t max_events)
{
    return (struct chan_limits){.max_events = max_events,
                                .max_bytes = 10 << 20,
                                .overflow = overflow,
                                .fallback = fallback,
                                .block_timeout_ns = NS_PER_S};
}

Test(chan_pausable, by_feed_blocks_pausable_feeds_and_drops_oldest_of_shared_ones)
{
    struct chan_limits bounds = limits(OVERFLOW_BY_FEED, OVERFLOW_DROP_OLDEST, 4);
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &bounds, 1, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 6, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:OLDEST 1-2 x2");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a3-6");
    cr_assert_eq(flow_fixture_put(&fixture, 1, 4, 10), ERR_OK, "exactly full is not too much");
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "");
    cr_assert_eq(flow_fixture_put(&fixture, 1, 2, 10), ERR_AGAIN);
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "b stops");
    cr_assert_eq(flow_fixture_balance(&fixture).accepted.events, 10, "what is parked is not accepted yet");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 1), "b1");
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "", "three of four is more than half");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 1), "b2");
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "b goes", "two of four is half");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "b3-4 b5-6");
    cr_assert_eq(flow_fixture_balance(&fixture).delivered.events, 10);
    flow_fixture_close(&fixture);
}

Test(chan_pausable, other_policies_treat_both_kinds_alike)
{
    static const enum overflow policies[] = {OVERFLOW_DROP_OLDEST, OVERFLOW_DROP_NEWEST, OVERFLOW_DISCONNECT};
    static const char *const losses[] = {"a:OLDEST 1-1 x1", "a:NEWEST 5-5 x1", "a:NEWEST 5-5 x1"};

    for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
        struct chan_limits bounds = limits(policies[i], OVERFLOW_DROP_OLDEST, 4);
        struct flow_fixture fixture;

        flow_fixture_open_pausable(&fixture, &bounds, 0, 1);
        cr_assert_eq(flow_fixture_put(&fixture, 0, 5, 10), ERR_OK);
        cr_assert_str_eq(flow_fixture_losses(&fixture, 9), losses[i]);
        cr_assert_str_eq(flow_fixture_pauses(&fixture), "", "nothing is ever parked");
        flow_fixture_close(&fixture);
    }
}

Test(chan_pausable, block_parks_both_kinds_in_order_and_times_the_shared_one_alone)
{
    struct chan_limits bounds = limits(OVERFLOW_BLOCK, OVERFLOW_DROP_NEWEST, 4);
    struct waiter waiter;
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &bounds, 1, 2);
    cr_assert_eq(flow_fixture_put(&fixture, 1, 5, 10), ERR_AGAIN);
    cr_assert_eq(fixture.readable_calls, 1);
    cr_assert_eq(chan_blocked_until(fixture.chan), INT64_MAX, "a pausable feed is not timed");
    cr_assert_not(flow_fixture_balance(&fixture).blocked);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 1, 10, &waiter), ERR_AGAIN);
    cr_assert_eq(fixture.readable_calls, 2, "but the shared one");
    cr_assert_lt(chan_blocked_until(fixture.chan), INT64_MAX);
    cr_assert(flow_fixture_balance(&fixture).blocked);
    cr_assert_eq(flow_fixture_put(&fixture, 2, 1, 10), ERR_AGAIN);
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "b stops c stops");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 2), "b1-2");
    cr_assert_eq(waiter.over, 1, "two fit: the first two that came");
    cr_assert_eq(chan_blocked_until(fixture.chan), INT64_MAX);
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "b goes");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 2), "b3-4");
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "c goes");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "b5 a1 c1");
    flow_fixture_close(&fixture);
}

Test(chan_pausable, an_active_fallback_moves_shared_feeds_and_leaves_pausable_ones)
{
    struct chan_limits bounds = limits(OVERFLOW_BLOCK, OVERFLOW_DROP_NEWEST, 4);
    struct waiter first, second;
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &bounds, 1, 1);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 5, 10, &first), ERR_AGAIN);
    cr_assert_eq(flow_fixture_put(&fixture, 1, 2, 10), ERR_AGAIN);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 1, 10, &second), ERR_AGAIN);
    chan_tick(fixture.chan, chan_blocked_until(fixture.chan));
    cr_assert(first.over == 1 && second.over == 1);
    cr_assert_eq(chan_blocked_until(fixture.chan), INT64_MAX);
    cr_assert(flow_fixture_balance(&fixture).fallback_active);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:TIMEOUT 5-6 x2");
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "b stops");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 1), "a1");
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 1, 10, &first), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:TIMEOUT 7-7 x1",
                     "the space is for what came before");
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 1), "a2");
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 1, 10, &first), ERR_OK);
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "b goes", "and then its second");
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:TIMEOUT 8-8 x1");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a3-4 b1 b2");
    flow_fixture_close(&fixture);
}

Test(chan_pausable, a_pausable_feed_parks_while_the_fallback_is_active)
{
    struct chan_limits bounds = limits(OVERFLOW_BLOCK, OVERFLOW_DROP_NEWEST, 4);
    struct waiter waiter;
    struct flow_fixture fixture;

    bounds.block_timeout_ns = 0;
    flow_fixture_open_pausable(&fixture, &bounds, 1, 1);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 5, 10, &waiter), ERR_OK);
    cr_assert(flow_fixture_balance(&fixture).fallback_active);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 1), "a1");
    cr_assert_eq(flow_fixture_put(&fixture, 1, 1, 10), ERR_OK, "there is space");
    cr_assert_eq(flow_fixture_put(&fixture, 1, 1, 10), ERR_AGAIN, "there is none");
    cr_assert(flow_fixture_balance(&fixture).fallback_active);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:TIMEOUT 5-5 x1");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a2-4 b1");
    cr_assert_not(flow_fixture_balance(&fixture).fallback_active);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "b2");
    flow_fixture_close(&fixture);
}

Test(chan_pausable, many_parked_pausable_ranges_never_activate_the_fallback)
{
    struct chan_limits bounds = limits(OVERFLOW_BLOCK, OVERFLOW_DROP_NEWEST, 1);
    struct waiter waiter;
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &bounds, 1, 3);
    for (uint32_t i = 0; i < 1000; i++)
        for (uint32_t feed = 1; feed < 4; feed++)
            (void)!flow_fixture_put(&fixture, feed, 1, 10);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 1, 10, &waiter), ERR_AGAIN,
                 "3000 ranges are parked, and none of them is its");
    cr_assert_not(flow_fixture_balance(&fixture).fallback_active);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "");
    flow_fixture_close(&fixture);
}

/* A channel of four events that is full, and has opened a pause with `opening` events. */
static void open_paused(struct flow_fixture *fixture, enum overflow fallback, uint32_t opening, uint32_t size)
{
    struct chan_limits bounds = limits(OVERFLOW_BLOCK, fallback, 4);

    flow_fixture_open_pausable(fixture, &bounds, 0, 1);
    cr_assert_eq(flow_fixture_put(fixture, 0, 4, 10), ERR_OK);
    cr_assert_eq(flow_fixture_put(fixture, 0, opening, size), ERR_AGAIN,
                 "what opens the pause is parked, however much it is");
    cr_assert_str_eq(flow_fixture_pauses(fixture), "a stops");
}

Test(chan_pausable, the_reserve_holds_1024_events_and_not_one_more)
{
    struct flow_fixture fixture;

    open_paused(&fixture, OVERFLOW_DROP_OLDEST, 3, 10);
    for (uint32_t i = 0; i < 1024; i++)
        cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_AGAIN);
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "");
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "");
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "a goes", "nothing is parked any more");
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:OLDEST 1-1028 x1028");
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_AGAIN, "the next one opens a pause of its own");
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "a stops");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a1029 a1030 a1031 a1032");
    flow_fixture_balance(&fixture);
    flow_fixture_close(&fixture);
}

Test(chan_pausable, the_reserve_holds_256_kibibytes_and_not_one_more)
{
    struct flow_fixture fixture;

    open_paused(&fixture, OVERFLOW_DROP_NEWEST, 1, 1 << 20);
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 64 << 10), ERR_AGAIN);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "");
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 1), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:NEWEST 5-10 x6",
                     "all that was parked, and what came");
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "a goes");
    cr_assert_not(flow_fixture_balance(&fixture).fallback_active, "it is no matter of the channel's");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a1-4");
    flow_fixture_close(&fixture);
}

Test(chan_pausable, space_that_comes_meanwhile_restores_the_reserve)
{
    struct flow_fixture fixture;

    open_paused(&fixture, OVERFLOW_DROP_NEWEST, 1, 10);
    for (uint32_t i = 0; i < 1024; i++)
        cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_AGAIN);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 3), "a1-3");
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_AGAIN, "three were admitted");
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_eq(flow_fixture_balance(&fixture).dropped[LOSS_OVERFLOW_NEWEST].events, 1026);
    flow_fixture_close(&fixture);
}

Test(chan_pausable, each_feed_has_a_reserve_of_its_own)
{
    struct chan_limits bounds = limits(OVERFLOW_BLOCK, OVERFLOW_DROP_NEWEST, 4);
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &bounds, 0, 2);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 5, 10), ERR_AGAIN);
    cr_assert_eq(flow_fixture_put(&fixture, 1, 1, 10), ERR_AGAIN);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1024, 10), ERR_AGAIN);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 1), "a1");
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:NEWEST 5-1030 x1026",
                     "one would fit, but not one that came later");
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "a stops b stops a goes");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a2-4");
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "b goes");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "b1");
    flow_fixture_close(&fixture);
}

Test(chan_pausable, beyond_the_reserve_a_channel_may_break)
{
    struct flow_fixture fixture;

    open_paused(&fixture, OVERFLOW_DISCONNECT, 1, 10);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1024, 10), ERR_AGAIN);
    cr_assert_eq(chan_state(fixture.chan), CHAN_OPEN);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_eq(chan_state(fixture.chan), CHAN_BROKEN);
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "a goes");
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_CLOSED);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:NEWEST 5-1030 x1026");
    flow_fixture_close(&fixture);
}

Test(chan_pausable, neither_a_flood_nor_parked_events_starve_the_other)
{
    struct chan_limits bounds = limits(OVERFLOW_BY_FEED, OVERFLOW_DROP_OLDEST, 100);
    uint64_t pausable = 0, taken = 0;
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &bounds, 1, 1);
    for (uint32_t round = 0; round < 300; round++) {
        cr_assert_eq(flow_fixture_put(&fixture, 0, 50, 20), ERR_OK);
        if (!fixture.producers[1].paused)
            (void)!flow_fixture_put(&fixture, 1, 30, 20);
        flow_fixture_dequeue(&fixture, 10);
        for (uint32_t i = 0; i < fixture.batch.count; i++)
            pausable += fixture.batch.entries[i].feed == fixture.feeds[1]
                            ? fixture.batch.entries[i].last - fixture.batch.entries[i].first
                            : 0;
        taken += fixture.batch.events;
        chan_delivered(fixture.chan, &fixture.batch);
    }
    cr_assert_eq(taken, 3000);
    cr_assert(pausable >= 1400 && pausable <= 1600, "half of what was taken, not %llu",
              (unsigned long long)pausable);
    flow_fixture_losses(&fixture, 9);
    cr_assert(strstr(fixture.text, "a:OLDEST") && !strstr(fixture.text, "b:"), "and it lost nothing: %s",
              fixture.text);
    flow_fixture_balance(&fixture);
    flow_fixture_close(&fixture);
}

Test(chan_pausable, parked_events_get_half_of_what_was_dequeued)
{
    struct chan_limits bounds = limits(OVERFLOW_BY_FEED, OVERFLOW_DROP_OLDEST, 100);
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &bounds, 1, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 100, 10), ERR_OK);
    cr_assert_eq(flow_fixture_put(&fixture, 1, 500, 10), ERR_AGAIN);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:OLDEST 1-1 x1", "nothing was taken yet");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a2-10");
    cr_assert_eq(flow_fixture_put(&fixture, 0, 9, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "", "and now there is space");
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:OLDEST 11-15 x5",
                     "one for itself, four for the other: half of nine, and no part of an event");
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:OLDEST 16-16 x1", "nothing else is due");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "a17-100 a101 a102-110 a111 b1-4");
    flow_fixture_close(&fixture);
}

Test(chan_pausable, the_heaviest_feed_gets_no_share)
{
    struct chan_limits bounds = limits(OVERFLOW_BY_FEED, OVERFLOW_DROP_OLDEST, 10);
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &bounds, 1, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 1, 12, 10), ERR_AGAIN);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 2), "b1-2", "so one is due");
    cr_assert_eq(flow_fixture_put(&fixture, 0, 3, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "b:OLDEST 3-3 x1", "it makes way for another's share");
    cr_assert_eq(flow_fixture_balance(&fixture).accepted.events, 13);
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "b stops");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "b4-10 a1-3");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "b11-12");
    flow_fixture_close(&fixture);
}

Test(chan_pausable, no_producer_is_resumed_in_a_closed_channel)
{
    struct chan_limits bounds = limits(OVERFLOW_BY_FEED, OVERFLOW_DROP_OLDEST, 4);
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &bounds, 0, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 6, 10), ERR_AGAIN);
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "a stops");
    chan_close(fixture.chan, LOSS_DRAIN_CUT);
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "");
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:CUT 1-6 x6");
    cr_assert(chan_idle(fixture.chan));
    flow_fixture_balance(&fixture);
    flow_fixture_close(&fixture);
}

Test(chan_pausable, a_silenced_feed_asks_for_nothing_more)
{
    struct chan_limits bounds = limits(OVERFLOW_BY_FEED, OVERFLOW_DROP_OLDEST, 4);
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &bounds, 0, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 6, 10), ERR_AGAIN);
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "a stops");
    feed_silence(fixture.chan, fixture.feeds[0]);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a1-4");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a5-6", "what was parked is admitted");
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "");
    flow_fixture_close(&fixture);
}

Test(chan_pausable, a_drain_admits_what_was_parked)
{
    struct chan_limits bounds = limits(OVERFLOW_BY_FEED, OVERFLOW_DROP_OLDEST, 4);
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &bounds, 0, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 6, 10), ERR_AGAIN);
    chan_drain(fixture.chan);
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "a stops a goes");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a1-4 a5-6");
    cr_assert(chan_idle(fixture.chan));
    flow_fixture_close(&fixture);
}

Test(chan_pausable, the_parked_events_of_a_closed_feed_are_admitted_as_space_comes)
{
    struct chan_limits bounds = limits(OVERFLOW_BY_FEED, OVERFLOW_DROP_OLDEST, 4);
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &bounds, 0, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 6, 10), ERR_AGAIN);
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "a stops");
    feed_close(fixture.chan, fixture.feeds[0], 7, 13, "out of breath");
    fixture.feeds[0] = NULL;
    fixture.producers[0].silenced = true;
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a1-4");
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a5-6");
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "a is 7 for 13: out of breath");
    flow_fixture_close(&fixture);
}

/* A producer that takes its time to react. */
struct slow_producer {
    _Atomic bool in_call, may_go_on, reacted, closed;
    _Atomic bool was_closed; /* when it had reacted */
    struct chan *chan;
    struct feed *feed;
};

static void hear_slowly(void *ctx, bool pause)
{
    struct slow_producer *slow_producer = ctx;

    cr_assert(pause && !slow_producer->reacted);
    slow_producer->in_call = true;
    while (!slow_producer->may_go_on)
        sched_yield();
    slow_producer->was_closed = slow_producer->closed;
    slow_producer->reacted = true;
}

static void *close_feed(void *ctx)
{
    struct slow_producer *slow_producer = ctx;

    feed_close(slow_producer->chan, slow_producer->feed, 7, 0, NULL);
    slow_producer->closed = true;
    return NULL;
}

static void *put_feed(void *ctx)
{
    struct flow_fixture *fixture = ctx;

    (void)!flow_fixture_put(fixture, 0, 6, 10);
    return NULL;
}

static bool is_silenced(struct slow_producer *slow_producer)
{
    bool silenced;

    pthread_mutex_lock(&slow_producer->chan->lock);
    silenced = slow_producer->feed->silenced;
    pthread_mutex_unlock(&slow_producer->chan->lock);
    return silenced;
}

Test(chan_pausable, feed_close_waits_for_a_call_that_is_being_made, .timeout = 60)
{
    struct chan_limits bounds = limits(OVERFLOW_BY_FEED, OVERFLOW_DROP_OLDEST, 4);
    struct slow_producer slow_producer = {0};
    pthread_t putter, closer;
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &bounds, 0, 1);
    feed_close(fixture.chan, fixture.feeds[0], 7, 0, NULL);
    fixture.feeds[0] = feed_open(fixture.chan, fixture.sources[0], 1,
                                 &(struct pause_port){.set_paused = hear_slowly, .ctx = &slow_producer});
    slow_producer.chan = fixture.chan;
    slow_producer.feed = fixture.feeds[0];
    cr_assert_eq(pthread_create(&putter, NULL, put_feed, &fixture), 0);
    while (!slow_producer.in_call)
        sched_yield();
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a1-4", "no other waits for it meanwhile");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a5-6");
    cr_assert_eq(pthread_create(&closer, NULL, close_feed, &slow_producer), 0);
    while (!is_silenced(&slow_producer))
        sched_yield();
    cr_assert_not(slow_producer.closed);
    slow_producer.may_go_on = true;
    pthread_join(closer, NULL);
    pthread_join(putter, NULL);
    cr_assert(slow_producer.reacted && !slow_producer.was_closed,
              "the call was finished, and no resume followed");
    fixture.feeds[0] = NULL;
    flow_fixture_close(&fixture);
}
