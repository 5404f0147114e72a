/* test_endpoints.c - sessions whose producer the server dials: the states of their upstream calls,
 * and when these are opened again. */
#include <criterion/criterion.h>

#include <string.h>

#include "flow/chan_limits.h"
#include "flow/source_loss.h"
#include "hub/endpoint_rules.h"
#include "seam/fake_session.h"
#include "seam/virtual_clock.h"

static const struct endpoint_rules rules = {.first_retry_ns = 100 * NS_PER_MS, .max_retry_ns = NS_PER_S};

static struct session_params endpoint_params(const char *name, enum session_mode mode)
{
    struct session_params params = fake_session_params(name, mode);

    params.endpoint = &rules;
    return params;
}

static struct producer_view view_of(struct hub_fixture *fixture, const char *name)
{
    struct producer_view view;
    struct fault fault;

    cr_assert_eq(hub_producer(fixture->hub, text_of(name), hub_fixture_copy_view, &view, &fault), FAULT_NONE);
    return view;
}

static enum producer_state state_of(struct hub_fixture *fixture, const char *name)
{
    return view_of(fixture, name).state;
}

/* ---- PER_CONSUMER ---- */

Test(endpoints, an_activation_begins_with_CONNECTING_and_is_ACTIVE_when_that_is_reported)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer consumer;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, endpoint_params("web", SESSION_PER_CONSUMER));
    cr_assert_eq(state_of(&fixture, "web"), PRODUCER_IDLE);
    consumer_join(&consumer, &fixture, subscription_params_of(NULL));
    cr_assert_eq(state_of(&fixture, "web"), PRODUCER_CONNECTING);
    cr_assert_str_eq(consumer_read(&consumer), "web is CONNECTING\n");
    fake_session_report(&web, 1, PRODUCER_ACTIVE, 0, NULL);
    cr_assert_eq(state_of(&fixture, "web"), PRODUCER_ACTIVE);
    cr_assert_eq(fake_session_put(&web, 1, 2), ERR_OK);
    cr_assert_str_eq(consumer_read(&consumer), "web 1-2, web is ACTIVE\n");
    fake_session_report(&web, 1, PRODUCER_ACTIVE, 0, NULL);
    cr_assert_str_eq(consumer_read(&consumer), "", "it has that state already");
    consumer_leave(&consumer);
    fake_session_end(&web, 1, CODE_OK, NULL);
    cr_assert_eq(state_of(&fixture, "web"), PRODUCER_IDLE);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

Test(endpoints, a_report_of_an_activation_that_has_ended_or_never_was_does_nothing)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer consumer;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, endpoint_params("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &fixture, subscription_params_of(NULL));
    fake_session_report(&web, 2, PRODUCER_ACTIVE, 0, NULL);
    cr_assert_eq(state_of(&fixture, "web"), PRODUCER_CONNECTING);
    fake_session_end(&web, 1, CODE_OK, NULL);
    fake_session_report(&web, 1, PRODUCER_ACTIVE, 0, NULL);
    cr_assert_eq(state_of(&fixture, "web"), PRODUCER_IDLE);
    cr_assert_str_eq(consumer_read(&consumer), "web is ENDED\n");
    consumer_leave(&consumer);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

static void lose(struct fake_session *session, uint64_t activation, uint64_t count)
{
    const struct source_loss loss = {.count = count, .bytes = 2 * count, .reason = LOSS_EXPIRED};

    session_lose(session->session, activation, &loss);
}

Test(endpoints, what_was_lost_before_an_activation_is_told_to_its_consumer_and_counted)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer one, two;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, endpoint_params("web", SESSION_PER_CONSUMER));
    consumer_join(&one, &fixture, subscription_params_of(NULL));
    consumer_join(&two, &fixture, subscription_params_of(NULL));
    lose(&web, 1, 3);
    lose(&web, 1, 2);
    lose(&web, 9, 7); /* it was never started */
    cr_assert_str_eq(consumer_read(&one), "lost web 5 0-0 EXPIRED, web is CONNECTING\n");
    cr_assert_str_eq(consumer_read(&two), "web is CONNECTING\n");
    cr_assert_eq(view_of(&fixture, "web").lost_upstream.events, 5);
    fake_session_end(&web, 1, CODE_OK, NULL);
    lose(&web, 1, 1); /* it has ended */
    cr_assert_str_eq(consumer_read(&one), "web is ENDED\n");
    cr_assert_eq(view_of(&fixture, "web").lost_upstream.bytes, 10);
    consumer_leave(&one);
    consumer_leave(&two);
    fake_session_end(&web, 2, CODE_OK, NULL);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

