/* test_chan_take.c - the batch in flight: its bounds, its endings, what is too old for it, and the
 * bell. */
#include <criterion/criterion.h>

#include "base/clock.h"
#include "lib/chunks.h"
#include "rig.h"

static const struct chan_limits roomy = {
    .max_events = 1000, .max_bytes = 1 << 20, .overflow = OVERFLOW_DROP_NEWEST};

Test(chan_dequeue, takes_the_oldest_first_across_feeds)
{
    struct rig rig;

    rig_open(&rig, &roomy, 3);
    for (uint32_t round = 0; round < 2; round++)
        for (uint32_t feed = 3; feed-- > 0;)
            cr_assert_eq(rig_put(&rig, feed, 2, 10), ERR_OK);
    cr_assert_str_eq(rig_deliver(&rig, 99), "c1-2 b1-2 a1-2 c3-4 b3-4 a3-4");
    cr_assert_str_eq(rig_deliver(&rig, 99), "");
    rig_close(&rig);
}

Test(chan_dequeue, the_size_of_the_next_event_can_be_asked)
{
    struct chan_limits bounds = roomy;
    struct rig rig;

    bounds.max_age_ns = NS_PER_S;
    rig_open(&rig, &bounds, 1);
    cr_assert_eq(chan_next_bytes(rig.chan), 0);
    rig.observed_ns -= 2 * NS_PER_S;
    cr_assert_eq(rig_put(&rig, 0, 2, 70), ERR_OK);
    rig.observed_ns += 2 * NS_PER_S;
    cr_assert_eq(rig_put(&rig, 0, 2, 30), ERR_OK);
    cr_assert_eq(rig_put(&rig, 0, 1, 50), ERR_OK);
    cr_assert_eq(chan_next_bytes(rig.chan), 30, "one event, not the whole entry, and none that is too old");
    rig_deliver(&rig, 1);
    cr_assert_eq(chan_next_bytes(rig.chan), 30);
    rig_deliver(&rig, 1);
    cr_assert_eq(chan_next_bytes(rig.chan), 50);
    rig_deliver(&rig, 1);
    cr_assert_eq(chan_next_bytes(rig.chan), 0);
    rig_close(&rig);
}

Test(chan_dequeue, holds_its_bound_of_events)
{
    struct rig rig;

    rig_open(&rig, &roomy, 1);
    cr_assert_eq(rig_put(&rig, 0, 5, 10), ERR_OK);
    cr_assert(chan_dequeue(rig.chan, &rig.batch, 4, 1000, 0), "one is left");
    cr_assert_str_eq(rig_taken(&rig), "a1-4");
    chan_delivered(rig.chan, &rig.batch);
    cr_assert_not(chan_dequeue(rig.chan, &rig.batch, 1, 1000, 0));
    cr_assert_str_eq(rig_taken(&rig), "a5");
    rig_close(&rig);
}

Test(chan_dequeue, holds_its_bound_of_bytes_but_a_larger_event_goes_alone)
{
    struct rig rig;

    rig_open(&rig, &roomy, 1);
    cr_assert_eq(rig_put(&rig, 0, 3, 10), ERR_OK);
    cr_assert_eq(rig_put(&rig, 0, 2, 100), ERR_OK);
    cr_assert(chan_dequeue(rig.chan, &rig.batch, 99, 20, 0));
    cr_assert_str_eq(rig_taken(&rig), "a1-2", "exactly twenty bytes");
    chan_delivered(rig.chan, &rig.batch);
    cr_assert(chan_dequeue(rig.chan, &rig.batch, 99, 19, 0));
    cr_assert_str_eq(rig_taken(&rig), "a3", "not beside a larger one");
    chan_delivered(rig.chan, &rig.batch);
    cr_assert(chan_dequeue(rig.chan, &rig.batch, 99, 99, 0));
    cr_assert_str_eq(rig_taken(&rig), "a4");
    chan_delivered(rig.chan, &rig.batch);
    cr_assert_not(chan_dequeue(rig.chan, &rig.batch, 99, 1, 0));
    cr_assert_str_eq(rig_taken(&rig), "a5");
    rig_close(&rig);
}

