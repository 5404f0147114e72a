/* test_feed_position.c - how far a consumer has come in a stored topic: what it may read again
 * after its stream ends. */
#include <criterion/criterion.h>
#include <stdatomic.h>

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
