/* test_sessions.c - sessions and consumers find each other, and part: acceptance cases by their
 * numbers. */
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

static enum fault_reason remove_producer(struct hub_fixture *fixture, const char *name, int64_t drain_ns)
{
    struct producer_view view;
    struct fault fault;

    return hub_remove(fixture->hub, text_of(name), drain_ns, hub_fixture_copy_view, &view, &fault);
}

static bool is_known(struct hub_fixture *fixture, const char *name)
{
    struct producer_view view;
    struct fault fault;

    return hub_producer(fixture->hub, text_of(name), hub_fixture_copy_view, &view, &fault) == FAULT_NONE;
}

/* The consumer reads this, among other things. Producers that were there before it are bound in no
 * particular order. */
static bool has_read(const struct consumer *consumer, const char *text)
{
    return !!strstr((const char *)consumer->transcript.data, text);
}

Test(sessions, A1_without_a_consumer_no_activation_starts)
{
    struct hub_fixture fixture;
    struct fake_session session = {0};

    hub_fixture_open(&fixture);
    fake_session_join(&session, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    cr_assert_str_eq(fake_session_transcript(&session), "welcome");
    cr_assert_eq(count_get(COUNT_LIVE_ACTIVATIONS), 0);
    cr_assert_eq(count_get(COUNT_LIVE_SESSIONS), 1);
    fake_session_fini(&session);
    hub_fixture_close(&fixture);
}

Test(sessions, A2_a_later_consumer_starts_one_activation_with_its_request)
{
    struct hub_fixture fixture;
    struct fake_session session = {0};
    struct consumer consumer;

    hub_fixture_open(&fixture);
    fake_session_join(&session, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &fixture, params_with_request("what is it?"));
    cr_assert_str_eq(fake_session_transcript(&session), "welcome, start 1 \"what is it?\"");
    cr_assert_str_eq(session.subscription, consumer.result.id);
    cr_assert_eq(session.start_deadline_ns, INT64_MAX);
    cr_assert_eq(consumer.result.producers_matched, 1);
    cr_assert_eq(fake_session_put(&session, 1, 2), ERR_OK);
    cr_assert_eq(session.offer.matched, 1);
    cr_assert_eq(session.offer.first_sequence, 1);
    cr_assert_neq(session.offer.epoch, session.epoch, "each activation has an epoch of its own");
    cr_assert_str_eq(consumer_read(&consumer), "web 1-2, web is ACTIVE\n");
    cr_assert_eq(consumer.epoch, session.offer.epoch);
    consumer_leave(&consumer);
    cr_assert_str_eq(fake_session_transcript(&session), "stop 1 FINISHED now");
    fake_session_fini(&session);
    cr_assert_eq(hub_fixture_logged(&fixture, "activation.started"), 1);
    cr_assert_eq(hub_fixture_logged(&fixture, "activation.ended"), 1);
    hub_fixture_close(&fixture);
}

Test(sessions, A3_events_of_two_producers_arrive_in_one_stream)
{
    struct hub_fixture fixture;
    struct fake_session web = {0}, api = {0};
    struct consumer consumer;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    fake_session_join(&api, &fixture, fake_session_params("api", SESSION_SHARED));
    consumer_join(&consumer, &fixture, params_with_request("q"));
    cr_assert_eq(fake_session_put(&web, 1, 1), ERR_OK);
    cr_assert_eq(fake_session_put(&api, 0, 1), ERR_OK);
    cr_assert_eq(fake_session_put(&web, 1, 1), ERR_OK);
    cr_assert_str_eq(fake_session_transcript(&api), "welcome", "a shared producer is not asked");
    consumer_read(&consumer);
    cr_assert(has_read(&consumer, "web 1-1, api 1-1, web 2-2"));
    consumer_leave(&consumer);
    fake_session_fini(&web);
    fake_session_fini(&api);
    hub_fixture_close(&fixture);
}

Test(sessions, A4_a_later_producer_is_started_for_the_waiting_request)
{
    struct hub_fixture fixture;
    struct fake_session session = {0};
    struct consumer one, other;
    struct subscription_params params = params_with_request("");

    filter_free(params.filter);
    params.filter = filter_of("api", NULL, NULL);
    hub_fixture_open(&fixture);
    consumer_join(&one, &fixture, params_with_request("one"));
    consumer_join(&other, &fixture, params);
    cr_assert_eq(one.result.producers_matched, 0);
    fake_session_join(&session, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    cr_assert_str_eq(fake_session_transcript(&session), "welcome, start 1 \"one\"",
                     "no activation for a consumer that does not want it");
    consumer_leave(&one);
    consumer_leave(&other);
    fake_session_fini(&session);
    hub_fixture_close(&fixture);
}

Test(sessions, A5_no_activation_starts_for_a_consumer_that_left)
{
    struct hub_fixture fixture;
    struct fake_session session = {0};
    struct consumer consumer;

    hub_fixture_open(&fixture);
    consumer_join(&consumer, &fixture, params_with_request("q"));
    hub_unsubscribe(consumer.subscription, FAULT_CANCELLED);
    consumer.subscription = NULL;
    fake_session_join(&session, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    cr_assert_str_eq(fake_session_transcript(&session), "welcome");
    chan_release(consumer.chan);
    fake_session_fini(&session);
    hub_fixture_close(&fixture);
}

Test(sessions, A7_removing_a_producer_stops_it_and_its_consumer_goes_on)
{
    struct hub_fixture fixture;
    struct fake_session web = {0}, api = {0};
    struct consumer consumer;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    fake_session_join(&api, &fixture, fake_session_params("api", SESSION_SHARED));
    consumer_join(&consumer, &fixture, params_with_request("q"));
    cr_assert_eq(fake_session_put(&web, 1, 2), ERR_OK);
    fake_session_transcript(&web);
    cr_assert_eq(remove_producer(&fixture, "web", 0), FAULT_NONE);
    cr_assert_str_eq(fake_session_transcript(&web), "stop 1 REMOVED now, abort REMOVED");
    cr_assert_eq(fake_session_put(&web, 1, 1), ERR_CLOSED);
    cr_assert_eq(count_get(COUNT_EVENTS_UNWANTED), 1);
    cr_assert_eq(consumer.aborts + consumer.closings, 0);
    cr_assert_eq(fake_session_put(&api, 0, 1), ERR_OK);
    consumer_read(&consumer);
    cr_assert(has_read(&consumer, "web 1-2, api 1-1"), "A15: what was queued is still delivered");
    cr_assert(has_read(&consumer, "web is REMOVED"));
    consumer_leave(&consumer);
    fake_session_fini(&web);
    fake_session_fini(&api);
    hub_fixture_close(&fixture);
}

Test(sessions, A8_a_removed_producer_gets_no_new_consumer)
{
    struct hub_fixture fixture;
    struct fake_session gone = {0}, going = {0}, shared = {0};
    struct consumer consumer, late;

    hub_fixture_open(&fixture);
    fake_session_join(&gone, &fixture, fake_session_params("gone", SESSION_PER_CONSUMER));
    fake_session_join(&going, &fixture, fake_session_params("going", SESSION_PER_CONSUMER));
    fake_session_join(&shared, &fixture, fake_session_params("shared", SESSION_SHARED));
    consumer_join(&consumer, &fixture, params_with_request("early"));
    fake_session_transcript(&gone), fake_session_transcript(&going), fake_session_transcript(&shared);
    cr_assert_eq(remove_producer(&fixture, "gone", 0), FAULT_NONE);
    cr_assert_eq(remove_producer(&fixture, "going", NS_PER_S), FAULT_NONE);
    cr_assert_eq(remove_producer(&fixture, "shared", NS_PER_S), FAULT_NONE);
    cr_assert(!is_known(&fixture, "gone") && !is_known(&fixture, "going") && !is_known(&fixture, "shared"),
              "names are free at once");
    consumer_join(&late, &fixture, params_with_request("late"));
    cr_assert_eq(late.result.producers_matched, 0);
    cr_assert_str_eq(fake_session_transcript(&gone), "stop 1 REMOVED now, abort REMOVED");
    cr_assert_str_eq(fake_session_transcript(&going), "closing REMOVED in 1000, stop 1 REMOVED in 1000");
    cr_assert_str_eq(fake_session_transcript(&shared), "closing REMOVED in 1000");
    cr_assert_eq(fake_session_put(&shared, 0, 1), ERR_OK, "it may still publish");
    cr_assert_eq(shared.offer.matched, 1);
    fake_session_end(&going, 1, CODE_OK, NULL);
    cr_assert_str_eq(fake_session_transcript(&going), "abort REMOVED", "nothing is left to wait for");
    virtual_time_pass(fixture.loop, NS_PER_S);
    cr_assert_str_eq(fake_session_transcript(&shared), "abort REMOVED");
    cr_assert_eq(fake_session_put(&shared, 0, 1), ERR_CLOSED);
    consumer_read(&consumer);
    cr_assert(has_read(&consumer, "shared 1-1, "));
    cr_assert(has_read(&consumer, "gone is REMOVED") && has_read(&consumer, "going is ENDED") &&
              has_read(&consumer, "shared is REMOVED"));
    consumer_leave(&consumer);
    consumer_leave(&late);
    fake_session_fini(&gone);
    fake_session_fini(&going);
    fake_session_fini(&shared);
    hub_fixture_close(&fixture);
}

Test(sessions, A11_removing_a_name_that_nobody_has_changes_nothing)
{
    struct hub_fixture fixture;
    struct fake_session session = {0};
    struct producer_view view;
    struct fault fault;

    hub_fixture_open(&fixture);
    fake_session_join(&session, &fixture, fake_session_params("web", SESSION_SHARED));
    cr_assert_eq(hub_remove(fixture.hub, text_of("we"), 0, hub_fixture_copy_view, &view, &fault),
                 FAULT_PRODUCER_NOT_FOUND);
    cr_assert_str_eq(fault.value, "\"we\"");
    cr_assert(is_known(&fixture, "web"));
    cr_assert_eq(fake_session_put(&session, 0, 1), ERR_OK);
    cr_assert_eq(hub_fixture_logged(&fixture, "producer.removed"), 0);
    fake_session_fini(&session);
    hub_fixture_close(&fixture);
}

Test(sessions, X5_a_shared_session_has_one_stream_and_a_per_consumer_one_an_activation_each)
{
    struct hub_fixture fixture;
    struct fake_session shared = {0}, private = {0};
    struct consumer consumers[100];
    struct producer_view view;
    struct fault fault;

    hub_fixture_settings.max_subscriptions = 100;
    hub_fixture_open(&fixture);
    fake_session_join(&shared, &fixture, fake_session_params("shared", SESSION_SHARED));
    fake_session_join(&private, &fixture, fake_session_params("private", SESSION_PER_CONSUMER));
    for (size_t i = 0; i < ARRAY_LEN(consumers); i++)
        consumer_join(&consumers[i], &fixture, params_with_request("q"));
    cr_assert_eq(shared.starts, 0);
    cr_assert_eq(private.starts, 100);
    cr_assert_eq(count_get(COUNT_LIVE_ACTIVATIONS), 100);
    cr_assert_eq(fake_session_put(&shared, 0, 1), ERR_OK);
    cr_assert_eq(shared.offer.matched, 100);
    cr_assert_eq(fake_session_put(&private, 50, 1), ERR_OK);
    cr_assert_eq(private.offer.matched, 1);
    cr_assert_eq(hub_producer(fixture.hub, text_of("private"), hub_fixture_copy_view, &view, &fault),
                 FAULT_NONE);
    cr_assert(view.is_session && view.per_consumer && view.activations == 100 && view.published.events == 1);
    for (size_t i = 0; i < ARRAY_LEN(consumers); i++) {
        consumer_read(&consumers[i]);
        cr_assert_eq(has_read(&consumers[i], "private 1-1"), i == 49);
        consumer_leave(&consumers[i]);
    }
    cr_assert_eq(private.stops, 100);
    cr_assert_eq(count_get(COUNT_LIVE_ACTIVATIONS), 0);
    fake_session_fini(&shared);
    fake_session_fini(&private);
    hub_fixture_close(&fixture);
}

Test(sessions, labels_are_matched_and_shown)
{
    struct pair label = {text_of("zone"), text_of("north")};
    struct bytes topic = text_of("orders");
    struct selector selector = {.labels = &label, .label_count = 1};
    struct session_params params = fake_session_params("web", SESSION_SHARED);
    struct hub_fixture fixture;
    struct fake_session north = {0}, south = {0};
    struct consumer consumer;
    struct subscription_params wanted = params_with_request("q");
    struct producer_view view;
    struct fault fault;

    filter_free(wanted.filter);
    cr_assert_eq(filter_new(&selector, 1, NULL, 0, &wanted.filter, &fault), FAULT_NONE);
    hub_fixture_open(&fixture);
    params.labels = &label;
    params.label_count = 1;
    params.topics = &topic;
    params.topic_count = 1;
    fake_session_join(&north, &fixture, params);
    label.value = text_of("south"); /* the labels were copied */
    params.name = text_of("api");
    fake_session_join(&south, &fixture, params);
    consumer_join(&consumer, &fixture, wanted);
    cr_assert_eq(consumer.result.producers_matched, 1);
    cr_assert_str_eq(consumer_read(&consumer), "web is ACTIVE\n");
    cr_assert_eq(hub_producer(fixture.hub, text_of("web"), hub_fixture_copy_view, &view, &fault), FAULT_NONE);
    cr_assert(view.is_session && !view.per_consumer && view.label_count == 1 && view.topic_count == 1);
    cr_assert_eq(view.state, PRODUCER_ACTIVE);
    cr_assert(view.labels[0].value.size == 5 && memcmp(view.labels[0].value.data, "north", 5) == 0);
    cr_assert(view.topics[0].size == 6 && memcmp(view.topics[0].data, "orders", 6) == 0);
    consumer_leave(&consumer);
    fake_session_fini(&north);
    fake_session_fini(&south);
    hub_fixture_close(&fixture);
}

Test(sessions, the_consumers_deadline_reaches_the_producer)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer consumer;
    struct subscription_params params = params_with_request("q");

    hub_fixture_open(&fixture);
    params.deadline_ns = clock_mono_ns() + 7 * NS_PER_S;
    fake_session_join(&web, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &fixture, params);
    cr_assert_eq(web.start_deadline_ns, params.deadline_ns);
    consumer_leave(&consumer);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

Test(sessions, a_shared_session_is_blocked_like_any_producer)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer slow;
    struct subscription_params params = params_with_request("q");

    params.limits.max_events = 1;
    params.limits.overflow = OVERFLOW_BLOCK;
    params.limits.block_timeout_ns = 3600 * NS_PER_S;
    hub_fixture_open(&fixture);
    consumer_join(&slow, &fixture, params);
    fake_session_join(&web, &fixture, fake_session_params("web", SESSION_SHARED));
    cr_assert_eq(fake_session_put(&web, 0, 2), ERR_AGAIN);
    cr_assert_eq(web.over, 0);
    fake_session_leave(&web, FAULT_NONE);
    cr_assert_eq(web.over, 1, "it does not wait for a channel that it left");
    cr_assert_eq(count_get(COUNT_LIVE_SESSIONS), 0);
    cr_assert_str_eq(consumer_read(&slow), "web 1-1\nweb 2-2, web is REMOVED\n");
    consumer_leave(&slow);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

Test(sessions, an_activation_is_paused_and_no_other_waits_for_it)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer slow, fast;
    struct subscription_params params = params_with_request("slow");
    struct producer_view view;
    struct fault fault;

    params.limits.max_events = 4;
    params.limits.overflow = OVERFLOW_BY_FEED;
    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    consumer_join(&slow, &fixture, params);
    consumer_join(&fast, &fixture, params_with_request("fast"));
    fake_session_transcript(&web);
    cr_assert_eq(fake_session_put(&web, 1, 6), ERR_OK);
    cr_assert_str_eq(fake_session_transcript(&web), "pause 1");
    cr_assert_eq(hub_producer(fixture.hub, text_of("web"), hub_fixture_copy_view, &view, &fault), FAULT_NONE);
    cr_assert_eq(view.paused_activations, 1);
    cr_assert_eq(fake_session_put(&web, 2, 6), ERR_OK);
    cr_assert_str_eq(consumer_read(&fast), "web 1-6, web is ACTIVE\n");
    cr_assert_str_eq(consumer_read(&slow), "web 1-4, web is ACTIVE\nweb 5-6\n", "nothing is lost");
    cr_assert_str_eq(fake_session_transcript(&web), "resume 1");
    cr_assert_eq(hub_producer(fixture.hub, text_of("web"), hub_fixture_copy_view, &view, &fault), FAULT_NONE);
    cr_assert_eq(view.paused_activations, 0);
    cr_assert_eq(fake_session_put(&web, 1, 6), ERR_OK);
    consumer_leave(&slow);
    cr_assert_eq(hub_producer(fixture.hub, text_of("web"), hub_fixture_copy_view, &view, &fault), FAULT_NONE);
    cr_assert_eq(view.paused_activations, 0, "one that ended is not paused");
    consumer_leave(&fast);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}
