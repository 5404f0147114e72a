/* test_coalesce_ends.c - a publishing stream or its producer ends while messages are coalesced,
 * blocked, held, or at the loop. */
#include <criterion/criterion.h>

#include "base/counters.h"
#include "hub/session_port.h"
#include "rpc_fixture.h"
#include "seam/fake_session.h"

static struct rpc_fixture fixture;

Test(coalesce_ends, coalesced_messages_are_delivered_before_a_half_close_ends_the_stream)
{
    rpc_fixture_open(&fixture, false);
    rpc_fixture_publish_each(&fixture, "abc");
    rpc_fixture_half_close(&fixture);
    rpc_fixture_run(&fixture);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "abc");
    cr_expect_eq(fixture.confirmed, 4);
    cr_expect_neq(fixture.call.state, CALL_OPEN);
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce_ends, blocked_messages_are_delivered_before_a_half_close_ends_the_stream)
{
    rpc_fixture_open(&fixture, true);
    rpc_fixture_publish_each(&fixture, "abc");
    rpc_fixture_poll(&fixture);
    rpc_fixture_half_close(&fixture);
    rpc_fixture_run(&fixture);
    cr_expect_eq(fixture.call.state, CALL_OPEN);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "abc");
    rpc_fixture_run(&fixture);
    cr_expect_eq(fixture.confirmed, 4);
    cr_expect_neq(fixture.call.state, CALL_OPEN);
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce_ends, coalesced_messages_survive_the_loss_of_their_call)
{
    rpc_fixture_open(&fixture, false);
    rpc_fixture_publish_each(&fixture, "abc");
    rpc_fixture_lose_call(&fixture);
    cr_expect_eq(fixture.call.state, CALL_CLOSED);
    rpc_fixture_poll(&fixture); /* its post-poll hooks are gone with it */
    cr_expect_str_eq(rpc_fixture_read(&fixture), "abc");
    rpc_fixture_expect_counts(4, 2, 0);
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce_ends, a_scanned_message_that_waits_is_dropped_when_the_call_is_lost)
{
    rpc_fixture_open(&fixture, true);
    rpc_fixture_publish_each(&fixture, "abc");
    fixture.thread.busy = false;
    rpc_fixture_publish(&fixture, "d");
    rpc_fixture_lose_call(&fixture);
    rpc_fixture_run(&fixture);
    cr_expect_eq(fixture.call.state, CALL_CLOSED);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "ab");
    rpc_fixture_expect_counts(4, 2, 0);
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce_ends, coalesced_messages_that_block_are_given_up_when_the_call_is_lost)
{
    rpc_fixture_open(&fixture, true);
    rpc_fixture_publish_each(&fixture, "abcd");
    rpc_fixture_lose_call(&fixture); /* offered only now, and no one waits for it */
    rpc_fixture_run(&fixture);
    cr_expect_eq(fixture.call.state, CALL_CLOSED);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "ab", "the fallback drops the newest");
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce_ends, blocked_and_held_messages_are_given_up_when_the_call_is_lost)
{
    rpc_fixture_open(&fixture, true);
    rpc_fixture_publish_each(&fixture, "abc");
    rpc_fixture_poll(&fixture);
    rpc_fixture_publish_each(&fixture, "d");
    rpc_fixture_lose_call(&fixture);
    rpc_fixture_run(&fixture);
    cr_expect_eq(fixture.call.state, CALL_CLOSED);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "ab");
    rpc_fixture_expect_counts(4, 2, 0);
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce_ends, coalesced_messages_are_not_accepted_when_the_server_drains)
{
    rpc_fixture_open(&fixture, false);
    rpc_fixture_publish_each(&fixture, "abc");
    rpc_fixture_drain(&fixture);
    rpc_fixture_run(&fixture);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "");
    cr_expect_eq(fixture.confirmed, 1);
    cr_expect_eq(fixture.call.state, CALL_CLOSED);
    rpc_fixture_expect_counts(1, 1, 3);
    rpc_fixture_close(&fixture, FAULT_DRAINING);
}

Test(coalesce_ends, a_drain_between_coalesced_messages_and_a_bad_one_accepts_none_of_them)
{
    rpc_fixture_open(&fixture, false);
    rpc_fixture_publish_each(&fixture, "ab");
    hub_drain(fixture.hub_fixture.hub, 60 * NS_PER_S, hub_fixture_emptied,
              &fixture.hub_fixture); /* the call was not notified yet */
    rpc_fixture_publish_bad_text(&fixture);
    rpc_fixture_run(&fixture);
    cr_expect_eq(fixture.confirmed, 1);
    cr_expect_str_eq(fixture.refused, "");
    cr_expect_eq(fixture.call.state, CALL_CLOSED);
    rpc_fixture_close(&fixture, FAULT_DRAINING);
}

Test(coalesce_ends, a_drain_confirms_blocked_messages_and_not_the_held_one)
{
    rpc_fixture_open(&fixture, true);
    rpc_fixture_publish_each(&fixture, "abc");
    rpc_fixture_poll(&fixture);
    rpc_fixture_publish_each(&fixture, "d");
    rpc_fixture_drain(&fixture); /* channels drain, and nothing blocks any more */
    rpc_fixture_run(&fixture);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "abc");
    cr_expect_eq(fixture.confirmed, 4);
    cr_expect_eq(fixture.call.state, CALL_CLOSED);
    rpc_fixture_expect_counts(4, 2, 1);
    rpc_fixture_close(&fixture, FAULT_DRAINING);
}

/* A channel drains only when the activations of its consumer have ended. Until then it keeps what
 * it has parked; but its producers end, and do not wait for it. */
