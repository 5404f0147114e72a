/* test_kept_memory.c - what the requests and filters of a peer's subscriptions may keep
 * (finding 10). */
#include <stdio.h>

#include <criterion/criterion.h>

#include "base/budget.h"
#include "event/filter.h"
#include "hub_fixture.h"
#include "seam/fake_session.h"

static const struct peer_key one = {PEER_IPV4, 0xC0000201}, other = {PEER_IPV4, 0xC0000202},
                             third = {PEER_IPV4, 0xC0000203};

static struct hub_fixture fixture;
static size_t unit; /* what one filter of these tests keeps */

/* All peers may keep four filters, and one of them two. */
static void open_hub(void)
{
    struct filter *filter = filter_of("*", "t", NULL);

    unit = filter_bytes(filter);
    filter_free(filter);
    hub_fixture_open(&fixture);
    budget_set(8 * unit);
}

static void close_hub(void)
{
    hub_fixture_close(&fixture);
    cr_assert_eq(budget_used(), 0);
    budget_set(0);
}

TestSuite(kept_memory, .init = open_hub, .fini = close_hub);

static struct subscription_params consumer_of_peer(struct peer_key peer)
{
    struct subscription_params params = subscription_params_of("t");

    params.peer_key = peer;
    return params;
}

Test(kept_memory, a_peer_that_keeps_its_share_gets_no_more_and_others_do)
{
    struct consumer a, b, refused, of_other;
    char bound[96];

    consumer_join(&a, &fixture, consumer_of_peer(one));
    consumer_join(&b, &fixture, consumer_of_peer(one));
    cr_assert_eq(consumer_try(&refused, &fixture, consumer_of_peer(one)), FAULT_MEMORY_BUDGET);
    snprintf(bound, sizeof(bound), "192.0.2.1 keeps %zu bytes, at most %zu", 2 * unit, 2 * unit);
    cr_assert_str_eq(refused.fault.bound, bound);
    cr_assert_str_eq(refused.fault.field, "selectors");
    consumer_join(&of_other, &fixture, consumer_of_peer(other));
    consumer_leave(&a);
    consumer_join(&a, &fixture, consumer_of_peer(one));
    consumer_leave(&a);
    consumer_leave(&b);
    consumer_leave(&of_other);
}

/* Finding 9. */
Test(kept_memory, a_request_counts_as_well)
{
    struct subscription_params params = consumer_of_peer(one);
    struct consumer consumer;
    uint8_t request[4096] = {0};

    params.request = (struct bytes){request, unit + 1};
    cr_assert_leq(unit, sizeof(request));
    cr_assert_eq(consumer_try(&consumer, &fixture, params), FAULT_MEMORY_BUDGET);
}

Test(kept_memory, all_peers_together_leave_half_of_the_budget)
{
    struct consumer consumers[4], refused;

    for (size_t i = 0; i < ARRAY_LEN(consumers); i++)
        consumer_join(&consumers[i], &fixture, consumer_of_peer(i < 2 ? one : other));
    cr_assert_eq(consumer_try(&refused, &fixture, consumer_of_peer(third)), FAULT_MEMORY_BUDGET);
    for (size_t i = 0; i < ARRAY_LEN(consumers); i++)
        consumer_leave(&consumers[i]);
}

Test(kept_memory, another_filter_counts_beside_the_present_one_until_it_holds)
{
    struct consumer a, b;
    struct filter *filter = filter_of("*", "u", NULL);
    struct fault fault;

    consumer_join(&a, &fixture, consumer_of_peer(one));
    cr_assert_eq(hub_select(a.subscription, filter, &fault), 1);
    consumer_join(&b, &fixture, consumer_of_peer(one));
    filter = filter_of("*", "v", NULL);
    cr_assert_eq(hub_select(a.subscription, filter, &fault), 0);
    cr_assert_eq(fault.reason, FAULT_MEMORY_BUDGET);
    filter_free(filter);
    consumer_leave(&b);
    filter = filter_of("*", "v", NULL);
    cr_assert_eq(hub_select(a.subscription, filter, &fault), 2);
    consumer_leave(&a);
}

/* Routes count as well. The consumer that wants a new producer pays for the route, not the
 * producer. */
Test(kept_memory, a_consumer_for_whose_route_there_is_no_space_ends_and_the_producer_goes_on)
{
    struct consumer poor, rich;
    struct putter putters[8];
    size_t opened = 0;
    char name[2] = "a";

    budget_set(1 << 20);
    consumer_join(&rich, &fixture, consumer_of_peer(other));
    budget_set(8 * unit);
    consumer_join(&poor, &fixture, consumer_of_peer(one));
    while (poor.aborts == 0 && opened < ARRAY_LEN(putters)) {
        putter_open(&putters[opened++], &fixture, name);
        name[0]++;
        loop_turn(fixture.loop);
    }
    cr_assert_eq(poor.aborts, 1);
    for (size_t i = 0; i < opened; i++)
        putter_leave(&putters[i]);
    consumer_leave(&poor);
    consumer_leave(&rich);
}

/* A session whose label takes `bytes`. */
static struct session_params session_of_bytes(struct peer_key peer, const char *name, size_t bytes)
{
    static uint8_t value[4096];
    static struct pair label;
    struct session_params params = fake_session_params(name, SESSION_SHARED);

    label = (struct pair){text_of("k"), {value, bytes - sizeof(struct pair) - 1}};
    params.labels = &label;
    params.label_count = 1;
    params.peer_key = peer;
    return params;
}

Test(kept_memory, the_labels_of_sessions_have_an_eighth_of_the_budget_and_a_peer_its_share)
{
    struct fake_session a = {0}, again = {0}, refused = {0}, of_other = {0}, of_third = {0};

    budget_set(8000);
    fake_session_join(&a, &fixture, session_of_bytes(one, "a", 400));
    cr_assert_eq(fake_session_try(&refused, &fixture, session_of_bytes(one, "b", 400)), FAULT_MEMORY_BUDGET);
    cr_assert_str_eq(refused.fault.bound, "192.0.2.1 keeps 400 bytes, at most 500");
    fake_session_join(&again, &fixture, session_of_bytes(one, "a", 400));
    fake_session_join(&of_other, &fixture, session_of_bytes(other, "b", 400));
    cr_assert_eq(fake_session_try(&refused, &fixture, session_of_bytes(third, "c", 400)),
                 FAULT_MEMORY_BUDGET);
    cr_assert_str_eq(refused.fault.bound, "all keep 800 bytes, at most 1000");
    fake_session_leave(&of_other, FAULT_NONE);
    fake_session_join(&of_third, &fixture, session_of_bytes(third, "c", 400));
    fake_session_leave(&a, FAULT_NONE);
    fake_session_leave(&again, FAULT_NONE);
    fake_session_leave(&of_third, FAULT_NONE);
    fake_session_fini(&a);
    fake_session_fini(&again);
    fake_session_fini(&of_other);
    fake_session_fini(&of_third);
}
