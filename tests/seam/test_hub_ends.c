/* test_hub_ends.c - every ending of a subscription, gentle and hard, and the end of the whole. */
#include <criterion/criterion.h>

#include "base/counters.h"
#include "flow/chan_stats.h"
#include "seam/hub_fixture.h"

static struct bytes id_of(const struct consumer *consumer)
{
    return text_of(consumer->result.id);
}

static enum fault_reason finish(struct consumer *consumer, int64_t drain_ns)
{
    struct fault fault;

    return hub_finish(consumer->fixture->hub, id_of(consumer), CLOSING_FINISHED, drain_ns, &fault);
}

static bool closed(void *ctx)
{
    return chan_state(((struct consumer *)ctx)->chan) == CHAN_CLOSED;
}

Test(hub_ends, finish_delivers_what_waits_and_accepts_nothing_more)
{
    struct hub_fixture fixture;
    struct consumer consumer;
    int64_t before_ns = clock_mono_ns();

    hub_fixture_open(&fixture);
    consumer_join(&consumer, &fixture, subscription_params_of(NULL));
    publish(&fixture, "web", 2, "t");
    cr_assert_eq(finish(&consumer, 3600 * NS_PER_S), FAULT_NONE);
    cr_assert_eq(consumer.closings, 1);
    cr_assert_eq(consumer.closing, CLOSING_FINISHED);
    cr_assert_geq(consumer.deadline_ns, before_ns + 3600 * NS_PER_S);
    cr_assert_eq(chan_state(consumer.chan), CHAN_DRAINING);
    cr_assert_eq(count_get(COUNT_LIVE_ROUTES), 0);
    cr_assert_eq(publish(&fixture, "web", 1, "t").matched, 0);
    cr_assert_eq(publish(&fixture, "api", 1, "t").matched, 0, "new producers are not for it");
    cr_assert_str_eq(consumer_read(&consumer), "web 1-2, web is ACTIVE\n");
    cr_assert(chan_idle(consumer.chan));
    cr_assert_eq(consumer.aborts, 0);
    consumer_leave(&consumer);
    cr_assert_eq(hub_fixture_logged(&fixture, "subscription.added"), 1);
    cr_assert_eq(hub_fixture_logged(&fixture, "subscription.draining"), 1);
    cr_assert_eq(hub_fixture_logged(&fixture, "subscription.ended"), 1);
    hub_fixture_close(&fixture);
}

Test(hub_ends, finish_is_idempotent_and_a_deadline_only_gets_nearer)
{
    struct hub_fixture fixture;
    struct consumer consumer;

    hub_fixture_open(&fixture);
    consumer_join(&consumer, &fixture, subscription_params_of(NULL));
    publish(&fixture, "web", 2, "t");
    cr_assert_eq(finish(&consumer, 3600 * NS_PER_S), FAULT_NONE);
    cr_assert_eq(finish(&consumer, INT64_MAX), FAULT_NONE);
    cr_assert_eq(chan_state(consumer.chan), CHAN_DRAINING);
    cr_assert_eq(finish(&consumer, 10 * NS_PER_MS), FAULT_NONE);
    cr_assert_eq(consumer.closings, 1, "once");
    cr_assert(hub_fixture_until(&fixture, closed, &consumer));
    cr_assert_eq(finish(&consumer, 0), FAULT_NONE);
    cr_assert_str_eq(consumer_read(&consumer), "lost web 2 1-2 DRAIN_CUT, web is ACTIVE\n");
    cr_assert_eq(consumer.aborts, 0, "the taker sees the channel's end");
    consumer_leave(&consumer);
    cr_assert_eq(hub_fixture_logged(&fixture, "subscription.draining"), 1);
    hub_fixture_close(&fixture);
}

Test(hub_ends, a_drain_of_no_time_delivers_nothing)
{
    struct hub_fixture fixture;
    struct consumer consumer;

    hub_fixture_open(&fixture);
    consumer_join(&consumer, &fixture, subscription_params_of(NULL));
    publish(&fixture, "web", 2, "t");
    cr_assert_eq(finish(&consumer, 0), FAULT_NONE);
    cr_assert_eq(consumer.closings, 1);
    cr_assert_eq(chan_state(consumer.chan), CHAN_CLOSED);
    cr_assert_str_eq(consumer_read(&consumer), "lost web 2 1-2 DRAIN_CUT, web is ACTIVE\n");
    consumer_leave(&consumer);
    hub_fixture_close(&fixture);
}

