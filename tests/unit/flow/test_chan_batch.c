/* test_chan_batch.c - the batch in flight: its bounds, its endings, events that are too old, and
 * readable(). */
#include <criterion/criterion.h>

#include "base/clock.h"
#include "flow/chan_batch.h"
#include "flow/chan_stats.h"
#include "flow/feed.h"
#include "lib/chunks.h"
#include "flow_fixture.h"

static const struct chan_limits roomy = {
    .max_events = 1000, .max_bytes = 1 << 20, .overflow = OVERFLOW_DROP_NEWEST};

Test(chan_batch, dequeues_the_oldest_first_across_feeds)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &roomy, 3);
    for (uint32_t round = 0; round < 2; round++)
        for (uint32_t feed = 3; feed-- > 0;)
            cr_assert_eq(flow_fixture_put(&fixture, feed, 2, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "c1-2 b1-2 a1-2 c3-4 b3-4 a3-4");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "");
    flow_fixture_close(&fixture);
}

Test(chan_batch, tells_the_size_of_the_next_event)
{
    struct chan_limits bounds = roomy;
    struct flow_fixture fixture;

    bounds.max_age_ns = NS_PER_S;
    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(chan_next_bytes(fixture.chan), 0);
    fixture.observed_ns -= 2 * NS_PER_S;
    cr_assert_eq(flow_fixture_put(&fixture, 0, 2, 70), ERR_OK);
    fixture.observed_ns += 2 * NS_PER_S;
    cr_assert_eq(flow_fixture_put(&fixture, 0, 2, 30), ERR_OK);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 50), ERR_OK);
    cr_assert_eq(chan_next_bytes(fixture.chan), 30,
                 "one event, not the whole entry, and none that is too old");
    flow_fixture_deliver(&fixture, 1);
    cr_assert_eq(chan_next_bytes(fixture.chan), 30);
    flow_fixture_deliver(&fixture, 1);
    cr_assert_eq(chan_next_bytes(fixture.chan), 50);
    flow_fixture_deliver(&fixture, 1);
    cr_assert_eq(chan_next_bytes(fixture.chan), 0);
    flow_fixture_close(&fixture);
}

Test(chan_batch, holds_its_bound_of_events)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &roomy, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 5, 10), ERR_OK);
    cr_assert(chan_dequeue(fixture.chan, &fixture.batch, 4, 1000, 0), "one is left");
    cr_assert_str_eq(flow_fixture_in_flight(&fixture), "a1-4");
    chan_delivered(fixture.chan, &fixture.batch);
    cr_assert_not(chan_dequeue(fixture.chan, &fixture.batch, 1, 1000, 0));
    cr_assert_str_eq(flow_fixture_in_flight(&fixture), "a5");
    flow_fixture_close(&fixture);
}

Test(chan_batch, holds_its_bound_of_bytes_and_a_larger_event_goes_alone)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &roomy, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 3, 10), ERR_OK);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 2, 100), ERR_OK);
    cr_assert(chan_dequeue(fixture.chan, &fixture.batch, 99, 20, 0));
    cr_assert_str_eq(flow_fixture_in_flight(&fixture), "a1-2", "exactly twenty bytes");
    chan_delivered(fixture.chan, &fixture.batch);
    cr_assert(chan_dequeue(fixture.chan, &fixture.batch, 99, 19, 0));
    cr_assert_str_eq(flow_fixture_in_flight(&fixture), "a3", "not beside a larger one");
    chan_delivered(fixture.chan, &fixture.batch);
    cr_assert(chan_dequeue(fixture.chan, &fixture.batch, 99, 99, 0));
    cr_assert_str_eq(flow_fixture_in_flight(&fixture), "a4");
    chan_delivered(fixture.chan, &fixture.batch);
    cr_assert_not(chan_dequeue(fixture.chan, &fixture.batch, 99, 1, 0));
    cr_assert_str_eq(flow_fixture_in_flight(&fixture), "a5");
    flow_fixture_close(&fixture);
}

