/* test_shared_call_counts.c - BY_REQUEST: what is counted of shared calls. Of each call what is
 * blocked of it, and of each member whether its call had to be aborted at the deadline. */
#include <criterion/criterion.h>

#include <string.h>

#include "hub/endpoint_rules.h"
#include "hub/hub_matches.h"
#include "seam/fake_session.h"
#include "seam/virtual_clock.h"

static const struct endpoint_rules rules = {.first_retry_ns = 100 * NS_PER_MS, .max_retry_ns = NS_PER_S};

struct scene {
    struct hub_fixture fixture;
    struct fake_session web;
};

static void scene_open(struct scene *scene)
{
    struct session_params params = fake_session_params("web", SESSION_BY_REQUEST);

    *scene = (struct scene){.web = {.leaves_at_abort = true}};
    params.endpoint = &rules;
    hub_fixture_open(&scene->fixture);
    fake_session_join(&scene->web, &scene->fixture, params);
}

static void scene_close(struct scene *scene)
{
    fake_session_fini(&scene->web);
    hub_fixture_close(&scene->fixture);
}

static struct subscription_params asks(const char *request)
{
    struct subscription_params params = subscription_params_of(NULL);

    params.request = text_of(request);
    return params;
}

static void note_blocked(void *ctx, const struct match_view *view)
{
    *(uint32_t *)ctx += view->blocked_calls;
}

/* What the consumer finds blocked of the call that it shares. */
static uint32_t blocked_of(struct scene *scene, const struct consumer *consumer)
{
    struct fault fault;
    uint32_t blocked = 0;

    loop_turn(scene->fixture.loop);
    cr_assert_eq(
        hub_matches(scene->fixture.hub, text_of(consumer->result.id), note_blocked, &blocked, &fault),
        FAULT_NONE);
    return blocked;
}

static uint32_t blocked_of_all(struct scene *scene)
{
    struct producer_view view;
    struct fault fault;

    loop_turn(scene->fixture.loop);
    cr_assert_eq(hub_producer(scene->fixture.hub, text_of("web"), hub_fixture_copy_view, &view, &fault),
                 FAULT_NONE);
    return view.blocked_calls;
}

static void remove_gently(struct scene *scene)
{
    struct producer_view view;
    struct fault fault;

    cr_assert_eq(
        hub_remove(scene->fixture.hub, text_of("web"), NS_PER_S, hub_fixture_copy_view, &view, &fault),
        FAULT_NONE);
}

Test(shared_call_counts, what_is_blocked_is_that_of_the_call_and_falls_again)
{
    struct scene scene;
    struct consumer slow, fast, other;
    struct subscription_params params = asks("a");

    params.limits.overflow = OVERFLOW_BLOCK;
    params.limits.max_events = 2;
    params.limits.block_timeout_ns = NS_PER_S;
    scene_open(&scene);
    consumer_join(&slow, &scene.fixture, params);
    consumer_join(&fast, &scene.fixture, asks("a"));
    consumer_join(&other, &scene.fixture, asks("b"));
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(fake_session_put(&scene.web, 1, 3), ERR_AGAIN);
        cr_assert_eq(blocked_of(&scene, &slow), 1);
        cr_assert_eq(blocked_of(&scene, &fast), 1, "it waits for the other one");
        cr_assert_eq(blocked_of(&scene, &other), 0, "its call goes on");
        cr_assert_eq(blocked_of_all(&scene), 1);
        consumer_read(&slow);
        cr_assert_eq(blocked_of(&scene, &slow), 0);
        cr_assert_eq(blocked_of_all(&scene), 0);
    }
    cr_assert_eq(fake_session_put(&scene.web, 1, 3), ERR_AGAIN);
    session_give_up(scene.web.session, 1, &scene.web.waiter);
    cr_assert_eq(blocked_of(&scene, &slow), 0);
    cr_assert_eq(blocked_of_all(&scene), 0);
    consumer_leave(&slow);
    consumer_leave(&fast);
    consumer_leave(&other);
    scene_close(&scene);
}