Test(hub_ends, a_drain_admits_what_a_blocking_channel_parked)
{
    struct hub_fixture fixture;
    struct consumer consumer;
    struct subscription_params params = subscription_params_of(NULL);
    struct putter putter;

    params.limits.max_events = 1;
    params.limits.overflow = OVERFLOW_BLOCK;
    params.limits.block_timeout_ns = 3600 * NS_PER_S;
    hub_fixture_open(&fixture);
    consumer_join(&consumer, &fixture, params);
    putter_open(&putter, &fixture, "web");
    cr_assert_eq(putter_put(&putter, sample_chunk(3, "t", 8)), ERR_AGAIN);
    cr_assert_eq(finish(&consumer, 3600 * NS_PER_S), FAULT_NONE);
    cr_assert_eq(putter.over, 1);
    cr_assert_eq(putter_put(&putter, sample_chunk(1, "t", 8)), ERR_OK);
    putter_leave(&putter);
    cr_assert_str_eq(consumer_read(&consumer), "web 1-1, web 2-3, web is ACTIVE\n");
    consumer_leave(&consumer);
    hub_fixture_close(&fixture);
}

Test(hub_ends, disconnect_aborts_at_once_and_gives_the_reason)
{
    struct hub_fixture fixture;
    struct consumer consumer;
    struct fault fault;
    struct chan_stats stats;

    hub_fixture_open(&fixture);
    consumer_join(&consumer, &fixture, subscription_params_of(NULL));
    publish(&fixture, "web", 2, "t");
    cr_assert_eq(hub_disconnect(fixture.hub, id_of(&consumer), text_of("go\naway"), &fault), FAULT_NONE);
    cr_assert_eq(consumer.aborts, 1);
    cr_assert_eq(consumer.closings, 0);
    cr_assert_eq(consumer.fault.reason, FAULT_KICKED);
    cr_assert_str_eq(consumer.fault.bound, "\"go\\naway\"");
    cr_assert_eq(chan_state(consumer.chan), CHAN_CLOSED);
    chan_stats(consumer.chan, &stats);
    cr_assert_eq(stats.dropped[LOSS_CONSUMER_GONE].events, 2);
    cr_assert_eq(hub_disconnect(fixture.hub, id_of(&consumer), text_of(""), &fault), FAULT_NONE);
    cr_assert_eq(finish(&consumer, NS_PER_S), FAULT_NONE, "known until it is unsubscribed");
    cr_assert_eq(consumer.aborts, 1);
    cr_assert_eq(consumer.closings, 0);
    consumer_leave(&consumer);
    hub_fixture_close(&fixture);
}

Test(hub_ends, disconnect_wins_over_a_drain)
{
    struct hub_fixture fixture;
    struct consumer consumer;
    struct fault fault;

    hub_fixture_open(&fixture);
    consumer_join(&consumer, &fixture, subscription_params_of(NULL));
    cr_assert_eq(finish(&consumer, 3600 * NS_PER_S), FAULT_NONE);
    cr_assert_eq(hub_disconnect(fixture.hub, id_of(&consumer), text_of(""), &fault), FAULT_NONE);
    cr_assert_eq(consumer.closings, 1);
    cr_assert_eq(consumer.aborts, 1);
    cr_assert_str_eq(consumer.fault.bound, "");
    consumer_leave(&consumer);
    hub_fixture_close(&fixture);
}

Test(hub_ends, an_unknown_id_is_not_found)
{
    struct hub_fixture fixture;
    struct consumer consumer;
    struct fault fault;

    hub_fixture_open(&fixture);
    consumer_join(&consumer, &fixture, subscription_params_of(NULL));
    cr_assert_eq(hub_finish(fixture.hub, text_of("s0"), CLOSING_FINISHED, 0, &fault),
                 FAULT_SUBSCRIPTION_NOT_FOUND);
    cr_assert_str_eq(fault.field, "subscription_id");
    cr_assert_eq(hub_disconnect(fixture.hub, text_of(""), text_of("x"), &fault),
                 FAULT_SUBSCRIPTION_NOT_FOUND);
    cr_assert_eq(consumer.aborts + consumer.closings, 0);
    consumer_leave(&consumer);
    cr_assert_eq(hub_finish(fixture.hub, text_of(consumer.result.id), CLOSING_FINISHED, 0, &fault),
                 FAULT_SUBSCRIPTION_NOT_FOUND);
    hub_fixture_close(&fixture);
}

