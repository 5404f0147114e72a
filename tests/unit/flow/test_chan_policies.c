/* test_chan_policies.c - the bounds, and what each policy but BLOCK does at them. */
#include <criterion/criterion.h>
#include <string.h>

#include "flow/chan_batch.h"
#include "flow/chan_stats.h"
#include "flow_fixture.h"

static struct chan_limits limits(enum overflow overflow, uint32_t max_events, uint64_t max_bytes)
{
    return (struct chan_limits){.max_events = max_events, .max_bytes = max_bytes, .overflow = overflow};
}

Test(chan_policies, drop_newest_accepts_up_to_the_bound_of_events)
{
    struct chan_limits bounds = limits(OVERFLOW_DROP_NEWEST, 4, 1000);
    struct chan_stats stats;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 4, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "", "exactly full is not too much");
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:NEWEST 5-5 x1");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "a1-4");
    cr_assert_eq(flow_fixture_put(&fixture, 0, 6, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "a6-9", "the part that fits is taken");
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:NEWEST 10-11 x2");
    stats = flow_fixture_balance(&fixture);
    cr_assert_eq(stats.dropped[LOSS_OVERFLOW_NEWEST].events, 3);
    cr_assert_eq(stats.dropped[LOSS_OVERFLOW_NEWEST].bytes, 30);
    flow_fixture_close(&fixture);
}

Test(chan_policies, drop_newest_accepts_up_to_the_bound_of_bytes)
{
    struct chan_limits bounds = limits(OVERFLOW_DROP_NEWEST, 100, 40);
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 5, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:NEWEST 5-5 x1", "four are exactly forty bytes");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "a1-4");
    cr_assert_eq(flow_fixture_put(&fixture, 0, 4, 11), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:NEWEST 9-9 x1", "four would be forty-four");
    flow_fixture_balance(&fixture);
    flow_fixture_close(&fixture);
}

Test(chan_policies, an_oversize_event_is_accepted_only_where_nothing_waits)
{
    static const enum overflow policies[] = {OVERFLOW_DROP_NEWEST, OVERFLOW_DROP_OLDEST, OVERFLOW_DISCONNECT};

    for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
        struct chan_limits bounds = limits(policies[i], 10, 40);
        struct flow_fixture fixture;

        flow_fixture_open(&fixture, &bounds, 2);
        cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 500), ERR_OK);
        cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "a1");
        cr_assert_eq(flow_fixture_put(&fixture, 1, 1, 5), ERR_OK);
        cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 500), ERR_OK);
        cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "b1", "policy %d: beside another it is too much",
                         policies[i]);
        flow_fixture_balance(&fixture);
        flow_fixture_close(&fixture);
    }
}

Test(chan_policies, drop_oldest_keeps_the_newest)
{
    struct chan_limits bounds = limits(OVERFLOW_DROP_OLDEST, 4, 1000);
    struct chan_stats stats;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 4, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "");
    cr_assert_eq(flow_fixture_put(&fixture, 0, 3, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:OLDEST 1-3 x3");
    cr_assert_eq(flow_fixture_put(&fixture, 0, 10, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:OLDEST 4-13 x10",
                     "more than all of the channel at once");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "a14-17");
    stats = flow_fixture_balance(&fixture);
    cr_assert_eq(stats.dropped[LOSS_OVERFLOW_OLDEST].events, 13);
    flow_fixture_close(&fixture);
}

Test(chan_policies, drop_oldest_holds_the_bound_of_bytes_on_both_sides)
{
    struct chan_limits bounds = limits(OVERFLOW_DROP_OLDEST, 100, 40);
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 4, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "");
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 11), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:OLDEST 1-2 x2",
                     "eleven bytes cost two events of ten");
    cr_assert_eq(flow_fixture_put(&fixture, 0, 2, 500), ERR_OK);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "a7", "the last one is kept, however large");
    flow_fixture_balance(&fixture);
    flow_fixture_close(&fixture);
}

Test(chan_policies, drop_oldest_drops_from_the_heaviest_feed)
{
    struct chan_limits bounds = limits(OVERFLOW_DROP_OLDEST, 4, 1000);
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 2);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_eq(flow_fixture_put(&fixture, 1, 3, 10), ERR_OK);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "b:OLDEST 1-1 x1",
                     "not the oldest of all, nor the last feed's");
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 100), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:OLDEST 1-1 x1", "bytes count, not events");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "b2-3 a2 a3");
    flow_fixture_balance(&fixture);
    flow_fixture_close(&fixture);
}

Test(chan_policies, drop_oldest_drops_to_just_below_the_second_heaviest)
{
    struct chan_limits bounds = limits(OVERFLOW_DROP_OLDEST, 12, 1000);
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 3);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 6, 10), ERR_OK);
    cr_assert_eq(flow_fixture_put(&fixture, 1, 6, 10), ERR_OK);
    cr_assert_eq(flow_fixture_put(&fixture, 2, 4, 1), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:OLDEST 1-2 x2 b:OLDEST 1-2 x2",
                     "both large ones share the loss");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "a3-6 b3-6 c1-4");
    flow_fixture_close(&fixture);
}

