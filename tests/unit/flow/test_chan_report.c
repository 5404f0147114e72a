/* test_chan_report.c - losses, positions, states and totals: what is reported beside the batch. */
#include <criterion/criterion.h>
#include <string.h>

#include "flow/chan_batch.h"
#include "flow/chan_report.h"
#include "flow/chan_stats.h"
#include "flow/feed.h"
#include "flow/totals.h"
#include "flow_fixture.h"

static const struct chan_limits newest = {
    .max_events = 4, .max_bytes = 1000, .overflow = OVERFLOW_DROP_NEWEST};
static const struct chan_limits oldest = {
    .max_events = 4, .max_bytes = 1000, .overflow = OVERFLOW_DROP_OLDEST};
static const struct chan_limits block = {.max_events = 4,
                                         .max_bytes = 1000,
                                         .overflow = OVERFLOW_BLOCK,
                                         .fallback = OVERFLOW_DROP_OLDEST,
                                         .block_timeout_ns = FOR_EVER};

Test(chan_report, a_loss_is_reported_once_with_its_range_and_exact_count)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &newest, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 5, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 1), "a1");
    cr_assert_eq(flow_fixture_put(&fixture, 0, 3, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:NEWEST 5-8 x3", "6 was taken");
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "");
    flow_fixture_close(&fixture);
}

Test(chan_report, each_reason_is_reported_by_itself)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &newest, 2);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 5, 10), ERR_OK);
    feed_gap(fixture.chan, fixture.feeds[0], 100, 199, false);
    feed_gap(fixture.chan, fixture.feeds[1], 0, 0, true);
    flow_fixture_dequeue(&fixture, 2);
    chan_lost(fixture.chan, &fixture.batch, LOSS_DRAIN_CUT);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9),
                     "a:NEWEST 5-5 x1 a:CUT 1-2 x2 a:GAP 100-199 x100 b:GAP 0-0 x0+");
    cr_assert_eq(flow_fixture_balance(&fixture).accepted.events, 5, "a gap is in no sum");
    flow_fixture_close(&fixture);
}

Test(chan_report, losses_over_the_bound_come_next_time)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &newest, 3);
    for (uint32_t feed = 0; feed < 3; feed++)
        cr_assert_eq(flow_fixture_put(&fixture, feed, 5, 10), ERR_OK);
    feed_gap(fixture.chan, fixture.feeds[0], 100, 199, false);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 0), "");
    cr_assert_str_eq(flow_fixture_losses(&fixture, 1), "a:NEWEST 5-5 x1");
    cr_assert_str_eq(flow_fixture_losses(&fixture, 2), "a:GAP 100-199 x100 b:NEWEST 1-5 x5");
    cr_assert_str_eq(flow_fixture_losses(&fixture, 2), "c:NEWEST 1-5 x5");
    cr_assert_str_eq(flow_fixture_losses(&fixture, 2), "");
    flow_fixture_close(&fixture);
}

Test(chan_report, losses_of_sources_in_the_batch_come_first)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &newest, 3);
    cr_assert_eq(flow_fixture_put(&fixture, 2, 3, 10), ERR_OK);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 2, 10), ERR_OK);
    cr_assert_eq(flow_fixture_put(&fixture, 1, 1, 10), ERR_OK);
    cr_assert_eq(flow_fixture_put(&fixture, 2, 1, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_dequeue(&fixture, 3), "c1-3");
    cr_assert_str_eq(flow_fixture_losses(&fixture, 1), "c:NEWEST 4-4 x1",
                     "a loss comes no later than the next event of its source");
    flow_fixture_close(&fixture);
}

Test(chan_report, consumer_gone_is_not_reported)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &newest, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 4, 10), ERR_OK);
    flow_fixture_dequeue(&fixture, 2);
    chan_close(fixture.chan, LOSS_CONSUMER_GONE);
    chan_lost(fixture.chan, &fixture.batch, LOSS_CONSUMER_GONE);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "");
    cr_assert_eq(flow_fixture_balance(&fixture).dropped[LOSS_CONSUMER_GONE].events, 4, "but it is counted");
    flow_fixture_close(&fixture);
}

