/* test_chan_sort_policies.c - sorting by time beside bounds, policies and a short budget: the
 * totals hold, and what is left is still in order. */
#include <criterion/criterion.h>

#include "base/budget.h"
#include "base/clock.h"
#include "flow/chan_report.h"
#include "flow/feed.h"
#include "timed.h"

static struct flow_fixture fixture;

static struct chan_limits limits(enum overflow overflow, uint32_t max_events)
{
    return (struct chan_limits){.max_events = max_events,
                                .max_bytes = 1 << 20,
                                .overflow = overflow,
                                .fallback = OVERFLOW_DROP_OLDEST,
                                .block_timeout_ns = FOR_EVER,
                                .sort = {.duration_ns = 100 * MS, .max_events = max_events / 2}};
}

Test(chan_sort_policies, drop_oldest_drops_the_oldest_of_the_feed_that_holds_most)
{
    const struct chan_limits bounds = limits(OVERFLOW_DROP_OLDEST, 6);

    flow_fixture_open(&fixture, &bounds, 2);
    cr_assert_eq(timed_put(&fixture, 0, 10, "1"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 1, 11, "2 3 4 5 6"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 1, 12, "7 8"), ERR_OK);
    cr_assert_eq(flow_fixture_balance(&fixture).dropped[LOSS_OVERFLOW_OLDEST].events, 2);
    cr_assert_str_eq(timed_deliver(&fixture, 112), "a1 b3-5 b6-7");
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "b:OLDEST 1-2 x2");
    flow_fixture_close(&fixture);
}

Test(chan_sort_policies, a_dropped_head_changes_what_goes_next)
{
    const struct chan_limits bounds = limits(OVERFLOW_DROP_OLDEST, 4);

    flow_fixture_open(&fixture, &bounds, 2);
    cr_assert_eq(timed_put(&fixture, 1, 10, "1 5 6"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 0, 11, "3"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 1, 12, "7"), ERR_OK);
    cr_assert_str_eq(timed_deliver(&fixture, 112), "a1 b2-3 b4");
    flow_fixture_close(&fixture);
}

Test(chan_sort_policies, drop_newest_and_disconnect_refuse_what_does_not_fit)
{
    struct chan_limits bounds = limits(OVERFLOW_DROP_NEWEST, 4);

    flow_fixture_open(&fixture, &bounds, 2);
    cr_assert_eq(timed_put(&fixture, 0, 10, "1 3 5"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 1, 11, "2 4"), ERR_OK);
    cr_assert_eq(flow_fixture_balance(&fixture).dropped[LOSS_OVERFLOW_NEWEST].events, 1);
    cr_assert_str_eq(timed_deliver(&fixture, 111), "a1 b1 a2-3");
    flow_fixture_close(&fixture);
    bounds.overflow = OVERFLOW_DISCONNECT;
    flow_fixture_open(&fixture, &bounds, 2);
    cr_assert_eq(timed_put(&fixture, 0, 10, "1 3 5"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 1, 11, "2 4"), ERR_OK);
    cr_assert_eq(chan_state(fixture.chan), CHAN_BROKEN);
    cr_assert_str_eq(timed_deliver(&fixture, 11), "a1 b1 a2-3", "a broken channel holds nothing");
    flow_fixture_balance(&fixture);
    flow_fixture_close(&fixture);
}

Test(chan_sort_policies, latest_per_key_replaces_what_is_held)
{
    const struct chan_limits bounds = limits(OVERFLOW_LATEST_PER_KEY, 100);

    flow_fixture_open(&fixture, &bounds, 2);
    cr_assert_eq(timed_put_keys(&fixture, 0, 10, "1:x 3:y"), ERR_OK);
    cr_assert_eq(timed_put_keys(&fixture, 1, 11, "2:x"), ERR_OK);
    cr_assert_eq(timed_put_keys(&fixture, 0, 12, "4:x"), ERR_OK);
    cr_assert_eq(timed_put_keys(&fixture, 1, 13, "5:x"), ERR_OK);
    cr_assert_eq(flow_fixture_balance(&fixture).dropped[LOSS_COALESCED].events, 2);
    cr_assert_str_eq(timed_deliver(&fixture, 113), "a2 a3 b2");
    flow_fixture_close(&fixture);
}

Test(chan_sort_policies, what_is_replaced_again_and_again_goes_all_the_same)
{
    const struct chan_limits bounds = limits(OVERFLOW_LATEST_PER_KEY, 100);

    flow_fixture_open(&fixture, &bounds, 2);
    cr_assert_eq(timed_put_keys(&fixture, 0, 10, "10:x"), ERR_OK);
    cr_assert_eq(timed_put_keys(&fixture, 1, 20, "20:y"), ERR_OK);
    cr_assert_eq(timed_put_keys(&fixture, 0, 60, "60:x"), ERR_OK);
    cr_assert_eq(timed_put_keys(&fixture, 1, 70, "70:y"), ERR_OK);
    cr_assert_eq(timed_put_keys(&fixture, 0, 105, "105:x"), ERR_OK);
    cr_assert_eq(timed_due_ms(&fixture), 110);
    cr_assert_str_eq(timed_deliver(&fixture, 109), "");
    cr_assert_str_eq(timed_deliver(&fixture, 110), "b2 a3");
    cr_assert_eq(timed_put_keys(&fixture, 0, 120, "120:x"), ERR_OK);
    cr_assert_eq(timed_put_keys(&fixture, 0, 200, "200:x"), ERR_OK);
    cr_assert_eq(timed_due_ms(&fixture), 220, "counted from the first one");
    cr_assert_str_eq(timed_deliver(&fixture, 220), "a5");
    flow_fixture_close(&fixture);
}

