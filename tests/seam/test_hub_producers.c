/* test_hub_producers.c - producers come, are forgotten, come again; names; limits; listing. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "base/counters.h"
#include "flow/chan_batch.h"
#include "flow/chan_report.h"
#include "seam/hub_fixture.h"

static bool none_left(void *ctx)
{
    (void)ctx;
    return count_get(COUNT_LIVE_PRODUCERS) == 0;
}

static bool one_left(void *ctx)
{
    (void)ctx;
    return count_get(COUNT_LIVE_PRODUCERS) == 1;
}

Test(hub_producers, a_silent_one_is_forgotten_after_its_last_event_was_delivered)
{
    struct hub_fixture fixture;
    struct consumer consumer;
    struct offer first, second;

    hub_fixture_settings.transient_forget_ns = 20 * NS_PER_MS;
    hub_fixture_open(&fixture);
    consumer_join(&consumer, &fixture, subscription_params_of(NULL));
    first = publish(&fixture, "web", 2, "t");
    cr_assert(hub_fixture_until(&fixture, none_left, NULL));
    loop_turn(fixture.loop); /* it is reported */
    second = publish(&fixture, "web", 1, "t");
    cr_assert_gt(second.epoch, first.epoch);
    cr_assert_eq(second.first_sequence, 1, "a new epoch counts from 1");
    /* A closed feed reports its last state only: that it was active was never reported. */
    cr_assert_str_eq(consumer_read(&consumer), "web 1-2, web 1-1, web is REMOVED, web is ACTIVE\n");
    cr_assert_eq(consumer.epoch, second.epoch);
    cr_assert(hub_fixture_until(&fixture, none_left, NULL));
    loop_turn(fixture.loop); /* it is reported */
    cr_assert_str_eq(consumer_read(&consumer), "web is REMOVED\n");
    cr_assert_eq(hub_fixture_logged(&fixture, "producer.added"), 2);
    cr_assert_eq(hub_fixture_logged(&fixture, "producer.removed"), 2);
    consumer_leave(&consumer);
    hub_fixture_close(&fixture);
}

Test(hub_producers, removed_is_reported_after_the_last_event_even_in_small_batches)
{
    struct hub_fixture fixture;
    struct consumer consumer;

    hub_fixture_settings.transient_forget_ns = 0;
    hub_fixture_open(&fixture);
    consumer_join(&consumer, &fixture, subscription_params_of(NULL));
    publish(&fixture, "web", 2, "t");
    cr_assert(hub_fixture_until(&fixture, none_left, NULL));
    loop_turn(fixture.loop); /* it is reported */
    cr_assert(chan_dequeue(consumer.chan, &consumer.batch, 1, 1 << 20, clock_mono_ns()));
    cr_assert_eq(chan_states(consumer.chan, 10, NULL, NULL), 0, "one event still waits");
    chan_delivered(consumer.chan, &consumer.batch);
    cr_assert_str_eq(consumer_read(&consumer), "web 2-2, web is REMOVED\n");
    consumer_leave(&consumer);
    hub_fixture_close(&fixture);
}

Test(hub_producers, one_with_an_open_call_is_never_forgotten)
{
    struct hub_fixture fixture;
    struct putter putter;

    hub_fixture_settings.transient_forget_ns = 5 * NS_PER_MS;
    hub_fixture_open(&fixture);
    putter_open(&putter, &fixture, "web");
    /* It becomes idle once, so the loop watches it. It is busy when the loop checks it, while
     * "api", which was watched later, goes. */
    putter_leave(&putter);
    putter_open(&putter, &fixture, "web");
    publish(&fixture, "api", 1, "t");
    cr_assert(hub_fixture_until(&fixture, one_left, NULL));
    cr_assert_eq(putter_put(&putter, sample_chunk(1, "t", 8)), ERR_OK);
    cr_assert_eq(hub_fixture_logged(&fixture, "producer.removed"), 1);
    putter_leave(&putter);
    cr_assert(hub_fixture_until(&fixture, none_left, NULL), "its last call makes the loop watch it again");
    hub_fixture_close(&fixture);
}

