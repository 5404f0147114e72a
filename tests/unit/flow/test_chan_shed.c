/* test_chan_shed.c - what a channel gives up when the memory budget is short, and what it keeps
 * (finding 8). */
#include <criterion/criterion.h>

#include "base/budget.h"
#include "flow/chan_stats.h"
#include "flow_fixture.h"

#define MIB (1u << 20)

static struct flow_fixture fixture;

static struct chan_limits limits(enum overflow overflow, enum overflow fallback)
{
    return (struct chan_limits){.max_events = 1000,
                                .max_bytes = 100 * MIB,
                                .overflow = overflow,
                                .fallback = fallback,
                                .block_timeout_ns = FOR_EVER};
}

static void open_fixture(enum overflow overflow, enum overflow fallback, uint32_t shared, uint32_t pausable)
{
    struct chan_limits bounds = limits(overflow, fallback);

    flow_fixture_open_pausable(&fixture, &bounds, shared, pausable);
}

static void put(uint32_t feed, uint32_t times, uint32_t size)
{
    for (uint32_t i = 0; i < times; i++)
        cr_assert_eq(flow_fixture_put(&fixture, feed, 1, size), ERR_OK);
}

Test(chan_shed, what_it_pins_is_counted_until_it_is_gone)
{
    open_fixture(OVERFLOW_DROP_NEWEST, OVERFLOW_DROP_OLDEST, 1, 0);
    cr_assert_eq(chan_sheddable(fixture.chan), 0);
    put(0, 10, 1000);
    cr_assert(chan_sheddable(fixture.chan) > 10 * 1000 && chan_sheddable(fixture.chan) < 10 * 1500);
    flow_fixture_deliver(&fixture, 9);
    cr_assert(chan_sheddable(fixture.chan) > 1000 && chan_sheddable(fixture.chan) < 1500);
    flow_fixture_deliver(&fixture, 9);
    cr_assert_eq(chan_sheddable(fixture.chan), 0);
    flow_fixture_close(&fixture);
}

Test(chan_shed, a_few_events_of_a_large_chunk_count_as_the_chunk)
{
    struct chan_limits bounds = limits(OVERFLOW_DROP_NEWEST, OVERFLOW_DROP_OLDEST);

    bounds.max_events = 2;
    flow_fixture_open_pausable(&fixture, &bounds, 1, 0);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 100, 1000), ERR_OK);
    cr_assert_eq(flow_fixture_balance(&fixture).queued.events, 2);
    cr_assert(chan_sheddable(fixture.chan) > 100 * 1000 && chan_sheddable(fixture.chan) < 130 * 1000);
    flow_fixture_deliver(&fixture, 1);
    cr_assert_gt(chan_sheddable(fixture.chan), 100 * 1000, "the other event keeps it all");
    flow_fixture_deliver(&fixture, 1);
    cr_assert_eq(chan_sheddable(fixture.chan), 0);
    flow_fixture_losses(&fixture, 9);
    flow_fixture_close(&fixture);
}

Test(chan_shed, the_source_that_holds_most_loses_its_oldest_first)
{
    open_fixture(OVERFLOW_DROP_OLDEST, OVERFLOW_DROP_OLDEST, 2, 0);
    put(0, 1, 100);
    put(1, 10, 10000);
    cr_assert_eq(chan_shed(fixture.chan, 60000, 1000), 5);
    cr_assert_leq(chan_sheddable(fixture.chan), 60000);
    cr_assert_eq(flow_fixture_balance(&fixture).dropped[LOSS_BUDGET].events, 5);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "b:BUDGET 1-5 x5");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "a1 b6 b7 b8 b9 b10");
    flow_fixture_close(&fixture);
}

Test(chan_shed, drops_no_more_ranges_than_it_was_told)
{
    open_fixture(OVERFLOW_DROP_NEWEST, OVERFLOW_DROP_OLDEST, 1, 0);
    put(0, 10, 10);
    cr_assert_eq(chan_shed(fixture.chan, 0, 3), 3);
    cr_assert_eq(chan_shed(fixture.chan, chan_sheddable(fixture.chan), 3), 0, "it is not above");
    cr_assert_eq(chan_shed(fixture.chan, 0, 100), 7);
    cr_assert_eq(chan_shed(fixture.chan, 0, 100), 0);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:BUDGET 1-10 x10");
    flow_fixture_close(&fixture);
}