Test(chan_report, a_position_stops_before_what_waits)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &oldest, 2);
    cr_assert_str_eq(flow_fixture_all_positions(&fixture, 9), "", "nothing came yet");
    cr_assert_eq(flow_fixture_put(&fixture, 0, 4, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "");
    flow_fixture_dequeue(&fixture, 3);
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "a=3", "in flight is taken");
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "", "once");
    chan_delivered(fixture.chan, &fixture.batch);
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "");
    flow_fixture_deliver(&fixture, 9);
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "a=4");
    cr_assert_str_eq(flow_fixture_all_positions(&fixture, 9), "a=4", "all: also those that did not move");
    flow_fixture_close(&fixture);
}

Test(chan_report, a_position_passes_over_what_was_filtered_out)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &oldest, 1);
    fixture.routed[0] = 9;
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "a=9");
    fixture.routed[0] = 9;
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "");
    fixture.next[0] = 15;
    cr_assert_eq(flow_fixture_put(&fixture, 0, 2, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "a=14", "they would have come before it");
    fixture.routed[0] = 20;
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "", "16 waits");
    flow_fixture_deliver(&fixture, 9);
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "a=20");
    flow_fixture_close(&fixture);
}

Test(chan_report, a_position_stays_where_it_was_when_it_follows_nothing_more)
{
    _Atomic uint64_t other = 30;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &oldest, 1);
    fixture.routed[0] = 9;
    feed_follow(fixture.feeds[0], NULL);
    fixture.routed[0] = 12;
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "a=9");
    feed_follow(fixture.feeds[0], &other);
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "a=30");
    feed_follow(fixture.feeds[0], &fixture.routed[0]);
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "", "it never goes back");
    flow_fixture_close(&fixture);
}

Test(chan_report, a_position_stops_before_what_is_parked)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &block, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 4, 500), ERR_AGAIN);
    fixture.routed[0] = 10;
    flow_fixture_deliver(&fixture, 1);
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "a=1");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a2 a3");
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "a=3", "4 was admitted just now");
    flow_fixture_deliver(&fixture, 9);
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "a=10");
    fixture.next[0] = 11;
    cr_assert_eq(flow_fixture_put(&fixture, 0, 4, 500), ERR_AGAIN);
    chan_drain(fixture.chan);
    flow_fixture_deliver(&fixture, 9);
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "a=14");
    flow_fixture_close(&fixture);
}

Test(chan_report, a_position_stops_before_unreported_losses)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &oldest, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 6, 10), ERR_OK);
    flow_fixture_deliver(&fixture, 9);
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "", "1 and 2 are lost, which is not reported yet");
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:OLDEST 1-2 x2");
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "a=6");
    flow_fixture_close(&fixture);
}

Test(chan_report, positions_over_the_bound_come_next_time)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &oldest, 3);
    for (uint32_t feed = 0; feed < 3; feed++)
        fixture.routed[feed] = feed + 1;
    cr_assert_str_eq(flow_fixture_positions(&fixture, 2), "a=1 b=2");
    cr_assert_str_eq(flow_fixture_positions(&fixture, 2), "c=3");
    cr_assert_str_eq(flow_fixture_all_positions(&fixture, 2), "a=1 b=2");
    cr_assert_str_eq(flow_fixture_all_positions(&fixture, 9), "a=1 b=2 c=3", "what was read is not noted");
    flow_fixture_close(&fixture);
}

Test(chan_report, reading_all_positions_reports_none)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &oldest, 1);
    fixture.routed[0] = 7;
    cr_assert_str_eq(flow_fixture_all_positions(&fixture, 9), "a=7");
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "a=7", "it is still to be reported");
    flow_fixture_close(&fixture);
}

Test(chan_report, a_state_is_reported_once_and_only_the_latest)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &oldest, 2);
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "");
    feed_state(fixture.chan, fixture.feeds[0], &(struct source_state){.state = 3});
    feed_state(fixture.chan, fixture.feeds[0], &(struct source_state){.state = 4});
    feed_state(fixture.chan, fixture.feeds[1], &(struct source_state){.state = 5});
    cr_assert_str_eq(flow_fixture_states(&fixture, 1), "a is 4");
    cr_assert_str_eq(flow_fixture_states(&fixture, 1), "b is 5");
    feed_state(fixture.chan, fixture.feeds[0], &(struct source_state){.state = 3});
    feed_state(fixture.chan, fixture.feeds[0], &(struct source_state){.state = 4});
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "", "back to what the consumer knows");
    flow_fixture_close(&fixture);
}