Test(hub_producers, each_call_postpones_forgetting)
{
    struct hub_fixture fixture;
    struct offer last = {0};
    int64_t asked_ns, before_ns = 0;
    uint64_t epoch = 0;
    int64_t until_ns;

    hub_fixture_settings.transient_forget_ns = 50 * NS_PER_MS;
    hub_fixture_open(&fixture);
    until_ns = clock_mono_ns() + 4 * hub_fixture_settings.transient_forget_ns;
    while ((asked_ns = clock_mono_ns()) < until_ns) {
        last = publish(&fixture, "web", 1, "t");
        /* A machine that was busy elsewhere for this long is excused. */
        cr_assert(epoch == 0 || last.epoch == epoch ||
                  asked_ns - before_ns > hub_fixture_settings.transient_forget_ns);
        epoch = last.epoch;
        before_ns = asked_ns;
        loop_turn(fixture.loop);
    }
    cr_assert_gt(last.last_sequence, 1);
    cr_assert(hub_fixture_until(&fixture, none_left, NULL));
    hub_fixture_close(&fixture);
}

Test(hub_producers, a_hub_may_be_freed_while_its_task_is_posted)
{
    struct hub_fixture fixture;

    hub_fixture_open(&fixture);
    publish(&fixture, "web", 1, "t");
    hub_fixture_close(&fixture);
}

Test(hub_producers, names_are_compared_whole_and_not_as_patterns)
{
    static const char *const names[] = {"web", "Web", "web ", "web/1", "*", "?", "w\xc3\xa9", "we"};
    struct hub_fixture fixture;
    struct consumer one, star;
    struct subscription_params params;

    hub_fixture_open(&fixture);
    params = subscription_params_of(NULL);
    filter_free(params.filter);
    params.filter = filter_of("web", NULL, NULL);
    consumer_join(&one, &fixture, params);
    consumer_join(&star, &fixture, subscription_params_of(NULL));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct offer offer = publish(&fixture, names[i], 1, "t");

        cr_assert_eq(offer.first_sequence, 1, "%s is a producer of its own", names[i]);
        cr_assert_eq(offer.matched, i == 0 ? 2 : 1);
    }
    cr_assert_str_eq(consumer_read(&one), "web 1-1, web is ACTIVE\n");
    cr_assert_null(hub_inlet_find(fixture.hub, text_of("w"), "peer"));
    cr_assert_null(hub_inlet_find(fixture.hub, (struct bytes){(const uint8_t *)"web\0", 4}, "peer"));
    consumer_leave(&one);
    consumer_leave(&star);
    hub_fixture_close(&fixture);
}

Test(hub_producers, the_limit_applies_to_new_names_only)
{
    struct hub_fixture fixture;
    struct putter putter;
    struct inlet *inlet = NULL;
    struct fault fault;

    hub_fixture_settings.max_producers = 2;
    hub_fixture_open(&fixture);
    publish(&fixture, "a", 1, "t");
    publish(&fixture, "b", 1, "t");
    cr_assert_eq(hub_inlet_open(fixture.hub, text_of("c"), "peer", NO_PEER, &inlet, &fault),
                 FAULT_TOO_MANY_PRODUCERS);
    cr_assert_null(inlet);
    cr_assert_str_eq(fault.bound, "at most 2");
    cr_assert_null(hub_inlet_find(fixture.hub, text_of("c"), "peer"));
    putter_open(&putter, &fixture, "b");
    putter_leave(&putter);
    cr_assert_eq(hub_fixture_logged(&fixture, "producer.added"), 2);
    hub_fixture_close(&fixture);
}

static void add_name(void *ctx, const struct producer_view *view)
{
    struct buf *names = ctx;

    if (names->size > 0)
        buf_byte(names, ' ');
    buf_bytes(names, view->name.data, view->name.size);
}

static const char *listed(struct hub_fixture *fixture, struct buf *names, const char *pattern,
                          const char *after, uint32_t max, bool more)
{
    struct hub_list list = {.pattern = text_of(pattern), .left = max};

    buf_clear(names);
    walk_name_set(&list.after, text_of(after));
    while (hub_producers(fixture->hub, &list, add_name, names))
        continue;
    cr_assert_eq(list.more, more);
    buf_byte(names, 0);
    return (const char *)names->data;
}