Test(chan_batch, grows_its_array_and_reuses_it_where_it_is_small)
{
    struct chan_batch_entry *entries;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &roomy, 1);
    for (int i = 0; i < 60; i++)
        cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    flow_fixture_dequeue(&fixture, 1000);
    cr_assert_eq(fixture.batch.count, 60);
    entries = fixture.batch.entries;
    chan_delivered(fixture.chan, &fixture.batch);
    for (int i = 0; i < 60; i++)
        cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    flow_fixture_dequeue(&fixture, 1000);
    cr_assert_eq(fixture.batch.entries, entries);
    chan_delivered(fixture.chan, &fixture.batch);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    flow_fixture_dequeue(&fixture, 1000);
    cr_assert_eq(fixture.batch.count, 100);
    chan_delivered(fixture.chan, &fixture.batch);
    cr_assert_null(fixture.batch.entries, "a large one is freed");
    flow_fixture_close(&fixture);
}

Test(chan_batch, events_in_flight_count_as_queued_until_completed)
{
    struct chan_stats stats;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &roomy, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 5, 10), ERR_OK);
    flow_fixture_dequeue(&fixture, 3);
    stats = flow_fixture_balance(&fixture);
    cr_assert(stats.queued.events == 5 && stats.queued.bytes == 50 && stats.delivered.events == 0);
    cr_assert_not(chan_idle(fixture.chan));
    chan_delivered(fixture.chan, &fixture.batch);
    stats = flow_fixture_balance(&fixture);
    cr_assert(stats.queued.events == 2 && stats.delivered.events == 3 && stats.delivered.bytes == 30);
    flow_fixture_dequeue(&fixture, 3);
    cr_assert_not(chan_idle(fixture.chan), "the rest is in flight");
    chan_lost(fixture.chan, &fixture.batch, LOSS_DRAIN_CUT);
    cr_assert(chan_idle(fixture.chan));
    stats = flow_fixture_balance(&fixture);
    cr_assert(stats.queued.events == 0 && stats.dropped[LOSS_DRAIN_CUT].events == 2 &&
              stats.dropped[LOSS_DRAIN_CUT].bytes == 20);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:CUT 4-5 x2");
    flow_fixture_close(&fixture);
}

Test(chan_batch, events_in_flight_do_not_count_towards_the_bounds)
{
    struct chan_limits bounds = {.max_events = 4, .max_bytes = 1000, .overflow = OVERFLOW_DROP_NEWEST};
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 4, 10), ERR_OK);
    flow_fixture_dequeue(&fixture, 4);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 5, 10), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:NEWEST 9-9 x1");
    cr_assert_eq(flow_fixture_balance(&fixture).queued.events, 8);
    flow_fixture_close(&fixture);
}

Test(chan_batch, drops_events_older_than_max_age_to_the_nanosecond)
{
    struct chan_limits bounds = roomy;
    struct flow_fixture fixture;

    bounds.max_age_ns = 3600 * NS_PER_S;
    flow_fixture_open(&fixture, &bounds, 2);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 2, 10), ERR_OK);
    cr_assert_eq(flow_fixture_put(&fixture, 1, 1, 10), ERR_OK);
    fixture.observed_ns++;
    cr_assert_eq(flow_fixture_put(&fixture, 0, 2, 10), ERR_OK);
    cr_assert_not(
        chan_dequeue(fixture.chan, &fixture.batch, 99, 999, fixture.observed_ns + bounds.max_age_ns));
    cr_assert_str_eq(flow_fixture_in_flight(&fixture), "a3-4", "of exactly that age is not too old");
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:EXPIRED 1-2 x2 b:EXPIRED 1-1 x1");
    cr_assert_eq(flow_fixture_balance(&fixture).dropped[LOSS_EXPIRED].events, 3);
    flow_fixture_close(&fixture);
}

