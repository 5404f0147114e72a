/* test_sessions.c - producers that dialled in and consumers find each other, and part: acceptance
 * cases by their numbers. */
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

static enum fault_reason remove_producer(struct bench *bench, const char *name, int64_t drain_ns)
{
    struct producer_view view;
    struct fault fault;

    return hub_remove(bench->hub, text_of(name), drain_ns, bench_copy_view, &view, &fault);
}

static bool is_known(struct bench *bench, const char *name)
{
    struct producer_view view;
    struct fault fault;

    return hub_producer(bench->hub, text_of(name), bench_copy_view, &view, &fault) == FAULT_NONE;
}

/* Whether the consumer reads this, among other things: producers that were there before it are
 * joined in no order. */
static bool heard(const struct consumer *consumer, const char *text)
{
    return strstr((const char *)consumer->transcript.data, text) != NULL;
}

Test(sessions, A1_without_a_consumer_nothing_is_activated)
{
    struct bench bench;
    struct actor actor = {0};

    bench_open(&bench);
    actor_join(&actor, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    cr_assert_str_eq(actor_heard(&actor), "welcome");
    cr_assert_eq(count_get(COUNT_LIVE_ACTIVATIONS), 0);
    cr_assert_eq(count_get(COUNT_LIVE_SESSIONS), 1);
    actor_fini(&actor);
    bench_close(&bench);
}

Test(sessions, A2_a_consumer_that_comes_later_activates_it_once_with_its_request)
{
    struct bench bench;
    struct actor actor = {0};
    struct consumer consumer;

    bench_open(&bench);
    actor_join(&actor, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &bench, asking("what is it?"));
    cr_assert_str_eq(actor_heard(&actor), "welcome, start 1 \"what is it?\"");
    cr_assert_str_eq(actor.subscription, consumer.result.id);
    cr_assert_eq(actor.start_deadline_ns, INT64_MAX);
    cr_assert_eq(consumer.result.producers_matched, 1);
    cr_assert_eq(actor_put(&actor, 1, 2), ERR_OK);
    cr_assert_eq(actor.offer.matched, 1);
    cr_assert_eq(actor.offer.first_sequence, 1);
    cr_assert_neq(actor.offer.epoch, actor.epoch, "each activation has an epoch of its own");
    cr_assert_str_eq(consumer_read(&consumer), "web 1-2, web is ACTIVE\n");
    cr_assert_eq(consumer.epoch, actor.offer.epoch);
    consumer_leave(&consumer);
    cr_assert_str_eq(actor_heard(&actor), "stop 1 FINISHED now");
    actor_fini(&actor);
    cr_assert_eq(bench_logged(&bench, "activation.started"), 1);
    cr_assert_eq(bench_logged(&bench, "activation.ended"), 1);
    bench_close(&bench);
}

Test(sessions, A3_what_two_producers_say_arrives_in_one_stream)
{
    struct bench bench;
    struct actor web = {0}, api = {0};
    struct consumer consumer;

    bench_open(&bench);
    actor_join(&web, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    actor_join(&api, &bench, actor_wish("api", SESSION_SHARED));
    consumer_join(&consumer, &bench, asking("q"));
    cr_assert_eq(actor_put(&web, 1, 1), ERR_OK);
    cr_assert_eq(actor_put(&api, 0, 1), ERR_OK);
    cr_assert_eq(actor_put(&web, 1, 1), ERR_OK);
    cr_assert_str_eq(actor_heard(&api), "welcome", "a shared producer is not asked");
    consumer_read(&consumer);
    cr_assert(heard(&consumer, "web 1-1, api 1-1, web 2-2"));
    consumer_leave(&consumer);
    actor_fini(&web);
    actor_fini(&api);
    bench_close(&bench);
}

Test(sessions, A4_a_producer_that_comes_later_is_activated_with_the_request_that_waits)
{
    struct bench bench;
    struct actor actor = {0};
    struct consumer one, other;
    struct subscription_params params = asking("");

    filter_free(params.filter);
    params.filter = filter_of("api", NULL, NULL);
    bench_open(&bench);
    consumer_join(&one, &bench, asking("one"));
    consumer_join(&other, &bench, params);
    cr_assert_eq(one.result.producers_matched, 0);
    actor_join(&actor, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    cr_assert_str_eq(actor_heard(&actor), "welcome, start 1 \"one\"",
                     "who does not want it is not asked for");
    consumer_leave(&one);
    consumer_leave(&other);
    actor_fini(&actor);
    bench_close(&bench);
}

Test(sessions, A5_a_consumer_that_left_is_never_asked_for)
{
    struct bench bench;
    struct actor actor = {0};
    struct consumer consumer;

    bench_open(&bench);
    consumer_join(&consumer, &bench, asking("q"));
    hub_unsubscribe(consumer.subscription, FAULT_CANCELLED);
    consumer.subscription = NULL;
    actor_join(&actor, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    cr_assert_str_eq(actor_heard(&actor), "welcome");
    chan_release(consumer.chan);
    actor_fini(&actor);
    bench_close(&bench);
}

Test(sessions, A7_a_removed_producer_is_stopped_and_its_consumer_goes_on)
{
    struct bench bench;
    struct actor web = {0}, api = {0};
    struct consumer consumer;

    bench_open(&bench);
    actor_join(&web, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    actor_join(&api, &bench, actor_wish("api", SESSION_SHARED));
    consumer_join(&consumer, &bench, asking("q"));
    cr_assert_eq(actor_put(&web, 1, 2), ERR_OK);
    actor_heard(&web);
    cr_assert_eq(remove_producer(&bench, "web", 0), FAULT_NONE);
    cr_assert_str_eq(actor_heard(&web), "stop 1 REMOVED now, cut REMOVED");
    cr_assert_eq(actor_put(&web, 1, 1), ERR_CLOSED);
    cr_assert_eq(count_get(COUNT_EVENTS_UNWANTED), 1);
    cr_assert_eq(consumer.cuts + consumer.closings, 0);
    cr_assert_eq(actor_put(&api, 0, 1), ERR_OK);
    consumer_read(&consumer);
    cr_assert(heard(&consumer, "web 1-2, api 1-1"), "A15: what was queued is still delivered");
    cr_assert(heard(&consumer, "web is REMOVED"));
    consumer_leave(&consumer);
    actor_fini(&web);
    actor_fini(&api);
    bench_close(&bench);
}

Test(sessions, A8_a_removed_producer_gets_no_new_consumer)
{
    struct bench bench;
    struct actor gone = {0}, going = {0}, shared = {0};
    struct consumer consumer, late;

    bench_open(&bench);
    actor_join(&gone, &bench, actor_wish("gone", SESSION_PER_CONSUMER));
    actor_join(&going, &bench, actor_wish("going", SESSION_PER_CONSUMER));
    actor_join(&shared, &bench, actor_wish("shared", SESSION_SHARED));
    consumer_join(&consumer, &bench, asking("early"));
    actor_heard(&gone), actor_heard(&going), actor_heard(&shared);
    cr_assert_eq(remove_producer(&bench, "gone", 0), FAULT_NONE);
    cr_assert_eq(remove_producer(&bench, "going", NS_PER_S), FAULT_NONE);
    cr_assert_eq(remove_producer(&bench, "shared", NS_PER_S), FAULT_NONE);
    cr_assert(!is_known(&bench, "gone") && !is_known(&bench, "going") && !is_known(&bench, "shared"),
              "names are free at once");
    consumer_join(&late, &bench, asking("late"));
    cr_assert_eq(late.result.producers_matched, 0);
    cr_assert_str_eq(actor_heard(&gone), "stop 1 REMOVED now, cut REMOVED");
    cr_assert_str_eq(actor_heard(&going), "closing REMOVED in 1000, stop 1 REMOVED in 1000");
    cr_assert_str_eq(actor_heard(&shared), "closing REMOVED in 1000");
    cr_assert_eq(actor_put(&shared, 0, 1), ERR_OK, "it may still say what it has to say");
    cr_assert_eq(shared.offer.matched, 1);
    actor_end(&going, 1, CODE_OK, NULL);
    cr_assert_str_eq(actor_heard(&going), "cut REMOVED", "nothing is left to wait for");
    time_pass(bench.loop, NS_PER_S);
    cr_assert_str_eq(actor_heard(&shared), "cut REMOVED");
    cr_assert_eq(actor_put(&shared, 0, 1), ERR_CLOSED);
    consumer_read(&consumer);
    cr_assert(heard(&consumer, "shared 1-1, "));
    cr_assert(heard(&consumer, "gone is REMOVED") && heard(&consumer, "going is ENDED") &&
              heard(&consumer, "shared is REMOVED"));
    consumer_leave(&consumer);
    consumer_leave(&late);
    actor_fini(&gone);
    actor_fini(&going);
    actor_fini(&shared);
    bench_close(&bench);
}

Test(sessions, A11_removing_a_name_that_nobody_has_changes_nothing)
{
    struct bench bench;
    struct actor actor = {0};
    struct producer_view view;
    struct fault fault;

    bench_open(&bench);
    actor_join(&actor, &bench, actor_wish("web", SESSION_SHARED));
    cr_assert_eq(hub_remove(bench.hub, text_of("we"), 0, bench_copy_view, &view, &fault),
                 FAULT_PRODUCER_NOT_FOUND);
    cr_assert_str_eq(fault.value, "\"we\"");
    cr_assert(is_known(&bench, "web"));
    cr_assert_eq(actor_put(&actor, 0, 1), ERR_OK);
    cr_assert_eq(bench_logged(&bench, "producer.removed"), 0);
    actor_fini(&actor);
    bench_close(&bench);
}

Test(sessions, A13_one_that_ended_well_is_not_asked_again_and_others_go_on)
{
    struct bench bench;
    struct actor web = {0}, api = {0};
    struct consumer consumer;

    bench_open(&bench);
    actor_join(&web, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &bench, asking("q"));
    actor_join(&api, &bench, actor_wish("api", SESSION_PER_CONSUMER));
    cr_assert_eq(actor_put(&web, 1, 1), ERR_OK);
    actor_end(&web, 1, CODE_OK, "all of it");
    actor_end(&web, 1, CODE_INTERNAL, "twice is harmless");
    actor_end(&web, 7, CODE_OK, "never there");
    cr_assert_eq(actor_put(&web, 1, 1), ERR_CLOSED);
    cr_assert_eq(actor_put(&web, 2, 1), ERR_NOT_FOUND);
    cr_assert_eq(actor_put(&web, 0, 1), ERR_INVALID);
    cr_assert_eq(actor_put(&api, 1, 1), ERR_OK);
    time_pass(bench.loop, 3600 * NS_PER_S);
    cr_assert_eq(web.starts, 1);
    cr_assert_eq(web.stops, 0);
    cr_assert_str_eq(consumer_read(&consumer), "web 1-1, api 1-1, web is ENDED, api is ACTIVE\n");
    cr_assert_eq(consumer.closings + consumer.cuts, 0);
    consumer_leave(&consumer);
    actor_fini(&web);
    actor_fini(&api);
    bench_close(&bench);
}

Test(sessions, A13_one_that_failed_is_asked_again_after_longer_and_longer)
{
    struct bench bench;
    struct actor web = {0};
    struct consumer consumer;
    int64_t wait_ns = NS_PER_S;

    bench_open(&bench);
    actor_join(&web, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &bench, asking("q"));
    for (unsigned i = 1; i <= 8; i++) {
        actor_end(&web, web.latest, CODE_INTERNAL, "no luck");
        cr_assert_eq(count_get(COUNT_LIVE_ACTIVATIONS), 0);
        time_pass(bench.loop, wait_ns / 4 * 3 - 1);
        cr_assert_eq(web.starts, i, "not before three quarters of %lld ms", (long long)(wait_ns / NS_PER_MS));
        time_pass(bench.loop, wait_ns / 4 + 1);
        cr_assert_eq(web.starts, i + 1, "with another number after %lld ms",
                     (long long)(wait_ns / NS_PER_MS));
        cr_assert_eq(web.latest, i + 1);
        wait_ns = MIN_OF(wait_ns * 2, 30 * NS_PER_S);
    }
    cr_assert_eq(actor_put(&web, web.latest, 1), ERR_OK);
    cr_assert_eq(web.offer.first_sequence, 1);
    consumer_read(&consumer);
    cr_assert(heard(&consumer, "web is ENDED with INTERNAL: no luck"));
    time_pass(bench.loop, 60 * NS_PER_S);
    actor_end(&web, web.latest, CODE_INTERNAL, "no luck");
    time_pass(bench.loop, NS_PER_S);
    cr_assert_eq(web.starts, 10, "a minute of life is forgiven for");
    consumer_leave(&consumer);
    actor_fini(&web);
    bench_close(&bench);
}

Test(sessions, A13_one_that_failed_is_not_asked_again_when_either_is_gone)
{
    struct bench bench;
    struct actor web = {0}, api = {0};
    struct consumer gone, stays;

    bench_open(&bench);
    actor_join(&web, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    actor_join(&api, &bench, actor_wish("api", SESSION_PER_CONSUMER));
    consumer_join(&gone, &bench, asking("gone"));
    consumer_join(&stays, &bench, asking("stays"));
    actor_end(&web, 1, CODE_INTERNAL, "");
    actor_end(&web, 2, CODE_INTERNAL, "");
    actor_end(&api, 2, CODE_INTERNAL, "");
    consumer_leave(&gone);
    actor_leave(&api, FAULT_NONE);
    time_pass(bench.loop, 3600 * NS_PER_S);
    cr_assert_str_eq(actor_heard(&web), "welcome, start 1 \"gone\", start 2 \"stays\", start 3 \"stays\"");
    cr_assert_eq(api.starts, 2);
    consumer_leave(&stays);
    actor_fini(&web);
    actor_fini(&api);
    bench_close(&bench);
}

Test(sessions, A15_a_lost_producer_ends_as_unavailable_and_a_closed_one_well)
{
    struct bench bench;
    struct actor lost = {0}, closed = {0}, shared = {0};
    struct consumer consumer;

    bench_open(&bench);
    actor_join(&lost, &bench, actor_wish("lost", SESSION_PER_CONSUMER));
    actor_join(&closed, &bench, actor_wish("closed", SESSION_PER_CONSUMER));
    actor_join(&shared, &bench, actor_wish("shared", SESSION_SHARED));
    consumer_join(&consumer, &bench, asking("q"));
    cr_assert_eq(actor_put(&lost, 1, 1), ERR_OK);
    cr_assert_eq(actor_put(&closed, 1, 1), ERR_OK);
    actor_leave(&lost, FAULT_CANCELLED);
    actor_leave(&closed, FAULT_NONE);
    actor_leave(&shared, FAULT_CANCELLED);
    consumer_read(&consumer);
    cr_assert(heard(&consumer, "lost 1-1, closed 1-1, "));
    cr_assert(heard(&consumer, "lost is ENDED with UNAVAILABLE: the producer was lost"));
    cr_assert(heard(&consumer, "shared is ENDED with UNAVAILABLE: the producer was lost"));
    cr_assert(heard(&consumer, "closed is ENDED") && !heard(&consumer, "closed is ENDED with"));
    cr_assert_eq(lost.stops + closed.stops + lost.cuts + shared.cuts, 0, "who left is told nothing");
    cr_assert_eq(consumer.closings + consumer.cuts, 0);
    consumer_leave(&consumer);
    actor_fini(&lost);
    actor_fini(&closed);
    actor_fini(&shared);
    cr_assert_eq(bench_logged(&bench, "producer.removed"), 3);
    bench_close(&bench);
}

Test(sessions, A24_a_stream_of_finite_answers_ends_when_all_have_ended)
{
    struct bench bench;
    struct actor web = {0}, api = {0}, shared = {0};
    struct consumer consumer, patient;
    struct subscription_params params;

    bench_open(&bench);
    actor_join(&web, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    actor_join(&api, &bench, actor_wish("api", SESSION_PER_CONSUMER));
    actor_join(&shared, &bench, actor_wish("shared", SESSION_SHARED));
    params = asking("q");
    params.end_when_all_ended = true;
    consumer_join(&consumer, &bench, params);
    consumer_join(&patient, &bench, asking("q"));
    cr_assert_eq(actor_put(&web, 1, 2), ERR_OK);
    actor_end(&web, 1, CODE_OK, "");
    cr_assert_eq(consumer.closings, 0);
    actor_end(&api, 1, CODE_NOT_FOUND, "no such thing");
    cr_assert_eq(consumer.closings, 1);
    cr_assert_eq(consumer.closing, CLOSING_ALL_ENDED);
    cr_assert_eq(chan_state(consumer.chan), CHAN_DRAINING);
    time_pass(bench.loop, 60 * NS_PER_S);
    cr_assert_eq(api.starts, 2, "a failure is an answer: no other attempt for this consumer");
    consumer_read(&consumer);
    cr_assert(heard(&consumer, "web 1-2, "));
    cr_assert(heard(&consumer, "api is ENDED with NOT_FOUND: no such thing"));
    cr_assert(heard(&consumer, "web is ENDED"));
    consumer_leave(&consumer);
    cr_assert_eq(patient.closings, 0);
    consumer_leave(&patient);
    actor_fini(&web);
    actor_fini(&api);
    actor_fini(&shared);
    bench_close(&bench);
}

Test(sessions, A24_nothing_has_ended_where_nothing_began)
{
    struct bench bench;
    struct actor shared = {0}, web = {0};
    struct consumer consumer;
    struct subscription_params params = asking("q");

    params.end_when_all_ended = true;
    bench_open(&bench);
    actor_join(&shared, &bench, actor_wish("shared", SESSION_SHARED));
    consumer_join(&consumer, &bench, params);
    actor_leave(&shared, FAULT_NONE);
    cr_assert_eq(consumer.closings, 0);
    web.ends_at_start = true;
    actor_join(&web, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    cr_assert_eq(consumer.closings, 1);
    consumer_leave(&consumer);
    actor_fini(&web);
    actor_fini(&shared);
    bench_close(&bench);
}

Test(sessions, A24_an_answer_may_be_over_before_the_subscription_is_made)
{
    struct bench bench;
    struct actor web = {0};
    struct consumer consumer;
    struct subscription_params params = asking("q");

    params.end_when_all_ended = true;
    bench_open(&bench);
    web.ends_at_start = true;
    actor_join(&web, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &bench, params);
    cr_assert_eq(consumer.closings, 1);
    cr_assert_eq(chan_state(consumer.chan), CHAN_DRAINING);
    consumer_leave(&consumer);
    actor_fini(&web);
    bench_close(&bench);
}

Test(sessions, X5_a_shared_producer_is_one_for_all_and_a_private_one_is_asked_by_each)
{
    struct bench bench;
    struct actor shared = {0}, private = {0};
    struct consumer consumers[100];
    struct producer_view view;
    struct fault fault;

    bench_limits.max_subscriptions = 100;
    bench_open(&bench);
    actor_join(&shared, &bench, actor_wish("shared", SESSION_SHARED));
    actor_join(&private, &bench, actor_wish("private", SESSION_PER_CONSUMER));
    for (size_t i = 0; i < ARRAY_LEN(consumers); i++)
        consumer_join(&consumers[i], &bench, asking("q"));
    cr_assert_eq(shared.starts, 0);
    cr_assert_eq(private.starts, 100);
    cr_assert_eq(count_get(COUNT_LIVE_ACTIVATIONS), 100);
    cr_assert_eq(actor_put(&shared, 0, 1), ERR_OK);
    cr_assert_eq(shared.offer.matched, 100);
    cr_assert_eq(actor_put(&private, 50, 1), ERR_OK);
    cr_assert_eq(private.offer.matched, 1);
    cr_assert_eq(hub_producer(bench.hub, text_of("private"), bench_copy_view, &view, &fault), FAULT_NONE);
    cr_assert(view.is_session && view.per_consumer && view.activations == 100 && view.published.events == 1);
    for (size_t i = 0; i < ARRAY_LEN(consumers); i++) {
        consumer_read(&consumers[i]);
        cr_assert_eq(heard(&consumers[i], "private 1-1"), i == 49);
        consumer_leave(&consumers[i]);
    }
    cr_assert_eq(private.stops, 100);
    cr_assert_eq(count_get(COUNT_LIVE_ACTIVATIONS), 0);
    actor_fini(&shared);
    actor_fini(&private);
    bench_close(&bench);
}

Test(sessions, labels_choose_and_are_shown)
{
    struct pair label = {text_of("zone"), text_of("north")};
    struct bytes topic = text_of("orders");
    struct selector selector = {.labels = &label, .label_count = 1};
    struct session_params params = actor_wish("web", SESSION_SHARED);
    struct bench bench;
    struct actor north = {0}, south = {0};
    struct consumer consumer;
    struct subscription_params wanted = asking("q");
    struct producer_view view;
    struct fault fault;

    filter_free(wanted.filter);
    cr_assert_eq(filter_new(&selector, 1, NULL, 0, &wanted.filter, &fault), FAULT_NONE);
    bench_open(&bench);
    params.labels = &label;
    params.label_count = 1;
    params.topics = &topic;
    params.topic_count = 1;
    actor_join(&north, &bench, params);
    label.value = text_of("south"); /* it was copied */
    params.name = text_of("api");
    actor_join(&south, &bench, params);
    consumer_join(&consumer, &bench, wanted);
    cr_assert_eq(consumer.result.producers_matched, 1);
    cr_assert_str_eq(consumer_read(&consumer), "web is ACTIVE\n");
    cr_assert_eq(hub_producer(bench.hub, text_of("web"), bench_copy_view, &view, &fault), FAULT_NONE);
    cr_assert(view.is_session && !view.per_consumer && view.label_count == 1 && view.topic_count == 1);
    cr_assert_eq(view.state, PRODUCER_ACTIVE);
    cr_assert(view.labels[0].value.size == 5 && memcmp(view.labels[0].value.data, "north", 5) == 0);
    cr_assert(view.topics[0].size == 6 && memcmp(view.topics[0].data, "orders", 6) == 0);
    consumer_leave(&consumer);
    actor_fini(&north);
    actor_fini(&south);
    bench_close(&bench);
}

Test(sessions, the_consumers_deadline_reaches_the_producer)
{
    struct bench bench;
    struct actor web = {0};
    struct consumer consumer;
    struct subscription_params params = asking("q");

    bench_open(&bench);
    params.deadline_ns = clock_mono_ns() + 7 * NS_PER_S;
    actor_join(&web, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &bench, params);
    cr_assert_eq(web.start_deadline_ns, params.deadline_ns);
    consumer_leave(&consumer);
    actor_fini(&web);
    bench_close(&bench);
}

Test(sessions, a_shared_session_is_held_back_like_any_producer)
{
    struct bench bench;
    struct actor web = {0};
    struct consumer slow;
    struct subscription_params params = asking("q");
    struct session *session;

    params.limits.max_events = 1;
    params.limits.overflow = OVERFLOW_BLOCK;
    params.limits.block_timeout_ns = 3600 * NS_PER_S;
    bench_open(&bench);
    consumer_join(&slow, &bench, params);
    actor_join(&web, &bench, actor_wish("web", SESSION_SHARED));
    cr_assert_eq(actor_put(&web, 0, 2), ERR_AGAIN);
    cr_assert_eq(web.over, 0);
    session = web.session;
    actor_leave(&web, FAULT_NONE);
    web.session = session; /* its stall keeps it until it is over */
    cr_assert_eq(count_get(COUNT_LIVE_SESSIONS), 1);
    cr_assert_str_eq(consumer_read(&slow), "web 1-1\nweb 2-2, web is REMOVED\n");
    cr_assert_eq(web.over, 1);
    cr_assert_eq(count_get(COUNT_LIVE_SESSIONS), 0);
    web.session = NULL;
    consumer_leave(&slow);
    actor_fini(&web);
    bench_close(&bench);
}

Test(sessions, an_activation_is_paused_and_nobody_waits_for_it)
{
    struct bench bench;
    struct actor web = {0};
    struct consumer slow, fast;
    struct subscription_params params = asking("slow");
    struct producer_view view;
    struct fault fault;

    params.limits.max_events = 4;
    params.limits.overflow = OVERFLOW_BY_FEED;
    bench_open(&bench);
    actor_join(&web, &bench, actor_wish("web", SESSION_PER_CONSUMER));
    consumer_join(&slow, &bench, params);
    consumer_join(&fast, &bench, asking("fast"));
    actor_heard(&web);
    cr_assert_eq(actor_put(&web, 1, 6), ERR_OK);
    cr_assert_str_eq(actor_heard(&web), "pause 1");
    cr_assert_eq(hub_producer(bench.hub, text_of("web"), bench_copy_view, &view, &fault), FAULT_NONE);
    cr_assert_eq(view.paused_activations, 1);
    cr_assert_eq(actor_put(&web, 2, 6), ERR_OK);
    cr_assert_str_eq(consumer_read(&fast), "web 1-6, web is ACTIVE\n");
    cr_assert_str_eq(consumer_read(&slow), "web 1-4, web is ACTIVE\nweb 5-6\n", "nothing is lost");
    cr_assert_str_eq(actor_heard(&web), "resume 1");
    cr_assert_eq(hub_producer(bench.hub, text_of("web"), bench_copy_view, &view, &fault), FAULT_NONE);
    cr_assert_eq(view.paused_activations, 0);
    cr_assert_eq(actor_put(&web, 1, 6), ERR_OK);
    consumer_leave(&slow);
    cr_assert_eq(hub_producer(bench.hub, text_of("web"), bench_copy_view, &view, &fault), FAULT_NONE);
    cr_assert_eq(view.paused_activations, 0, "one that ended is not paused");
    consumer_leave(&fast);
    actor_fini(&web);
    bench_close(&bench);
}
