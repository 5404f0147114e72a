/* test_chan_latest.c - LATEST_PER_KEY: what merges with what, and what does not. The linker puts a
 * hash in front of the true one that can be made as bad as it gets. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "keyed.h"
#include "rig.h"

static bool all_alike;

uint64_t __real_siphash13(const uint64_t key[2], struct bytes bytes);

uint64_t __wrap_siphash13(const uint64_t key[2], struct bytes bytes)
{
    return all_alike ? 0 : __real_siphash13(key, bytes);
}

static struct chan_limits limits(uint32_t max_events)
{
    return (struct chan_limits){
        .max_events = max_events, .max_bytes = 1 << 20, .overflow = OVERFLOW_LATEST_PER_KEY};
}

Test(chan_latest, the_newer_takes_the_place_in_the_sums_and_goes_to_the_tail)
{
    struct chan_limits bounds = limits(100);
    struct chan_stats stats;
    struct rig rig;

    rig_open(&rig, &bounds, 1);
    cr_assert_eq(rig_put_keys(&rig, 0, "x y"), ERR_OK);
    cr_assert_eq(rig_put_keys(&rig, 0, "x z"), ERR_OK);
    stats = rig_balance(&rig);
    cr_assert_eq(stats.accepted.events, 4);
    cr_assert_eq(stats.queued.events, 3);
    cr_assert_eq(stats.dropped[LOSS_COALESCED].events, 1);
    cr_assert_str_eq(rig_losses(&rig, 9), "a:COALESCED 1-1 x1");
    cr_assert_str_eq(rig_deliver(&rig, 99), "a2 a3 a4");
    rig_balance(&rig);
    rig_close(&rig);
}

Test(chan_latest, events_of_one_put_merge_too)
{
    struct chan_limits bounds = limits(100);
    struct rig rig;

    rig_open(&rig, &bounds, 1);
    cr_assert_eq(rig_put_keys(&rig, 0, "x y x x y"), ERR_OK);
    cr_assert_str_eq(rig_losses(&rig, 9), "a:COALESCED 1-3 x3");
    cr_assert_str_eq(rig_deliver(&rig, 99), "a4 a5");
    rig_close(&rig);
}

Test(chan_latest, without_a_key_nothing_merges)
{
    struct chan_limits bounds = limits(100);
    struct rig rig;

    rig_open(&rig, &bounds, 1);
    cr_assert_eq(rig_put_keys(&rig, 0, "- x -"), ERR_OK);
    cr_assert_eq(rig_put_keys(&rig, 0, "- x"), ERR_OK);
    cr_assert_str_eq(rig_losses(&rig, 9), "a:COALESCED 2-2 x1");
    cr_assert_str_eq(rig_deliver(&rig, 99), "a1 a3 a4 a5");
    rig_close(&rig);
}

/* One event into feed 0, by hand. */
static void put_one(struct rig *rig, const char *topic, const char *key)
{
    struct keyed_event event = {.topic = topic, .key = key};
    struct chunk *chunk = chunk_keyed(rig->sources[0], rig->next[0]++, rig->observed_ns, 1, &event);

    cr_assert_eq(chan_put(rig->chan, rig->feeds[0], chunk, 0, 1, NULL), ERR_OK);
    chunk_release(chunk);
}

static void check_what_is_distinct(void)
{
    struct chan_limits bounds = limits(100);
    struct rig rig;

    rig_open(&rig, &bounds, 2);
    put_one(&rig, "t", "x");
    put_one(&rig, "u", "x");
    put_one(&rig, "t", "y");
    put_one(&rig, "tx", "x");
    put_one(&rig, "t", "xx");
    put_one(&rig, NULL, "x");
    cr_assert_eq(rig_put_keys(&rig, 1, "x y"), ERR_OK);
    cr_assert_str_eq(rig_losses(&rig, 9), "", "source, topic and key: all of them");
    put_one(&rig, NULL, "x");
    put_one(&rig, "u", "x");
    cr_assert_eq(rig_put_keys(&rig, 1, "x"), ERR_OK);
    cr_assert_str_eq(rig_losses(&rig, 9), "a:COALESCED 2-6 x2 b:COALESCED 1-1 x1");
    cr_assert_str_eq(rig_deliver(&rig, 99), "a1 a3 a4 a5 b2 a7 a8 b3");
    rig_close(&rig);
}