Test(coalesce_ends, a_channel_that_blocks_does_not_delay_the_drain_and_the_held_message_is_not_accepted)
{
    struct fake_session fake_session = {0};

    rpc_fixture_open(&fixture, true);
    fake_session_join(&fake_session, &fixture.hub_fixture,
                      fake_session_params("asked", SESSION_PER_CONSUMER));
    rpc_fixture_publish_each(&fixture, "abc");
    rpc_fixture_poll(&fixture);
    rpc_fixture_publish_each(&fixture, "d");
    rpc_fixture_drain(&fixture);
    rpc_fixture_run(&fixture);
    cr_expect_eq(fixture.confirmed, 4);
    cr_expect_eq(fixture.call.state, CALL_CLOSED);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "abc");
    rpc_fixture_run(&fixture);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "");
    rpc_fixture_expect_counts(4, 2, 1);
    fake_session_fini(&fake_session);
    rpc_fixture_close(&fixture, FAULT_DRAINING);
}

static void remove_producer(void)
{
    struct producer_view view;
    struct fault fault;

    cr_assert_eq(hub_remove(fixture.hub_fixture.hub, text_of("web"), 0, hub_fixture_copy_view, &view, &fault),
                 FAULT_NONE);
}

Test(coalesce_ends, a_removed_producer_comes_back_with_coalesced_messages_in_a_new_epoch)
{
    rpc_fixture_open(&fixture, false);
    uint64_t before = fixture.epoch;
    rpc_fixture_publish_each(&fixture, "ab");
    remove_producer();
    rpc_fixture_poll(&fixture); /* the intake goes to the loop; one message may still arrive */
    cr_expect_eq(fixture.confirmed, 1);
    rpc_fixture_publish_each(&fixture, "c");
    cr_expect_not(fixture.call.reading);
    rpc_fixture_run(&fixture);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "abc");
    cr_expect_eq(fixture.confirmed, 4);
    cr_expect_gt(fixture.epoch, before);
    cr_expect_eq(fixture.last_sequence, 3);
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce_ends, a_call_that_is_lost_while_its_producer_is_made_again_still_delivers)
{
    rpc_fixture_open(&fixture, false);
    rpc_fixture_publish_each(&fixture, "ab");
    remove_producer();
    rpc_fixture_poll(&fixture);
    rpc_fixture_lose_call(&fixture);
    cr_expect_eq(fixture.call.state, CALL_ENDED, "the intake is still at the loop");
    rpc_fixture_run(&fixture);
    cr_expect_eq(fixture.call.state, CALL_CLOSED);
    cr_expect_str_eq(rpc_fixture_read(&fixture), "ab");
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce_ends, each_coalesced_message_is_refused_where_the_producer_cannot_be_made_again)
{
    hub_fixture_settings.max_producers = 1;
    rpc_fixture_open(&fixture, false);
    rpc_fixture_publish_each(&fixture, "ab");
    remove_producer();
    publish(&fixture.hub_fixture, "other", 1, "t");
    rpc_fixture_poll(&fixture);
    rpc_fixture_publish_each(&fixture, "c"); /* held, and refused after them */
    rpc_fixture_run(&fixture);
    cr_expect_str_eq(fixture.refused, "2 TOO_MANY_PRODUCERS, 3 TOO_MANY_PRODUCERS, 4 TOO_MANY_PRODUCERS");
    cr_expect_eq(fixture.confirmed, 4);
    rpc_fixture_expect_counts(1, 2, 3);
    rpc_fixture_close(&fixture, FAULT_NONE);
}

static void publish_max_event_bytes(uint32_t max)
{
    struct settings settings = *loop_settings(fixture.hub_fixture.loop);

    settings.framing.max_event_bytes = max;
    cr_assert_eq(loop_publish_settings(fixture.hub_fixture.loop, &settings), ERR_OK);
}

Test(coalesce_ends, a_new_limit_holds_for_the_next_message_of_an_open_stream)
{
    rpc_fixture_open(&fixture, false);
    fixture.thread.busy = false;
    rpc_fixture_publish(&fixture, "a");
    rpc_fixture_run(&fixture);
    publish_max_event_bytes(1);
    rpc_fixture_publish(&fixture, "b");
    rpc_fixture_run(&fixture);
    cr_expect_str_eq(fixture.refused, "3 EVENT_TOO_LARGE");
    publish_max_event_bytes(100);
    rpc_fixture_publish(&fixture, "c");
    rpc_fixture_run(&fixture);
    cr_expect_str_eq(fixture.refused, "3 EVENT_TOO_LARGE");
    cr_expect_str_eq(rpc_fixture_read(&fixture), "ac");
    cr_expect_eq(fixture.call.state, CALL_OPEN, "the stream goes on");
    rpc_fixture_close(&fixture, FAULT_NONE);
}

Test(coalesce_ends, a_wrong_message_that_waits_for_refused_ones_keeps_its_own_reason)
{
    hub_fixture_settings.max_producers = 1;
    rpc_fixture_open(&fixture, false);
    rpc_fixture_publish_each(&fixture, "ab");
    remove_producer();
    publish(&fixture.hub_fixture, "other", 1, "t");
    rpc_fixture_publish_bad_text(&fixture); /* the others are offered first, and go to the loop */
    rpc_fixture_run(&fixture);
    cr_expect_str_eq(fixture.refused, "2 TOO_MANY_PRODUCERS, 3 TOO_MANY_PRODUCERS, 4 BAD_UTF8");
    rpc_fixture_expect_scanned_once(&fixture, 1);
    rpc_fixture_close(&fixture, FAULT_NONE);
}
