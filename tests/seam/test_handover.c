/* test_handover.c - two sessions and one name (A10), and transient producers whose name is taken
 * over or removed. */
#include <criterion/criterion.h>

#include <string.h>

#include "base/counters.h"
#include "hub/session.h"
#include "seam/fake_session.h"
#include "seam/virtual_clock.h"

static struct subscription_params params_with_request(const char *request)
{
    struct subscription_params params = subscription_params_of(NULL);

    params.request = text_of(request);
    return params;
}

static struct session_params start_first(const char *name, enum session_mode mode)
{
    struct session_params params = fake_session_params(name, mode);

    params.start_first = true;
    return params;
}

static struct session_params rejecting(const char *name)
{
    struct session_params params = fake_session_params(name, SESSION_SHARED);

    params.reject_duplicate = true;
    return params;
}

Test(handover, A10_reject_refuses_the_second_of_a_name)
{
    struct hub_fixture fixture;
    struct fake_session old = {0}, new = {0}, other = {0};

    hub_fixture_open(&fixture);
    fake_session_join(&old, &fixture, rejecting("web"));
    cr_assert_eq(fake_session_try(&new, &fixture, rejecting("web")), FAULT_NAME_TAKEN);
    cr_assert_str_eq(new.fault.value, "\"web\"");
    fake_session_join(&other, &fixture, rejecting("we"));
    cr_assert_str_eq(fake_session_transcript(&old), "welcome");
    fake_session_leave(&old, FAULT_NONE);
    fake_session_join(&new, &fixture, rejecting("web"));
    cr_assert_str_eq(fake_session_transcript(&new), "welcome");
    fake_session_fini(&old);
    fake_session_fini(&new);
    fake_session_fini(&other);
    hub_fixture_close(&fixture);
}