Test(chan_dequeue, grows_its_array_and_uses_it_again)
{
    struct chan_batch_entry *entries;
    struct rig rig;

    rig_open(&rig, &roomy, 1);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
    rig_take(&rig, 1000);
    cr_assert_eq(rig.batch.count, 100);
    entries = rig.batch.entries;
    chan_delivered(rig.chan, &rig.batch);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
    rig_take(&rig, 1000);
    cr_assert_eq(rig.batch.entries, entries);
    rig_close(&rig);
}

Test(chan_dequeue, what_is_in_flight_counts_as_queued_until_it_landed)
{
    struct chan_stats stats;
    struct rig rig;

    rig_open(&rig, &roomy, 1);
    cr_assert_eq(rig_put(&rig, 0, 5, 10), ERR_OK);
    rig_take(&rig, 3);
    stats = rig_balance(&rig);
    cr_assert(stats.queued.events == 5 && stats.queued.bytes == 50 && stats.delivered.events == 0);
    cr_assert_not(chan_idle(rig.chan));
    chan_delivered(rig.chan, &rig.batch);
    stats = rig_balance(&rig);
    cr_assert(stats.queued.events == 2 && stats.delivered.events == 3 && stats.delivered.bytes == 30);
    rig_take(&rig, 3);
    cr_assert_not(chan_idle(rig.chan), "the rest is in flight");
    chan_lost(rig.chan, &rig.batch, LOSS_DRAIN_CUT);
    cr_assert(chan_idle(rig.chan));
    stats = rig_balance(&rig);
    cr_assert(stats.queued.events == 0 && stats.dropped[LOSS_DRAIN_CUT].events == 2 &&
              stats.dropped[LOSS_DRAIN_CUT].bytes == 20);
    cr_assert_str_eq(rig_losses(&rig, 9), "a:CUT 4-5 x2");
    rig_close(&rig);
}

Test(chan_dequeue, the_bounds_do_not_count_what_is_in_flight)
{
    struct chan_limits bounds = {.max_events = 4, .max_bytes = 1000, .overflow = OVERFLOW_DROP_NEWEST};
    struct rig rig;

    rig_open(&rig, &bounds, 1);
    cr_assert_eq(rig_put(&rig, 0, 4, 10), ERR_OK);
    rig_take(&rig, 4);
    cr_assert_eq(rig_put(&rig, 0, 5, 10), ERR_OK);
    cr_assert_str_eq(rig_losses(&rig, 9), "a:NEWEST 9-9 x1");
    cr_assert_eq(rig_balance(&rig).queued.events, 8);
    rig_close(&rig);
}

Test(chan_dequeue, drops_what_is_too_old_to_the_nanosecond)
{
    struct chan_limits bounds = roomy;
    struct rig rig;

    bounds.max_age_ns = 3600 * NS_PER_S;
    rig_open(&rig, &bounds, 2);
    cr_assert_eq(rig_put(&rig, 0, 2, 10), ERR_OK);
    cr_assert_eq(rig_put(&rig, 1, 1, 10), ERR_OK);
    rig.observed_ns++;
    cr_assert_eq(rig_put(&rig, 0, 2, 10), ERR_OK);
    cr_assert_not(chan_dequeue(rig.chan, &rig.batch, 99, 999, rig.observed_ns + bounds.max_age_ns));
    cr_assert_str_eq(rig_taken(&rig), "a3-4", "of exactly that age is not too old");
    cr_assert_str_eq(rig_losses(&rig, 9), "a:EXPIRED 1-2 x2 b:EXPIRED 1-1 x1");
    cr_assert_eq(rig_balance(&rig).dropped[LOSS_EXPIRED].events, 3);
    rig_close(&rig);
}

