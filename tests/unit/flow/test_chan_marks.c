/* test_chan_marks.c - lines: when a mark is told, and what stands before it. */
#include <criterion/criterion.h>

#include "base/clock.h"
#include "rig.h"

static const struct chan_limits newest = {
    .max_events = 8, .max_bytes = 1000, .overflow = OVERFLOW_DROP_NEWEST};
static const struct chan_limits oldest = {
    .max_events = 8, .max_bytes = 1000, .overflow = OVERFLOW_DROP_OLDEST};
static const struct chan_limits by_feed = {
    .max_events = 4, .max_bytes = 1000, .overflow = OVERFLOW_BY_FEED, .fallback = OVERFLOW_DROP_NEWEST};

Test(chan_marks, a_mark_in_an_empty_channel_is_told_at_once)
{
    struct rig rig;

    rig_open(&rig, &newest, 1);
    cr_assert_eq(chan_marked(rig.chan), 0);
    chan_mark(rig.chan, 7);
    cr_assert_eq(rig.rings, 1, "there is something to look at");
    cr_assert_eq(chan_marked(rig.chan), 7);
    cr_assert_eq(chan_marked(rig.chan), 0, "told once");
    rig_close(&rig);
}

Test(chan_marks, a_take_ends_at_the_line_and_the_mark_comes_before_the_next)
{
    struct rig rig;

    rig_open(&rig, &newest, 2);
    cr_assert_eq(rig_put(&rig, 0, 2, 10), ERR_OK);
    chan_mark(rig.chan, 1);
    cr_assert_eq(rig.rings, 1, "not yet");
    cr_assert_eq(rig_put(&rig, 1, 2, 10), ERR_OK);
    cr_assert_eq(chan_marked(rig.chan), 0);
    cr_assert_str_eq(rig_deliver(&rig, 1), "a1");
    cr_assert_eq(chan_marked(rig.chan), 0, "half of an entry is left");
    cr_assert(chan_dequeue(rig.chan, &rig.batch, 99, 9999, 0), "more waits");
    cr_assert_str_eq(rig_taken(&rig), "a2", "the rest came after the line");
    chan_delivered(rig.chan, &rig.batch);
    cr_assert_eq(chan_marked(rig.chan), 1);
    cr_assert_str_eq(rig_deliver(&rig, 99), "b1-2");
    rig_close(&rig);
}

Test(chan_marks, a_line_that_is_passed_just_before_a_take_is_told_first)
{
    struct rig rig;

    rig_open(&rig, &newest, 1);
    cr_assert_eq(chan_marked(rig.chan), 0);
    chan_mark(rig.chan, 1);
    cr_assert_eq(rig_put(&rig, 0, 2, 10), ERR_OK);
    cr_assert(chan_dequeue(rig.chan, &rig.batch, 99, 9999, 0));
    cr_assert_eq(rig.batch.events, 0, "the taker did not know");
    cr_assert_eq(chan_marked(rig.chan), 1);
    cr_assert_str_eq(rig_deliver(&rig, 99), "a1-2");
    rig_close(&rig);
}

Test(chan_marks, a_taker_who_does_not_care_is_not_held_up)
{
    struct rig rig;
    int takes = 1;

    rig_open(&rig, &newest, 1);
    cr_assert_eq(rig_put(&rig, 0, 2, 10), ERR_OK);
    chan_mark(rig.chan, 1);
    cr_assert_eq(rig_put(&rig, 0, 2, 10), ERR_OK);
    while (chan_dequeue(rig.chan, &rig.batch, 99, 9999, 0)) {
        chan_delivered(rig.chan, &rig.batch);
        takes++;
    }
    cr_assert_eq(takes, 2);
    cr_assert_str_eq(rig_taken(&rig), "a3-4");
    cr_assert_eq(chan_marked(rig.chan), 1, "it may still ask");
    rig_close(&rig);
}

Test(chan_marks, a_take_that_passes_the_line_says_that_there_is_more)
{
    struct rig rig;

    rig_open(&rig, &newest, 1);
    cr_assert_eq(rig_put(&rig, 0, 2, 10), ERR_OK);
    chan_mark(rig.chan, 1);
    cr_assert(chan_dequeue(rig.chan, &rig.batch, 99, 9999, 0), "nobody rings for the mark");
    cr_assert_eq(rig.batch.events, 2);
    cr_assert_eq(rig.rings, 1);
    chan_delivered(rig.chan, &rig.batch);
    cr_assert_eq(chan_marked(rig.chan), 1);
    cr_assert_not(chan_dequeue(rig.chan, &rig.batch, 99, 9999, 0));
    rig_close(&rig);
}

Test(chan_marks, drops_pass_a_line_too)
{
    struct rig rig;

    rig_open(&rig, &oldest, 1);
    cr_assert_eq(rig_put(&rig, 0, 4, 10), ERR_OK);
    chan_mark(rig.chan, 3);
    cr_assert_eq(rig_put(&rig, 0, 7, 10), ERR_OK);
    cr_assert_eq(chan_marked(rig.chan), 0, "one is left from before");
    cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
    cr_assert_eq(chan_marked(rig.chan), 3);
    cr_assert_str_eq(rig_losses(&rig, 9), "a:OLDEST 1-4 x4");
    rig_close(&rig);
}