Test(shared_call_counts, a_call_that_ends_while_it_is_blocked_leaves_no_count)
{
    struct scene scene;
    struct consumer slow;
    struct subscription_params params = asks("a");

    params.limits.overflow = OVERFLOW_BLOCK;
    params.limits.max_events = 2;
    params.limits.block_timeout_ns = NS_PER_S;
    scene_open(&scene);
    consumer_join(&slow, &scene.fixture, params);
    cr_assert_eq(fake_session_put(&scene.web, 1, 3), ERR_AGAIN);
    fake_session_end(&scene.web, 1, CODE_INTERNAL, "gone");
    consumer_read(&slow);
    cr_assert_eq(blocked_of_all(&scene), 0);
    consumer_leave(&slow);
    scene_close(&scene);
}

/* Two members of "a", whose call is still there at the deadline, and one of "b", whose call ends in
 * time. `abort_it` aborts the call of "a" a moment before, or lets the hub do it. */
static void expires(void (*abort_it)(struct scene *scene))
{
    static const char late[] = "web is ENDED with DEADLINE_EXCEEDED: producer \"web\" did not stop in time\n";
    struct scene scene;
    struct consumer one, two, other;

    scene_open(&scene);
    consumer_join(&one, &scene.fixture, asks("a"));
    consumer_join(&two, &scene.fixture, asks("a"));
    consumer_join(&other, &scene.fixture, asks("b"));
    for (uint64_t call = 1; call <= 2; call++)
        fake_session_report(&scene.web, call, PRODUCER_ACTIVE, 0, NULL);
    remove_gently(&scene);
    fake_session_end(&scene.web, 2, CODE_OK, NULL);
    loop_turn(scene.fixture.loop);
    abort_it(&scene);
    loop_turn(scene.fixture.loop);
    cr_assert_str_eq(consumer_read(&one), late);
    cr_assert_str_eq(consumer_read(&two), late);
    cr_assert_str_eq(consumer_read(&other), "web is ENDED\n");
    cr_assert_eq(hub_fixture_logged(&scene.fixture, "activation.expired"), 2);
    cr_assert(hub_fixture_log_has(&scene.fixture, "producer.removed", "expired=2"));
    consumer_leave(&one);
    cr_assert(hub_fixture_log_has(&scene.fixture, "subscription.ended", "expired=1"));
    consumer_leave(&two);
    consumer_leave(&other);
    scene_close(&scene);
}

static void let_the_hub_abort(struct scene *scene)
{
    virtual_time_pass(scene->fixture.loop, NS_PER_S);
}

static void abort_as_an_endpoint(struct scene *scene)
{
    virtual_time_pass(scene->fixture.loop, NS_PER_S - 1);
    fake_session_end_by(&scene->web, 1, CODE_OK, SESSION_END_EXPIRED);
}

Test(shared_call_counts, A20_members_that_are_cut_at_the_deadline_are_counted_and_named)
{
    expires(let_the_hub_abort);
}

Test(shared_call_counts, A20_it_is_the_same_where_the_endpoint_cuts_them)
{
    expires(abort_as_an_endpoint);
}

Test(shared_call_counts, A20_the_same_of_an_activation)
{
    struct hub_fixture fixture;
    struct fake_session web = {.leaves_at_abort = true};
    struct consumer consumer;
    struct session_params params = fake_session_params("web", SESSION_PER_CONSUMER);

    params.endpoint = &rules;
    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, params);
    consumer_join(&consumer, &fixture, asks("a"));
    fake_session_end_by(&web, 1, CODE_OK, SESSION_END_EXPIRED);
    cr_assert_str_eq(consumer_read(&consumer), "web is ENDED\n", "it was not stopped");
    consumer_leave(&consumer);
    consumer_join(&consumer, &fixture, asks("a"));
    cr_assert_eq(hub_finish(fixture.hub, text_of(consumer.result.id), CLOSING_FINISHED, NS_PER_S, &web.fault),
                 FAULT_NONE);
    fake_session_end_by(&web, 2, CODE_OK, SESSION_END_EXPIRED);
    consumer_read(&consumer);
    cr_assert_eq(hub_fixture_logged(&fixture, "activation.expired"), 1);
    consumer_leave(&consumer);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}