Test(hub_producers, producers_are_listed_in_order_a_page_at_a_time)
{
    struct hub_fixture fixture;
    struct buf names = {0};

    hub_fixture_open(&fixture);
    cr_assert_str_eq(listed(&fixture, &names, "", "", 10, false), "");
    publish(&fixture, "b", 1, "t");
    publish(&fixture, "ab", 1, "t");
    publish(&fixture, "a", 1, "t");
    publish(&fixture, "B", 1, "t");
    cr_assert_str_eq(listed(&fixture, &names, "", "", 10, false), "B a ab b");
    cr_assert_str_eq(listed(&fixture, &names, "", "", 4, false), "B a ab b", "the last page is full");
    cr_assert_str_eq(listed(&fixture, &names, "", "", 3, true), "B a ab");
    cr_assert_str_eq(listed(&fixture, &names, "", "ab", 3, false), "b");
    cr_assert_str_eq(listed(&fixture, &names, "", "aa", 1, true), "ab",
                     "a name that is gone still says where to go on");
    cr_assert_str_eq(listed(&fixture, &names, "a*", "", 1, true), "a");
    cr_assert_str_eq(listed(&fixture, &names, "a*", "a", 1, false), "ab");
    publish(&fixture, "aa", 1, "t");
    cr_assert_str_eq(listed(&fixture, &names, "a*", "", 10, false), "a aa ab");
    buf_fini(&names);
    hub_fixture_close(&fixture);
}

static void check_web(void *ctx, const struct producer_view *view)
{
    ++*(unsigned *)ctx;
    cr_assert_eq(view->open_calls, 2);
    cr_assert_eq(view->state, PRODUCER_ACTIVE);
    cr_assert_str_eq(view->peer, "other:2", "the last caller");
    cr_assert_eq(view->last_event_wall_ns, 0);
}

Test(hub_producers, a_producer_is_found_by_name_and_an_unknown_one_is_not)
{
    struct hub_fixture fixture;
    struct putter putter;
    struct fault fault;
    unsigned shown = 0;

    hub_fixture_open(&fixture);
    cr_assert_eq(hub_producer(fixture.hub, text_of("web"), check_web, &shown, &fault),
                 FAULT_PRODUCER_NOT_FOUND);
    cr_assert_str_eq(fault.value, "\"web\"");
    putter_open(&putter, &fixture, "web");
    cr_assert_eq(hub_inlet_find(fixture.hub, text_of("web"), "other:2"), putter.inlet);
    cr_assert_eq(hub_producer(fixture.hub, text_of("web"), check_web, &shown, &fault), FAULT_NONE);
    cr_assert_eq(shown, 1);
    inlet_leave(putter.inlet);
    putter_leave(&putter);
    hub_fixture_close(&fixture);
}

Test(hub_producers, ten_thousand_producers_come_and_go_and_nothing_grows)
{
    struct hub_fixture fixture;
    struct consumer consumers[20];

    hub_fixture_settings.max_producers = 200;
    hub_fixture_settings.max_subscriptions = 20;
    hub_fixture_settings.transient_forget_ns = 0;
    hub_fixture_open(&fixture);
    for (size_t i = 0; i < ARRAY_LEN(consumers); i++)
        consumer_join(&consumers[i], &fixture, subscription_params_of(NULL));
    for (unsigned round = 0; round < 100; round++) {
        for (unsigned i = 0; i < 100; i++) {
            char name[32];

            snprintf(name, sizeof(name), "producer %u of %u", i, round);
            cr_assert_eq(publish(&fixture, name, 1, "t").matched, ARRAY_LEN(consumers));
        }
        cr_assert_eq(count_get(COUNT_LIVE_ROUTES), 100 * (int64_t)ARRAY_LEN(consumers));
        cr_assert(hub_fixture_until(&fixture, none_left, NULL));
        for (size_t i = 0; i < ARRAY_LEN(consumers); i++)
            consumer_read(&consumers[i]);
        cr_assert_eq(count_get(COUNT_LIVE_ROUTES), 0);
        cr_assert_eq(count_get(COUNT_LIVE_CHUNKS), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(consumers); i++)
        consumer_leave(&consumers[i]);
    cr_assert_eq(count_get(COUNT_EVENTS_IN), 10000);
    hub_fixture_close(&fixture);
}