Test(hub_ends, a_port_may_unsubscribe_from_within)
{
    struct hub_fixture fixture;
    struct consumer finished, kicked, drained;
    struct fault fault;

    hub_fixture_open(&fixture);
    consumer_join(&finished, &fixture, subscription_params_of(NULL));
    consumer_join(&kicked, &fixture, subscription_params_of(NULL));
    consumer_join(&drained, &fixture, subscription_params_of(NULL));
    publish(&fixture, "web", 2, "t");
    finished.leaves = kicked.leaves = drained.leaves = true;
    cr_assert_eq(finish(&finished, NS_PER_S), FAULT_NONE);
    cr_assert_null(finished.subscription);
    cr_assert_eq(hub_disconnect(fixture.hub, id_of(&kicked), text_of("x"), &fault), FAULT_NONE);
    cr_assert_null(kicked.subscription);
    hub_drain(fixture.hub, NS_PER_S, hub_fixture_emptied, &fixture);
    cr_assert_null(drained.subscription);
    cr_assert_eq(fixture.emptied, 1);
    cr_assert_eq(hub_fixture_logged(&fixture, "subscription.ended"), 3);
    hub_fixture_close(&fixture);
}

Test(hub_ends, a_drain_of_the_hub_refuses_all_and_notifies_when_it_is_empty)
{
    struct hub_fixture fixture;
    struct consumer a, b, late;
    struct putter putter;
    struct inlet *inlet = NULL;
    struct fault fault;

    hub_fixture_open(&fixture);
    consumer_join(&a, &fixture, subscription_params_of(NULL));
    consumer_join(&b, &fixture, subscription_params_of(NULL));
    putter_open(&putter, &fixture, "web");
    cr_assert_eq(putter_put(&putter, sample_chunk(2, "t", 8)), ERR_OK);
    cr_assert(!hub_draining(fixture.hub));
    hub_drain(fixture.hub, 3600 * NS_PER_S, hub_fixture_emptied, &fixture);
    cr_assert(hub_draining(fixture.hub));
    cr_assert_eq(a.closing, CLOSING_SERVER_DRAINING);
    cr_assert_eq(b.closings, 1);

    cr_assert_eq(putter_put(&putter, sample_chunk(1, "t", 8)), ERR_CLOSED);
    cr_assert_eq(putter.offer.last_sequence, 2, "nothing was numbered");
    cr_assert_eq(hub_inlet_open(fixture.hub, text_of("new"), "peer", NO_PEER, &inlet, &fault),
                 FAULT_DRAINING);
    cr_assert_eq(consumer_try(&late, &fixture, subscription_params_of(NULL)), FAULT_DRAINING);
    cr_assert_str_eq(consumer_read(&a), "web 1-2, web is ACTIVE\n");
    consumer_leave(&a);
    cr_assert_eq(fixture.emptied, 0);
    hub_drain(fixture.hub, 0, hub_fixture_emptied, &fixture);
    cr_assert_str_eq(consumer_read(&b), "lost web 2 1-2 DRAIN_CUT, web is ACTIVE\n",
                     "a second drain brings the deadline nearer");
    consumer_leave(&b);
    cr_assert_eq(fixture.emptied, 1);
    putter_leave(&putter);
    cr_assert_eq(hub_fixture_logged(&fixture, "hub.draining"), 1);
    hub_fixture_close(&fixture);
}

Test(hub_ends, a_drain_of_an_empty_hub_notifies_at_once)
{
    struct hub_fixture fixture;

    hub_fixture_open(&fixture);
    hub_drain(fixture.hub, NS_PER_S, hub_fixture_emptied, &fixture);
    cr_assert_eq(fixture.emptied, 1);
    hub_drain(fixture.hub, NS_PER_S, hub_fixture_emptied, &fixture);
    cr_assert_eq(fixture.emptied, 1, "once");
    hub_fixture_close(&fixture);
}

