/* test_feed_catch.c - whether the consumer of a stored topic keeps up: what is told, when, and in
 * which order. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "flow/chan_batch.h"
#include "flow/feed.h"
#include "flow/feed_catch.h"
#include "flow_fixture.h"

static const struct chan_limits block = {
    .max_events = 4, .max_bytes = 1000, .overflow = OVERFLOW_BLOCK, .fallback = OVERFLOW_DROP_OLDEST};
static const struct chan_limits oldest = {
    .max_events = 4, .max_bytes = 1000, .overflow = OVERFLOW_DROP_OLDEST};

static void append(void *ctx, const struct catch_note *note)
{
    char *text = ctx;
    size_t used = strlen(text);

    snprintf(text + used, 256 - used, "%s%s %s %llu", used > 0 ? ", " : "", note->source->name,
             note->caught_up ? "has" : "fell", (unsigned long long)note->sequence);
}

/* What is told now, such as "a has 3, b fell 4". */
static const char *catches(struct flow_fixture *fixture, uint32_t max)
{
    static char text[256];

    text[0] = '\0';
    (void)chan_catches(fixture->chan, max, append, text);
    return text;
}

static void put(struct flow_fixture *fixture, uint32_t feed, uint32_t events)
{
    (void)!flow_fixture_put(fixture, feed, events, 10);
}

Test(feed_catch, caught_up_comes_with_the_last_event_before_it)
{
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &block, 0, 1);
    put(&fixture, 0, 3);
    feed_caught_up(fixture.chan, fixture.feeds[0], 3);
    cr_assert_str_eq(catches(&fixture, 9), "", "three events wait");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 2), "a1-2");
    cr_assert_str_eq(catches(&fixture, 9), "", "the third event waits");
    cr_assert_str_eq(flow_fixture_dequeue(&fixture, 9), "a3");
    cr_assert_str_eq(catches(&fixture, 9), "a has 3");
    cr_assert_str_eq(catches(&fixture, 9), "", "it is told once");
    chan_delivered(fixture.chan, &fixture.batch);
    flow_fixture_close(&fixture);
}

Test(feed_catch, what_is_put_behind_it_delays_it_no_longer)
{
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &block, 0, 1);
    put(&fixture, 0, 2);
    feed_caught_up(fixture.chan, fixture.feeds[0], 2);
    put(&fixture, 0, 2);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 2), "a1-2");
    cr_assert_str_eq(catches(&fixture, 9), "a has 2", "3 and 4 wait");
    flow_fixture_close(&fixture);
}

Test(feed_catch, an_idle_taker_is_notified_at_once)
{
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &block, 0, 1);
    flow_fixture_deliver(&fixture, 1); /* arms */
    fixture.readable_calls = 0;
    feed_caught_up(fixture.chan, fixture.feeds[0], 0);
    cr_assert_eq(fixture.readable_calls, 1);
    cr_assert_str_eq(catches(&fixture, 9), "a has 0", "a topic that never had an event");
    flow_fixture_deliver(&fixture, 1);
    feed_fell_behind(fixture.chan, fixture.feeds[0], 1);
    cr_assert_eq(fixture.readable_calls, 2);
    cr_assert_str_eq(catches(&fixture, 9), "a fell 1");
    flow_fixture_close(&fixture);
}

Test(feed_catch, a_fell_behind_is_told_before_its_events_and_the_caught_up_after_them)
{
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &block, 0, 1);
    feed_caught_up(fixture.chan, fixture.feeds[0], 0);
    cr_assert_str_eq(catches(&fixture, 9), "a has 0");
    feed_fell_behind(fixture.chan, fixture.feeds[0], 1);
    put(&fixture, 0, 3);
    feed_caught_up(fixture.chan, fixture.feeds[0], 3);
    cr_assert_str_eq(flow_fixture_dequeue(&fixture, 1), "a1");
    cr_assert_str_eq(catches(&fixture, 9), "a fell 1");
    chan_delivered(fixture.chan, &fixture.batch);
    cr_assert_str_eq(flow_fixture_dequeue(&fixture, 9), "a2-3");
    cr_assert_str_eq(catches(&fixture, 9), "a has 3");
    chan_delivered(fixture.chan, &fixture.batch);
    flow_fixture_close(&fixture);
}

Test(feed_catch, both_go_in_one_message_where_all_events_do)
{
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &block, 0, 1);
    feed_caught_up(fixture.chan, fixture.feeds[0], 0);
    cr_assert_str_eq(catches(&fixture, 9), "a has 0");
    feed_fell_behind(fixture.chan, fixture.feeds[0], 1);
    put(&fixture, 0, 3);
    feed_caught_up(fixture.chan, fixture.feeds[0], 3);
    cr_assert_str_eq(flow_fixture_dequeue(&fixture, 9), "a1-3");
    cr_assert_str_eq(catches(&fixture, 9), "a fell 1, a has 3");
    chan_delivered(fixture.chan, &fixture.batch);
    flow_fixture_close(&fixture);
}