Test(chan_sort_policies, a_window_that_is_full_does_not_hold_producers_back)
{
    const struct chan_limits bounds = limits(OVERFLOW_BLOCK, 8);

    flow_fixture_open_pausable(&fixture, &bounds, 1, 1);
    cr_assert_eq(timed_put(&fixture, 0, 10, "1 2 3 4"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 1, 11, "5 6 7 8"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 1, 12, "9"), ERR_AGAIN);
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "b stops");
    cr_assert_str_eq(timed_deliver(&fixture, 12), "a1-4", "down to the window, which is the low watermark");
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "b goes");
    cr_assert_eq(timed_due_ms(&fixture), -1);
    cr_assert_str_eq(timed_deliver(&fixture, 12), "b1");
    cr_assert_str_eq(timed_deliver(&fixture, 112), "b2-4 b5");
    flow_fixture_balance(&fixture);
    flow_fixture_close(&fixture);
}

Test(chan_sort_policies, events_that_are_too_old_are_dropped_from_the_window)
{
    struct chan_limits bounds = limits(OVERFLOW_DROP_NEWEST, 100);

    bounds.max_age_ns = 200 * MS;
    flow_fixture_open(&fixture, &bounds, 2);
    fixture.observed_ns += NS_PER_S;
    cr_assert_eq(timed_put(&fixture, 0, 10, "1 5"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 1, 100, "3 6"), ERR_OK);
    cr_assert_str_eq(timed_deliver(&fixture, 250), "b1-2", "the taker was away for too long");
    cr_assert_eq(flow_fixture_balance(&fixture).dropped[LOSS_EXPIRED].events, 2);
    flow_fixture_losses(&fixture, 9);
    flow_fixture_close(&fixture);
}

Test(chan_sort_policies, what_is_shed_leaves_the_rest_in_order)
{
    struct chan_limits bounds = limits(OVERFLOW_DROP_OLDEST, 1000);

    bounds.max_bytes = 1 << 26;
    flow_fixture_open(&fixture, &bounds, 2);
    cr_assert_eq(timed_put_many(&fixture, 0, 10, 1, 9, 10), ERR_OK);
    for (int64_t i = 0; i < 8; i++)
        cr_assert_eq(timed_put_many(&fixture, 1, 11 + i, 1, 2 + i, 4000), ERR_OK);
    cr_assert_eq(chan_shed(fixture.chan, 0, 5), 5);
    cr_assert_str_eq(timed_deliver(&fixture, 200), "b6 b7 a1 b8");
    cr_assert_eq(flow_fixture_balance(&fixture).dropped[LOSS_BUDGET].events, 5);
    flow_fixture_losses(&fixture, 9);
    flow_fixture_close(&fixture);
}

Test(chan_sort_policies, nothing_is_held_while_memory_is_short)
{
    const struct chan_limits bounds = limits(OVERFLOW_DROP_OLDEST, 100);

    flow_fixture_open(&fixture, &bounds, 2);
    cr_assert_eq(timed_put(&fixture, 0, 10, "5"), ERR_OK);
    cr_assert_eq(timed_put(&fixture, 1, 11, "4"), ERR_OK);
    chan_rearm(fixture.chan);
    fixture.readable_calls = 0;
    budget_set(budget_used() + 1);
    cr_assert_eq(timed_due_ms(&fixture), -1);
    budget_set(0);
    cr_assert_eq(timed_due_ms(&fixture), 110);
    flow_fixture_close(&fixture);
}

Test(chan_sort_policies, many_feeds_come_and_go)
{
    struct chan_limits bounds = limits(OVERFLOW_DROP_OLDEST, 100);
    const int64_t before = count_get(COUNT_LIVE_FEED_BYTES);

    flow_fixture_open(&fixture, &bounds, FIXTURE_FEEDS);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < FIXTURE_FEEDS; i++)
            cr_assert_eq(timed_put(&fixture, i, 10 + i, i % 2 ? "1" : "2"), ERR_OK);
        cr_assert_str_eq(timed_deliver(&fixture, 200), round == 0   ? "b1 d1 f1 h1 j1 a1 c1 e1 g1 i1"
                                                       : round == 1 ? "b2 d2 f2 h2 j2 a2 c2 e2 g2 i2"
                                                                    : "b3 d3 f3 h3 j3 a3 c3 e3 g3 i3");
    }
    for (uint32_t i = 0; i < FIXTURE_FEEDS; i += 2)
        flow_fixture_feed_close(&fixture, i, 7);
    cr_assert_eq(timed_put(&fixture, 3, 300, "299"), ERR_OK);
    flow_fixture_feed_close(&fixture, 3, 7);
    cr_assert_eq(timed_put(&fixture, 1, 301, "298"), ERR_OK);
    cr_assert_str_eq(timed_deliver(&fixture, 401), "b4 d4");
    flow_fixture_close(&fixture);
    cr_assert_eq(count_get(COUNT_LIVE_FEED_BYTES), before);
}
