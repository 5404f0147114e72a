/* test_joint_ends.c - how a publishing stream ends, or its producer, while messages are joined,
 * blocked, held back, or at the loop. */
#include <criterion/criterion.h>

#include "base/counters.h"
#include "desk.h"
#include "seam/fake_session.h"

static struct desk desk;

Test(joint_ends, is_delivered_before_a_half_close_ends_the_stream)
{
    desk_open(&desk, false);
    desk_say_each(&desk, "abc");
    desk_half_close(&desk);
    desk_settle(&desk);
    cr_expect_str_eq(desk_read(&desk), "abc");
    cr_expect_eq(desk.confirmed, 4);
    cr_expect_neq(desk.call.state, DESK_OPEN);
    desk_close(&desk, FAULT_NONE);
}

Test(joint_ends, that_blocks_is_delivered_before_a_half_close_ends_the_stream)
{
    desk_open(&desk, true);
    desk_say_each(&desk, "abc");
    desk_tick(&desk);
    desk_half_close(&desk);
    desk_settle(&desk);
    cr_expect_eq(desk.call.state, DESK_OPEN);
    cr_expect_str_eq(desk_read(&desk), "abc");
    desk_settle(&desk);
    cr_expect_eq(desk.confirmed, 4);
    cr_expect_neq(desk.call.state, DESK_OPEN);
    desk_close(&desk, FAULT_NONE);
}

Test(joint_ends, is_not_lost_with_its_call)
{
    desk_open(&desk, false);
    desk_say_each(&desk, "abc");
    desk_lose(&desk);
    cr_expect_eq(desk.call.state, DESK_CLOSED);
    desk_tick(&desk); /* what it noted for the tick's end is gone with it */
    cr_expect_str_eq(desk_read(&desk), "abc");
    desk_counted(4, 2, 0);
    desk_close(&desk, FAULT_NONE);
}

Test(joint_ends, gives_up_what_blocks_when_its_call_is_lost)
{
    desk_open(&desk, true);
    desk_say_each(&desk, "abcd");
    desk_lose(&desk); /* offered only now, and for nobody who waits */
    desk_settle(&desk);
    cr_expect_eq(desk.call.state, DESK_CLOSED);
    cr_expect_str_eq(desk_read(&desk), "ab", "the fallback drops the newest");
    desk_close(&desk, FAULT_NONE);
}

Test(joint_ends, gives_up_what_blocks_already_and_what_is_held_when_its_call_is_lost)
{
    desk_open(&desk, true);
    desk_say_each(&desk, "abc");
    desk_tick(&desk);
    desk_say_each(&desk, "d");
    desk_lose(&desk);
    desk_settle(&desk);
    cr_expect_eq(desk.call.state, DESK_CLOSED);
    cr_expect_str_eq(desk_read(&desk), "ab");
    desk_counted(4, 2, 0);
    desk_close(&desk, FAULT_NONE);
}

Test(joint_ends, is_not_taken_when_the_server_drains)
{
    desk_open(&desk, false);
    desk_say_each(&desk, "abc");
    desk_drain(&desk);
    desk_settle(&desk);
    cr_expect_str_eq(desk_read(&desk), "");
    cr_expect_eq(desk.confirmed, 1);
    cr_expect_eq(desk.call.state, DESK_CLOSED);
    desk_counted(1, 1, 3);
    desk_close(&desk, FAULT_DRAINING);
}

Test(joint_ends, is_not_taken_when_the_server_drains_before_a_message_that_cannot_be_joined)
{
    desk_open(&desk, false);
    desk_say_each(&desk, "ab");
    hub_drain(desk.fixture.hub, 60 * NS_PER_S, hub_fixture_emptied, &desk.fixture); /* the call has not heard of it */
    desk_say_bad_text(&desk);
    desk_settle(&desk);
    cr_expect_eq(desk.confirmed, 1);
    cr_expect_str_eq(desk.refused, "");
    cr_expect_eq(desk.call.state, DESK_CLOSED);
    desk_close(&desk, FAULT_DRAINING);
}