Test(chan_report, the_last_state_comes_after_the_last_event_and_loss)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &oldest, 2);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 6, 10), ERR_OK);
    feed_state(fixture.chan, fixture.feeds[0], &(struct source_state){.state = 3});
    flow_fixture_feed_close(&fixture, 0, 8);
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "");
    flow_fixture_dequeue(&fixture, 9);
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "", "its loss was not reported yet");
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:OLDEST 1-2 x2");
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "a is 8");
    chan_lost(fixture.chan, &fixture.batch, LOSS_DRAIN_CUT);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:CUT 3-6 x4",
                     "a batch that is lost later is still reported");
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "");
    flow_fixture_close(&fixture);
}

Test(chan_report, the_last_state_of_a_parked_feed_comes_after_its_last_event)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &block, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 6, 10), ERR_AGAIN);
    flow_fixture_feed_close(&fixture, 0, 8);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a1-4");
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a5-6");
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "a is 8");
    flow_fixture_close(&fixture);
}

Test(chan_report, the_cause_of_an_end_is_reported_with_the_last_state)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &oldest, 2);
    feed_close(fixture.chan, fixture.feeds[0], 7, 5, "no such table");
    feed_close(fixture.chan, fixture.feeds[1], 7, 0, NULL);
    fixture.feeds[0] = fixture.feeds[1] = NULL;
    cr_assert_str_eq(flow_fixture_states(&fixture, 9), "a is 7 for 5: no such table b is 7");
    flow_fixture_close(&fixture);
}

static const char *reported_message(const char *message)
{
    static char text[512];
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &oldest, 1);
    feed_close(fixture.chan, fixture.feeds[0], 7, 5, message);
    fixture.feeds[0] = NULL;
    strcpy(text, flow_fixture_states(&fixture, 9));
    flow_fixture_close(&fixture);
    return text + strlen("a is 7 for 5: ");
}

Test(chan_report, a_long_cause_is_truncated_to_256_bytes_between_characters)
{
    char message[300] = "";

    cr_assert_str_eq(reported_message(NULL), "");
    memset(message, 'x', 256);
    cr_assert_str_eq(reported_message(message), message, "exactly as much as is reported");
    message[256] = 'y';
    cr_assert_eq(strlen(reported_message(message)), 256);
    memcpy(message + 254, "\xe2\x82\xac", 4);
    cr_assert_eq(strlen(reported_message(message)), 254, "no half of a character");
    memcpy(message + 253, "\xe2\x82\xac", 4);
    cr_assert_eq(strlen(reported_message(message)), 256, "all of it");
    memset(message, 0x80, 299);
    cr_assert_str_eq(reported_message(message), "", "this is no text");
}

static void count_feed(void *ctx, const struct feed_stats *stats)
{
    (void)stats;
    (*(uint32_t *)ctx)++;
}

Test(chan_report, a_closed_feed_is_freed_when_everything_was_reported)
{
    uint32_t feeds = 0;
    struct feed_stats others;
    struct chan_stats stats;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &oldest, 3);
    flow_fixture_feed_close(&fixture, 0, 8);
    chan_feeds(fixture.chan, 9, count_feed, &feeds, &stats, &others);
    cr_assert_eq(feeds, 3);
    cr_assert_eq(chan_states(fixture.chan, 9, NULL, NULL), 1);
    feeds = 0;
    chan_feeds(fixture.chan, 9, count_feed, &feeds, &stats, &others);
    cr_assert_eq(feeds, 2);
    feeds = 0;
    chan_feeds(fixture.chan, 1, count_feed, &feeds, &stats, &others);
    cr_assert_eq(feeds, 1, "at most as many as asked for");
    flow_fixture_close(&fixture);
}

Test(chan_report, all_reasons_together_are_the_sum_of_each)
{
    struct chan_stats stats = {0};

    for (uint32_t i = 0; i < LOSS_COUNT; i++)
        stats.dropped[i] = (struct totals){i, 10 * i};
    cr_assert_eq(chan_dropped(&stats).events, 66);
    cr_assert_eq(chan_dropped(&stats).bytes, 660);
}
