/* test_chan_life.c - states, closing, releasing, and what a channel costs. */
#include <criterion/criterion.h>
#include <malloc.h>

#include "base/counters.h"
#include "flow/chan_batch.h"
#include "flow/feed.h"
#include "lib/chunks.h"
#include "flow_fixture.h"

static const struct chan_limits roomy = {
    .max_events = 100000, .max_bytes = 1 << 30, .overflow = OVERFLOW_DROP_OLDEST};

Test(chan_life, a_drained_channel_gives_out_what_waits_and_accepts_nothing)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &roomy, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 3, 10), ERR_OK);
    chan_drain(fixture.chan);
    cr_assert_eq(fixture.readable_calls, 2, "notifies again although an entry was notified");
    cr_assert_eq(chan_state(fixture.chan), CHAN_DRAINING);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_CLOSED);
    chan_drain(fixture.chan);
    cr_assert_eq(fixture.readable_calls, 2, "once is enough");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a1-3");
    cr_assert(chan_idle(fixture.chan));
    cr_assert_eq(flow_fixture_balance(&fixture).accepted.events, 3);
    flow_fixture_close(&fixture);
}

Test(chan_life, a_closed_channel_drops_what_waits_and_stays_closed)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &roomy, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 3, 10), ERR_OK);
    flow_fixture_dequeue(&fixture, 1);
    chan_close(fixture.chan, LOSS_DRAIN_CUT);
    cr_assert_eq(chan_state(fixture.chan), CHAN_CLOSED);
    cr_assert_eq(fixture.readable_calls, 2);
    chan_close(fixture.chan, LOSS_CONSUMER_GONE);
    chan_drain(fixture.chan);
    cr_assert_eq(chan_state(fixture.chan), CHAN_CLOSED);
    cr_assert_eq(fixture.readable_calls, 2);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_CLOSED);
    chan_delivered(fixture.chan, &fixture.batch);
    cr_assert_eq(flow_fixture_balance(&fixture).delivered.events, 1, "what was in flight was the taker's");
    cr_assert_eq(flow_fixture_balance(&fixture).dropped[LOSS_DRAIN_CUT].events, 2);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "");
    flow_fixture_close(&fixture);
}

Test(chan_life, a_drained_channel_can_be_closed)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &roomy, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 3, 10), ERR_OK);
    chan_drain(fixture.chan);
    chan_close(fixture.chan, LOSS_DRAIN_CUT);
    cr_assert_eq(chan_state(fixture.chan), CHAN_CLOSED);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:CUT 1-3 x3");
    flow_fixture_close(&fixture);
}

Test(chan_life, the_last_reference_frees_it_with_its_feeds_and_entries)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &roomy, 2);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 3, 10), ERR_OK);
    cr_assert_eq(flow_fixture_put(&fixture, 1, 3, 10), ERR_OK);
    feed_gap(fixture.chan, fixture.feeds[0], 1, 2, false);
    flow_fixture_feed_close(&fixture, 1, 8);
    chan_release(chan_retain(fixture.chan));
    cr_assert_eq(count_get(COUNT_LIVE_CHANNELS), 1);
    fixture.feeds[0] = NULL;
    flow_fixture_close(&fixture);
    cr_assert_eq(count_get(COUNT_LIVE_CHANNELS), 0);
    chan_release(NULL);
}

Test(chan_life, every_dropped_event_is_counted_for_the_process)
{
    struct chan_limits bounds = {.max_events = 1, .max_bytes = 1000, .overflow = OVERFLOW_DROP_NEWEST};
    int64_t before = count_get(COUNT_EVENTS_DROPPED);
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 5, 10), ERR_OK);
    cr_assert_eq(count_get(COUNT_EVENTS_DROPPED) - before, 4);
    flow_fixture_close(&fixture);
    cr_assert_eq(count_get(COUNT_EVENTS_DROPPED) - before, 5);
}

#if !defined(__SANITIZE_ADDRESS__)
Test(chan_life, an_idle_channel_costs_less_than_a_kibibyte)
{
    struct chan_callbacks callbacks = {0};
    size_t before = mallinfo2().uordblks;
    struct chan *chan = chan_new(&roomy, &callbacks);

    cr_assert_lt(mallinfo2().uordblks - before, 1024);
    chan_release(chan);
}

Test(chan_life, entries_are_reused_and_freed_after_a_flood)
{
    struct flow_fixture fixture;
    size_t before, steady;

    flow_fixture_open(&fixture, &roomy, 1);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    flow_fixture_deliver(&fixture, 100);
    before = mallinfo2().uordblks;
    for (int round = 0; round < 1000; round++) {
        for (int i = 0; i < 20; i++)
            cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
        flow_fixture_dequeue(&fixture, 100);
        chan_delivered(fixture.chan, &fixture.batch);
    }
    steady = mallinfo2().uordblks;
    cr_assert_eq(steady, before);
    for (int i = 0; i < 50000; i++)
        cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_gt(mallinfo2().uordblks, before + 50000 * 64);
    while (chan_dequeue(fixture.chan, &fixture.batch, 100, UINT64_MAX, 0))
        chan_delivered(fixture.chan, &fixture.batch);
    chan_delivered(fixture.chan, &fixture.batch);
    cr_assert_lt(mallinfo2().uordblks, before + 10000);
    flow_fixture_close(&fixture);
}
#endif