Test(joint_ends, that_blocks_is_confirmed_when_the_server_drains_and_what_is_held_is_not)
{
    desk_open(&desk, true);
    desk_say_each(&desk, "abc");
    desk_tick(&desk);
    desk_say_each(&desk, "d");
    desk_drain(&desk); /* channels drain, and nothing blocks any more */
    desk_settle(&desk);
    cr_expect_str_eq(desk_read(&desk), "abc");
    cr_expect_eq(desk.confirmed, 4);
    cr_expect_eq(desk.call.state, DESK_CLOSED);
    desk_counted(4, 2, 1);
    desk_close(&desk, FAULT_DRAINING);
}

/* The channel of a consumer that others still answer drains only when they have: until then it
 * blocks as before. */
Test(joint_ends, that_goes_on_blocking_while_the_server_drains_leaves_what_is_held_behind)
{
    struct fake_session session = {0};

    desk_open(&desk, true);
    fake_session_join(&session, &desk.fixture, fake_session_params("asked", SESSION_PER_CONSUMER));
    desk_say_each(&desk, "abc");
    desk_tick(&desk);
    desk_say_each(&desk, "d");
    desk_drain(&desk);
    desk_settle(&desk);
    cr_expect_eq(desk.call.state, DESK_OPEN);
    cr_expect_eq(desk.confirmed, 1);
    cr_expect_str_eq(desk_read(&desk), "abc");
    desk_settle(&desk);
    cr_expect_str_eq(desk_read(&desk), "");
    cr_expect_eq(desk.confirmed, 4);
    cr_expect_eq(desk.call.state, DESK_CLOSED);
    desk_counted(4, 2, 1);
    fake_session_fini(&session);
    desk_close(&desk, FAULT_DRAINING);
}

static void remove_web(void)
{
    struct producer_view view;
    struct fault fault;

    cr_assert_eq(hub_remove(desk.fixture.hub, text_of("web"), 0, hub_fixture_copy_view, &view, &fault), FAULT_NONE);
}

Test(joint_ends, comes_back_under_a_new_epoch_when_its_producer_was_removed)
{
    desk_open(&desk, false);
    uint64_t before = desk.epoch;
    desk_say_each(&desk, "ab");
    remove_web();
    desk_tick(&desk); /* it goes to the loop; what was asked for may still come */
    cr_expect_eq(desk.confirmed, 1);
    desk_say_each(&desk, "c");
    cr_expect_not(desk.call.reading);
    desk_settle(&desk);
    cr_expect_str_eq(desk_read(&desk), "abc");
    cr_expect_eq(desk.confirmed, 4);
    cr_expect_gt(desk.epoch, before);
    cr_expect_eq(desk.last_sequence, 3);
    desk_close(&desk, FAULT_NONE);
}

Test(joint_ends, is_taken_though_its_call_is_lost_while_its_producer_is_made_again)
{
    desk_open(&desk, false);
    desk_say_each(&desk, "ab");
    remove_web();
    desk_tick(&desk);
    desk_lose(&desk);
    cr_expect_eq(desk.call.state, DESK_ENDED, "the loop still has it");
    desk_settle(&desk);
    cr_expect_eq(desk.call.state, DESK_CLOSED);
    cr_expect_str_eq(desk_read(&desk), "ab");
    desk_close(&desk, FAULT_NONE);
}

Test(joint_ends, is_refused_message_by_message_where_its_producer_cannot_be_made_again)
{
    hub_fixture_limits.max_producers = 1;
    desk_open(&desk, false);
    desk_say_each(&desk, "ab");
    remove_web();
    publish(&desk.fixture, "other", 1, "t");
    desk_tick(&desk);
    desk_say_each(&desk, "c"); /* held, and refused after them */
    desk_settle(&desk);
    cr_expect_str_eq(desk.refused, "2 TOO_MANY_PRODUCERS, 3 TOO_MANY_PRODUCERS, 4 TOO_MANY_PRODUCERS");
    cr_expect_eq(desk.confirmed, 4);
    desk_counted(1, 2, 3);
    desk_close(&desk, FAULT_NONE);
}
