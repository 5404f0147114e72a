/* test_chan_latest.c - LATEST_PER_KEY: which events replace each other, and which do not. The
 * linker puts a hash in front of the real one that can be made as bad as possible. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "flow/chan_batch.h"
#include "flow/chan_report.h"
#include "flow/chan_stats.h"
#include "keyed.h"
#include "flow_fixture.h"

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

Test(chan_latest, a_newer_event_replaces_the_older_and_goes_to_the_tail)
{
    struct chan_limits bounds = limits(100);
    struct chan_stats stats;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put_keys(&fixture, 0, "x y"), ERR_OK);
    cr_assert_eq(flow_fixture_put_keys(&fixture, 0, "x z"), ERR_OK);
    stats = flow_fixture_balance(&fixture);
    cr_assert_eq(stats.accepted.events, 4);
    cr_assert_eq(stats.queued.events, 3);
    cr_assert_eq(stats.dropped[LOSS_COALESCED].events, 1);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:COALESCED 1-1 x1");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "a2 a3 a4");
    flow_fixture_balance(&fixture);
    flow_fixture_close(&fixture);
}

Test(chan_latest, events_of_one_put_replace_each_other)
{
    struct chan_limits bounds = limits(100);
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put_keys(&fixture, 0, "x y x x y"), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:COALESCED 1-3 x3");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "a4 a5");
    flow_fixture_close(&fixture);
}

Test(chan_latest, events_without_a_key_replace_nothing)
{
    struct chan_limits bounds = limits(100);
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put_keys(&fixture, 0, "- x -"), ERR_OK);
    cr_assert_eq(flow_fixture_put_keys(&fixture, 0, "- x"), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:COALESCED 2-2 x1");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "a1 a3 a4 a5");
    flow_fixture_close(&fixture);
}

/* Puts one event into feed 0. */
static void put_one(struct flow_fixture *fixture, const char *topic, const char *key)
{
    struct keyed_event event = {.topic = topic, .key = key};
    struct chunk *chunk =
        chunk_keyed(fixture->sources[0], fixture->next[0]++, fixture->observed_ns, 1, &event);

    cr_assert_eq(chan_put(fixture->chan, fixture->feeds[0], chunk, 0, 1, NULL), ERR_OK);
    chunk_release(chunk);
}

static void check_what_is_distinct(void)
{
    struct chan_limits bounds = limits(100);
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 2);
    put_one(&fixture, "t", "x");
    put_one(&fixture, "u", "x");
    put_one(&fixture, "t", "y");
    put_one(&fixture, "tx", "x");
    put_one(&fixture, "t", "xx");
    put_one(&fixture, NULL, "x");
    cr_assert_eq(flow_fixture_put_keys(&fixture, 1, "x y"), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "", "source, topic and key: all of them");
    put_one(&fixture, NULL, "x");
    put_one(&fixture, "u", "x");
    cr_assert_eq(flow_fixture_put_keys(&fixture, 1, "x"), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:COALESCED 2-6 x2 b:COALESCED 1-1 x1");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "a1 a3 a4 a5 b2 a7 a8 b3");
    flow_fixture_close(&fixture);
}

Test(chan_latest, source_topic_and_key_are_distinct)
{
    check_what_is_distinct();
}

Test(chan_latest, keys_with_the_same_hash_stay_distinct)
{
    all_alike = true;
    check_what_is_distinct();
}

Test(chan_latest, events_in_flight_are_not_replaced)
{
    struct chan_limits bounds = limits(100);
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put_keys(&fixture, 0, "x y"), ERR_OK);
    cr_assert_str_eq(flow_fixture_dequeue(&fixture, 1), "a1");
    cr_assert_eq(flow_fixture_put_keys(&fixture, 0, "x"), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "");
    cr_assert_str_eq(flow_fixture_in_flight(&fixture), "a1");
    chan_delivered(fixture.chan, &fixture.batch);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "a2 a3");
    cr_assert_eq(flow_fixture_put_keys(&fixture, 0, "x"), ERR_OK);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "a4", "nor remembered");
    flow_fixture_close(&fixture);
}