Test(chan_batch, a_put_drops_old_events_to_make_space)
{
    struct chan_limits bounds = {.max_events = 4,
                                 .max_bytes = 1000,
                                 .max_age_ns = 3600 * NS_PER_S,
                                 .overflow = OVERFLOW_BLOCK,
                                 .fallback = OVERFLOW_DROP_OLDEST};
    struct waiter waiter;
    struct flow_fixture fixture;

    bounds.block_timeout_ns = FOR_EVER;
    flow_fixture_open(&fixture, &bounds, 2);
    fixture.observed_ns -= 2 * bounds.max_age_ns;
    cr_assert_eq(flow_fixture_put(&fixture, 0, 4, 10), ERR_OK);
    fixture.observed_ns += 2 * bounds.max_age_ns;
    cr_assert_eq(flow_fixture_put_waiting(&fixture, 0, 3, 10, &waiter), ERR_OK,
                 "what is old does not hold back");
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:EXPIRED 1-4 x4");
    flow_fixture_close(&fixture);
}

Test(chan_batch, notifies_once_after_each_dequeue)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &roomy, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_eq(fixture.readable_calls, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_eq(fixture.readable_calls, 1, "the taker knows");
    flow_fixture_dequeue(&fixture, 1);
    cr_assert_eq(fixture.readable_calls, 1, "chan_dequeue() itself says that more waits");
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert_eq(fixture.readable_calls, 2);
    flow_fixture_close(&fixture);
}

Test(chan_batch, notifies_for_a_gap_and_for_a_state)
{
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &roomy, 1);
    feed_gap(fixture.chan, fixture.feeds[0], 1, 2, false);
    cr_assert_eq(fixture.readable_calls, 1);
    flow_fixture_dequeue(&fixture, 1);
    feed_state(fixture.chan, fixture.feeds[0], &(struct source_state){.state = 7});
    cr_assert_eq(fixture.readable_calls, 2);
    flow_fixture_close(&fixture);
}

Test(chan_batch, a_chunk_lives_until_its_last_event_is_completed)
{
    struct flow_fixture fixture;
    struct chunk *chunk;

    flow_fixture_open(&fixture, &roomy, 1);
    chunk = chunk_even(fixture.sources[0], 1, 0, 4, 10);
    cr_assert_eq(chan_put(fixture.chan, fixture.feeds[0], chunk, 0, 4, NULL), ERR_OK);
    cr_assert_eq(atomic_load(&chunk->refs), 2);
    cr_assert_str_eq(flow_fixture_dequeue(&fixture, 2), "a1-2");
    cr_assert_eq(atomic_load(&chunk->refs), 3);
    chan_delivered(fixture.chan, &fixture.batch);
    cr_assert_eq(atomic_load(&chunk->refs), 2);
    cr_assert_str_eq(flow_fixture_dequeue(&fixture, 2), "a3-4");
    chan_lost(fixture.chan, &fixture.batch, LOSS_CONSUMER_GONE);
    cr_assert_eq(atomic_load(&chunk->refs), 1);
    chunk_release(chunk);
    flow_fixture_close(&fixture);
}

Test(chan_batch, a_batch_is_ready_at_a_whole_batch_or_a_quarter_of_the_channel)
{
    static const struct chan_limits tiny = {
        .max_events = 1, .max_bytes = 1, .overflow = OVERFLOW_DROP_NEWEST};
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &roomy, 1);
    cr_assert_eq(flow_fixture_put(&fixture, 0, 9, 10), ERR_OK);
    cr_assert_not(chan_batch_ready(fixture.chan, 10, 91));
    cr_assert(chan_batch_ready(fixture.chan, 9, 91));
    cr_assert(chan_batch_ready(fixture.chan, 10, 90));
    cr_assert_eq(flow_fixture_put(&fixture, 0, 240, 10), ERR_OK);
    cr_assert_not(chan_batch_ready(fixture.chan, 1000, 1 << 20));
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert(chan_batch_ready(fixture.chan, 1000, 1 << 20));
    flow_fixture_close(&fixture);
    flow_fixture_open(&fixture, &tiny, 1);
    cr_assert_not(chan_batch_ready(fixture.chan, 1, 1), "nothing waits");
    cr_assert_eq(flow_fixture_put(&fixture, 0, 1, 10), ERR_OK);
    cr_assert(chan_batch_ready(fixture.chan, 1000, 1000));
    flow_fixture_close(&fixture);
}
