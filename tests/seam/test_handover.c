/* test_handover.c - two sessions, one name (A10), and transient producers whose name is taken or
 * removed. */
#include <criterion/criterion.h>

#include <string.h>

#include "base/counters.h"
#include "seam/actor.h"
#include "seam/virtual.h"

static struct subscription_params asking(const char *request)
{
    struct subscription_params params = wish_of(NULL);

    params.request = text_of(request);
    return params;
}

static struct session_params start_first(const char *name, enum session_mode mode)
{
    struct session_params params = actor_wish(name, mode);

    params.start_first = true;
    return params;
}

static struct session_params rejecting(const char *name)
{
    struct session_params params = actor_wish(name, SESSION_SHARED);

    params.reject_duplicate = true;
    return params;
}

Test(handover, A10_reject_refuses_the_second_of_a_name)
{
    struct bench bench;
    struct actor old = {0}, new = {0}, other = {0};

    bench_open(&bench);
    actor_join(&old, &bench, rejecting("web"));
    cr_assert_eq(actor_try(&new, &bench, rejecting("web")), FAULT_NAME_TAKEN);
    cr_assert_str_eq(new.fault.value, "\"web\"");
    actor_join(&other, &bench, rejecting("we"));
    cr_assert_str_eq(actor_heard(&old), "welcome");
    actor_leave(&old, FAULT_NONE);
    actor_join(&new, &bench, rejecting("web"));
    cr_assert_str_eq(actor_heard(&new), "welcome");
    actor_fini(&old);
    actor_fini(&new);
    actor_fini(&other);
    bench_close(&bench);
}