Test(endpoints, an_activation_that_failed_is_UNAVAILABLE_and_opened_again_by_the_endpoints_rules)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer consumer;
    int64_t wait_ns = rules.first_retry_ns;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, endpoint_params("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &fixture, subscription_params_of(NULL));
    cr_assert_str_eq(consumer_read(&consumer), "web is CONNECTING\n");
    for (unsigned i = 1; i <= 6; i++) {
        fake_session_report(&web, i, PRODUCER_ACTIVE, 0, NULL);
        fake_session_end(&web, i, CODE_INTERNAL, "no luck");
        cr_assert_eq(state_of(&fixture, "web"), PRODUCER_UNAVAILABLE);
        cr_assert_str_eq(consumer_read(&consumer), "web is UNAVAILABLE with INTERNAL: no luck\n");
        virtual_time_pass(fixture.loop, wait_ns / 4 * 3 - 1);
        cr_assert_eq(web.starts, i, "not before three quarters of %lld ms", (long long)(wait_ns / NS_PER_MS));
        virtual_time_pass(fixture.loop, wait_ns / 4 + 1);
        cr_assert_eq(web.starts, i + 1, "not later than %lld ms", (long long)(wait_ns / NS_PER_MS));
        cr_assert_eq(state_of(&fixture, "web"), PRODUCER_CONNECTING);
        cr_assert_str_eq(consumer_read(&consumer), "web is CONNECTING\n");
        wait_ns = MIN_OF(wait_ns * 2, rules.max_retry_ns);
    }
    consumer_leave(&consumer);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

Test(endpoints, a_complete_activation_is_opened_again_where_the_rule_says_so)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer consumer;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, endpoint_params("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &fixture, subscription_params_of(NULL));
    cr_assert_str_eq(consumer_read(&consumer), "web is CONNECTING\n");
    for (unsigned i = 1; i <= 4; i++) {
        fake_session_end_by(&web, i, CODE_OK, SESSION_END_RETRY);
        cr_assert_eq(state_of(&fixture, "web"), PRODUCER_UNAVAILABLE);
        cr_assert_str_eq(consumer_read(&consumer), "web is ENDED\n", "that is no failure");
        virtual_time_pass(fixture.loop, rules.first_retry_ns);
        cr_assert_eq(web.starts, i + 1, "the wait gets no longer");
        cr_assert_str_eq(consumer_read(&consumer), "web is CONNECTING\n");
    }
    fake_session_end_by(&web, 5, CODE_INTERNAL, SESSION_END_RETRY);
    cr_assert_str_eq(consumer_read(&consumer), "web is UNAVAILABLE with INTERNAL: by rule\n");
    virtual_time_pass(fixture.loop, rules.first_retry_ns);
    cr_assert_eq(web.starts, 6);
    consumer_leave(&consumer);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

Test(endpoints, a_failed_activation_is_not_opened_again_where_the_rule_says_so)
{
    struct hub_fixture fixture;
    struct fake_session web = {0}, session = {0};
    struct consumer consumer;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, endpoint_params("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &fixture, subscription_params_of(NULL));
    fake_session_end_by(&web, 1, CODE_INTERNAL, SESSION_END_FINAL);
    cr_assert_str_eq(consumer_read(&consumer), "web is ENDED with INTERNAL: by rule\n");
    fake_session_join(&session, &fixture, fake_session_params("dials in", SESSION_PER_CONSUMER));
    fake_session_end_by(&session, 1, CODE_INTERNAL, SESSION_END_FINAL);
    virtual_time_pass(fixture.loop, 3600 * NS_PER_S);
    cr_assert_eq(web.starts + session.starts, 2);
    cr_assert_eq(state_of(&fixture, "web"), PRODUCER_IDLE);
    consumer_leave(&consumer);
    fake_session_fini(&web);
    fake_session_fini(&session);
    hub_fixture_close(&fixture);
}

Test(endpoints, a_failure_is_an_end_for_a_consumer_that_ends_with_its_activations)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer consumer;
    struct subscription_params params = subscription_params_of(NULL);

    params.end_when_all_ended = true;
    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, endpoint_params("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &fixture, params);
    fake_session_end_by(&web, 1, CODE_INTERNAL, SESSION_END_RETRY);
    cr_assert_eq(consumer.closings, 1);
    cr_assert_str_eq(consumer_read(&consumer), "web is ENDED with INTERNAL: by rule\n");
    consumer_leave(&consumer);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

Test(endpoints, one_ACTIVE_activation_makes_the_endpoint_ACTIVE)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer one, other;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, endpoint_params("web", SESSION_PER_CONSUMER));
    consumer_join(&one, &fixture, subscription_params_of(NULL));
    consumer_join(&other, &fixture, subscription_params_of(NULL));
    fake_session_report(&web, 2, PRODUCER_ACTIVE, 0, NULL);
    fake_session_end(&web, 1, CODE_INTERNAL, "no luck");
    cr_assert_eq(state_of(&fixture, "web"), PRODUCER_ACTIVE);
    fake_session_report(&web, 2, PRODUCER_CONNECTING, 0, NULL);
    cr_assert_eq(state_of(&fixture, "web"), PRODUCER_CONNECTING, "the newest of the others");
    fake_session_report(&web, 2, PRODUCER_ACTIVE, 0, NULL);
    consumer_leave(&other);
    cr_assert_eq(state_of(&fixture, "web"), PRODUCER_CONNECTING);
    consumer_leave(&one);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

/* ---- queries ---- */

Test(endpoints, a_view_says_what_is_an_endpoint_and_gives_the_port)
{
    struct hub_fixture fixture;
    struct fake_session web = {0}, session = {0};
    struct producer_view view;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, endpoint_params("web", SESSION_SHARED));
    fake_session_join(&session, &fixture, fake_session_params("session", SESSION_SHARED));
    publish(&fixture, "transient", 1, "t");
    view = view_of(&fixture, "web");
    cr_assert(view.is_session && view.is_endpoint && view.port && view.port_ctx == &web);
    view = view_of(&fixture, "session");
    cr_assert(view.is_session && !view.is_endpoint && view.port && view.port_ctx == &session);
    view = view_of(&fixture, "transient");
    cr_assert(!view.is_session && !view.is_endpoint && !view.port && !view.port_ctx);
    fake_session_fini(&web);
    fake_session_fini(&session);
    hub_fixture_close(&fixture);
}

Test(endpoints, a_shared_endpoint_has_the_state_that_was_reported_last)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, endpoint_params("web", SESSION_SHARED));
    cr_assert_eq(state_of(&fixture, "web"), PRODUCER_CONNECTING);
    fake_session_report(&web, 0, PRODUCER_UNAVAILABLE, CODE_UNAVAILABLE, "connection refused");
    cr_assert_eq(state_of(&fixture, "web"), PRODUCER_UNAVAILABLE);
    fake_session_report(&web, 0, PRODUCER_ACTIVE, 0, NULL);
    cr_assert_eq(state_of(&fixture, "web"), PRODUCER_ACTIVE);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

/* ---- SHARED ---- */

Test(endpoints, the_states_of_a_shared_endpoint_reach_wildcards_and_bindings)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer all, some, late;

    hub_fixture_open(&fixture);
    consumer_join(&all, &fixture, subscription_params_of(NULL));
    consumer_join(&some, &fixture, subscription_params_of("t"));
    fake_session_join(&web, &fixture, endpoint_params("web", SESSION_SHARED));
    cr_assert_str_eq(consumer_read(&all), "web is CONNECTING\n");
    cr_assert_str_eq(consumer_read(&some), "web is CONNECTING\n");
    fake_session_report(&web, 0, PRODUCER_UNAVAILABLE, CODE_UNAVAILABLE, "connection refused");
    cr_assert_str_eq(consumer_read(&all), "web is UNAVAILABLE with UNAVAILABLE: connection refused\n");
    cr_assert_str_eq(consumer_read(&some), "web is UNAVAILABLE with UNAVAILABLE: connection refused\n");
    consumer_join(&late, &fixture, subscription_params_of("t"));
    cr_assert_str_eq(consumer_read(&late), "web is UNAVAILABLE with UNAVAILABLE: connection refused\n");
    fake_session_report(&web, 0, PRODUCER_CONNECTING, 0, NULL);
    fake_session_report(&web, 0, PRODUCER_ACTIVE, 0, NULL);
    fake_session_report(&web, 0, PRODUCER_ACTIVE, 0, NULL);
    cr_assert_eq(fake_session_put(&web, 0, 1), ERR_OK);
    cr_assert_str_eq(consumer_read(&all), "web 1-1, web is ACTIVE\n");
    cr_assert_str_eq(consumer_read(&some), "web 1-1, web is ACTIVE\n");
    fake_session_leave(&web, FAULT_NONE);
    cr_assert_str_eq(consumer_read(&all), "web is REMOVED\n");
    cr_assert_str_eq(consumer_read(&some), "web is REMOVED\n");
    consumer_leave(&all);
    consumer_leave(&some);
    consumer_leave(&late);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

Test(endpoints, a_shared_endpoint_that_waits_for_its_name_may_report)
{
    struct hub_fixture fixture;
    struct fake_session old = {0}, web = {0};
    struct consumer consumer;

    hub_fixture_open(&fixture);
    consumer_join(&consumer, &fixture, subscription_params_of(NULL));
    fake_session_join(&old, &fixture, endpoint_params("web", SESSION_SHARED));
    fake_session_join(&web, &fixture, endpoint_params("web", SESSION_SHARED));
    fake_session_report(&web, 0, PRODUCER_UNAVAILABLE, CODE_DEADLINE_EXCEEDED, NULL);
    cr_assert_eq(state_of(&fixture, "web"), PRODUCER_DRAINING);
    cr_assert_str_eq(consumer_read(&consumer), "web is CONNECTING\n");
    fake_session_leave(&old, FAULT_NONE);
    cr_assert_eq(state_of(&fixture, "web"), PRODUCER_UNAVAILABLE);
    cr_assert_str_eq(consumer_read(&consumer),
                     "web is REMOVED, web is UNAVAILABLE with DEADLINE_EXCEEDED: \n");
    consumer_leave(&consumer);
    fake_session_fini(&old);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

Test(endpoints, an_ACTIVE_shared_endpoint_may_be_BLOCKED)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer slow;
    struct subscription_params params = subscription_params_of(NULL);

    params.limits.max_events = 1;
    params.limits.overflow = OVERFLOW_BLOCK;
    params.limits.fallback = OVERFLOW_DROP_OLDEST;
    params.limits.block_timeout_ns = NS_PER_S;
    hub_fixture_open(&fixture);
    consumer_join(&slow, &fixture, params);
    fake_session_join(&web, &fixture, endpoint_params("web", SESSION_SHARED));
    fake_session_report(&web, 0, PRODUCER_ACTIVE, 0, NULL);
    cr_assert_eq(fake_session_put(&web, 0, 2), ERR_AGAIN);
    cr_assert_eq(state_of(&fixture, "web"), PRODUCER_BLOCKED);
    fake_session_report(&web, 0, PRODUCER_UNAVAILABLE, CODE_UNAVAILABLE, "reset");
    cr_assert_eq(state_of(&fixture, "web"), PRODUCER_UNAVAILABLE);
    consumer_leave(&slow);
    cr_assert_eq(web.over, 1);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

/* ---- many consumers, and changes within a turn of the loop ---- */

#define CONSUMERS 64u

struct scene {
    struct hub_fixture fixture;
    struct fake_session web;
    struct consumer consumers[CONSUMERS]; /* every second one has a binding */
    struct task task;
    void (*run)(struct scene *scene);
    bool done;
    unsigned readable_before[CONSUMERS];
    unsigned heard; /* by so many of the first consumers */
};

static void run_task(struct task *task)
{
    struct scene *scene = container_of(task, struct scene, task);

    scene->run(scene);
    scene->done = true;
}

static bool is_done(void *ctx)
{
    return ((struct scene *)ctx)->done;
}

/* Calls `run` in a turn of the loop, in which what may be long is done in slices. */
static void run_in_turn(struct scene *scene, void (*run)(struct scene *scene))
{
    scene->task = (struct task){.run = run_task};
    scene->run = run;
    scene->done = false;
    for (unsigned i = 0; i < CONSUMERS; i++)
        scene->readable_before[i] = scene->consumers[i].readable_calls;
    loop_post(scene->fixture.loop, &scene->task);
    cr_assert(hub_fixture_until(&scene->fixture, is_done, scene));
}

/* Every consumer has something to read. */
static bool is_reported(void *ctx)
{
    const struct scene *scene = ctx;

    for (unsigned i = 0; i < CONSUMERS; i++)
        if (scene->consumers[i].readable_calls == scene->readable_before[i])
            return false;
    return true;
}

static void open_scene(struct scene *scene)
{
    hub_fixture_settings.max_subscriptions = CONSUMERS;
    hub_fixture_open(&scene->fixture);
    fake_session_join(&scene->web, &scene->fixture, endpoint_params("web", SESSION_SHARED));
    for (unsigned i = 0; i < CONSUMERS; i++) {
        consumer_join(&scene->consumers[i], &scene->fixture, subscription_params_of(i % 2 == 0 ? NULL : "t"));
        cr_assert_str_eq(consumer_read(&scene->consumers[i]), "web is CONNECTING\n");
    }
}

static void close_scene(struct scene *scene)
{
    for (unsigned i = 0; i < CONSUMERS; i++)
        consumer_leave(&scene->consumers[i]);
    fake_session_fini(&scene->web);
    hub_fixture_close(&scene->fixture);
}

static void report_three(struct scene *scene)
{
    fake_session_report(&scene->web, 0, PRODUCER_ACTIVE, 0, NULL);
    fake_session_report(&scene->web, 0, PRODUCER_UNAVAILABLE, CODE_INTERNAL, "reset");
    fake_session_report(&scene->web, 0, PRODUCER_CONNECTING, 0, NULL);
}

static void report_and_leave(struct scene *scene)
{
    fake_session_report(&scene->web, 0, PRODUCER_UNAVAILABLE, CODE_INTERNAL, "reset");
    fake_session_leave(&scene->web, FAULT_CANCELLED);
}

Test(endpoints, of_changes_that_come_together_each_consumer_hears_the_last_one)
{
    static struct scene scene;

    open_scene(&scene);
    run_in_turn(&scene, report_three);
    cr_assert(hub_fixture_until(&scene.fixture, is_reported, &scene));
    for (unsigned i = 0; i < CONSUMERS; i++)
        cr_assert_str_eq(consumer_read(&scene.consumers[i]), "web is CONNECTING\n");
    close_scene(&scene);
}

Test(endpoints, no_state_comes_after_the_end)
{
    static struct scene scene;

    open_scene(&scene);
    run_in_turn(&scene, report_and_leave);
    cr_assert(hub_fixture_until(&scene.fixture, is_reported, &scene));
    for (unsigned i = 0; i < CONSUMERS; i++)
        cr_assert_str_eq(consumer_read(&scene.consumers[i]),
                         "web is ENDED with UNAVAILABLE: the producer was lost\n");
    close_scene(&scene);
}

static void report_and_select(struct scene *scene)
{
    fake_session_report(&scene->web, 0, PRODUCER_UNAVAILABLE, CODE_INTERNAL, "reset");
    for (unsigned i = 0; i < CONSUMERS; i++)
        cr_assert(consumer_select(&scene->consumers[i], "*", i % 4 < 2 ? "t" : NULL) > 0);
}

static bool has_heard(struct consumer *consumer, const char *text)
{
    return !!strstr(consumer_read(consumer), text);
}

static bool all_heard(void *ctx)
{
    struct scene *scene = ctx;

    while (scene->heard < CONSUMERS &&
           has_heard(&scene->consumers[scene->heard], "web is UNAVAILABLE with INTERNAL: reset"))
        scene->heard++;
    return scene->heard == CONSUMERS;
}

Test(endpoints, who_changes_its_filter_meanwhile_hears_the_state_too)
{
    static struct scene scene;

    open_scene(&scene);
    run_in_turn(&scene, report_and_select);
    cr_assert(hub_fixture_until(&scene.fixture, all_heard, &scene));
    close_scene(&scene);
}

Test(endpoints, a_view_of_one_that_has_left_gives_no_port_while_its_bindings_end)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer consumers[8];

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, endpoint_params("web", SESSION_SHARED));
    for (size_t i = 0; i < ARRAY_LEN(consumers); i++)
        consumer_join(&consumers[i], &fixture, subscription_params_of(NULL));
    virtual_slice_steps = 1;
    fake_session_leave(&web, FAULT_NONE);
    cr_assert_null(view_of(&fixture, "web").port_ctx);
    virtual_slice_steps = 0;
    for (size_t i = 0; i < ARRAY_LEN(consumers); i++)
        consumer_leave(&consumers[i]);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}
