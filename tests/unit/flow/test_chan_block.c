/* test_chan_block.c - BLOCK: what is parked, in which order it is admitted, and how every wait
 * ends. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/clock.h"
#include "flow/chan_batch.h"
#include "flow/chan_stats.h"
#include "flow/put_waiter.h"
#include "flow_fixture.h"

#define MIB (1u << 20)

static struct chan_limits limits(uint32_t max_events, enum overflow fallback, int64_t timeout_ns)
{
    return (struct chan_limits){.max_events = max_events,
                                .max_bytes = 10 * MIB,
                                .overflow = OVERFLOW_BLOCK,
                                .fallback = fallback,
                                .block_timeout_ns = timeout_ns};
}

Test(chan_block, admits_what_fits_and_parks_the_rest)
{
    struct chan_limits bounds = limits(4, OVERFLOW_DROP_OLDEST, FOR_EVER);
    struct chan_stats stats;
    struct waiter waiter;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 4, 10, &waiter), ERR_OK,
                 "exactly full is not too much");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a1-4");
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 5, 10, &waiter), ERR_AGAIN);
    stats = flow_fixture_balance(&fixture);
    cr_assert_eq(stats.accepted.events, 8, "what is parked is not accepted yet");
    cr_assert(stats.blocked);
    cr_assert_not(chan_idle(fixture.chan));
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 1), "a5");
    cr_assert_eq(waiter.over, 0, "three of four is more than half");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 1), "a6");
    cr_assert_eq(waiter.over, 1, "two of four is half");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a7-8 a9");
    stats = flow_fixture_balance(&fixture);
    cr_assert_eq(stats.delivered.events, 9);
    cr_assert_not(stats.blocked);
    cr_assert_eq(waiter.over, 1);
    flow_fixture_close(&fixture);
}

Test(chan_block, a_put_does_not_overtake_parked_events)
{
    struct chan_limits bounds = limits(4, OVERFLOW_DROP_OLDEST, FOR_EVER);
    struct waiter waiters[3];
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 3);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 6, 10, &waiters[0]), ERR_AGAIN);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 1), "a1");
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 1, 1, 10, &waiters[1]), ERR_AGAIN, "it would fit");
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 2, 1, 10, &waiters[2]), ERR_AGAIN);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 1), "a2");
    cr_assert_eq(waiters[0].over, 1);
    cr_assert_eq(waiters[1].over, 0);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a3-4 a5-6");
    cr_assert_eq(waiters[1].over + waiters[2].over, 2);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "b1 c1");
    flow_fixture_close(&fixture);
}

Test(chan_block, a_parked_range_is_admitted_in_parts)
{
    struct chan_limits bounds = limits(4, OVERFLOW_DROP_OLDEST, FOR_EVER);
    struct waiter waiter;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 10, 10, &waiter), ERR_AGAIN);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 3), "a1-3");
    cr_assert_eq(flow_fixture_balance(&fixture).accepted.events, 7);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a4 a5-7");
    cr_assert_eq(waiter.over, 1, "the last three fit");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a8-10");
    flow_fixture_close(&fixture);
}

Test(chan_block, with_a_bound_of_one_event_everything_arrives_in_order)
{
    struct chan_limits bounds = limits(1, OVERFLOW_DROP_OLDEST, FOR_EVER);
    struct waiter waiter;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    for (unsigned round = 0; round < 3; round++) {
        cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 3, 10, &waiter), ERR_AGAIN);
        for (unsigned i = 1; i <= 3; i++) {
            char expected[16];

            snprintf(expected, sizeof(expected), "a%u", round * 3 + i);
            cr_assert_eq(waiter.over, i == 3, "held until its last event is in");
            cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), expected);
        }
    }
    cr_assert_eq(flow_fixture_balance(&fixture).delivered.events, 9);
    flow_fixture_close(&fixture);
}

Test(chan_block, blocks_on_bytes_as_on_events)
{
    struct chan_limits bounds = {.max_events = 100,
                                 .max_bytes = 40,
                                 .overflow = OVERFLOW_BLOCK,
                                 .fallback = OVERFLOW_DROP_NEWEST,
                                 .block_timeout_ns = FOR_EVER};
    struct waiter waiter;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 4, 10, &waiter), ERR_OK);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 1, 500, &waiter), ERR_AGAIN);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 2), "a1-2");
    cr_assert_eq(waiter.over, 0, "half is empty, but it is larger than all");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a3-4");
    cr_assert_eq(waiter.over, 1, "an oversize event is taken where nothing waits");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a5");
    flow_fixture_close(&fixture);
}

Test(chan_block, the_low_watermark_of_forty_bytes_is_twenty)
{
    struct chan_limits bounds = {.max_events = 100,
                                 .max_bytes = 40,
                                 .overflow = OVERFLOW_BLOCK,
                                 .fallback = OVERFLOW_DROP_NEWEST,
                                 .block_timeout_ns = FOR_EVER};
    struct waiter waiter;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 5, 10, &waiter), ERR_AGAIN);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 1), "a1");
    cr_assert_eq(waiter.over, 0);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 1), "a2");
    cr_assert_eq(waiter.over, 1);
    flow_fixture_close(&fixture);
}

Test(chan_block, the_fallback_becomes_active_at_the_block_timeout)
{
    struct chan_limits bounds = limits(4, OVERFLOW_DROP_OLDEST, NS_PER_S);
    int64_t before_ns = clock_mono_ns(), until_ns;
    struct waiter first, second;
    struct chan_stats stats;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 2);
    cr_assert_eq(chan_blocked_until(fixture.chan), INT64_MAX);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 5, 10, &first), ERR_AGAIN);
    until_ns = chan_blocked_until(fixture.chan);
    cr_assert(until_ns >= before_ns + NS_PER_S && until_ns <= clock_mono_ns() + NS_PER_S);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 1, 1, 10, &second), ERR_AGAIN);
    cr_assert_eq(chan_blocked_until(fixture.chan), until_ns, "it began when the first was parked");
    chan_tick(fixture.chan, until_ns - 1);
    cr_assert_eq(first.over + second.over, 0);
    chan_tick(fixture.chan, until_ns);
    cr_assert(first.over == 1 && second.over == 1);
    cr_assert_eq(chan_blocked_until(fixture.chan), INT64_MAX);
    stats = flow_fixture_balance(&fixture);
    cr_assert(stats.fallback_active && !stats.blocked);
    cr_assert_eq(stats.dropped[LOSS_BLOCK_TIMEOUT].events, 2);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:TIMEOUT 1-2 x2");
    cr_assert_str_eq(flow_fixture_in_flight(&fixture), "");
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 1, 1, 10, &second), ERR_OK,
                 "an active fallback blocks no putter");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 1), "a4");
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:TIMEOUT 3-3 x1");
    cr_assert(flow_fixture_balance(&fixture).fallback_active, "three of four is more than half");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 1), "a5");
    cr_assert_not(flow_fixture_balance(&fixture).fallback_active, "half is empty");
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 1, 3, 10, &second), ERR_AGAIN, "and it blocks again");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "b1 b2 b3-4");
    cr_assert_eq(second.over, 1);
    flow_fixture_close(&fixture);
}

Test(chan_block, blocking_notifies_again_after_a_notification)
{
    struct chan_limits bounds = limits(1, OVERFLOW_DROP_OLDEST, NS_PER_S);
    struct waiter first, second;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 1, 10, &first), ERR_OK);
    cr_assert_eq(fixture.readable_calls, 1);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 1, 10, &first), ERR_AGAIN);
    cr_assert_eq(fixture.readable_calls, 2, "the taker must time it");
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 1, 10, &second), ERR_AGAIN);
    cr_assert_eq(fixture.readable_calls, 2, "once per block");
    flow_fixture_close(&fixture);
}

Test(chan_block, a_block_timeout_of_zero_activates_the_fallback_at_once)
{
    struct chan_limits bounds = limits(4, OVERFLOW_DROP_NEWEST, 0);
    struct waiter waiter;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 6, 10, &waiter), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:TIMEOUT 5-6 x2");
    cr_assert(flow_fixture_balance(&fixture).fallback_active);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a1-4");
    cr_assert_not(flow_fixture_balance(&fixture).fallback_active);
    flow_fixture_close(&fixture);
}

Test(chan_block, the_fallback_counts_from_its_beginning_or_from_the_last_dequeue)
{
    struct chan_limits bounds = limits(8, OVERFLOW_DROP_OLDEST, 1000);
    struct waiter waiter;
    struct flow_fixture fixture;
    int64_t since_ns;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 10, 10, &waiter), ERR_AGAIN);
    cr_assert_eq(chan_fallback_since(fixture.chan), INT64_MAX, "it is not active yet");
    chan_tick(fixture.chan, chan_blocked_until(fixture.chan));
    since_ns = chan_fallback_since(fixture.chan);
    cr_assert(since_ns > 0 && since_ns <= clock_mono_ns());
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 1), "a3");
    cr_assert_gt(chan_fallback_since(fixture.chan), since_ns);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a4-8 a9-10");
    cr_assert_eq(chan_fallback_since(fixture.chan), INT64_MAX, "it is at its low watermark");
    flow_fixture_close(&fixture);
}

Test(chan_block, where_nobody_waits_the_fallback_has_no_beginning)
{
    struct chan_limits bounds = limits(2, OVERFLOW_DROP_OLDEST, 0);
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 3, 10), ERR_OK);
    cr_assert(flow_fixture_balance(&fixture).fallback_active);
    cr_assert_eq(chan_fallback_since(fixture.chan), INT64_MAX);
    flow_fixture_close(&fixture);
}

Test(chan_block, the_fallback_disconnect_ends_every_wait)
{
    struct chan_limits bounds = limits(4, OVERFLOW_DISCONNECT, NS_PER_S);
    struct waiter first, second;
    struct chan_stats stats;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 2);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 6, 10, &first), ERR_AGAIN);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 1, 1, 10, &second), ERR_AGAIN);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 1), "a1");
    chan_tick(fixture.chan, chan_blocked_until(fixture.chan));
    cr_assert_eq(chan_state(fixture.chan), CHAN_BROKEN);
    cr_assert(first.over == 1 && second.over == 1);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 1, 1, 10, &second), ERR_CLOSED);
    stats = flow_fixture_balance(&fixture);
    cr_assert_eq(stats.dropped[LOSS_BLOCK_TIMEOUT].events, 2, "parked events are accounted for");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a2-4 a5");
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:TIMEOUT 6-6 x1 b:TIMEOUT 1-1 x1");
    flow_fixture_close(&fixture);
}

Test(chan_block, parks_1024_ranges_and_falls_back_at_one_more)
{
    struct chan_limits bounds = limits(1, OVERFLOW_DROP_NEWEST, FOR_EVER);
    static struct waiter waiters[1026];
    uint32_t over = 0;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 1, 10, &waiters[0]), ERR_OK);
    for (uint32_t i = 1; i <= 1024; i++)
        cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 1, 10, &waiters[i]), ERR_AGAIN);
    cr_assert_not(flow_fixture_balance(&fixture).fallback_active);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 1, 10, &waiters[1025]), ERR_OK);
    for (uint32_t i = 0; i < ARRAY_LEN(waiters); i++)
        over += waiters[i].over;
    cr_assert_eq(over, 1024);
    cr_assert(flow_fixture_balance(&fixture).fallback_active);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:TIMEOUT 2-1026 x1025");
    flow_fixture_close(&fixture);
}

Test(chan_block, parks_a_mebibyte_and_falls_back_at_one_byte_more)
{
    struct chan_limits bounds = {.max_events = 100,
                                 .max_bytes = 10,
                                 .overflow = OVERFLOW_BLOCK,
                                 .fallback = OVERFLOW_DROP_NEWEST,
                                 .block_timeout_ns = FOR_EVER};
    struct waiter first, second;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 1, MIB, &first), ERR_AGAIN);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 1, 1, &second), ERR_OK);
    cr_assert_eq(first.over, 1);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:TIMEOUT 2-3 x2");
    flow_fixture_close(&fixture);
}

Test(chan_block, the_parking_bound_grows_with_max_bytes)
{
    struct chan_limits bounds = limits(1, OVERFLOW_DROP_NEWEST, FOR_EVER);
    struct waiter waiters[11];
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 1, MIB, &waiters[i]), ERR_AGAIN);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 1, 1, &waiters[10]), ERR_OK);
    cr_assert(flow_fixture_balance(&fixture).fallback_active);
    flow_fixture_close(&fixture);
}

Test(chan_block, a_drain_admits_everything_parked)
{
    struct chan_limits bounds = limits(2, OVERFLOW_DROP_OLDEST, FOR_EVER);
    struct waiter first, second;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 2);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 5, 10, &first), ERR_AGAIN);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 1, 5, 10, &second), ERR_AGAIN);
    chan_drain(fixture.chan);
    cr_assert(first.over == 1 && second.over == 1);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 1, 5, 10, &second), ERR_CLOSED);
    cr_assert_eq(flow_fixture_balance(&fixture).queued.events, 10);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "a1-2 a3-5 b1-5");
    cr_assert(chan_idle(fixture.chan));
    flow_fixture_close(&fixture);
}

Test(chan_block, a_close_drops_everything_parked)
{
    struct chan_limits bounds = limits(2, OVERFLOW_DROP_OLDEST, FOR_EVER);
    struct waiter first, second;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 2);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 5, 10, &first), ERR_AGAIN);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 1, 5, 10, &second), ERR_AGAIN);
    chan_close(fixture.chan, LOSS_DRAIN_CUT);
    cr_assert(first.over == 1 && second.over == 1);
    cr_assert_eq(flow_fixture_balance(&fixture).dropped[LOSS_DRAIN_CUT].events, 10);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:CUT 1-5 x5 b:CUT 1-5 x5");
    cr_assert(chan_idle(fixture.chan));
    flow_fixture_close(&fixture);
}

Test(chan_block, a_release_ends_every_wait)
{
    struct chan_limits bounds = limits(2, OVERFLOW_DROP_OLDEST, FOR_EVER);
    struct waiter waiter;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 5, 10, &waiter), ERR_AGAIN);
    flow_fixture_close(&fixture);
    cr_assert_eq(waiter.over, 1);
}

Test(chan_block, a_wait_for_two_channels_is_notified_once)
{
    struct chan_limits bounds = limits(1, OVERFLOW_DROP_OLDEST, FOR_EVER);
    struct waiter waiter, other;
    struct flow_fixture fixture, second;
    struct chunk *chunk;

    flow_fixture_open(&fixture, &bounds, 1);
    flow_fixture_open(&second, &bounds, 1);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 1, 10, &other), ERR_OK);
    flow_fixture_dequeue(&fixture, 1);
    chunk = chunk_retain(fixture.batch.entries[0].chunk);
    chan_delivered(fixture.chan, &fixture.batch);
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 1, 10, &waiter), ERR_OK);
    cr_assert_eq(flow_fixture_put_waiting(&second, 0, 1, 10, &waiter), ERR_OK);
    put_waiter_begin(&waiter.waiter);
    cr_assert_eq(chan_put(fixture.chan, fixture.feeds[0], chunk, 0, 1, &waiter.waiter), ERR_AGAIN);
    cr_assert_eq(chan_put(second.chan, second.feeds[0], chunk, 0, 1, &waiter.waiter), ERR_AGAIN);
    flow_fixture_deliver(&second, 1);
    cr_assert_eq(put_waiter_end(&waiter.waiter), ERR_AGAIN);
    cr_assert_eq(waiter.over, 0);
    flow_fixture_deliver(&fixture, 1);
    cr_assert_eq(waiter.over, 1);
    put_waiter_begin(&waiter.waiter);
    cr_assert_eq(chan_put(fixture.chan, fixture.feeds[0], chunk, 0, 1, &waiter.waiter), ERR_AGAIN);
    flow_fixture_deliver(&fixture, 1);
    cr_assert_eq(put_waiter_end(&waiter.waiter), ERR_OK, "it was over before the putter had to wait");
    cr_assert_eq(waiter.over, 1);
    chunk_release(chunk);
    flow_fixture_close(&second);
    flow_fixture_close(&fixture);
}
