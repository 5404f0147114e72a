/* test_activation_ends.c - every ending of an activation, gentle and hard, from either side. */
#include <criterion/criterion.h>

#include <string.h>

#include "base/counters.h"
#include "flow/chan_stats.h"
#include "hub/session_port.h"
#include "seam/fake_session.h"
#include "seam/virtual_clock.h"

static struct subscription_params params_with_request(const char *request)
{
    struct subscription_params params = subscription_params_of(NULL);

    params.request = text_of(request);
    return params;
}

static enum fault_reason finish(struct consumer *consumer, enum closing reason, int64_t drain_ns)
{
    struct fault fault;

    return hub_finish(consumer->fixture->hub, text_of(consumer->result.id), reason, drain_ns, &fault);
}

static bool has_read(const struct consumer *consumer, const char *text)
{
    return !!strstr((const char *)consumer->transcript.data, text);
}

/* Two PER_CONSUMER sessions with an activation each for one consumer, and a SHARED session. */
struct scene {
    struct hub_fixture fixture;
    struct fake_session web, api, shared;
    struct consumer consumer;
};

static void scene_open(struct scene *scene, struct subscription_params params)
{
    memset(scene, 0, sizeof(*scene));
    hub_fixture_open(&scene->fixture);
    fake_session_join(&scene->web, &scene->fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    fake_session_join(&scene->api, &scene->fixture, fake_session_params("api", SESSION_PER_CONSUMER));
    fake_session_join(&scene->shared, &scene->fixture, fake_session_params("shared", SESSION_SHARED));
    consumer_join(&scene->consumer, &scene->fixture, params);
    cr_assert_str_eq(fake_session_transcript(&scene->web), "welcome, start 1 \"q\"");
    cr_assert_str_eq(fake_session_transcript(&scene->api), "welcome, start 1 \"q\"");
    cr_assert_str_eq(fake_session_transcript(&scene->shared), "welcome");
}

static void scene_close(struct scene *scene)
{
    consumer_leave(&scene->consumer);
    fake_session_fini(&scene->web);
    fake_session_fini(&scene->api);
    fake_session_fini(&scene->shared);
    hub_fixture_close(&scene->fixture);
}

Test(activation_ends, A6_a_drain_lets_both_finish_and_then_closes)
{
    struct scene scene;

    scene_open(&scene, params_with_request("q"));
    cr_assert_eq(fake_session_put(&scene.web, 1, 1), ERR_OK);
    cr_assert_eq(finish(&scene.consumer, CLOSING_FINISHED, 5 * NS_PER_S), FAULT_NONE);
    cr_assert_str_eq(fake_session_transcript(&scene.web), "stop 1 FINISHED in 5000");
    cr_assert_str_eq(fake_session_transcript(&scene.api), "stop 1 FINISHED in 5000");
    cr_assert_eq(scene.consumer.closings, 1);
    cr_assert_eq(chan_state(scene.consumer.chan), CHAN_OPEN, "it waits for them");
    cr_assert_eq(fake_session_put(&scene.shared, 0, 1), ERR_OK);
    cr_assert_eq(scene.shared.offer.matched, 0, "shared producers are out at once");
    cr_assert_eq(fake_session_put(&scene.web, 1, 1), ERR_OK);
    cr_assert_eq(scene.web.offer.matched, 1, "A14: what they still publish is delivered");
    fake_session_end(&scene.web, 1, CODE_OK, NULL);
    cr_assert_eq(chan_state(scene.consumer.chan), CHAN_OPEN);
    cr_assert_eq(fake_session_put(&scene.api, 1, 1), ERR_OK);
    fake_session_end(&scene.api, 1, CODE_OK, NULL);
    cr_assert_eq(chan_state(scene.consumer.chan), CHAN_DRAINING);
    cr_assert_eq(fake_session_put(&scene.api, 1, 1), ERR_CLOSED, "nothing after it");
    consumer_read(&scene.consumer);
    cr_assert(has_read(&scene.consumer, "web 1-1, web 2-2, api 1-1, "));
    cr_assert(chan_idle(scene.consumer.chan));
    cr_assert_eq(scene.consumer.aborts, 0);
    cr_assert_eq(scene.web.stops + scene.api.stops, 2, "once");
    cr_assert_eq(hub_fixture_logged(&scene.fixture, "activation.stopping"), 2);
    cr_assert_eq(hub_fixture_logged(&scene.fixture, "activation.expired"), 0);
    scene_close(&scene);
}

Test(activation_ends, A6_a_hard_cancel_stops_both_at_once_and_drops_the_rest)
{
    struct scene scene;
    struct chan_stats stats;
    struct chan *chan;

    scene_open(&scene, params_with_request("q"));
    cr_assert_eq(fake_session_put(&scene.web, 1, 2), ERR_OK);
    chan = chan_retain(scene.consumer.chan);
    scene.consumer.aborts = 1;
    scene.consumer.fault.reason = FAULT_DEADLINE;
    consumer_leave(&scene.consumer);
    cr_assert_str_eq(fake_session_transcript(&scene.web), "stop 1 DEADLINE now");
    cr_assert_str_eq(fake_session_transcript(&scene.api), "stop 1 DEADLINE now");
    chan_stats(chan, &stats);
    cr_assert_eq(stats.dropped[LOSS_CONSUMER_GONE].events, 2);
    cr_assert_eq(fake_session_put(&scene.web, 1, 3), ERR_CLOSED);
    fake_session_end(&scene.web, 1, CODE_CANCELLED, "late");
    cr_assert_eq(count_get(COUNT_LIVE_ACTIVATIONS), 0);
    cr_assert_eq(count_get(COUNT_EVENTS_UNWANTED), 3);
    chan_release(chan);
    scene_close(&scene);
}

Test(activation_ends, A6_a_disconnect_stops_both_before_the_call_has_ended)
{
    struct scene scene;
    struct fault fault;

    scene_open(&scene, params_with_request("q"));
    cr_assert_eq(hub_disconnect(scene.fixture.hub, text_of(scene.consumer.result.id), text_of("go"), &fault),
                 FAULT_NONE);
    cr_assert_eq(scene.consumer.aborts, 1);
    cr_assert_str_eq(fake_session_transcript(&scene.web), "stop 1 KICKED now");
    cr_assert_str_eq(fake_session_transcript(&scene.api), "stop 1 KICKED now");
    cr_assert_eq(chan_state(scene.consumer.chan), CHAN_CLOSED);
    scene_close(&scene);
}

Test(activation_ends, a_disconnect_during_a_drain_ends_them_without_a_second_stop)
{
    struct scene scene;
    struct fault fault;

    scene_open(&scene, params_with_request("q"));
    cr_assert_eq(finish(&scene.consumer, CLOSING_DISCONNECTED, 5 * NS_PER_S), FAULT_NONE);
    cr_assert_eq(hub_disconnect(scene.fixture.hub, text_of(scene.consumer.result.id), text_of("go"), &fault),
                 FAULT_NONE);
    cr_assert_str_eq(fake_session_transcript(&scene.web), "stop 1 KICKED in 5000");
    cr_assert_eq(count_get(COUNT_LIVE_ACTIVATIONS), 0);
    cr_assert_eq(fake_session_put(&scene.web, 1, 1), ERR_CLOSED);
    virtual_time_pass(scene.fixture.loop, 10 * NS_PER_S);
    cr_assert_eq(hub_fixture_logged(&scene.fixture, "activation.expired"), 0);
    scene_close(&scene);
}

Test(activation_ends, A14_a_drain_with_nothing_left_to_wait_for_closes_at_once)
{
    struct scene scene;

    scene_open(&scene, params_with_request("q"));
    fake_session_end(&scene.web, 1, CODE_INTERNAL, "it would be asked again");
    fake_session_end(&scene.api, 1, CODE_OK, NULL);
    cr_assert_eq(finish(&scene.consumer, CLOSING_FINISHED, 5 * NS_PER_S), FAULT_NONE);
    cr_assert_eq(chan_state(scene.consumer.chan), CHAN_DRAINING);
    virtual_time_pass(scene.fixture.loop, 60 * NS_PER_S);
    cr_assert_eq(scene.web.starts, 1);
    cr_assert_eq(scene.web.stops, 0);
    scene_close(&scene);
}

Test(activation_ends, A20_an_activation_that_ignores_stop_expires_at_the_deadline_and_is_named)
{
    struct scene scene;
    struct chan_stats stats;

    scene_open(&scene, params_with_request("q"));
    cr_assert_eq(finish(&scene.consumer, CLOSING_FINISHED, 2 * NS_PER_S), FAULT_NONE);
    cr_assert_eq(fake_session_put(&scene.web, 1, 1), ERR_OK);
    fake_session_end(&scene.api, 1, CODE_OK, NULL);
    virtual_time_pass(scene.fixture.loop, 2 * NS_PER_S - 1);
    cr_assert_eq(chan_state(scene.consumer.chan), CHAN_OPEN);
    consumer_read(&scene.consumer);
    cr_assert(has_read(&scene.consumer, "web 1-1"));
    cr_assert_eq(fake_session_put(&scene.web, 1, 1), ERR_OK);
    virtual_time_pass(scene.fixture.loop, 1);
    cr_assert_eq(chan_state(scene.consumer.chan), CHAN_CLOSED);
    cr_assert_eq(fake_session_put(&scene.web, 1, 1), ERR_CLOSED);
    cr_assert_str_eq(fake_session_transcript(&scene.web), "stop 1 FINISHED in 2000", "once");
    consumer_read(&scene.consumer);
    cr_assert(has_read(&scene.consumer, "lost web 1 2-2 DRAIN_CUT"));
    cr_assert(has_read(&scene.consumer,
                       "web is ENDED with DEADLINE_EXCEEDED: producer \"web\" did not stop in time"));
    chan_stats(scene.consumer.chan, &stats);
    cr_assert_eq(stats.dropped[LOSS_DRAIN_CUT].events, 1);
    cr_assert_eq(hub_fixture_logged(&scene.fixture, "activation.expired"), 1);
    consumer_leave(&scene.consumer);
    cr_assert(hub_fixture_log_has(&scene.fixture, "subscription.ended", "expired=1"));
    scene_close(&scene);
}

Test(activation_ends, a_drain_of_no_time_ends_at_once_and_nothing_expires)
{
    struct scene scene;

    scene_open(&scene, params_with_request("q"));
    cr_assert_eq(fake_session_put(&scene.web, 1, 1), ERR_OK);
    cr_assert_eq(finish(&scene.consumer, CLOSING_FINISHED, 0), FAULT_NONE);
    cr_assert_str_eq(fake_session_transcript(&scene.web), "stop 1 FINISHED now");
    cr_assert_eq(chan_state(scene.consumer.chan), CHAN_CLOSED);
    cr_assert_eq(hub_fixture_logged(&scene.fixture, "activation.expired"), 0);
    cr_assert_eq(scene.consumer.closings, 1);
    scene_close(&scene);
}

Test(activation_ends, a_nearer_drain_deadline_is_not_notified)
{
    struct scene scene;

    scene_open(&scene, params_with_request("q"));
    cr_assert_eq(finish(&scene.consumer, CLOSING_FINISHED, 60 * NS_PER_S), FAULT_NONE);
    cr_assert_eq(finish(&scene.consumer, CLOSING_FINISHED, NS_PER_S), FAULT_NONE);
    cr_assert_str_eq(fake_session_transcript(&scene.web), "stop 1 FINISHED in 60000");
    virtual_time_pass(scene.fixture.loop, NS_PER_S);
    cr_assert_eq(chan_state(scene.consumer.chan), CHAN_CLOSED);
    cr_assert_eq(hub_fixture_logged(&scene.fixture, "activation.expired"), 2);
    scene_close(&scene);
}

Test(activation_ends, the_consumers_own_deadline_bounds_the_drain)
{
    struct scene scene;
    struct subscription_params params = params_with_request("q");

    params.deadline_ns = clock_mono_ns() + 3 * NS_PER_S;
    scene_open(&scene, params);
    cr_assert_eq(finish(&scene.consumer, CLOSING_FINISHED, 60 * NS_PER_S), FAULT_NONE);
    cr_assert_str_eq(fake_session_transcript(&scene.web), "stop 1 FINISHED in 3000");
    cr_assert_eq(scene.consumer.deadline_ns, params.deadline_ns);
    scene_close(&scene);
}

Test(activation_ends, an_activation_that_ends_within_stop_never_expires)
{
    struct scene scene;

    scene_open(&scene, params_with_request("q"));
    scene.web.ends_at_stop = true;
    scene.api.leaves_at_stop = true;
    cr_assert_eq(finish(&scene.consumer, CLOSING_FINISHED, 5 * NS_PER_S), FAULT_NONE);
    cr_assert_eq(chan_state(scene.consumer.chan), CHAN_DRAINING);
    cr_assert_null(scene.api.session);
    virtual_time_pass(scene.fixture.loop, 10 * NS_PER_S);
    cr_assert_eq(hub_fixture_logged(&scene.fixture, "activation.expired"), 0);
    cr_assert_eq(hub_fixture_logged(&scene.fixture, "activation.ended"), 2);
    scene_close(&scene);
}

Test(activation_ends, a_producer_that_is_lost_while_it_stops_is_no_longer_waited_for)
{
    struct scene scene;

    scene_open(&scene, params_with_request("q"));
    cr_assert_eq(finish(&scene.consumer, CLOSING_FINISHED, 5 * NS_PER_S), FAULT_NONE);
    fake_session_leave(&scene.web, FAULT_CANCELLED);
    fake_session_end(&scene.api, 1, CODE_OK, NULL);
    cr_assert_eq(chan_state(scene.consumer.chan), CHAN_DRAINING);
    scene_close(&scene);
}

Test(activation_ends, a_removal_that_drains_aborts_a_session_that_ignores_it)
{
    struct scene scene;
    struct fault fault;
    struct producer_view view;

    scene_open(&scene, params_with_request("q"));
    cr_assert_eq(
        hub_remove(scene.fixture.hub, text_of("web"), NS_PER_S, hub_fixture_copy_view, &view, &fault),
        FAULT_NONE);
    cr_assert_eq(view.activations, 1, "as it was");
    cr_assert_str_eq(fake_session_transcript(&scene.web), "closing REMOVED in 1000, stop 1 REMOVED in 1000");
    cr_assert_eq(fake_session_put(&scene.web, 1, 1), ERR_OK);
    virtual_time_pass(scene.fixture.loop, NS_PER_S);
    cr_assert_str_eq(fake_session_transcript(&scene.web), "abort REMOVED");
    consumer_read(&scene.consumer);
    cr_assert(has_read(&scene.consumer, "web 1-1"));
    cr_assert(has_read(&scene.consumer, "web is ENDED with DEADLINE_EXCEEDED"));
    cr_assert_eq(hub_fixture_logged(&scene.fixture, "activation.expired"), 1);
    cr_assert_eq(scene.consumer.closings + scene.consumer.aborts, 0);
    scene_close(&scene);
}

Test(activation_ends, a_drain_of_the_hub_stops_all_and_aborts_sessions_at_the_last_subscription)
{
    struct scene scene;
    struct fake_session late = {0};

    scene_open(&scene, params_with_request("q"));
    hub_drain(scene.fixture.hub, 5 * NS_PER_S, hub_fixture_emptied, &scene.fixture);
    cr_assert_str_eq(fake_session_transcript(&scene.web),
                     "stop 1 DRAINING in 5000, closing DRAINING in 5000");
    cr_assert_str_eq(fake_session_transcript(&scene.shared), "closing DRAINING in 5000");
    cr_assert_eq(fake_session_try(&late, &scene.fixture, fake_session_params("late", SESSION_SHARED)),
                 FAULT_DRAINING);
    cr_assert_eq(fake_session_put(&scene.shared, 0, 1), ERR_CLOSED);
    cr_assert_eq(fake_session_put(&scene.web, 1, 1), ERR_OK);
    cr_assert_eq(scene.consumer.closing, CLOSING_SERVER_DRAINING);
    fake_session_end(&scene.web, 1, CODE_OK, NULL);
    cr_assert_str_eq(fake_session_transcript(&scene.web), "abort DRAINING");
    cr_assert_eq(chan_state(scene.consumer.chan), CHAN_OPEN);
    fake_session_end(&scene.api, 1, CODE_OK, NULL);
    cr_assert_eq(chan_state(scene.consumer.chan), CHAN_DRAINING);
    consumer_read(&scene.consumer);
    cr_assert(has_read(&scene.consumer, "web 1-1"));
    cr_assert_eq(scene.fixture.emptied, 0);
    cr_assert_eq(scene.shared.aborts, 0);
    consumer_leave(&scene.consumer);
    cr_assert_str_eq(fake_session_transcript(&scene.shared), "abort DRAINING");
    cr_assert_eq(scene.fixture.emptied, 1);
    scene_close(&scene);
}

Test(activation_ends, a_drain_of_the_hub_that_is_ignored_aborts_all)
{
    struct scene scene;

    scene_open(&scene, params_with_request("q"));
    hub_drain(scene.fixture.hub, 5 * NS_PER_S, hub_fixture_emptied, &scene.fixture);
    virtual_time_pass(scene.fixture.loop, 5 * NS_PER_S);
    cr_assert_eq(scene.web.aborts + scene.api.aborts + scene.shared.aborts, 3);
    cr_assert_eq(hub_fixture_logged(&scene.fixture, "activation.expired"), 2);
    cr_assert_eq(chan_state(scene.consumer.chan), CHAN_CLOSED);
    consumer_leave(&scene.consumer);
    cr_assert_eq(scene.fixture.emptied, 1);
    scene_close(&scene);
}

Test(activation_ends, A25_the_log_has_each_change_once)
{
    static const struct {
        const char *event;
        unsigned count;
    } changes[] = {{"producer.added", 3},      {"producer.removed", 3},      {"activation.started", 2},
                   {"activation.stopping", 1}, {"activation.ended", 2},      {"activation.expired", 1},
                   {"subscription.added", 1},  {"subscription.draining", 1}, {"subscription.ended", 1},
                   {"producer.closing", 0},    {"producer.replaced", 0}};
    struct scene scene;

    scene_open(&scene, params_with_request("q"));
    fake_session_end(&scene.api, 1, CODE_OK, NULL);
    cr_assert_eq(finish(&scene.consumer, CLOSING_FINISHED, NS_PER_S), FAULT_NONE);
    virtual_time_pass(scene.fixture.loop, NS_PER_S);
    consumer_leave(&scene.consumer);
    fake_session_leave(&scene.web, FAULT_NONE);
    fake_session_leave(&scene.api, FAULT_NONE);
    fake_session_leave(&scene.shared, FAULT_NONE);
    for (size_t i = 0; i < ARRAY_LEN(changes); i++)
        cr_expect_eq(hub_fixture_logged(&scene.fixture, changes[i].event), changes[i].count, "%s",
                     changes[i].event);
    scene_close(&scene);
}