Test(chan_latest, source_topic_and_key_are_distinct)
{
    check_what_is_distinct();
}

Test(chan_latest, what_hashes_alike_stays_distinct)
{
    all_alike = true;
    check_what_is_distinct();
}

Test(chan_latest, what_is_in_flight_is_never_touched)
{
    struct chan_limits bounds = limits(100);
    struct rig rig;

    rig_open(&rig, &bounds, 1);
    cr_assert_eq(rig_put_keys(&rig, 0, "x y"), ERR_OK);
    cr_assert_str_eq(rig_take(&rig, 1), "a1");
    cr_assert_eq(rig_put_keys(&rig, 0, "x"), ERR_OK);
    cr_assert_str_eq(rig_losses(&rig, 9), "");
    cr_assert_str_eq(rig_taken(&rig), "a1");
    chan_delivered(rig.chan, &rig.batch);
    cr_assert_str_eq(rig_deliver(&rig, 99), "a2 a3");
    cr_assert_eq(rig_put_keys(&rig, 0, "x"), ERR_OK);
    cr_assert_str_eq(rig_deliver(&rig, 99), "a4", "nor remembered");
    rig_close(&rig);
}

Test(chan_latest, the_same_keys_never_overflow_and_distinct_ones_drop_the_oldest)
{
    struct chan_limits bounds = limits(4);
    struct rig rig;

    rig_open(&rig, &bounds, 1);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(rig_put_keys(&rig, 0, "w x y z"), ERR_OK);
    cr_assert_str_eq(rig_losses(&rig, 9), "a:COALESCED 1-396 x396", "exactly full");
    cr_assert_eq(rig_put_keys(&rig, 0, "v"), ERR_OK);
    cr_assert_str_eq(rig_losses(&rig, 9), "a:OLDEST 397-397 x1");
    cr_assert_eq(rig_put_keys(&rig, 0, "w"), ERR_OK);
    cr_assert_str_eq(rig_losses(&rig, 9), "a:OLDEST 398-398 x1",
                     "whoever was dropped is not there to merge with");
    cr_assert_str_eq(rig_deliver(&rig, 99), "a399 a400 a401 a402");
    rig_balance(&rig);
    rig_close(&rig);
}

Test(chan_latest, one_put_of_more_than_all_keeps_its_last)
{
    struct chan_limits bounds = limits(2);
    struct rig rig;

    rig_open(&rig, &bounds, 1);
    cr_assert_eq(rig_put_keys(&rig, 0, "a b c d e"), ERR_OK);
    cr_assert_str_eq(rig_losses(&rig, 9), "a:OLDEST 1-3 x3");
    cr_assert_str_eq(rig_deliver(&rig, 99), "a4 a5");
    rig_close(&rig);
}

Test(chan_latest, bytes_bound_it_as_events_do)
{
    struct keyed_event events[] = {{"t", "x", 100}, {"t", "y", 100}, {"t", "x", 200}, {"t", "z", 101}};
    struct chan_limits bounds = limits(100);
    struct chunk *chunk;
    struct rig rig;

    bounds.max_bytes = 300;
    rig_open(&rig, &bounds, 1);
    chunk = chunk_keyed(rig.sources[0], 1, 0, 4, events);
    cr_assert_eq(chan_put(rig.chan, rig.feeds[0], chunk, 0, 3, NULL), ERR_OK);
    cr_assert_str_eq(rig_losses(&rig, 9), "a:COALESCED 1-1 x1", "exactly three hundred");
    cr_assert_eq(chan_put(rig.chan, rig.feeds[0], chunk, 3, 4, NULL), ERR_OK);
    cr_assert_str_eq(rig_losses(&rig, 9), "a:OLDEST 2-3 x2", "one more than three hundred without the first");
    cr_assert_str_eq(rig_deliver(&rig, 99), "a4");
    chunk_release(chunk);
    rig_close(&rig);
}