Test(chan_dequeue, old_events_make_room_for_new_ones_at_a_put)
{
    struct chan_limits bounds = {.max_events = 4,
                                 .max_bytes = 1000,
                                 .max_age_ns = 3600 * NS_PER_S,
                                 .overflow = OVERFLOW_BLOCK,
                                 .fallback = OVERFLOW_DROP_OLDEST};
    struct waiter waiter;
    struct rig rig;

    bounds.block_timeout_ns = FOR_EVER;
    rig_open(&rig, &bounds, 2);
    rig.observed_ns -= 2 * bounds.max_age_ns;
    cr_assert_eq(rig_put(&rig, 0, 4, 10), ERR_OK);
    rig.observed_ns += 2 * bounds.max_age_ns;
    cr_assert_eq(rig_put_waiting(&rig, 0, 3, 10, &waiter), ERR_OK, "what is old does not hold back");
    cr_assert_str_eq(rig_losses(&rig, 9), "a:EXPIRED 1-4 x4");
    rig_close(&rig);
}

Test(chan_dequeue, rings_once_after_each_take)
{
    struct rig rig;

    rig_open(&rig, &roomy, 1);
    cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
    cr_assert_eq(rig.rings, 1);
    cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
    cr_assert_eq(rig.rings, 1, "the taker knows");
    rig_take(&rig, 1);
    cr_assert_eq(rig.rings, 1, "the taker is told by the take itself that more waits");
    cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
    cr_assert_eq(rig.rings, 2);
    rig_close(&rig);
}

Test(chan_dequeue, rings_for_a_gap_and_for_a_state)
{
    struct rig rig;

    rig_open(&rig, &roomy, 1);
    feed_gap(rig.chan, rig.feeds[0], 1, 2, false);
    cr_assert_eq(rig.rings, 1);
    rig_take(&rig, 1);
    feed_state(rig.chan, rig.feeds[0], 7);
    cr_assert_eq(rig.rings, 2);
    rig_close(&rig);
}

Test(chan_dequeue, a_chunk_lives_until_its_last_event_has_landed)
{
    struct rig rig;
    struct chunk *chunk;

    rig_open(&rig, &roomy, 1);
    chunk = chunk_even(rig.sources[0], 1, 0, 4, 10);
    cr_assert_eq(chan_put(rig.chan, rig.feeds[0], chunk, 0, 4, NULL), ERR_OK);
    cr_assert_eq(atomic_load(&chunk->refs), 2);
    cr_assert_str_eq(rig_take(&rig, 2), "a1-2");
    cr_assert_eq(atomic_load(&chunk->refs), 3);
    chan_delivered(rig.chan, &rig.batch);
    cr_assert_eq(atomic_load(&chunk->refs), 2);
    cr_assert_str_eq(rig_take(&rig, 2), "a3-4");
    chan_lost(rig.chan, &rig.batch, LOSS_CONSUMER_GONE);
    cr_assert_eq(atomic_load(&chunk->refs), 1);
    chunk_release(chunk);
    rig_close(&rig);
}

Test(chan_dequeue, a_whole_batch_or_a_quarter_of_the_channel_presses)
{
    static const struct chan_limits tiny = {
        .max_events = 1, .max_bytes = 1, .overflow = OVERFLOW_DROP_NEWEST};
    struct rig rig;

    rig_open(&rig, &roomy, 1);
    cr_assert_eq(rig_put(&rig, 0, 9, 10), ERR_OK);
    cr_assert_not(chan_presses(rig.chan, 10, 91));
    cr_assert(chan_presses(rig.chan, 9, 91));
    cr_assert(chan_presses(rig.chan, 10, 90));
    cr_assert_eq(rig_put(&rig, 0, 240, 10), ERR_OK);
    cr_assert_not(chan_presses(rig.chan, 1000, 1 << 20));
    cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
    cr_assert(chan_presses(rig.chan, 1000, 1 << 20));
    rig_close(&rig);
    rig_open(&rig, &tiny, 1);
    cr_assert_not(chan_presses(rig.chan, 1, 1), "nothing waits");
    cr_assert_eq(rig_put(&rig, 0, 1, 10), ERR_OK);
    cr_assert(chan_presses(rig.chan, 1000, 1000));
    rig_close(&rig);
}
