/* test_hub_producers.c - producers come, are forgotten, come again; names; limits; listing. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "base/counters.h"
#include "seam/bench.h"

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

Test(hub_producers, one_that_is_silent_is_forgotten_after_its_last_event_was_delivered)
{
    struct bench bench;
    struct consumer consumer;
    struct offer first, second;

    bench_limits.transient_forget_ns = 20 * NS_PER_MS;
    bench_open(&bench);
    consumer_join(&consumer, &bench, wish_of(NULL));
    first = publish(&bench, "web", 2, "t");
    cr_assert(bench_until(&bench, none_left, NULL));
    second = publish(&bench, "web", 1, "t");
    cr_assert_gt(second.epoch, first.epoch);
    cr_assert_eq(second.first_sequence, 1, "a new epoch counts from 1");
    /* A closed feed's one state is its last: it was never told that it was active. */
    cr_assert_str_eq(consumer_read(&consumer), "web 1-2, web 1-1, web is REMOVED, web is ACTIVE\n");
    cr_assert_eq(consumer.epoch, second.epoch);
    cr_assert(bench_until(&bench, none_left, NULL));
    cr_assert_str_eq(consumer_read(&consumer), "web is REMOVED\n");
    cr_assert_eq(bench_logged(&bench, "producer.added"), 2);
    cr_assert_eq(bench_logged(&bench, "producer.removed"), 2);
    consumer_leave(&consumer);
    bench_close(&bench);
}

Test(hub_producers, removed_is_told_after_the_last_event_even_where_batches_are_small)
{
    struct bench bench;
    struct consumer consumer;

    bench_limits.transient_forget_ns = 0;
    bench_open(&bench);
    consumer_join(&consumer, &bench, wish_of(NULL));
    publish(&bench, "web", 2, "t");
    cr_assert(bench_until(&bench, none_left, NULL));
    cr_assert(chan_dequeue(consumer.chan, &consumer.batch, 1, 1 << 20, clock_mono_ns()));
    cr_assert_eq(chan_states(consumer.chan, 10, NULL, NULL), 0, "one event still waits");
    chan_delivered(consumer.chan, &consumer.batch);
    cr_assert_str_eq(consumer_read(&consumer), "web 2-2, web is REMOVED\n");
    consumer_leave(&consumer);
    bench_close(&bench);
}

Test(hub_producers, one_with_an_open_call_is_never_forgotten)
{
    struct bench bench;
    struct putter putter;

    bench_limits.transient_forget_ns = 5 * NS_PER_MS;
    bench_open(&bench);
    putter_open(&putter, &bench, "web");
    /* It falls idle once, so the loop watches it, and is busy when the loop looks: "api" is watched
     * after it, and goes. */
    putter_leave(&putter);
    putter_open(&putter, &bench, "web");
    publish(&bench, "api", 1, "t");
    cr_assert(bench_until(&bench, one_left, NULL));
    cr_assert_eq(putter_put(&putter, sample_chunk(1, "t", 8)), ERR_OK);
    cr_assert_eq(bench_logged(&bench, "producer.removed"), 1);
    putter_leave(&putter);
    cr_assert(bench_until(&bench, none_left, NULL), "its last call brings it back under watch");
    bench_close(&bench);
}

Test(hub_producers, every_call_puts_off_being_forgotten)
{
    struct bench bench;
    struct offer last = {0};
    int64_t asked_ns, before_ns = 0;
    uint64_t epoch = 0;
    int64_t until_ns;

    bench_limits.transient_forget_ns = 50 * NS_PER_MS;
    bench_open(&bench);
    until_ns = clock_mono_ns() + 4 * bench_limits.transient_forget_ns;
    while ((asked_ns = clock_mono_ns()) < until_ns) {
        last = publish(&bench, "web", 1, "t");
        /* A machine that was busy elsewhere for so long is excused. */
        cr_assert(epoch == 0 || last.epoch == epoch ||
                  asked_ns - before_ns > bench_limits.transient_forget_ns);
        epoch = last.epoch;
        before_ns = asked_ns;
        loop_turn(bench.loop);
    }
    cr_assert_gt(last.last_sequence, 1);
    cr_assert(bench_until(&bench, none_left, NULL));
    bench_close(&bench);
}

Test(hub_producers, a_hub_may_go_while_the_loop_still_has_its_post)
{
    struct bench bench;

    bench_open(&bench);
    publish(&bench, "web", 1, "t");
    bench_close(&bench);
}

Test(hub_producers, names_are_compared_whole_and_are_no_patterns)
{
    static const char *const names[] = {"web", "Web", "web ", "web/1", "*", "?", "w\xc3\xa9", "we"};
    struct bench bench;
    struct consumer one, star;
    struct subscription_params params;

    bench_open(&bench);
    params = wish_of(NULL);
    filter_free(params.filter);
    params.filter = filter_of("web", NULL, NULL);
    consumer_join(&one, &bench, params);
    consumer_join(&star, &bench, wish_of(NULL));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct offer offer = publish(&bench, names[i], 1, "t");

        cr_assert_eq(offer.first_sequence, 1, "%s is a producer of its own", names[i]);
        cr_assert_eq(offer.matched, i == 0 ? 2 : 1);
    }
    cr_assert_str_eq(consumer_read(&one), "web 1-1, web is ACTIVE\n");
    cr_assert_null(hub_inlet_find(bench.hub, text_of("w"), "peer"));
    cr_assert_null(hub_inlet_find(bench.hub, (struct bytes){(const uint8_t *)"web\0", 4}, "peer"));
    consumer_leave(&one);
    consumer_leave(&star);
    bench_close(&bench);
}

