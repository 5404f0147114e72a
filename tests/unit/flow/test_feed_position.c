/* test_feed_position.c - feeds of stored topics: how far a consumer has come, and what it may read
 * again after its stream ends; and how much of the budget its channel fills. */
#include <criterion/criterion.h>
#include <stdatomic.h>

#include "base/budget.h"
#include "flow/chan.h"
#include "flow/feed.h"
#include "flow_fixture.h"

static const struct chan_limits block = {
    .max_events = 4, .max_bytes = 1000, .overflow = OVERFLOW_BLOCK, .fallback = OVERFLOW_DROP_OLDEST};

static void ignore(void *ctx, bool pause)
{
    (void)ctx;
    (void)pause;
}

/* The feed of a stored topic's reader, in place of feed number 0. */
static void open_stored(struct flow_fixture *fixture)
{
    fixture->feeds[0] = feed_open(
        fixture->chan, fixture->sources[0], 1,
        &(struct pause_port){.set_paused = ignore, .ctx = fixture, .by_result = true, .is_stored = true});
    cr_assert(fixture->feeds[0]);
    feed_follow(fixture->feeds[0], &fixture->routed[0]);
}

static void open_fixture(struct flow_fixture *fixture)
{
    flow_fixture_open_pausable(fixture, &block, 0, 1);
    flow_fixture_feed_close(fixture, 0, 6);
    (void)flow_fixture_states(fixture, 9);
    open_stored(fixture);
}

static void put(struct flow_fixture *fixture, uint32_t events)
{
    (void)!flow_fixture_put(fixture, 0, events, 10);
    atomic_store(&fixture->routed[0], fixture->next[0] - 1);
}

Test(feed_position, a_topic_selected_again_waits_for_the_feed_before)
{
    struct flow_fixture fixture;

    open_fixture(&fixture);
    put(&fixture, 6);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 2), "a1-2");
    flow_fixture_feed_close(&fixture, 0, 6);
    fixture.next[0] = 60; /* what came meanwhile was not selected */
    open_stored(&fixture);
    put(&fixture, 1);
    cr_assert_str_eq(flow_fixture_all_positions(&fixture, 9), "a=2 a=2", "3 to 6 are still to come");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 4), "a3-4 a5-6");
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 4), "a60");
    (void)flow_fixture_states(&fixture, 9);
    cr_assert_str_eq(flow_fixture_positions(&fixture, 9), "a=60");
    cr_assert_str_eq(flow_fixture_all_positions(&fixture, 9), "a=60");
    flow_fixture_close(&fixture);
}

Test(feed_position, what_a_drain_cuts_is_reported_and_is_read_again)
{
    struct flow_fixture fixture;

    open_fixture(&fixture);
    put(&fixture, 6);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 2), "a1-2");
    chan_close(fixture.chan, LOSS_DRAIN_CUT);
    atomic_store(&fixture.routed[0], 9); /* the topic goes on */
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:CUT 3-6 x4");
    cr_assert_str_eq(flow_fixture_all_positions(&fixture, 9), "a=2");
    flow_fixture_close(&fixture);
}

Test(feed_position, what_a_drain_cuts_of_the_feed_before_is_read_again)
{
    struct flow_fixture fixture;

    open_fixture(&fixture);
    put(&fixture, 3);
    flow_fixture_feed_close(&fixture, 0, 6);
    fixture.next[0] = 60;
    open_stored(&fixture);
    put(&fixture, 1);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 1), "a1");
    chan_close(fixture.chan, LOSS_DRAIN_CUT);
    (void)flow_fixture_losses(&fixture, 9);
    (void)flow_fixture_states(&fixture, 9);
    cr_assert_str_eq(flow_fixture_all_positions(&fixture, 9), "a=1");
    flow_fixture_close(&fixture);
}

Test(feed_position, an_activation_cannot_give_again_what_a_drain_cuts)
{
    struct flow_fixture fixture;

    flow_fixture_open_pausable(&fixture, &block, 0, 1);
    put(&fixture, 6);
    cr_assert_str_eq(flow_fixture_deliver(&fixture, 2), "a1-2");
    chan_close(fixture.chan, LOSS_DRAIN_CUT);
    cr_assert_str_eq(flow_fixture_losses(&fixture, 9), "a:CUT 3-6 x4");
    cr_assert_str_eq(flow_fixture_all_positions(&fixture, 9), "a=6");
    flow_fixture_close(&fixture);
}

/* ---- the budget ---- */

static const struct chan_limits large = {.max_events = 1000000,
                                         .max_bytes = 64 << 20,
                                         .overflow = OVERFLOW_BLOCK,
                                         .fallback = OVERFLOW_DROP_OLDEST};

/* Puts chunks of 64 KiB until one is parked. */
static uint64_t fill(struct flow_fixture *fixture)
{
    for (uint32_t i = 0; i < 1024; i++)
        if (flow_fixture_put(fixture, 0, 64, 1024) == ERR_AGAIN)
            break;
    return flow_fixture_balance(fixture).queued.bytes;
}

Test(feed_position, slow_consumers_of_stored_topics_leave_half_of_the_budget)
{
    static struct flow_fixture fixtures[40];
    uint64_t first, last = 0;

    budget_set(32 << 20);
    for (uint32_t i = 0; i < ARRAY_LEN(fixtures); i++) {
        flow_fixture_open_pausable(&fixtures[i], &large, 0, 1);
        flow_fixture_feed_close(&fixtures[i], 0, 6);
        (void)flow_fixture_states(&fixtures[i], 9);
        open_stored(&fixtures[i]);
        last = fill(&fixtures[i]);
        first = i == 0 ? last : first;
    }
    cr_assert_gt(first, 512 << 10, "one alone gets a good part: %llu", (unsigned long long)first);
    cr_assert_geq(last, 64 << 10, "the last one goes on: %llu", (unsigned long long)last);
    cr_assert_lt(budget_used(), 18 << 20, "%llu", (unsigned long long)budget_used());
    for (uint32_t i = 0; i < ARRAY_LEN(fixtures); i++) {
        for (uint32_t turn = 0; flow_fixture_balance(&fixtures[i]).queued.events > 0 && turn < 1000; turn++)
            (void)flow_fixture_deliver(&fixtures[i], 64);
        flow_fixture_close(&fixtures[i]);
    }
    budget_set(0);
}