Test(handover, A10_stop_first_starts_the_new_one_when_the_old_one_has_ended)
{
    struct hub_fixture fixture;
    struct fake_session old = {0}, new = {0};
    struct consumer early, between;

    hub_fixture_open(&fixture);
    fake_session_join(&old, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    consumer_join(&early, &fixture, params_with_request("early"));
    cr_assert_eq(fake_session_put(&old, 1, 1), ERR_OK);
    fake_session_transcript(&old);
    fake_session_join(&new, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    cr_assert_str_eq(fake_session_transcript(&old), "closing REPLACED in 1000, stop 1 REPLACED in 1000");
    cr_assert_str_eq(fake_session_transcript(&new), "");
    consumer_join(&between, &fixture, params_with_request("between"));
    cr_assert_eq(between.result.producers_matched, 0, "it waits for the new one");
    cr_assert_eq(fake_session_put(&old, 1, 1), ERR_OK);
    cr_assert_eq(fake_session_put(&new, 0, 1), ERR_INVALID);
    cr_assert_eq(fake_session_put(&new, 1, 1), ERR_NOT_FOUND);
    fake_session_end(&old, 1, CODE_OK, NULL);
    cr_assert_str_eq(fake_session_transcript(&old), "abort REPLACED");
    cr_assert_eq(old.fault.reason, FAULT_REPLACED);
    cr_assert_str_eq(fake_session_transcript(&new), "welcome, start 1 \"early\", start 2 \"between\"");
    cr_assert_gt(new.epoch, old.epoch);
    cr_assert_eq(fake_session_put(&new, 1, 1), ERR_OK);
    cr_assert_eq(fake_session_put(&old, 1, 1), ERR_CLOSED);
    cr_assert_str_eq(consumer_read(&early), "web 1-1, web 2-2, web 1-1, web is ENDED, web is ACTIVE\n");
    fake_session_leave(&old, FAULT_REPLACED);
    cr_assert_eq(fake_session_put(&new, 2, 1), ERR_OK);
    cr_assert_eq(hub_fixture_logged(&fixture, "producer.replaced"), 1);
    consumer_leave(&early);
    consumer_leave(&between);
    fake_session_fini(&old);
    fake_session_fini(&new);
    hub_fixture_close(&fixture);
}

Test(handover, A10_stop_first_aborts_an_old_one_that_does_not_end_within_a_second)
{
    struct hub_fixture fixture;
    struct fake_session old = {0}, new = {0};
    struct consumer consumer;

    hub_fixture_open(&fixture);
    fake_session_join(&old, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &fixture, params_with_request("q"));
    fake_session_join(&new, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    virtual_time_pass(fixture.loop, NS_PER_S - 1);
    cr_assert_eq(new.welcomes, 0);
    cr_assert_eq(old.aborts, 0);
    virtual_time_pass(fixture.loop, 1);
    cr_assert_eq(old.aborts, 1);
    cr_assert_str_eq(fake_session_transcript(&new), "welcome, start 1 \"q\"");
    cr_assert_eq(hub_fixture_logged(&fixture, "activation.expired"), 1);
    consumer_leave(&consumer);
    fake_session_fini(&old);
    fake_session_fini(&new);
    hub_fixture_close(&fixture);
}

Test(handover, A10_stop_first_gives_an_old_shared_session_a_second)
{
    struct hub_fixture fixture;
    struct fake_session old = {0}, new = {0};
    struct consumer consumer, between;

    hub_fixture_open(&fixture);
    fake_session_join(&old, &fixture, fake_session_params("web", SESSION_SHARED));
    consumer_join(&consumer, &fixture, params_with_request("q"));
    fake_session_join(&new, &fixture, fake_session_params("web", SESSION_SHARED));
    cr_assert_eq(fake_session_put(&old, 0, 1), ERR_OK);
    cr_assert_eq(fake_session_put(&new, 0, 1), ERR_CLOSED, "it was not welcomed yet");
    consumer_join(&between, &fixture, params_with_request("between"));
    fake_session_leave(&old, FAULT_NONE);
    cr_assert_str_eq(fake_session_transcript(&new), "welcome");
    cr_assert_eq(fake_session_put(&new, 0, 1), ERR_OK);
    cr_assert_eq(new.offer.matched, 2);
    cr_assert_str_eq(consumer_read(&consumer), "web 1-1, web 1-1, web is REMOVED, web is ACTIVE\n");
    cr_assert_str_eq(consumer_read(&between), "web 1-1, web is ACTIVE\n",
                     "new consumers get only the new one");
    consumer_leave(&consumer);
    consumer_leave(&between);
    fake_session_fini(&old);
    fake_session_fini(&new);
    hub_fixture_close(&fixture);
}

Test(handover, A10_stop_first_is_instant_where_the_old_one_has_nothing_to_end)
{
    struct hub_fixture fixture;
    struct fake_session old = {0}, new = {0};

    hub_fixture_open(&fixture);
    fake_session_join(&old, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    fake_session_join(&new, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    cr_assert_str_eq(fake_session_transcript(&old), "welcome, closing REPLACED in 1000, abort REPLACED");
    cr_assert_str_eq(fake_session_transcript(&new), "welcome");
    fake_session_fini(&old);
    fake_session_fini(&new);
    hub_fixture_close(&fixture);
}

Test(handover, A10_start_first_leaves_no_gap_and_both_publish_for_a_moment)
{
    struct hub_fixture fixture;
    struct fake_session old = {0}, new = {0};
    struct consumer consumer, late;

    hub_fixture_open(&fixture);
    fake_session_join(&old, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &fixture, params_with_request("q"));
    fake_session_transcript(&old);
    fake_session_join(&new, &fixture, start_first("web", SESSION_PER_CONSUMER));
    cr_assert_str_eq(fake_session_transcript(&new), "welcome, start 1 \"q\"");
    cr_assert_str_eq(fake_session_transcript(&old), "closing REPLACED in 1000, stop 1 REPLACED in 1000");
    consumer_join(&late, &fixture, params_with_request("late"));
    cr_assert_str_eq(fake_session_transcript(&new), "start 2 \"late\"");
    cr_assert_eq(old.starts, 1, "new consumers get only the new one");
    cr_assert_eq(fake_session_put(&old, 1, 1), ERR_OK);
    cr_assert_eq(fake_session_put(&new, 1, 1), ERR_OK);
    virtual_time_pass(fixture.loop, NS_PER_S);
    cr_assert_eq(old.aborts, 1);
    cr_assert_eq(new.closings, 0);
    cr_assert_eq(fake_session_put(&new, 1, 1), ERR_OK);
    cr_assert_str_eq(consumer_read(&consumer),
                     "web 1-1, web 1-1, web 2-2, web is ENDED with DEADLINE_EXCEEDED: "
                     "producer \"web\" did not stop in time, web is ACTIVE\n");
    consumer_leave(&consumer);
    consumer_leave(&late);
    fake_session_fini(&old);
    fake_session_fini(&new);
    hub_fixture_close(&fixture);
}

Test(handover, of_several_waiting_sessions_only_the_newest_stays)
{
    struct hub_fixture fixture;
    struct fake_session old = {0}, second = {0}, third = {0}, rejected = {0};
    struct consumer consumer;

    hub_fixture_open(&fixture);
    fake_session_join(&old, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &fixture, params_with_request("q"));
    fake_session_join(&second, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    fake_session_join(&third, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    cr_assert_str_eq(fake_session_transcript(&second), "abort REPLACED");
    cr_assert_eq(fake_session_try(&rejected, &fixture, rejecting("web")), FAULT_NAME_TAKEN);
    fake_session_end(&old, 1, CODE_OK, NULL);
    cr_assert_str_eq(fake_session_transcript(&third), "welcome, start 1 \"q\"");
    cr_assert_eq(second.welcomes, 0);
    consumer_leave(&consumer);
    fake_session_fini(&old);
    fake_session_fini(&second);
    fake_session_fini(&third);
    hub_fixture_close(&fixture);
}

Test(handover, a_waiting_session_may_leave_or_be_replaced)
{
    struct hub_fixture fixture;
    struct fake_session old = {0}, waiting = {0}, first = {0};
    struct consumer consumer;

    hub_fixture_open(&fixture);
    fake_session_join(&old, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &fixture, params_with_request("q"));
    fake_session_join(&waiting, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    fake_session_leave(&waiting, FAULT_CANCELLED);
    cr_assert_str_eq(fake_session_transcript(&waiting), "");
    fake_session_join(&waiting, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    fake_session_join(&first, &fixture, start_first("web", SESSION_PER_CONSUMER));
    cr_assert_str_eq(fake_session_transcript(&waiting), "abort REPLACED");
    cr_assert_str_eq(fake_session_transcript(&first), "welcome, start 1 \"q\"");
    fake_session_end(&old, 1, CODE_OK, NULL);
    cr_assert_eq(old.aborts, 1);
    cr_assert_eq(first.closings, 0, "the older one's end is not its own");
    consumer_leave(&consumer);
    fake_session_fini(&old);
    fake_session_fini(&waiting);
    fake_session_fini(&first);
    hub_fixture_close(&fixture);
}

Test(handover, removing_a_name_removes_the_waiting_session_too)
{
    struct hub_fixture fixture;
    struct fake_session old = {0}, waiting = {0};
    struct consumer consumer;
    struct producer_view view;
    struct fault fault;

    hub_fixture_open(&fixture);
    fake_session_join(&old, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &fixture, params_with_request("q"));
    fake_session_join(&waiting, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    fake_session_transcript(&old);
    cr_assert_eq(
        hub_remove(fixture.hub, text_of("web"), 100 * NS_PER_MS, hub_fixture_copy_view, &view, &fault),
        FAULT_NONE);
    cr_assert_eq(view.state, PRODUCER_DRAINING);
    cr_assert_str_eq(fake_session_transcript(&waiting), "abort REMOVED");
    virtual_time_pass(fixture.loop, 100 * NS_PER_MS);
    cr_assert_str_eq(fake_session_transcript(&old), "abort REPLACED",
                     "the first reason stays, the nearer deadline counts");
    consumer_leave(&consumer);
    fake_session_fini(&old);
    fake_session_fini(&waiting);
    hub_fixture_close(&fixture);
}

Test(handover, a_session_that_leaves_from_within_hands_over_at_once)
{
    struct hub_fixture fixture;
    struct fake_session old = {0}, new = {0};
    struct consumer consumer;

    hub_fixture_open(&fixture);
    old.leaves_at_closing = true;
    fake_session_join(&old, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &fixture, params_with_request("q"));
    fake_session_join(&new, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    cr_assert_null(old.session);
    cr_assert_str_eq(fake_session_transcript(&new), "welcome, start 1 \"q\"");
    new.leaves_at_stop = true;
    new.leaves_at_abort = true;
    old.leaves_at_closing = false;
    fake_session_join(&old, &fixture, start_first("web", SESSION_PER_CONSUMER));
    cr_assert_null(new.session);
    cr_assert_eq(count_get(COUNT_LIVE_SESSIONS), 1);
    consumer_leave(&consumer);
    fake_session_fini(&old);
    fake_session_fini(&new);
    hub_fixture_close(&fixture);
}

Test(handover, a_session_takes_the_name_of_a_transient_producer)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer consumer;
    struct putter putter;
    struct inlet *inlet = NULL;
    struct fault fault;

    hub_fixture_open(&fixture);
    consumer_join(&consumer, &fixture, params_with_request("q"));
    putter_open(&putter, &fixture, "web");
    cr_assert_eq(putter_put(&putter, sample_chunk(1, "t", 8)), ERR_OK);
    fake_session_join(&web, &fixture, rejecting("web"));
    cr_assert_eq(putter_put(&putter, sample_chunk(1, "t", 8)), ERR_NOT_FOUND);
    putter_leave(&putter);
    cr_assert_null(hub_inlet_find(fixture.hub, text_of("web"), "peer"));
    cr_assert_eq(hub_inlet_open(fixture.hub, text_of("web"), "peer", NO_PEER, &inlet, &fault),
                 FAULT_NAME_TAKEN);
    cr_assert_eq(fake_session_put(&web, 0, 1), ERR_OK);
    cr_assert_str_eq(consumer_read(&consumer), "web 1-1, web 1-1, web is REMOVED, web is ACTIVE\n");
    fake_session_leave(&web, FAULT_NONE);
    cr_assert_eq(publish(&fixture, "web", 1, "t").first_sequence, 1);
    consumer_leave(&consumer);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

Test(handover, a_removed_transient_producer_comes_back_with_its_next_batch)
{
    struct hub_fixture fixture;
    struct consumer consumer;
    struct putter idle, busy;
    struct producer_view view;
    struct fault fault;
    uint64_t epoch;

    hub_fixture_open(&fixture);
    consumer_join(&consumer, &fixture, params_with_request("q"));
    putter_open(&busy, &fixture, "web");
    putter_open(&idle, &fixture, "web");
    cr_assert_eq(putter_put(&busy, sample_chunk(2, "t", 8)), ERR_OK);
    epoch = busy.offer.epoch;
    cr_assert_eq(hub_remove(fixture.hub, text_of("web"), 0, hub_fixture_copy_view, &view, &fault),
                 FAULT_NONE);
    cr_assert_eq(view.open_calls, 2);
    cr_assert_eq(count_get(COUNT_LIVE_PRODUCERS), 0);
    cr_assert_eq(putter_put(&busy, sample_chunk(1, "t", 8)), ERR_NOT_FOUND);
    putter_leave(&busy);
    putter_open(&busy, &fixture, "web");
    cr_assert_eq(putter_put(&busy, sample_chunk(1, "t", 8)), ERR_OK);
    cr_assert_gt(busy.offer.epoch, epoch);
    cr_assert_str_eq(consumer_read(&consumer), "web 1-2, web 1-1, web is REMOVED, web is ACTIVE\n");
    putter_leave(&busy);
    putter_leave(&idle);
    virtual_time_pass(fixture.loop, 60 * NS_PER_S);
    cr_assert_eq(count_get(COUNT_LIVE_PRODUCERS), 0);
    cr_assert_eq(hub_fixture_logged(&fixture, "producer.removed"), 2);
    consumer_leave(&consumer);
    hub_fixture_close(&fixture);
}

Test(handover, a_transient_producer_may_be_removed_while_the_loop_watches_it)
{
    struct hub_fixture fixture;
    struct producer_view view;
    struct fault fault;

    hub_fixture_open(&fixture);
    publish(&fixture, "left", 1, "t"); /* the loop was not notified yet */
    cr_assert_eq(hub_remove(fixture.hub, text_of("left"), 0, hub_fixture_copy_view, &view, &fault),
                 FAULT_NONE);
    publish(&fixture, "watched", 1, "t");
    loop_turn(fixture.loop);
    cr_assert_eq(hub_remove(fixture.hub, text_of("watched"), NS_PER_S, hub_fixture_copy_view, &view, &fault),
                 FAULT_NONE);
    virtual_time_pass(fixture.loop, 120 * NS_PER_S);
    cr_assert_eq(hub_fixture_logged(&fixture, "producer.removed"), 2);
    hub_fixture_close(&fixture);
}

Test(handover, names_are_bounded_and_a_refused_session_leaves_nothing)
{
    struct hub_fixture fixture;
    struct fake_session one = {0}, two = {0}, again = {0};

    hub_fixture_settings.max_producers = 1;
    hub_fixture_open(&fixture);
    fake_session_join(&one, &fixture, fake_session_params("one", SESSION_SHARED));
    cr_assert_eq(fake_session_try(&two, &fixture, fake_session_params("two", SESSION_SHARED)),
                 FAULT_TOO_MANY_PRODUCERS);
    fake_session_join(&again, &fixture, start_first("one", SESSION_SHARED));
    cr_assert_eq(again.welcomes, 1, "a session that replaces another needs no place of its own");
    fake_session_fini(&one);
    fake_session_fini(&again);
    fake_session_fini(&two);
    hub_fixture_close(&fixture);
}
