/* test_chan_marks.c - when a mark is reported, and which events come before it. */
#include <criterion/criterion.h>

#include "base/clock.h"
#include "flow/chan_batch.h"
#include "flow/chan_report.h"
#include "flow_fixture.h"

static const struct chan_limits newest = {
    .max_events = 8, .max_bytes = 1000, .overflow = OVERFLOW_DROP_NEWEST};
static const struct chan_limits oldest = {
    .max_events = 8, .max_bytes = 1000, .overflow = OVERFLOW_DROP_OLDEST};
static const struct chan_limits by_feed = {
    .max_events = 4, .max_bytes = 1000, .overflow = OVERFLOW_BY_FEED, .fallback = OVERFLOW_DROP_NEWEST};

Test(chan_marks, a_mark_in_an_empty_channel_is_reported_at_once)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &newest, 1);
    cr_assert_eq(chan_marked(fixture.chan), 0);
    chan_mark(fixture.chan, 7);
    cr_assert_eq(fixture.readable_calls, 1, "there is something to look at");
    cr_assert_eq(chan_marked(fixture.chan), 7);
    cr_assert_eq(chan_marked(fixture.chan), 0, "once");
    flow_fixture_close(&fixture);
}

Test(chan_marks, a_batch_ends_at_a_mark_which_is_reported_before_the_next)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &newest, 2);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 2, 10), ERR_OK);
    chan_mark(fixture.chan, 1);
    cr_assert_eq(fixture.readable_calls, 1, "not yet");
    cr_assert_eq(flow_fixture_put(&fixture, 1, 2, 10), ERR_OK);
    cr_assert_eq(chan_marked(fixture.chan), 0);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 1), "a1");
    cr_assert_eq(chan_marked(fixture.chan), 0, "half of an entry is left");
    cr_assert(chan_dequeue(fixture.chan, &fixture.batch, 99, 9999, 0), "more waits");
    cr_assert_str_eq(flow_fixture_in_flight(&fixture), "a2", "the rest came after the mark");
    chan_delivered(fixture.chan, &fixture.batch);
    cr_assert_eq(chan_marked(fixture.chan), 1);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "b1-2");
    flow_fixture_close(&fixture);
}

Test(chan_marks, a_mark_passed_just_before_a_dequeue_is_reported_first)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &newest, 1);
    cr_assert_eq(chan_marked(fixture.chan), 0);
    chan_mark(fixture.chan, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 2, 10), ERR_OK);
    cr_assert(chan_dequeue(fixture.chan, &fixture.batch, 99, 9999, 0));
    cr_assert_eq(fixture.batch.events, 0, "the taker did not know");
    cr_assert_eq(chan_marked(fixture.chan), 1);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "a1-2");
    flow_fixture_close(&fixture);
}

Test(chan_marks, a_taker_that_ignores_marks_is_not_held_up)
{
    struct flow_fixture fixture;
    int takes = 1;

    flow_fixture_open(&fixture, &newest, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 2, 10), ERR_OK);
    chan_mark(fixture.chan, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 2, 10), ERR_OK);
    while (chan_dequeue(fixture.chan, &fixture.batch, 99, 9999, 0)) {
        chan_delivered(fixture.chan, &fixture.batch);
        takes++;
    }
    cr_assert_eq(takes, 2);
    cr_assert_str_eq(flow_fixture_in_flight(&fixture), "a3-4");
    cr_assert_eq(chan_marked(fixture.chan), 1, "it may still ask");
    flow_fixture_close(&fixture);
}

Test(chan_marks, a_dequeue_that_passes_a_mark_says_that_there_is_more)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &newest, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 2, 10), ERR_OK);
    chan_mark(fixture.chan, 1);
    cr_assert(chan_dequeue(fixture.chan, &fixture.batch, 99, 9999, 0),
              "there is no other notification of the mark");
    cr_assert_eq(fixture.batch.events, 2);
    cr_assert_eq(fixture.readable_calls, 1);
    chan_delivered(fixture.chan, &fixture.batch);
    cr_assert_eq(chan_marked(fixture.chan), 1);
    cr_assert_not(chan_dequeue(fixture.chan, &fixture.batch, 99, 9999, 0));
    flow_fixture_close(&fixture);
}

