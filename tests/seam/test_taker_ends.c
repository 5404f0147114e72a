/* test_taker_ends.c - every ending of a taker: by its owner, by the hub, by the policy; with and
 * without a batch in flight; from within each port call. ended() comes once, nothing is left. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/counters.h"
#include "flow/chan_stats.h"
#include "seam/fake_session.h"
#include "seam/taker_fixture.h"

static struct hub_fixture fixture;
static struct owner owner;

static struct chan_stats stats(void)
{
    struct chan_stats stats;

    chan_stats(owner.chan, &stats);
    return stats;
}

static enum fault_reason finish(int64_t drain_ns)
{
    struct fault fault;

    return hub_finish(fixture.hub, text_of(taker_id(owner.taker)), CLOSING_FINISHED, drain_ns, &fault);
}

static void disconnect(void)
{
    struct fault fault;

    cr_assert_eq(hub_disconnect(fixture.hub, text_of(taker_id(owner.taker)), text_of("enough"), &fault),
                 FAULT_NONE);
}

static bool has_ended(void *ctx)
{
    return ((struct owner *)ctx)->ends > 0;
}

static void end_fixture(void)
{
    cr_assert_eq(count_get(COUNT_LIVE_SUBSCRIPTIONS), 0);
    owner_fini(&owner);
    hub_fixture_close(&fixture);
}

Test(taker_ends, closed_by_its_owner_it_drops_what_waits)
{
    hub_fixture_open(&fixture);
    owner_open(&owner, &fixture, taker_params_of(100));
    publish(&fixture, "web", 2, "t");
    taker_close(owner.taker);
    taker_close(owner.taker);
    cr_assert_eq(owner.ends, 0, "not from within the call");
    cr_assert_str_eq(owner_read(&owner), "ended NONE\n");
    cr_assert_eq(stats().dropped[LOSS_CONSUMER_GONE].events, 2);
    cr_assert_eq(publish(&fixture, "web", 1, "t").matched, 0);
    end_fixture();
}

Test(taker_ends, closed_with_a_batch_in_flight_it_ends_when_that_is_completed)
{
    hub_fixture_open(&fixture);
    owner.holds = true;
    owner_open(&owner, &fixture, taker_params_of(2));
    publish(&fixture, "web", 5, "t");
    cr_assert_str_eq(owner_read(&owner), "web 1-2, web is ACTIVE\n");
    taker_close(owner.taker);
    cr_assert_str_eq(owner_read(&owner), "");
    cr_assert_eq(count_get(COUNT_LIVE_SUBSCRIPTIONS), 1);
    owner_complete(&owner, true);
    cr_assert_str_eq(owner_read(&owner), "ended NONE\n");
    cr_assert_eq(stats().delivered.events, 2);
    cr_assert_eq(stats().dropped[LOSS_CONSUMER_GONE].events, 3);
    end_fixture();
}

Test(taker_ends, a_batch_that_was_not_delivered_counts_as_dropped_and_is_not_reported)
{
    hub_fixture_open(&fixture);
    owner.refuses = true;
    owner_open(&owner, &fixture, taker_params_of(2));
    publish(&fixture, "web", 2, "t");
    cr_assert_str_eq(owner_read(&owner), "web 1-2, web is ACTIVE\n");
    cr_assert_eq(stats().delivered.events, 0);
    cr_assert_eq(stats().dropped[LOSS_CONSUMER_GONE].events, 2);
    taker_close(owner.taker);
    cr_assert_str_eq(owner_read(&owner), "ended NONE\n");
    end_fixture();
}

Test(taker_ends, may_be_closed_from_within_a_batch_before_or_after_it_is_completed)
{
    for (int after = 0; after < 2; after++) {
        owner = (struct owner){.closes_at_batch = after == 0, .closes_after_complete = after == 1};
        hub_fixture_open(&fixture);
        owner_open(&owner, &fixture, taker_params_of(2));
        publish(&fixture, "web", 5, "t");
        cr_assert_str_eq(owner_read(&owner), "web 1-2, web is ACTIVE\nended NONE\n");
        end_fixture();
    }
}

Test(taker_ends, may_be_closed_from_within_closing)
{
    hub_fixture_open(&fixture);
    owner.closes_at_closing = true;
    owner_open(&owner, &fixture, taker_params_of(2));
    publish(&fixture, "web", 5, "t");
    cr_assert_eq(finish(3600 * NS_PER_S), FAULT_NONE);
    cr_assert_str_eq(owner_read(&owner), "closing 2\nended NONE\n");
    cr_assert_eq(stats().dropped[LOSS_CONSUMER_GONE].events, 5);
    end_fixture();
}

Test(taker_ends, gently_it_gives_what_waits_first)
{
    hub_fixture_open(&fixture);
    owner_open(&owner, &fixture, taker_params_of(2));
    publish(&fixture, "web", 3, "t");
    cr_assert_eq(finish(3600 * NS_PER_S), FAULT_NONE);
    cr_assert_eq(owner.closings, 0, "not from within the call");
    cr_assert_str_eq(owner_read(&owner), "closing 2\nweb 1-2, web is ACTIVE\nweb 3-3\nended NONE\n");
    cr_assert_eq(stats().delivered.events, 3);
    end_fixture();
}

Test(taker_ends, the_owner_hears_of_a_gentle_end_while_it_holds_a_batch)
{
    hub_fixture_open(&fixture);
    owner.holds = true;
    owner_open(&owner, &fixture, taker_params_of(2));
    publish(&fixture, "web", 3, "t");
    cr_assert_str_eq(owner_read(&owner), "web 1-2, web is ACTIVE\n");
    cr_assert_eq(finish(3600 * NS_PER_S), FAULT_NONE);
    cr_assert_str_eq(owner_read(&owner), "closing 2\n");
    owner.holds = false;
    owner_complete(&owner, true);
    cr_assert_str_eq(owner_read(&owner), "web 3-3\nended NONE\n");
    end_fixture();
}

Test(taker_ends, at_the_deadline_of_a_drain_a_paused_owner_is_given_the_losses_and_ended)
{
    hub_fixture_open(&fixture);
    owner_open(&owner, &fixture, taker_params_of(2));
    (void)owner_read(&owner);
    taker_pause(owner.taker);
    publish(&fixture, "web", 3, "t");
    cr_assert_eq(finish(5 * NS_PER_MS), FAULT_NONE);
    cr_assert_str_eq(owner_read(&owner), "closing 2\nweb is ACTIVE\n");
    cr_assert(hub_fixture_until(&fixture, has_ended, &owner));
    cr_assert_str_eq(owner_read(&owner), "lost web 3 1-3 6\nended NONE\n");
    end_fixture();
}

Test(taker_ends, at_the_deadline_of_a_drain_what_is_in_flight_stays_the_owners)
{
    hub_fixture_open(&fixture);
    owner.holds = true;
    owner_open(&owner, &fixture, taker_params_of(2));
    publish(&fixture, "web", 3, "t");
    (void)owner_read(&owner);
    cr_assert_eq(finish(0), FAULT_NONE);
    cr_assert_str_eq(owner_read(&owner), "closing 2\n");
    owner_complete(&owner, true);
    cr_assert_str_eq(owner_read(&owner), "lost web 1 3-3 6\n", "it must be completed too");
    owner_complete(&owner, true);
    cr_assert_str_eq(owner_read(&owner), "ended NONE\n");
    cr_assert_eq(stats().delivered.events, 2);
    end_fixture();
}

Test(taker_ends, a_drain_of_the_hub_ends_it_and_the_hub_is_empty_then)
{
    hub_fixture_open(&fixture);
    owner_open(&owner, &fixture, taker_params_of(100));
    publish(&fixture, "web", 3, "t");
    hub_drain(fixture.hub, 3600 * NS_PER_S, hub_fixture_emptied, &fixture);
    cr_assert_eq(fixture.emptied, 0);
    cr_assert_str_eq(owner_read(&owner), "closing 1\nweb 1-3, web is ACTIVE\nended NONE\n");
    cr_assert_eq(fixture.emptied, 1);
    end_fixture();
}

Test(taker_ends, a_drain_of_the_hub_waits_for_the_batch_in_flight_beyond_its_deadline)
{
    hub_fixture_open(&fixture);
    owner.holds = true;
    owner_open(&owner, &fixture, taker_params_of(2));
    publish(&fixture, "web", 2, "t");
    (void)owner_read(&owner);
    hub_drain(fixture.hub, 0, hub_fixture_emptied, &fixture);
    cr_assert_str_eq(owner_read(&owner), "closing 1\n");
    cr_assert_eq(fixture.emptied, 0);
    owner_complete(&owner, true);
    cr_assert_str_eq(owner_read(&owner), "ended NONE\n");
    cr_assert_eq(fixture.emptied, 1);
    end_fixture();
}

Test(taker_ends, kicked_it_gives_nothing_more)
{
    hub_fixture_open(&fixture);
    owner_open(&owner, &fixture, taker_params_of(100));
    publish(&fixture, "web", 3, "t");
    disconnect();
    cr_assert_str_eq(owner_read(&owner), "ended KICKED\n");
    cr_assert_str_eq(owner.fault.bound, "\"enough\"");
    cr_assert_eq(stats().dropped[LOSS_CONSUMER_GONE].events, 3);
    end_fixture();
}

Test(taker_ends, kicked_with_a_batch_in_flight_it_ends_when_that_is_completed)
{
    hub_fixture_open(&fixture);
    owner.holds = true;
    owner_open(&owner, &fixture, taker_params_of(2));
    publish(&fixture, "web", 3, "t");
    (void)owner_read(&owner);
    disconnect();
    taker_close(owner.taker);
    cr_assert_str_eq(owner_read(&owner), "");
    owner_complete(&owner, false);
    cr_assert_str_eq(owner_read(&owner), "ended KICKED\n", "the first reason counts");
    end_fixture();
}

Test(taker_ends, kicked_during_a_drain_it_does_not_wait_for_the_rest)
{
    hub_fixture_open(&fixture);
    owner_open(&owner, &fixture, taker_params_of(2));
    (void)owner_read(&owner);
    taker_pause(owner.taker);
    publish(&fixture, "web", 3, "t");
    cr_assert_eq(finish(3600 * NS_PER_S), FAULT_NONE);
    cr_assert_str_eq(owner_read(&owner), "closing 2\nweb is ACTIVE\n");
    disconnect();
    cr_assert_str_eq(owner_read(&owner), "ended KICKED\n");
    end_fixture();
}

Test(taker_ends, too_slow_for_the_policy_disconnect)
{
    struct taker_params params = taker_params_of(100);

    params.subscription.limits.max_events = 2;
    params.subscription.limits.overflow = OVERFLOW_DISCONNECT;
    hub_fixture_open(&fixture);
    owner_open(&owner, &fixture, params);
    taker_pause(owner.taker);
    publish(&fixture, "web", 3, "t");
    cr_assert_str_eq(owner_read(&owner), "ended TOO_SLOW\n");
    cr_assert_str_eq(owner.fault.bound, "at most 2 events and 4194304 bytes wait; lost");
    end_fixture();
}

Test(taker_ends, its_activations_end_with_it)
{
    struct fake_session session = {0};

    hub_fixture_open(&fixture);
    fake_session_join(&session, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    owner_open(&owner, &fixture, taker_params_of(100));
    cr_assert_str_eq(fake_session_transcript(&session), "welcome, start 1 \"\"");
    cr_assert_eq(fake_session_put(&session, 1, 2), ERR_OK);
    cr_assert_str_eq(owner_read(&owner), "web 1-2, web is ACTIVE\n");
    taker_close(owner.taker);
    cr_assert_str_eq(owner_read(&owner), "ended NONE\n");
    cr_assert_str_eq(fake_session_transcript(&session), "stop 1 FINISHED now");
    fake_session_leave(&session, FAULT_NONE);
    fake_session_fini(&session);
    end_fixture();
}

Test(taker_ends, with_its_last_activation_where_the_params_say_so)
{
    struct fake_session session = {.ends_at_start = true};
    struct taker_params params = taker_params_of(100);

    params.subscription.end_when_all_ended = true;
    hub_fixture_open(&fixture);
    fake_session_join(&session, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    owner_open(&owner, &fixture, params);
    cr_assert_str_eq(owner_read(&owner), "closing 4\nweb is ENDED\nended NONE\n");
    fake_session_leave(&session, FAULT_NONE);
    fake_session_fini(&session);
    end_fixture();
}

Test(taker_ends, a_refused_one_leaves_nothing)
{
    struct owner second = {0};

    hub_fixture_settings.max_subscriptions = 1;
    hub_fixture_open(&fixture);
    owner_open(&owner, &fixture, taker_params_of(100));
    cr_assert_eq(owner_try(&second, &fixture, taker_params_of(100)), FAULT_TOO_MANY_SUBSCRIPTIONS);
    cr_assert_null(second.taker);
    taker_close(owner.taker);
    (void)owner_read(&owner);
    end_fixture();
}

Test(taker_ends, what_the_channel_still_notifies_after_the_end_is_harmless)
{
    hub_fixture_open(&fixture);
    owner_open(&owner, &fixture, taker_params_of(100));
    publish(&fixture, "web", 3, "t");
    taker_close(owner.taker);
    for (int turns = 0; turns < 4; turns++) /* the wildcard goes in a turn of its own */
        loop_turn(fixture.loop);
    cr_assert_eq(owner.ends, 1);
    owner_fini(&owner);
    hub_fixture_close(&fixture); /* the loop runs what is posted, then checks that nothing is left */
}
