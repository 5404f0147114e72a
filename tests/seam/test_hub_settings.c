/* test_hub_settings.c - a new version of the settings on a hub that is in use: what it changes at
 * the next request, and what keeps the limits that it was accepted under. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/counters.h"
#include "seam/hub_fixture.h"

static struct hub_fixture fixture;
static struct settings now;

static void open_with(uint32_t max_producers, uint32_t max_subscriptions, int64_t transient_forget_ns)
{
    hub_fixture_settings.max_producers = max_producers;
    hub_fixture_settings.max_subscriptions = max_subscriptions;
    hub_fixture_settings.transient_forget_ns = transient_forget_ns;
    hub_fixture_open(&fixture);
    now = *loop_settings(fixture.loop);
}

/* Publishes `now` and checks that it is the next version. */
static void publish_now(void)
{
    uint64_t before = loop_settings(fixture.loop)->version;

    cr_assert_eq(loop_publish_settings(fixture.loop, &now), ERR_OK);
    cr_assert_eq(loop_settings(fixture.loop)->version, before + 1);
}

static void expect_no_producer(const char *name, const char *bound)
{
    struct inlet *inlet = NULL;
    struct fault fault;

    cr_assert_eq(hub_inlet_open(fixture.hub, text_of(name), "peer", NO_PEER, &inlet, &fault),
                 FAULT_TOO_MANY_PRODUCERS);
    cr_assert_str_eq(fault.bound, bound);
}

Test(hub_settings, a_new_limit_of_producers_holds_for_the_next_name_and_ends_nobody)
{
    struct putter putter;

    open_with(2, 1, 60 * NS_PER_S);
    publish(&fixture, "a", 1, "t");
    putter_open(&putter, &fixture, "b");
    expect_no_producer("c", "at most 2");
    now.max_producers = 3;
    publish_now();
    publish(&fixture, "c", 1, "t");
    now.max_producers = 1;
    publish_now();
    expect_no_producer("d", "at most 1");
    cr_assert_eq(putter_put(&putter, chunk_of_letters("x", 1)), ERR_OK, "it goes on above the limit");
    publish(&fixture, "c", 1, "t");
    cr_assert_eq(count_get(COUNT_LIVE_PRODUCERS), 3);
    putter_leave(&putter);
    hub_fixture_close(&fixture);
}

Test(hub_settings, a_new_limit_of_subscriptions_holds_for_the_next_one_and_ends_none)
{
    struct consumer one, two, three;

    open_with(2, 1, 60 * NS_PER_S);
    consumer_join(&one, &fixture, subscription_params_of(NULL));
    cr_assert_eq(consumer_try(&two, &fixture, subscription_params_of(NULL)), FAULT_TOO_MANY_SUBSCRIPTIONS);
    now.max_subscriptions = 2;
    publish_now();
    consumer_join(&two, &fixture, subscription_params_of(NULL));
    now.max_subscriptions = 1;
    publish_now();
    cr_assert_eq(consumer_try(&three, &fixture, subscription_params_of(NULL)), FAULT_TOO_MANY_SUBSCRIPTIONS);
    cr_assert_str_eq(three.fault.bound, "at most 1");
    publish(&fixture, "web", 2, "t");
    cr_assert_str_eq(consumer_read(&one), "web 1-2, web is ACTIVE\n");
    cr_assert_str_eq(consumer_read(&two), "web 1-2, web is ACTIVE\n");
    consumer_leave(&one);
    cr_assert_eq(consumer_try(&three, &fixture, subscription_params_of(NULL)), FAULT_TOO_MANY_SUBSCRIPTIONS,
                 "one is left, and one is the limit");
    consumer_leave(&two);
    consumer_join(&three, &fixture, subscription_params_of(NULL));
    consumer_leave(&three);
    hub_fixture_close(&fixture);
}

static bool one_left(void *ctx)
{
    (void)ctx;
    return count_get(COUNT_LIVE_PRODUCERS) == 1;
}

Test(hub_settings, a_longer_time_until_a_producer_is_forgotten_holds_for_idle_ones_too)
{
    open_with(2, 1, 20 * NS_PER_MS);
    publish(&fixture, "web", 1, "t");
    loop_turn(fixture.loop);
    now.transient_forget_ns = 3600 * NS_PER_S;
    publish_now();
    publish(&fixture, "late", 1, "t");
    for (int64_t until_ns = clock_mono_ns() + 60 * NS_PER_MS; clock_mono_ns() < until_ns;)
        loop_turn(fixture.loop);
    cr_assert_eq(count_get(COUNT_LIVE_PRODUCERS), 2, "both moments were moved");
    hub_fixture_close(&fixture);
}

Test(hub_settings, a_shorter_time_until_a_producer_is_forgotten_holds_for_the_next_idle_one)
{
    struct inlet *web;

    open_with(2, 1, 3600 * NS_PER_S);
    publish(&fixture, "web", 1, "t");
    loop_turn(fixture.loop);
    now.transient_forget_ns = NS_PER_MS;
    publish_now();
    publish(&fixture, "late", 1, "t");
    cr_assert(hub_fixture_until(&fixture, one_left, NULL));
    cr_assert_null(hub_inlet_find(fixture.hub, text_of("late"), "peer"));
    web = hub_inlet_find(fixture.hub, text_of("web"), "peer");
    cr_assert_not_null(web, "the hub still watches it for the old moment");
    inlet_leave(web);
    hub_fixture_close(&fixture);
}

Test(hub_settings, a_history_from_the_start_is_that_of_new_producers)
{
    struct consumer consumer;
    struct subscription_params params;

    open_with(2, 1, 60 * NS_PER_S);
    publish(&fixture, "old", 3, "t");
    now.history = true;
    publish_now();
    publish(&fixture, "old", 1, "t");
    publish(&fixture, "new", 3, "t");
    params = subscription_params_of(NULL);
    params.last = 10;
    consumer_join(&consumer, &fixture, params);
    const char *read = consumer_read(&consumer);
    cr_assert(strstr(read, "new 1-3"), "%s", read);
    cr_assert_null(strstr(read, "old 1"), "%s", read);
    cr_assert_null(strstr(read, "old 4"), "%s", read);
    consumer_leave(&consumer);
    hub_fixture_close(&fixture);
}