Test(hub_producers, the_limit_is_reached_by_new_names_only)
{
    struct bench bench;
    struct putter putter;
    struct inlet *inlet = NULL;
    struct fault fault;

    bench_limits.max_producers = 2;
    bench_open(&bench);
    publish(&bench, "a", 1, "t");
    publish(&bench, "b", 1, "t");
    cr_assert_eq(hub_inlet_open(bench.hub, text_of("c"), "peer", &inlet, &fault), FAULT_TOO_MANY_PRODUCERS);
    cr_assert_null(inlet);
    cr_assert_str_eq(fault.bound, "at most 2");
    cr_assert_null(hub_inlet_find(bench.hub, text_of("c"), "peer"));
    putter_open(&putter, &bench, "b");
    putter_leave(&putter);
    cr_assert_eq(bench_logged(&bench, "producer.added"), 2);
    bench_close(&bench);
}

static void add_name(void *ctx, const struct producer_view *view)
{
    struct buf *names = ctx;

    if (names->size > 0)
        buf_byte(names, ' ');
    buf_bytes(names, view->name.data, view->name.size);
}

static const char *listed(struct bench *bench, struct buf *names, const char *pattern, const char *after,
                          uint32_t max, bool more)
{
    buf_clear(names);
    cr_assert_eq(hub_producers(bench->hub, text_of(pattern), text_of(after), max, add_name, names), more);
    buf_byte(names, 0);
    return (const char *)names->data;
}

Test(hub_producers, are_listed_in_order_a_page_at_a_time)
{
    struct bench bench;
    struct buf names = {0};

    bench_open(&bench);
    cr_assert_str_eq(listed(&bench, &names, "", "", 10, false), "");
    publish(&bench, "b", 1, "t");
    publish(&bench, "ab", 1, "t");
    publish(&bench, "a", 1, "t");
    publish(&bench, "B", 1, "t");
    cr_assert_str_eq(listed(&bench, &names, "", "", 10, false), "B a ab b");
    cr_assert_str_eq(listed(&bench, &names, "", "", 4, false), "B a ab b", "the last page is full");
    cr_assert_str_eq(listed(&bench, &names, "", "", 3, true), "B a ab");
    cr_assert_str_eq(listed(&bench, &names, "", "ab", 3, false), "b");
    cr_assert_str_eq(listed(&bench, &names, "", "aa", 1, true), "ab",
                     "what is gone meanwhile still says where to go on");
    cr_assert_str_eq(listed(&bench, &names, "a*", "", 1, true), "a");
    cr_assert_str_eq(listed(&bench, &names, "a*", "a", 1, false), "ab");
    publish(&bench, "aa", 1, "t");
    cr_assert_str_eq(listed(&bench, &names, "a*", "", 10, false), "a aa ab");
    buf_fini(&names);
    bench_close(&bench);
}

static void check_web(void *ctx, const struct producer_view *view)
{
    ++*(unsigned *)ctx;
    cr_assert_eq(view->open_calls, 2);
    cr_assert_eq(view->state, PRODUCER_ACTIVE);
    cr_assert_str_eq(view->peer, "other:2", "the last caller");
    cr_assert_eq(view->last_event_wall_ns, 0);
}

Test(hub_producers, one_is_shown_by_name_and_an_unknown_one_is_not_found)
{
    struct bench bench;
    struct putter putter;
    struct fault fault;
    unsigned shown = 0;

    bench_open(&bench);
    cr_assert_eq(hub_producer(bench.hub, text_of("web"), check_web, &shown, &fault),
                 FAULT_PRODUCER_NOT_FOUND);
    cr_assert_str_eq(fault.value, "\"web\"");
    putter_open(&putter, &bench, "web");
    cr_assert_eq(hub_inlet_find(bench.hub, text_of("web"), "other:2"), putter.inlet);
    cr_assert_eq(hub_producer(bench.hub, text_of("web"), check_web, &shown, &fault), FAULT_NONE);
    cr_assert_eq(shown, 1);
    inlet_leave(putter.inlet);
    putter_leave(&putter);
    bench_close(&bench);
}

Test(hub_producers, ten_thousand_come_and_go_and_nothing_grows)
{
    struct bench bench;
    struct consumer consumers[20];

    bench_limits =
        (struct hub_limits){.max_producers = 200, .max_subscriptions = 20, .transient_forget_ns = 0};
    bench_open(&bench);
    for (size_t i = 0; i < ARRAY_LEN(consumers); i++)
        consumer_join(&consumers[i], &bench, wish_of(NULL));
    for (unsigned round = 0; round < 100; round++) {
        for (unsigned i = 0; i < 100; i++) {
            char name[32];

            snprintf(name, sizeof(name), "producer %u of %u", i, round);
            cr_assert_eq(publish(&bench, name, 1, "t").matched, ARRAY_LEN(consumers));
        }
        cr_assert_eq(count_get(COUNT_LIVE_ROUTES), 100 * (int64_t)ARRAY_LEN(consumers));
        cr_assert(bench_until(&bench, none_left, NULL));
        for (size_t i = 0; i < ARRAY_LEN(consumers); i++)
            consumer_read(&consumers[i]);
        cr_assert_eq(count_get(COUNT_LIVE_ROUTES), 0);
        cr_assert_eq(count_get(COUNT_LIVE_CHUNKS), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(consumers); i++)
        consumer_leave(&consumers[i]);
    cr_assert_eq(count_get(COUNT_EVENTS_IN), 10000);
    bench_close(&bench);
}