Test(chan_marks, drops_let_a_mark_pass)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &oldest, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 4, 10), ERR_OK);
    chan_mark(fixture.chan, 3);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 7, 10), ERR_OK);
    cr_assert_eq(chan_marked(fixture.chan), 0, "one is left from before");
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_eq(chan_marked(fixture.chan), 3);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:OLDEST 1-4 x4");
    flow_fixture_close(&fixture);
}

Test(chan_marks, expired_events_let_a_mark_pass_and_notify_the_taker)
{
    struct chan_limits bounds = newest;
    struct flow_fixture fixture;

    bounds.max_age_ns = NS_PER_S;
    flow_fixture_open(&fixture, &bounds, 1);
    fixture.observed_ns -= 2 * NS_PER_S;
    cr_assert_eq(flow_fixture_put(&fixture, 0, 4, 10), ERR_OK);
    chan_mark(fixture.chan, 3);
    fixture.observed_ns += 2 * NS_PER_S;
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_eq(chan_marked(fixture.chan), 3);
    flow_fixture_close(&fixture);
}

Test(chan_marks, a_later_mark_replaces_one_that_was_not_passed)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &newest, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    chan_mark(fixture.chan, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    chan_mark(fixture.chan, 2);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 1), "a1");
    cr_assert_eq(chan_marked(fixture.chan), 0);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a2");
    cr_assert_eq(chan_marked(fixture.chan), 2);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a3");
    flow_fixture_close(&fixture);
}

Test(chan_marks, a_passed_mark_that_was_not_reported_is_replaced_by_the_next)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &newest, 1);
    chan_mark(fixture.chan, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    chan_mark(fixture.chan, 2);
    cr_assert_eq(chan_marked(fixture.chan), 1, "nothing came before it");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a1");
    chan_mark(fixture.chan, 3);
    cr_assert_eq(chan_marked(fixture.chan), 3, "the latest only");
    flow_fixture_close(&fixture);
}

Test(chan_marks, parked_events_hold_a_mark_back)
{
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &by_feed, 0, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 4, 10), ERR_OK);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 5, 10), ERR_AGAIN);
    chan_mark(fixture.chan, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_AGAIN);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a1-4");
    cr_assert_eq(chan_marked(fixture.chan), 0);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 2), "a5-6");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a7-8 a9",
                     "an entry that came in by parts is all from before");
    cr_assert_eq(chan_marked(fixture.chan), 1);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a10");
    flow_fixture_close(&fixture);
}

Test(chan_marks, events_that_fall_to_the_fallback_stay_before_the_mark)
{
    struct chan_limits bounds = by_feed;
    struct flow_fixture fixture;

    bounds.fallback = OVERFLOW_DROP_OLDEST;
    flow_fixture_open_pausable(&fixture, &bounds, 0, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 5, 10), ERR_AGAIN);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 3, 10), ERR_AGAIN);
    chan_mark(fixture.chan, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1022, 10), ERR_OK, "beyond the reserve");
    cr_assert_eq(chan_marked(fixture.chan), 1);
    chan_mark(fixture.chan, 2);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_AGAIN);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a1027-1030");
    cr_assert_eq(chan_marked(fixture.chan), 2);
    flow_fixture_close(&fixture);
}

Test(chan_marks, parked_events_may_come_after_shared_ones_from_behind_the_mark)
{
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &by_feed, 1, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 1, 6, 10), ERR_AGAIN);
    chan_mark(fixture.chan, 1);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 1), "b1");
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "b2-4 a1", "a shared feed does not wait");
    cr_assert_eq(chan_marked(fixture.chan), 0, "5 and 6 are from before");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "b5-6");
    cr_assert_eq(chan_marked(fixture.chan), 1);
    flow_fixture_close(&fixture);
}

Test(chan_marks, a_close_lets_every_mark_pass)
{
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &by_feed, 0, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 6, 10), ERR_AGAIN);
    chan_mark(fixture.chan, 5);
    chan_close(fixture.chan, LOSS_DRAIN_CUT);
    cr_assert_eq(chan_marked(fixture.chan), 5);
    flow_fixture_close(&fixture);
}

Test(chan_marks, events_in_flight_do_not_hold_a_mark_back)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &newest, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 2, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_dequeue(&fixture, 9), "a1-2");
    chan_mark(fixture.chan, 5);
    cr_assert_eq(chan_marked(fixture.chan), 5);
    flow_fixture_close(&fixture);
}