Test(hub_ends, a_server_drain_keeps_the_reason_of_an_earlier_finish)
{
    struct hub_fixture fixture;
    struct consumer consumer;

    hub_fixture_open(&fixture);
    consumer_join(&consumer, &fixture, subscription_params_of(NULL));
    publish(&fixture, "web", 1, "t");
    cr_assert_eq(finish(&consumer, 3600 * NS_PER_S), FAULT_NONE);
    hub_drain(fixture.hub, 0, hub_fixture_emptied, &fixture);
    cr_assert_eq(consumer.closing, CLOSING_FINISHED);
    cr_assert_eq(consumer.closings, 1);
    cr_assert_eq(chan_state(consumer.chan), CHAN_CLOSED);
    consumer_leave(&consumer);
    cr_assert_eq(fixture.emptied, 1);
    hub_fixture_close(&fixture);
}

Test(hub_ends, subscriptions_are_bounded_and_a_refused_one_leaves_nothing)
{
    struct hub_fixture fixture;
    struct consumer one, two;

    hub_fixture_settings.max_subscriptions = 1;
    hub_fixture_open(&fixture);
    publish(&fixture, "web", 1, "t");
    consumer_join(&one, &fixture, subscription_params_of(NULL));
    cr_assert_eq(consumer_try(&two, &fixture, subscription_params_of(NULL)), FAULT_TOO_MANY_SUBSCRIPTIONS);
    cr_assert_str_eq(two.fault.bound, "at most 1");
    cr_assert_eq(count_get(COUNT_LIVE_ROUTES), 1);
    consumer_leave(&one);
    consumer_join(&two, &fixture, subscription_params_of(NULL));
    consumer_leave(&two);
    cr_assert_eq(hub_fixture_logged(&fixture, "subscription.added"), 2);
    hub_fixture_close(&fixture);
}

struct page {
    struct consumer *seen[8];
    unsigned count;
    bool draining;
    uint32_t producers;
};

static void add_to_page(void *ctx, const struct subscription_view *view)
{
    struct page *page = ctx;
    struct consumer *consumer = view->ctx;

    cr_assert_str_eq(view->id, consumer->result.id);
    cr_assert_str_eq(view->peer, "consumer:1");
    cr_assert_eq(view->name.size, sizeof("a consumer") - 1);
    cr_assert_eq(view->chan, consumer->chan);
    cr_assert_eq(view->limits->max_events, 1024);
    page->draining = view->draining;
    page->producers = view->producers_matched;
    page->seen[page->count++] = consumer;
}

/* Returns whether more follow. */
static bool add_page(struct hub *hub, struct bytes after, uint32_t max, struct page *page)
{
    struct hub_list list = {.left = max};

    walk_name_set(&list.after, after);
    while (hub_subscriptions(hub, &list, add_to_page, page))
        continue;
    return list.more;
}

Test(hub_ends, subscriptions_are_listed_in_the_order_of_their_beginning)
{
    struct hub_fixture fixture;
    struct consumer consumers[3];
    struct page page = {0};
    struct fault fault;

    hub_fixture_open(&fixture);
    publish(&fixture, "web", 1, "t");
    for (size_t i = 0; i < ARRAY_LEN(consumers); i++)
        consumer_join(&consumers[i], &fixture, subscription_params_of(NULL));
    cr_assert(add_page(fixture.hub, text_of(""), 2, &page));
    cr_assert(page.count == 2 && page.seen[0] == &consumers[0] && page.seen[1] == &consumers[1]);
    consumer_leave(&consumers[1]);
    cr_assert(!add_page(fixture.hub, id_of(&consumers[1]), 2, &page));
    cr_assert(page.count == 3 && page.seen[2] == &consumers[2]);
    cr_assert_eq(page.producers, 1);
    cr_assert(!page.draining);
    cr_assert_eq(finish(&consumers[2], NS_PER_S), FAULT_NONE);
    cr_assert_eq(hub_subscription(fixture.hub, id_of(&consumers[2]), add_to_page, &page, &fault), FAULT_NONE);
    cr_assert(page.count == 4 && page.draining);
    cr_assert_eq(hub_subscription(fixture.hub, id_of(&consumers[1]), add_to_page, &page, &fault),
                 FAULT_SUBSCRIPTION_NOT_FOUND);
    consumer_leave(&consumers[0]);
    consumer_leave(&consumers[2]);
    hub_fixture_close(&fixture);
}