Test(chan_policies, drop_oldest_weighs_only_waiting_events)
{
    struct chan_limits bounds = limits(OVERFLOW_DROP_OLDEST, 4, 1000);
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 2);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 4, 100), ERR_OK);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 3), "a1-3");
    cr_assert_eq(flow_fixture_put(&fixture, 1, 3, 50), ERR_OK);
    cr_assert_eq(flow_fixture_put(&fixture, 1, 1, 50), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "b:OLDEST 1-1 x1",
                     "a was heavier before it was taken from");
    flow_fixture_close(&fixture);
}

Test(chan_policies, a_flooder_loses_its_own_events_and_nine_quiet_feeds_lose_none)
{
    struct chan_limits bounds = limits(OVERFLOW_DROP_OLDEST, 100, 1 << 20);
    struct chan_stats stats;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 10);
    for (uint32_t round = 0; round < 200; round++) {
        for (uint32_t quiet = 1; quiet < 10; quiet++)
            cr_assert_eq(flow_fixture_put(&fixture, quiet, 1, 20), ERR_OK);
        cr_assert_eq(flow_fixture_put(&fixture, 0, 64, 20), ERR_OK);
        /* A slow consumer, which keeps up with the quiet feeds only. */
        flow_fixture_deliver(&fixture, 10);
    }
    while (chan_dequeue(fixture.chan, &fixture.batch, 10, UINT64_MAX, 0))
        chan_delivered(fixture.chan, &fixture.batch);
    chan_delivered(fixture.chan, &fixture.batch);
    cr_assert_eq(strncmp(flow_fixture_losses(&fixture, 99), "a:OLDEST ", 9), 0);
    cr_assert_null(strstr(fixture.text + 9, ":"), "no other feed lost events: %s", fixture.text);
    stats = flow_fixture_balance(&fixture);
    cr_assert_eq(stats.accepted.events, 200 * (64 + 9));
    cr_assert_gt(stats.dropped[LOSS_OVERFLOW_OLDEST].events, 200 * 40);
    flow_fixture_close(&fixture);
}

Test(chan_policies, disconnect_accepts_what_fits_and_breaks_the_channel)
{
    struct chan_limits bounds = limits(OVERFLOW_DISCONNECT, 4, 1000);
    struct chan_stats stats;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 4, 10), ERR_OK);
    cr_assert_eq(chan_state(fixture.chan), CHAN_OPEN, "exactly full is not too much");
    cr_assert_eq(fixture.readable_calls, 1);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 2), "a1-2");
    cr_assert_eq(flow_fixture_put(&fixture, 0, 5, 10), ERR_OK, "the put that breaks it is accounted for");
    cr_assert_eq(chan_state(fixture.chan), CHAN_BROKEN);
    cr_assert_eq(fixture.readable_calls, 2);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_CLOSED);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:NEWEST 7-9 x3");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "a3-4 a5-6", "what waits is still given");
    stats = flow_fixture_balance(&fixture);
    cr_assert_eq(stats.accepted.events, 9, "what came after the break is in no sum");
    flow_fixture_close(&fixture);
}

Test(chan_policies, breaking_notifies_again_after_a_notification)
{
    struct chan_limits bounds = limits(OVERFLOW_DISCONNECT, 1, 1000);
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_eq(fixture.readable_calls, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_eq(fixture.readable_calls, 2, "the taker may be waiting for its peer");
    flow_fixture_close(&fixture);
}

Test(chan_policies, a_part_of_a_chunk_can_be_put)
{
    struct chan_limits bounds = limits(OVERFLOW_DROP_NEWEST, 100, 1000);
    struct flow_fixture fixture;
    struct chunk *chunk;

    flow_fixture_open(&fixture, &bounds, 1);
    (void)flow_fixture_put(&fixture, 0, 1, 10);
    flow_fixture_dequeue(&fixture, 1);
    chunk = chunk_retain(fixture.batch.entries[0].chunk);
    chan_delivered(fixture.chan, &fixture.batch);
    chunk_release(chunk);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 8, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_dequeue(&fixture, 9), "a2-9");
    chunk = chunk_retain(fixture.batch.entries[0].chunk);
    chan_delivered(fixture.chan, &fixture.batch);
    cr_assert_eq(chan_put(fixture.chan, fixture.feeds[0], chunk, 2, 5, NULL), ERR_OK);
    cr_assert_eq(chan_put(fixture.chan, fixture.feeds[0], chunk, 7, 8, NULL), ERR_OK);
    chunk_release(chunk);
    cr_assert_str_eq(flow_fixture_dequeue(&fixture, 2), "a4-5", "an entry can leave in parts");
    chan_delivered(fixture.chan, &fixture.batch);
    cr_assert_str_eq(flow_fixture_dequeue(&fixture, 9), "a6 a9");
    chan_delivered(fixture.chan, &fixture.batch);
    flow_fixture_balance(&fixture);
    flow_fixture_close(&fixture);
}