Test(chan_latest, equal_keys_never_overflow_and_distinct_keys_drop_the_oldest)
{
    struct chan_limits bounds = limits(4);
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(flow_fixture_put_keys(&fixture, 0, "w x y z"), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:COALESCED 1-396 x396", "exactly full");
    cr_assert_eq(flow_fixture_put_keys(&fixture, 0, "v"), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:OLDEST 397-397 x1");
    cr_assert_eq(flow_fixture_put_keys(&fixture, 0, "w"), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:OLDEST 398-398 x1",
                     "a dropped event cannot be replaced");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "a399 a400 a401 a402");
    flow_fixture_balance(&fixture);
    flow_fixture_close(&fixture);
}

Test(chan_latest, a_put_larger_than_the_channel_keeps_its_last_events)
{
    struct chan_limits bounds = limits(2);
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put_keys(&fixture, 0, "a b c d e"), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:OLDEST 1-3 x3");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "a4 a5");
    flow_fixture_close(&fixture);
}

Test(chan_latest, holds_its_bound_of_bytes)
{
    struct keyed_event events[] = {{"t", "x", 100}, {"t", "y", 100}, {"t", "x", 200}, {"t", "z", 101}};
    struct chan_limits bounds = limits(100);
    struct chunk *chunk;
    struct flow_fixture fixture;

    bounds.max_bytes = 300;
    flow_fixture_open(&fixture, &bounds, 1);
    chunk = chunk_keyed(fixture.sources[0], 1, 0, 4, events);
    cr_assert_eq(chan_put(fixture.chan, fixture.feeds[0], chunk, 0, 3, NULL), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:COALESCED 1-1 x1", "exactly three hundred");
    cr_assert_eq(chan_put(fixture.chan, fixture.feeds[0], chunk, 3, 4, NULL), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:OLDEST 2-3 x2",
                     "one more than three hundred without the first");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 99), "a4");
    chunk_release(chunk);
    flow_fixture_close(&fixture);
}

Test(chan_latest, a_coalesced_event_moves_the_position_once_it_is_reported)
{
    struct chan_limits bounds = limits(100);
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put_keys(&fixture, 0, "x y x"), ERR_OK);
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "");
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:COALESCED 1-1 x1");
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "a=1", "2 waits");
    flow_fixture_deliver(&fixture, 99);
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "a=3");
    flow_fixture_close(&fixture);
}

Test(chan_latest, a_coalesced_event_lets_a_mark_pass)
{
    struct chan_limits bounds = limits(100);
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    cr_assert_eq(flow_fixture_put_keys(&fixture, 0, "x"), ERR_OK);
    chan_mark(fixture.chan, 1);
    cr_assert_eq(flow_fixture_put_keys(&fixture, 0, "x"), ERR_OK);
    cr_assert_eq(chan_marked(fixture.chan), 1);
    flow_fixture_close(&fixture);
}

Test(chan_latest, an_event_that_waits_long_does_not_pin_its_chunk)
{
    struct keyed_event events[] = {{"t", "x", 100}, {"t", "y", 60000}, {"t", "z", 70000}};
    struct chan_limits bounds = limits(100);
    struct chunk *chunk;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    chunk = chunk_keyed(fixture.sources[0], 1, 0, 3, events);
    cr_assert_eq(chan_put(fixture.chan, fixture.feeds[0], chunk, 0, 3, NULL), ERR_OK);
    cr_assert_eq(atomic_load(&chunk->refs), 3, "the small one was copied, the large ones are most of it");
    chunk_release(chunk);
    cr_assert_str_eq(flow_fixture_dequeue(&fixture, 99), "a1 a2 a3");
    cr_assert_eq(memcmp(fixture.batch.entries[0].chunk->data, fixture.batch.entries[1].chunk->data, 100), 0);
    flow_fixture_close(&fixture);
}

Test(chan_latest, ten_thousand_keys_are_found_and_their_memory_is_freed)
{
    struct chan_limits bounds = limits(10000);
    struct chan_stats stats;
    struct flow_fixture fixture;

    flow_fixture_open(&fixture, &bounds, 1);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 10000; i++) {
            char key[16];

            snprintf(key, sizeof(key), "%d", i);
            put_one(&fixture, "t", key);
        }
    stats = flow_fixture_balance(&fixture);
    cr_assert_eq(stats.dropped[LOSS_COALESCED].events, 20000);
    cr_assert_eq(stats.queued.events, 10000);
    while (chan_dequeue(fixture.chan, &fixture.batch, 1000, UINT64_MAX, 0))
        chan_delivered(fixture.chan, &fixture.batch);
    chan_delivered(fixture.chan, &fixture.batch);
    cr_assert_eq(flow_fixture_put_keys(&fixture, 0, "1 2 1"), ERR_OK);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a30002 a30003");
    flow_fixture_close(&fixture);
}

Test(chan_latest, a_pausable_feed_is_not_asked_to_pause)
{
    struct chan_limits bounds = limits(2);
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &bounds, 0, 1);
    cr_assert_eq(flow_fixture_put_keys(&fixture, 0, "x y z"), ERR_OK);
    cr_assert_str_eq(flow_fixture_pauses(&fixture), "");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a2 a3");
    flow_fixture_close(&fixture);
}

Test(chan_latest, an_expired_event_is_not_replaced)
{
    struct chan_limits bounds = limits(100);
    struct flow_fixture fixture;

    bounds.max_age_ns = NS_PER_S;
    flow_fixture_open(&fixture, &bounds, 1);
    fixture.observed_ns -= 2 * NS_PER_S;
    cr_assert_eq(flow_fixture_put_keys(&fixture, 0, "x"), ERR_OK);
    fixture.observed_ns += 2 * NS_PER_S;
    cr_assert_eq(flow_fixture_put_keys(&fixture, 0, "x"), ERR_OK);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:EXPIRED 1-1 x1");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 9), "a2");
    flow_fixture_close(&fixture);
}