Test(feed_catch, what_changes_back_before_it_was_told_is_not_told)
{
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &block, 0, 1);
    put(&fixture, 0, 2);
    feed_caught_up(fixture.chan, fixture.feeds[0], 2);
    feed_fell_behind(fixture.chan, fixture.feeds[0], 3);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a1-2");
    cr_assert_str_eq(catches(&fixture, 9), "", "it was behind, and is behind");
    put(&fixture, 0, 1);
    feed_caught_up(fixture.chan, fixture.feeds[0], 3);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a3");
    cr_assert_str_eq(catches(&fixture, 9), "a has 3");
    feed_caught_up(fixture.chan, fixture.feeds[0], 3);
    cr_assert_str_eq(catches(&fixture, 9), "", "it is known");
    feed_fell_behind(fixture.chan, fixture.feeds[0], 4);
    feed_caught_up(fixture.chan, fixture.feeds[0], 9);
    feed_fell_behind(fixture.chan, fixture.feeds[0], 10);
    cr_assert_str_eq(catches(&fixture, 9), "a fell 4", "the first event from the disk");
    feed_fell_behind(fixture.chan, fixture.feeds[0], 12);
    cr_assert_str_eq(catches(&fixture, 9), "", "it is known");
    flow_fixture_close(&fixture);
}

Test(feed_catch, a_loss_before_it_is_reported_first)
{
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &oldest, 0, 2);
    put(&fixture, 0, 6);
    feed_caught_up(fixture.chan, fixture.feeds[0], 6);
    flow_fixture_dequeue(&fixture, 9);
    cr_assert_str_eq(catches(&fixture, 9), "");
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:OLDEST 1-2 x2");
    cr_assert_str_eq(catches(&fixture, 9), "a has 6");
    chan_delivered(fixture.chan, &fixture.batch);
    flow_fixture_close(&fixture);
}

Test(feed_catch, parked_events_delay_it)
{
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &block, 0, 1);
    put(&fixture, 0, 6);
    feed_caught_up(fixture.chan, fixture.feeds[0], 6);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 1), "a1");
    cr_assert_str_eq(catches(&fixture, 9), "");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a2-4");
    cr_assert_str_eq(catches(&fixture, 9), "");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a5-6");
    cr_assert_str_eq(catches(&fixture, 9), "a has 6");
    (void)flow_fixture_pauses(&fixture);
    flow_fixture_close(&fixture);
}

Test(feed_catch, notes_over_the_bound_come_next_time_but_not_after_their_events)
{
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &block, 0, 3);
    for (uint32_t i = 0; i < 3; i++)
        feed_caught_up(fixture.chan, fixture.feeds[i], 0);
    cr_assert_str_eq(catches(&fixture, 0), "");
    cr_assert_str_eq(catches(&fixture, 2), "a has 0, b has 0");
    cr_assert_str_eq(catches(&fixture, 2), "c has 0");
    for (uint32_t i = 0; i < 3; i++)
        feed_fell_behind(fixture.chan, fixture.feeds[i], 1);
    put(&fixture, 2, 1);
    cr_assert_str_eq(flow_fixture_dequeue(&fixture, 9), "c1");
    cr_assert_str_eq(catches(&fixture, 0), "c fell 1", "its event goes now");
    chan_delivered(fixture.chan, &fixture.batch);
    feed_caught_up(fixture.chan, fixture.feeds[0], 0);
    cr_assert_str_eq(catches(&fixture, 1), "a fell 1");
    cr_assert_str_eq(catches(&fixture, 2), "a has 0, b fell 1");
    flow_fixture_close(&fixture);
}

Test(feed_catch, a_draining_channel_still_tells_it_and_a_closed_one_does_not)
{
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &block, 0, 2);
    put(&fixture, 0, 1);
    feed_caught_up(fixture.chan, fixture.feeds[0], 1);
    feed_caught_up(fixture.chan, fixture.feeds[1], 0);
    chan_drain(fixture.chan);
    cr_assert_str_eq(catches(&fixture, 9), "b has 0");
    chan_close(fixture.chan, LOSS_DRAIN_CUT);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:CUT 1-1 x1");
    cr_assert_str_eq(catches(&fixture, 9), "");
    flow_fixture_close(&fixture);
}

Test(feed_catch, a_closed_feed_tells_what_it_still_has_before_its_end)
{
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &block, 0, 2);
    (void)flow_fixture_states(&fixture, 9);
    put(&fixture, 0, 1);
    feed_caught_up(fixture.chan, fixture.feeds[0], 1);
    flow_fixture_feed_close(&fixture, 0, 8);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a1");
    cr_assert_str_eq(catches(&fixture, 9), "a has 1");
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "a is 8");
    feed_caught_up(fixture.chan, fixture.feeds[1], 0);
    flow_fixture_feed_close(&fixture, 1, 8);
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "b is 8");
    cr_assert_str_eq(catches(&fixture, 9), "", "the feed is gone");
    flow_fixture_close(&fixture);
}