Test(chan_shed, the_taker_hears_of_it)
{
    uint32_t before;

    open_fixture(OVERFLOW_DROP_NEWEST, OVERFLOW_DROP_OLDEST, 1, 0);
    put(0, 2, 10);
    before = fixture.readable_calls;
    cr_assert_eq(chan_shed(fixture.chan, 0, 1), 1);
    cr_assert_gt(fixture.readable_calls, before);
    flow_fixture_close(&fixture);
}

Test(chan_shed, with_block_activations_keep_theirs)
{
    static const enum overflow policies[] = {OVERFLOW_BLOCK, OVERFLOW_BY_FEED};

    for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
        open_fixture(policies[i], OVERFLOW_DROP_OLDEST, 1, 1);
        put(1, 20, 1000); /* the activation is the heaviest */
        put(0, 3, 100);
        put(1, 1, 1000);
        cr_assert_leq(chan_sheddable(fixture.chan), 3 * 500);
        cr_assert_eq(chan_shed(fixture.chan, 0, 100), 3);
        cr_assert_eq(chan_sheddable(fixture.chan), 0);
        cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:BUDGET 1-3 x3");
        cr_assert_eq(flow_fixture_balance(&fixture).queued.events, 21);
        flow_fixture_deliver(&fixture, 99);
        flow_fixture_close(&fixture);
    }
}

Test(chan_shed, with_other_policies_activations_lose_too)
{
    open_fixture(OVERFLOW_DROP_NEWEST, OVERFLOW_DROP_OLDEST, 0, 1);
    put(0, 3, 100);
    cr_assert_eq(chan_shed(fixture.chan, 0, 100), 3);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:BUDGET 1-3 x3");
    flow_fixture_close(&fixture);
}

Test(chan_shed, disconnect_ends_the_stream_as_policy_and_as_fallback)
{
    static const enum overflow policies[][2] = {{OVERFLOW_DISCONNECT, OVERFLOW_DROP_OLDEST},
                                                {OVERFLOW_BLOCK, OVERFLOW_DISCONNECT}};

    for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
        open_fixture(policies[i][0], policies[i][1], 1, 0);
        put(0, 3, 100);
        cr_assert_eq(chan_shed(fixture.chan, 0, 1), 1);
        cr_assert_eq(chan_state(fixture.chan), CHAN_BROKEN);
        flow_fixture_deliver(&fixture, 9);
        flow_fixture_losses(&fixture, 9);
        flow_fixture_close(&fixture);
    }
}

Test(chan_shed, what_was_parked_is_admitted_in_its_place)
{
    struct chan_limits bounds = limits(OVERFLOW_BLOCK, OVERFLOW_DROP_OLDEST);
    struct waiter waiter;

    bounds.max_events = 4;
    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 4, 100, &waiter), ERR_OK);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 2, 100, &waiter), ERR_AGAIN);
    cr_assert_eq(chan_shed(fixture.chan, 0, 1), 1);
    cr_assert_eq(waiter.over, 1);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:BUDGET 1-4 x4");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a5-6");
    flow_fixture_close(&fixture);
}

/* A channel may always keep a 256th of the budget. */
Test(chan_shed, while_the_budget_is_short_block_holds_producers_earlier)
{
    open_fixture(OVERFLOW_BLOCK, OVERFLOW_DROP_OLDEST, 0, 1);
    budget_set(budget_used() + 256 * 1000);
    put(0, 1, 250 * 1000);
    cr_assert(budget_is_short());
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_AGAIN, "it is full, far below its bounds");
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "a stops");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 1), "a1");
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "a goes");
    cr_assert_not(budget_is_short());
    put(0, 2, 10);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a2 a3 a4");
    budget_set(0);
    flow_fixture_close(&fixture);
}

Test(chan_shed, while_the_budget_is_short_small_channels_are_not_held)
{
    open_fixture(OVERFLOW_BLOCK, OVERFLOW_DROP_OLDEST, 0, 1);
    struct chunk *large = chunk_begin(1, 200 * 1000);

    cr_assert_not_null(large);
    budget_set(256 * 1000 - 10000);
    cr_assert(budget_is_short());
    put(0, 5, 10);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a1 a2 a3 a4 a5");
    budget_set(0);
    chunk_release(large);
    flow_fixture_close(&fixture);
}