Test(handover, A10_stop_first_starts_the_new_one_when_the_old_one_has_ended)
{
    struct bench bench;
    struct actor old = {0}, new = {0};
    struct consumer early, between;

    bench_open(&bench);
    actor_join(&old, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    consumer_join(&early, &bench, asking("early"));
    cr_assert_eq(actor_put(&old, 1, 1), ERR_OK);
    actor_heard(&old);
    actor_join(&new, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    cr_assert_str_eq(actor_heard(&old), "closing REPLACED in 1000, stop 1 REPLACED in 1000");
    cr_assert_str_eq(actor_heard(&new), "");
    consumer_join(&between, &bench, asking("between"));
    cr_assert_eq(between.result.producers_matched, 0, "it waits for the new one");
    cr_assert_eq(actor_put(&old, 1, 1), ERR_OK);
    cr_assert_eq(actor_put(&new, 0, 1), ERR_INVALID);
    cr_assert_eq(actor_put(&new, 1, 1), ERR_NOT_FOUND);
    actor_end(&old, 1, CODE_OK, NULL);
    cr_assert_str_eq(actor_heard(&old), "cut REPLACED");
    cr_assert_eq(old.fault.reason, FAULT_REPLACED);
    cr_assert_str_eq(actor_heard(&new), "welcome, start 1 \"early\", start 2 \"between\"");
    cr_assert_gt(new.epoch, old.epoch);
    cr_assert_eq(actor_put(&new, 1, 1), ERR_OK);
    cr_assert_eq(actor_put(&old, 1, 1), ERR_CLOSED);
    cr_assert_str_eq(consumer_read(&early), "web 1-1, web 2-2, web 1-1, web is ENDED, web is ACTIVE\n");
    actor_leave(&old, FAULT_REPLACED);
    cr_assert_eq(actor_put(&new, 2, 1), ERR_OK);
    cr_assert_eq(bench_logged(&bench, "producer.replaced"), 1);
    consumer_leave(&early);
    consumer_leave(&between);
    actor_fini(&old);
    actor_fini(&new);
    bench_close(&bench);
}

Test(handover, A10_stop_first_cuts_an_old_one_that_does_not_end_within_a_second)
{
    struct bench bench;
    struct actor old = {0}, new = {0};
    struct consumer consumer;

    bench_open(&bench);
    actor_join(&old, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &bench, asking("q"));
    actor_join(&new, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    time_pass(bench.loop, NS_PER_S - 1);
    cr_assert_eq(new.welcomes, 0);
    cr_assert_eq(old.cuts, 0);
    time_pass(bench.loop, 1);
    cr_assert_eq(old.cuts, 1);
    cr_assert_str_eq(actor_heard(&new), "welcome, start 1 \"q\"");
    cr_assert_eq(bench_logged(&bench, "activation.expired"), 1);
    consumer_leave(&consumer);
    actor_fini(&old);
    actor_fini(&new);
    bench_close(&bench);
}

Test(handover, A10_stop_first_of_shared_producers_leaves_the_old_one_its_second)
{
    struct bench bench;
    struct actor old = {0}, new = {0};
    struct consumer consumer, between;

    bench_open(&bench);
    actor_join(&old, &bench, actor_wish("web", SESSION_SHARED));
    consumer_join(&consumer, &bench, asking("q"));
    actor_join(&new, &bench, actor_wish("web", SESSION_SHARED));
    cr_assert_eq(actor_put(&old, 0, 1), ERR_OK);
    cr_assert_eq(actor_put(&new, 0, 1), ERR_CLOSED, "it was not welcomed yet");
    consumer_join(&between, &bench, asking("between"));
    actor_leave(&old, FAULT_NONE);
    cr_assert_str_eq(actor_heard(&new), "welcome");
    cr_assert_eq(actor_put(&new, 0, 1), ERR_OK);
    cr_assert_eq(new.offer.matched, 2);
    cr_assert_str_eq(consumer_read(&consumer), "web 1-1, web 1-1, web is REMOVED, web is ACTIVE\n");
    cr_assert_str_eq(consumer_read(&between), "web 1-1, web is ACTIVE\n",
                     "new consumers get only the new one");
    consumer_leave(&consumer);
    consumer_leave(&between);
    actor_fini(&old);
    actor_fini(&new);
    bench_close(&bench);
}

Test(handover, A10_stop_first_is_instant_where_the_old_one_has_nothing_to_end)
{
    struct bench bench;
    struct actor old = {0}, new = {0};

    bench_open(&bench);
    actor_join(&old, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    actor_join(&new, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    cr_assert_str_eq(actor_heard(&old), "welcome, closing REPLACED in 1000, cut REPLACED");
    cr_assert_str_eq(actor_heard(&new), "welcome");
    actor_fini(&old);
    actor_fini(&new);
    bench_close(&bench);
}

Test(handover, A10_start_first_leaves_no_gap_and_lets_both_speak_for_a_moment)
{
    struct bench bench;
    struct actor old = {0}, new = {0};
    struct consumer consumer, late;

    bench_open(&bench);
    actor_join(&old, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &bench, asking("q"));
    actor_heard(&old);
    actor_join(&new, &bench, start_first("web", SESSION_PER_CONSUMER));
    cr_assert_str_eq(actor_heard(&new), "welcome, start 1 \"q\"");
    cr_assert_str_eq(actor_heard(&old), "closing REPLACED in 1000, stop 1 REPLACED in 1000");
    consumer_join(&late, &bench, asking("late"));
    cr_assert_str_eq(actor_heard(&new), "start 2 \"late\"");
    cr_assert_eq(old.starts, 1, "new consumers get only the new one");
    cr_assert_eq(actor_put(&old, 1, 1), ERR_OK);
    cr_assert_eq(actor_put(&new, 1, 1), ERR_OK);
    time_pass(bench.loop, NS_PER_S);
    cr_assert_eq(old.cuts, 1);
    cr_assert_eq(new.closings, 0);
    cr_assert_eq(actor_put(&new, 1, 1), ERR_OK);
    cr_assert_str_eq(consumer_read(&consumer),
                     "web 1-1, web 1-1, web 2-2, web is ENDED with DEADLINE_EXCEEDED: "
                     "producer \"web\" did not stop in time and was cut, web is ACTIVE\n");
    consumer_leave(&consumer);
    consumer_leave(&late);
    actor_fini(&old);
    actor_fini(&new);
    bench_close(&bench);
}

Test(handover, of_several_that_wait_only_the_newest_does)
{
    struct bench bench;
    struct actor old = {0}, second = {0}, third = {0}, rejected = {0};
    struct consumer consumer;

    bench_open(&bench);
    actor_join(&old, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &bench, asking("q"));
    actor_join(&second, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    actor_join(&third, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    cr_assert_str_eq(actor_heard(&second), "cut REPLACED");
    cr_assert_eq(actor_try(&rejected, &bench, rejecting("web")), FAULT_NAME_TAKEN);
    actor_end(&old, 1, CODE_OK, NULL);
    cr_assert_str_eq(actor_heard(&third), "welcome, start 1 \"q\"");
    cr_assert_eq(second.welcomes, 0);
    consumer_leave(&consumer);
    actor_fini(&old);
    actor_fini(&second);
    actor_fini(&third);
    bench_close(&bench);
}

Test(handover, one_that_waits_may_give_up_or_be_overtaken)
{
    struct bench bench;
    struct actor old = {0}, waiting = {0}, first = {0};
    struct consumer consumer;

    bench_open(&bench);
    actor_join(&old, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &bench, asking("q"));
    actor_join(&waiting, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    actor_leave(&waiting, FAULT_CANCELLED);
    cr_assert_str_eq(actor_heard(&waiting), "");
    actor_join(&waiting, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    actor_join(&first, &bench, start_first("web", SESSION_PER_CONSUMER));
    cr_assert_str_eq(actor_heard(&waiting), "cut REPLACED");
    cr_assert_str_eq(actor_heard(&first), "welcome, start 1 \"q\"");
    actor_end(&old, 1, CODE_OK, NULL);
    cr_assert_eq(old.cuts, 1);
    cr_assert_eq(first.closings, 0, "the older one's end is not its own");
    consumer_leave(&consumer);
    actor_fini(&old);
    actor_fini(&waiting);
    actor_fini(&first);
    bench_close(&bench);
}

Test(handover, removing_a_name_that_is_handed_over_removes_who_waits_too)
{
    struct bench bench;
    struct actor old = {0}, waiting = {0};
    struct consumer consumer;
    struct producer_view view;
    struct fault fault;

    bench_open(&bench);
    actor_join(&old, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &bench, asking("q"));
    actor_join(&waiting, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    actor_heard(&old);
    cr_assert_eq(hub_remove(bench.hub, text_of("web"), 100 * NS_PER_MS, bench_copy_view, &view, &fault),
                 FAULT_NONE);
    cr_assert_eq(view.state, PRODUCER_DRAINING);
    cr_assert_str_eq(actor_heard(&waiting), "cut REMOVED");
    time_pass(bench.loop, 100 * NS_PER_MS);
    cr_assert_str_eq(actor_heard(&old), "cut REPLACED", "the first reason stays, the nearer deadline counts");
    consumer_leave(&consumer);
    actor_fini(&old);
    actor_fini(&waiting);
    bench_close(&bench);
}

Test(handover, whoever_leaves_from_within_hands_over_at_once)
{
    struct bench bench;
    struct actor old = {0}, new = {0};
    struct consumer consumer;

    bench_open(&bench);
    old.leaves_at_closing = true;
    actor_join(&old, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &bench, asking("q"));
    actor_join(&new, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    cr_assert_null(old.session);
    cr_assert_str_eq(actor_heard(&new), "welcome, start 1 \"q\"");
    new.leaves_at_stop = true;
    new.leaves_at_cut = true;
    old.leaves_at_closing = false;
    actor_join(&old, &bench, start_first("web", SESSION_PER_CONSUMER));
    cr_assert_null(new.session);
    cr_assert_eq(count_get(COUNT_LIVE_SESSIONS), 1);
    consumer_leave(&consumer);
    actor_fini(&old);
    actor_fini(&new);
    bench_close(&bench);
}

Test(handover, a_session_takes_the_name_of_a_transient_producer)
{
    struct bench bench;
    struct actor web = {0};
    struct consumer consumer;
    struct putter putter;
    struct inlet *inlet = NULL;
    struct fault fault;

    bench_open(&bench);
    consumer_join(&consumer, &bench, asking("q"));
    putter_open(&putter, &bench, "web");
    cr_assert_eq(putter_put(&putter, sample_chunk(1, "t", 8)), ERR_OK);
    actor_join(&web, &bench, rejecting("web"));
    cr_assert_eq(putter_put(&putter, sample_chunk(1, "t", 8)), ERR_NOT_FOUND);
    putter_leave(&putter);
    cr_assert_null(hub_inlet_find(bench.hub, text_of("web"), "peer"));
    cr_assert_eq(hub_inlet_open(bench.hub, text_of("web"), "peer", &inlet, &fault), FAULT_NAME_TAKEN);
    cr_assert_eq(actor_put(&web, 0, 1), ERR_OK);
    cr_assert_str_eq(consumer_read(&consumer), "web 1-1, web 1-1, web is REMOVED, web is ACTIVE\n");
    actor_leave(&web, FAULT_NONE);
    cr_assert_eq(publish(&bench, "web", 1, "t").first_sequence, 1);
    consumer_leave(&consumer);
    actor_fini(&web);
    bench_close(&bench);
}

Test(handover, a_removed_transient_producer_comes_back_with_its_next_batch)
{
    struct bench bench;
    struct consumer consumer;
    struct putter idle, busy;
    struct producer_view view;
    struct fault fault;
    uint64_t epoch;

    bench_open(&bench);
    consumer_join(&consumer, &bench, asking("q"));
    putter_open(&busy, &bench, "web");
    putter_open(&idle, &bench, "web");
    cr_assert_eq(putter_put(&busy, sample_chunk(2, "t", 8)), ERR_OK);
    epoch = busy.offer.epoch;
    cr_assert_eq(hub_remove(bench.hub, text_of("web"), 0, bench_copy_view, &view, &fault), FAULT_NONE);
    cr_assert_eq(view.open_calls, 2);
    cr_assert_eq(count_get(COUNT_LIVE_PRODUCERS), 0);
    cr_assert_eq(putter_put(&busy, sample_chunk(1, "t", 8)), ERR_NOT_FOUND);
    putter_leave(&busy);
    putter_open(&busy, &bench, "web");
    cr_assert_eq(putter_put(&busy, sample_chunk(1, "t", 8)), ERR_OK);
    cr_assert_gt(busy.offer.epoch, epoch);
    cr_assert_str_eq(consumer_read(&consumer), "web 1-2, web 1-1, web is REMOVED, web is ACTIVE\n");
    putter_leave(&busy);
    putter_leave(&idle);
    time_pass(bench.loop, 60 * NS_PER_S);
    cr_assert_eq(count_get(COUNT_LIVE_PRODUCERS), 0);
    cr_assert_eq(bench_logged(&bench, "producer.removed"), 2);
    consumer_leave(&consumer);
    bench_close(&bench);
}

Test(handover, a_transient_producer_may_be_removed_while_the_loop_watches_it)
{
    struct bench bench;
    struct producer_view view;
    struct fault fault;

    bench_open(&bench);
    publish(&bench, "left", 1, "t"); /* the loop was not told yet */
    cr_assert_eq(hub_remove(bench.hub, text_of("left"), 0, bench_copy_view, &view, &fault), FAULT_NONE);
    publish(&bench, "watched", 1, "t");
    loop_turn(bench.loop);
    cr_assert_eq(hub_remove(bench.hub, text_of("watched"), NS_PER_S, bench_copy_view, &view, &fault),
                 FAULT_NONE);
    time_pass(bench.loop, 120 * NS_PER_S);
    cr_assert_eq(bench_logged(&bench, "producer.removed"), 2);
    bench_close(&bench);
}

Test(handover, names_are_bounded_and_a_refused_session_leaves_nothing)
{
    struct bench bench;
    struct actor one = {0}, two = {0}, again = {0};

    bench_limits.max_producers = 1;
    bench_open(&bench);
    actor_join(&one, &bench, actor_wish("one", SESSION_SHARED));
    cr_assert_eq(actor_try(&two, &bench, actor_wish("two", SESSION_SHARED)), FAULT_TOO_MANY_PRODUCERS);
    actor_join(&again, &bench, start_first("one", SESSION_SHARED));
    cr_assert_eq(again.welcomes, 1, "who replaces takes no other place");
    actor_fini(&one);
    actor_fini(&again);
    actor_fini(&two);
    bench_close(&bench);
}