Test(chan_marks, what_is_too_old_passes_a_line_and_wakes_the_taker)
{
    struct chan_limits bounds = newest;
    struct rig rig;

    bounds.max_age_ns = NS_PER_S;
    rig_open(&rig, &bounds, 1);
    rig.observed_ns -= 2 * NS_PER_S;
    cr_assert_eq(rig_put(&rig, 0, 4, 10), ERR_OK);
    chan_mark(rig.chan, 3);
    rig.observed_ns += 2 * NS_PER_S;
    cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
    cr_assert_eq(chan_marked(rig.chan), 3);
    rig_close(&rig);
}

Test(chan_marks, a_later_mark_replaces_one_that_was_not_passed)
{
    struct rig rig;

    rig_open(&rig, &newest, 1);
    cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
    chan_mark(rig.chan, 1);
    cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
    chan_mark(rig.chan, 2);
    cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
    cr_assert_str_eq(rig_deliver(&rig, 1), "a1");
    cr_assert_eq(chan_marked(rig.chan), 0);
    cr_assert_str_eq(rig_deliver(&rig, 9), "a2");
    cr_assert_eq(chan_marked(rig.chan), 2);
    cr_assert_str_eq(rig_deliver(&rig, 9), "a3");
    rig_close(&rig);
}

Test(chan_marks, a_mark_that_was_passed_and_not_told_gives_way_to_the_next)
{
    struct rig rig;

    rig_open(&rig, &newest, 1);
    chan_mark(rig.chan, 1);
    cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
    chan_mark(rig.chan, 2);
    cr_assert_eq(chan_marked(rig.chan), 1, "nothing came before it");
    cr_assert_str_eq(rig_deliver(&rig, 9), "a1");
    chan_mark(rig.chan, 3);
    cr_assert_eq(chan_marked(rig.chan), 3, "the latest only");
    rig_close(&rig);
}

Test(chan_marks, what_is_parked_stands_before_the_line)
{
    struct rig rig;

    rig_open_paced(&rig, &by_feed, 0, 1);
    cr_assert_eq(rig_put(&rig, 0, 4, 10), ERR_OK);
    cr_assert_eq(rig_put(&rig, 0, 5, 10), ERR_AGAIN);
    chan_mark(rig.chan, 1);
    cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_AGAIN);
    cr_assert_str_eq(rig_deliver(&rig, 9), "a1-4");
    cr_assert_eq(chan_marked(rig.chan), 0);
    cr_assert_str_eq(rig_deliver(&rig, 2), "a5-6");
    cr_assert_str_eq(rig_deliver(&rig, 9), "a7-8 a9", "an entry that came in by parts is all from before");
    cr_assert_eq(chan_marked(rig.chan), 1);
    cr_assert_str_eq(rig_deliver(&rig, 9), "a10");
    rig_close(&rig);
}

Test(chan_marks, what_fell_to_the_fallback_and_stays_is_from_before)
{
    struct chan_limits bounds = by_feed;
    struct rig rig;

    bounds.fallback = OVERFLOW_DROP_OLDEST;
    rig_open_paced(&rig, &bounds, 0, 1);
    cr_assert_eq(rig_put(&rig, 0, 5, 10), ERR_AGAIN);
    cr_assert_eq(rig_put(&rig, 0, 3, 10), ERR_AGAIN);
    chan_mark(rig.chan, 1);
    cr_assert_eq(rig_put(&rig, 0, 1022, 10), ERR_OK, "beyond the reserve");
    cr_assert_eq(chan_marked(rig.chan), 1);
    chan_mark(rig.chan, 2);
    cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_AGAIN);
    cr_assert_str_eq(rig_deliver(&rig, 9), "a1027-1030");
    cr_assert_eq(chan_marked(rig.chan), 2);
    rig_close(&rig);
}

Test(chan_marks, who_was_parked_may_come_after_others_from_behind_the_line)
{
    struct rig rig;

    rig_open_paced(&rig, &by_feed, 1, 1);
    cr_assert_eq(rig_put(&rig, 1, 6, 10), ERR_AGAIN);
    chan_mark(rig.chan, 1);
    cr_assert_str_eq(rig_deliver(&rig, 1), "b1");
    cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
    cr_assert_str_eq(rig_deliver(&rig, 9), "b2-4 a1", "a shared feed does not wait");
    cr_assert_eq(chan_marked(rig.chan), 0, "5 and 6 are from before");
    cr_assert_str_eq(rig_deliver(&rig, 9), "b5-6");
    cr_assert_eq(chan_marked(rig.chan), 1);
    rig_close(&rig);
}

Test(chan_marks, a_close_passes_every_line)
{
    struct rig rig;

    rig_open_paced(&rig, &by_feed, 0, 1);
    cr_assert_eq(rig_put(&rig, 0, 6, 10), ERR_AGAIN);
    chan_mark(rig.chan, 5);
    chan_close(rig.chan, LOSS_DRAIN_CUT);
    cr_assert_eq(chan_marked(rig.chan), 5);
    rig_close(&rig);
}

Test(chan_marks, what_is_in_flight_is_behind_the_taker)
{
    struct rig rig;

    rig_open(&rig, &newest, 1);
    cr_assert_eq(rig_put(&rig, 0, 2, 10), ERR_OK);
    cr_assert_str_eq(rig_take(&rig, 9), "a1-2");
    chan_mark(rig.chan, 5);
    cr_assert_eq(chan_marked(rig.chan), 5);
    rig_close(&rig);
}