Test(chan_latest, what_was_coalesced_moves_the_position_once_it_is_told)
{
    struct chan_limits bounds = limits(100);
    struct rig rig;

    rig_open(&rig, &bounds, 1);
    cr_assert_eq(rig_put_keys(&rig, 0, "x y x"), ERR_OK);
    cr_assert_str_eq(rig_positions(&rig, false, 9), "");
    cr_assert_str_eq(rig_losses(&rig, 9), "a:COALESCED 1-1 x1");
    cr_assert_str_eq(rig_positions(&rig, false, 9), "a=1", "2 waits");
    rig_deliver(&rig, 99);
    cr_assert_str_eq(rig_positions(&rig, false, 9), "a=3");
    rig_close(&rig);
}

Test(chan_latest, what_is_coalesced_passes_a_line)
{
    struct chan_limits bounds = limits(100);
    struct rig rig;

    rig_open(&rig, &bounds, 1);
    cr_assert_eq(rig_put_keys(&rig, 0, "x"), ERR_OK);
    chan_mark(rig.chan, 1);
    cr_assert_eq(rig_put_keys(&rig, 0, "x"), ERR_OK);
    cr_assert_eq(chan_marked(rig.chan), 1);
    rig_close(&rig);
}

Test(chan_latest, one_event_that_waits_long_does_not_pin_all_that_came_with_it)
{
    struct keyed_event events[] = {{"t", "x", 100}, {"t", "y", 60000}, {"t", "z", 70000}};
    struct chan_limits bounds = limits(100);
    struct chunk *chunk;
    struct rig rig;

    rig_open(&rig, &bounds, 1);
    chunk = chunk_keyed(rig.sources[0], 1, 0, 3, events);
    cr_assert_eq(chan_put(rig.chan, rig.feeds[0], chunk, 0, 3, NULL), ERR_OK);
    cr_assert_eq(atomic_load(&chunk->refs), 3, "the small one was copied, the large ones are most of it");
    chunk_release(chunk);
    cr_assert_str_eq(rig_take(&rig, 99), "a1 a2 a3");
    cr_assert_eq(memcmp(rig.batch.entries[0].chunk->data, rig.batch.entries[1].chunk->data, 100), 0);
    rig_close(&rig);
}

Test(chan_latest, ten_thousand_keys_are_found_again_and_given_back)
{
    struct chan_limits bounds = limits(10000);
    struct chan_stats stats;
    struct rig rig;

    rig_open(&rig, &bounds, 1);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 10000; i++) {
            char key[16];

            snprintf(key, sizeof(key), "%d", i);
            put_one(&rig, "t", key);
        }
    stats = rig_balance(&rig);
    cr_assert_eq(stats.dropped[LOSS_COALESCED].events, 20000);
    cr_assert_eq(stats.queued.events, 10000);
    while (chan_dequeue(rig.chan, &rig.batch, 1000, UINT64_MAX, 0))
        chan_delivered(rig.chan, &rig.batch);
    chan_delivered(rig.chan, &rig.batch);
    cr_assert_eq(rig_put_keys(&rig, 0, "1 2 1"), ERR_OK);
    cr_assert_str_eq(rig_deliver(&rig, 9), "a30002 a30003");
    rig_close(&rig);
}

Test(chan_latest, a_paced_feed_is_not_paced)
{
    struct chan_limits bounds = limits(2);
    struct rig rig;

    rig_open_paced(&rig, &bounds, 0, 1);
    cr_assert_eq(rig_put_keys(&rig, 0, "x y z"), ERR_OK);
    cr_assert_str_eq(rig_paces(&rig), "");
    cr_assert_str_eq(rig_deliver(&rig, 9), "a2 a3");
    rig_close(&rig);
}

Test(chan_latest, what_is_too_old_is_not_there_to_merge_with)
{
    struct chan_limits bounds = limits(100);
    struct rig rig;

    bounds.max_age_ns = NS_PER_S;
    rig_open(&rig, &bounds, 1);
    rig.observed_ns -= 2 * NS_PER_S;
    cr_assert_eq(rig_put_keys(&rig, 0, "x"), ERR_OK);
    rig.observed_ns += 2 * NS_PER_S;
    cr_assert_eq(rig_put_keys(&rig, 0, "x"), ERR_OK);
    cr_assert_str_eq(rig_losses(&rig, 9), "a:EXPIRED 1-1 x1");
    cr_assert_str_eq(rig_deliver(&rig, 9), "a2");
    rig_close(&rig);
}
