/* test_hub_routing.c - which consumer gets what: merging, filters, runs, and what a blocking
 * channel does to the others. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "base/counters.h"
#include "flow/chan_batch.h"
#include "hub/positions.h"
#include "seam/hub_fixture.h"

Test(hub_routing, two_producers_merge_into_one_stream)
{
    struct hub_fixture fixture;
    struct consumer consumer;
    struct offer offer;

    hub_fixture_open(&fixture);
    consumer_join(&consumer, &fixture, subscription_params_of(NULL));
    cr_assert_eq(consumer.result.producers_matched, 0);
    offer = publish(&fixture, "web", 3, "t");
    cr_assert_eq(offer.first_sequence, 1);
    cr_assert_eq(offer.last_sequence, 3);
    cr_assert_eq(offer.matched, 1);
    publish(&fixture, "api", 2, "t");
    publish(&fixture, "web", 1, "t");
    cr_assert_str_eq(consumer_read(&consumer), "web 1-3, api 1-2, web 4-4, web is ACTIVE, api is ACTIVE\n");
    cr_assert_str_eq(consumer_read(&consumer), "");
    consumer_leave(&consumer);
    hub_fixture_close(&fixture);
}

Test(hub_routing, a_subscription_begins_with_what_is_published_after_it)
{
    struct hub_fixture fixture;
    struct consumer early, late;

    hub_fixture_open(&fixture);
    consumer_join(&early, &fixture, subscription_params_of(NULL));
    publish(&fixture, "web", 2, "t");
    consumer_join(&late, &fixture, subscription_params_of(NULL));
    cr_assert_eq(late.result.producers_matched, 1);
    cr_assert_eq(publish(&fixture, "web", 2, "t").matched, 2);
    cr_assert_str_eq(consumer_read(&early), "web 1-2, web 3-4, web is ACTIVE\n");
    cr_assert_str_eq(consumer_read(&late), "web 3-4, web is ACTIVE\n");
    consumer_leave(&early);
    cr_assert_eq(publish(&fixture, "web", 1, "t").matched, 1, "a consumer that left gets nothing");
    cr_assert_str_eq(consumer_read(&late), "web 5-5\n");
    consumer_leave(&late);
    cr_assert_eq(publish(&fixture, "web", 1, "t").matched, 0);
    hub_fixture_close(&fixture);
}

Test(hub_routing, filters_select_events_and_excludes_win)
{
    struct hub_fixture fixture;
    struct consumer some, but, other, none;
    struct subscription_params params;
    struct putter putter;

    hub_fixture_open(&fixture);
    consumer_join(&some, &fixture, subscription_params_of("a"));
    params = subscription_params_of(NULL);
    filter_free(params.filter);
    params.filter = filter_of("*", NULL, "a");
    consumer_join(&but, &fixture, params);
    params.filter = filter_of("api", NULL, NULL);
    consumer_join(&other, &fixture, params);
    consumer_join(&none, &fixture, subscription_params_of("z"));

    putter_open(&putter, &fixture, "web");
    cr_assert_eq(putter_put(&putter, chunk_of_letters("aabcaab", 8)), ERR_OK);
    cr_assert_eq(putter.offer.matched, 2, "a consumer that took nothing is not counted");
    putter_leave(&putter);
    cr_assert_str_eq(consumer_read(&some), "web 1-2, web 5-6, web is ACTIVE\n");
    cr_assert_str_eq(consumer_read(&but), "web 3-4, web 7-7, web is ACTIVE\n");
    cr_assert_str_eq(consumer_read(&other), "");
    cr_assert_str_eq(consumer_read(&none), "web is ACTIVE\n");
    consumer_leave(&some);
    consumer_leave(&but);
    consumer_leave(&other);
    consumer_leave(&none);
    hub_fixture_close(&fixture);
}

Test(hub_routing, events_that_follow_each_other_are_one_run)
{
    struct hub_fixture fixture;
    struct consumer all, runs;
    struct putter putter;
    char topics[201];

    memset(topics, 'a', 200);
    topics[200] = '\0';
    topics[63] = topics[129] = topics[191] = topics[199] = 'b';
    hub_fixture_open(&fixture);
    consumer_join(&runs, &fixture, subscription_params_of("a"));
    consumer_join(&all, &fixture, subscription_params_of("?"));
    putter_open(&putter, &fixture, "web");
    cr_assert_eq(putter_put(&putter, chunk_of_letters(topics, 8)), ERR_OK);
    cr_assert_eq(putter.offer.matched, 2);
    putter_leave(&putter);
    cr_assert_str_eq(consumer_read(&runs), "web 1-63, web 65-129, web 131-191, web 193-199, web is ACTIVE\n");
    cr_assert_str_eq(consumer_read(&all), "web 1-200, web is ACTIVE\n");
    consumer_leave(&runs);
    consumer_leave(&all);
    hub_fixture_close(&fixture);
}

/* Every other event goes to each of two consumers: more runs than are kept at once. `memory`: there
 * is memory for copies. */
static void alternate(uint32_t count, bool memory)
{
    char *topics = calloc(1, count + 1);
    struct consumer odd, even;
    struct hub_fixture fixture;
    struct chunk *chunk;
    struct putter putter;

    for (uint32_t i = 0; i < count; i++)
        topics[i] = i % 2 == 0 ? 'a' : 'b';
    hub_fixture_open(&fixture);
    consumer_join(&odd, &fixture, subscription_params_of("a"));
    consumer_join(&even, &fixture, subscription_params_of("b"));
    putter_open(&putter, &fixture, "web");
    chunk = chunk_of_letters(topics, 8);
    if (!memory)
        budget_set(budget_used());
    cr_assert_eq(putter_put(&putter, chunk), ERR_OK);
    budget_set(0);
    cr_assert_eq(putter.offer.matched, 2, "however often something was put");
    for (uint32_t i = 0; i < count;) {
        struct consumer *consumer = i % 2 == 0 ? &odd : &even;

        if (consumer->batch.count == 0)
            chan_dequeue(consumer->chan, &consumer->batch, 1, 1 << 20, clock_mono_ns());
        cr_assert_eq(consumer->batch.events, 1);
        cr_assert_eq(chunk_sequence(consumer->batch.entries[0].chunk, consumer->batch.entries[0].first), ++i);
        chan_delivered(consumer->chan, &consumer->batch);
    }
    cr_assert(chan_idle(odd.chan) && chan_idle(even.chan));
    putter_leave(&putter);
    consumer_leave(&odd);
    consumer_leave(&even);
    hub_fixture_close(&fixture);
    free(topics);
}

Test(hub_routing, a_chunk_may_have_more_runs_than_are_kept_at_once)
{
    alternate(3, true);
    alternate(1024, true);
    alternate(1025, true);
    alternate(1900, true);
}

Test(hub_routing, runs_come_one_by_one_without_memory_to_coalesce_them)
{
    alternate(32, false); /* each channel has a slab of 16 entries that no budget refuses */
}

/* The entries of the channel: "first-last" of each. */
static const char *entries_of(struct consumer *consumer)
{
    static char text[256];
    size_t size = 0;

    chan_dequeue(consumer->chan, &consumer->batch, 1024, 1 << 20, clock_mono_ns());
    for (uint32_t i = 0; i < consumer->batch.count; i++) {
        const struct chan_batch_entry *entry = &consumer->batch.entries[i];

        size += (size_t)snprintf(text + size, sizeof(text) - size, " %llu-%llu",
                                 (unsigned long long)chunk_sequence(entry->chunk, entry->first),
                                 (unsigned long long)chunk_sequence(entry->chunk, entry->last - 1));
    }
    chan_delivered(consumer->chan, &consumer->batch);
    return text;
}

Test(hub_routing, small_runs_are_coalesced_and_large_ones_are_not)
{
    struct consumer consumer;
    struct hub_fixture fixture;
    struct putter putter;

    hub_fixture_open(&fixture);
    consumer_join(&consumer, &fixture, subscription_params_of("a"));
    putter_open(&putter, &fixture, "web");
    cr_assert_eq(putter_put(&putter, chunk_of_letters("abababaaabaabababaaab", 400)), ERR_OK);
    cr_assert_str_eq(entries_of(&consumer), " 1-5 7-9 11-16 18-20",
                     "three events are over 1 KiB, two are not");
    cr_assert_eq(putter_put(&putter, chunk_of_letters("babbab", 400)), ERR_OK);
    cr_assert_str_eq(entries_of(&consumer), " 23-26");
    cr_assert_eq(putter_put(&putter, chunk_of_letters("aaabbbaaa", 400)), ERR_OK);
    cr_assert_str_eq(entries_of(&consumer), " 28-30 34-36");
    putter_leave(&putter);
    consumer_leave(&consumer);
    hub_fixture_close(&fixture);
}

static bool first_is(struct consumer *consumer, const struct chunk *chunk)
{
    bool same;

    cr_assert(!chan_dequeue(consumer->chan, &consumer->batch, 1024, 1 << 20, clock_mono_ns()));
    cr_assert_eq(consumer->batch.count, 1);
    same = consumer->batch.entries[0].chunk == chunk;
    chan_delivered(consumer->chan, &consumer->batch);
    return same;
}

Test(hub_routing, small_runs_of_a_large_chunk_are_copied_and_others_are_not)
{
    static const struct {
        const char *topics;
        size_t data_size;
        bool copied;
        const char *reason;
    } cases[] = {
        {"abbbbbbb", 100, true, "an eighth, and small"},
        {"abbbbbbb", 1100, false, "large enough to be worth a reference"},
        {"aabbbb", 100, false, "a third: it pins little"},
        {"aaaa", 100, false, "all of it"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct hub_fixture fixture;
        struct consumer consumer;
        struct putter putter;
        struct chunk *chunk = chunk_of_letters(cases[i].topics, cases[i].data_size);

        hub_fixture_open(&fixture);
        consumer_join(&consumer, &fixture, subscription_params_of("a"));
        putter_open(&putter, &fixture, "web");
        cr_assert_eq(putter_put(&putter, chunk_retain(chunk)), ERR_OK);
        putter_leave(&putter);
        cr_assert_eq(first_is(&consumer, chunk), !cases[i].copied, "%s", cases[i].reason);
        consumer_leave(&consumer);
        chunk_release(chunk);
        hub_fixture_close(&fixture);
    }
}

Test(hub_routing, consumers_that_want_the_same_share_what_was_copied_for_them)
{
    struct hub_fixture fixture;
    struct consumer consumers[3], other;
    struct chunk *chunks[ARRAY_LEN(consumers)];
    struct putter putter;

    hub_fixture_open(&fixture);
    for (size_t i = 0; i < ARRAY_LEN(consumers); i++)
        consumer_join(&consumers[i], &fixture, subscription_params_of("a"));
    consumer_join(&other, &fixture, subscription_params_of("b"));
    putter_open(&putter, &fixture, "web");
    int64_t before = count_get(COUNT_LIVE_CHUNKS);
    cr_assert_eq(putter_put(&putter, chunk_of_letters("accaccb", 100)), ERR_OK);
    cr_assert_eq(putter.offer.matched, 4);
    cr_assert_eq(count_get(COUNT_LIVE_CHUNKS), before + 2, "one of them is for the other consumer");
    for (size_t i = 0; i < ARRAY_LEN(consumers); i++) {
        cr_assert(!chan_dequeue(consumers[i].chan, &consumers[i].batch, 1024, 1 << 20, clock_mono_ns()));
        cr_assert_eq(consumers[i].batch.count, 1);
        cr_assert_eq(consumers[i].batch.events, 2);
        chunks[i] = consumers[i].batch.entries[0].chunk;
        cr_assert_eq(chunks[i], chunks[0]);
    }
    cr_assert_eq(chunk_sequence(chunks[0], 1), 4);
    for (size_t i = 0; i < ARRAY_LEN(consumers); i++)
        chan_delivered(consumers[i].chan, &consumers[i].batch);
    cr_assert_eq(count_get(COUNT_LIVE_CHUNKS), before + 1);
    putter_leave(&putter);
    for (size_t i = 0; i < ARRAY_LEN(consumers); i++)
        consumer_leave(&consumers[i]);
    consumer_leave(&other);
    hub_fixture_close(&fixture);
}

static void copy_view(void *ctx, const struct producer_view *view)
{
    *(struct producer_view *)ctx = *view;
}

static struct producer_view producer(struct hub_fixture *fixture, const char *name)
{
    struct producer_view view = {0};
    struct fault fault;

    cr_assert_eq(hub_producer(fixture->hub, text_of(name), copy_view, &view, &fault), FAULT_NONE);
    return view;
}

Test(hub_routing, a_blocking_channel_blocks_its_putter_and_no_other)
{
    struct hub_fixture fixture;
    struct consumer slow, fast;
    struct subscription_params params;
    struct putter web, api;

    hub_fixture_open(&fixture);
    params = subscription_params_of(NULL);
    params.limits = (struct chan_limits){.max_events = 1,
                                         .max_bytes = 4u << 20,
                                         .overflow = OVERFLOW_BLOCK,
                                         .fallback = OVERFLOW_DROP_NEWEST,
                                         .block_timeout_ns = 3600 * NS_PER_S};
    consumer_join(&slow, &fixture, params);
    consumer_join(&fast, &fixture, subscription_params_of(NULL));
    putter_open(&web, &fixture, "web");
    putter_open(&api, &fixture, "api");

    cr_assert_eq(putter_put(&web, sample_chunk(3, "t", 8)), ERR_AGAIN);
    cr_assert_eq(web.over, 0);
    cr_assert_eq(producer(&fixture, "web").state, PRODUCER_BLOCKED);
    cr_assert_eq(producer(&fixture, "web").blocked_calls, 1);
    cr_assert_eq(producer(&fixture, "api").state, PRODUCER_ACTIVE);
    cr_assert_eq(putter_put(&api, sample_chunk(1, "t", 8)), ERR_AGAIN, "it waits behind");
    cr_assert_str_eq(consumer_read(&fast), "web 1-3, api 1-1, web is ACTIVE, api is ACTIVE\n");

    cr_assert_str_eq(consumer_read(&slow),
                     "web 1-1, web is ACTIVE, api is ACTIVE\nweb 2-2\nweb 3-3\napi 1-1\n");
    cr_assert_eq(web.over, 1);
    cr_assert_eq(api.over, 1);
    cr_assert_eq(producer(&fixture, "web").blocked_calls, 0);
    cr_assert_eq(producer(&fixture, "web").state, PRODUCER_ACTIVE);
    putter_leave(&web);
    putter_leave(&api);
    cr_assert_eq(producer(&fixture, "web").state, PRODUCER_IDLE);
    consumer_leave(&slow);
    consumer_leave(&fast);
    hub_fixture_close(&fixture);
}

Test(hub_routing, a_consumer_that_leaves_unblocks_its_putters)
{
    struct hub_fixture fixture;
    struct consumer slow;
    struct subscription_params params = subscription_params_of(NULL);
    struct putter web;

    params.limits.max_events = 1;
    params.limits.overflow = OVERFLOW_BLOCK;
    params.limits.block_timeout_ns = 3600 * NS_PER_S;
    hub_fixture_open(&fixture);
    consumer_join(&slow, &fixture, params);
    putter_open(&web, &fixture, "web");
    cr_assert_eq(putter_put(&web, sample_chunk(2, "t", 8)), ERR_AGAIN);
    consumer_leave(&slow);
    cr_assert_eq(web.over, 1);
    cr_assert_eq(producer(&fixture, "web").blocked_calls, 0);
    putter_leave(&web);
    hub_fixture_close(&fixture);
}

Test(hub_routing, a_broken_channel_accepts_and_counts_nothing_more)
{
    struct hub_fixture fixture;
    struct consumer strict;
    struct subscription_params params = subscription_params_of(NULL);

    params.limits.max_events = 2;
    params.limits.overflow = OVERFLOW_DISCONNECT;
    hub_fixture_open(&fixture);
    consumer_join(&strict, &fixture, params);
    cr_assert_eq(publish(&fixture, "web", 3, "t").matched, 1);
    cr_assert_eq(chan_state(strict.chan), CHAN_BROKEN);
    cr_assert_eq(publish(&fixture, "web", 1, "t").matched, 0);
    cr_assert_str_eq(consumer_read(&strict), "lost web 1 3-3 NEWEST, web 1-2, web is ACTIVE\n");
    consumer_leave(&strict);
    hub_fixture_close(&fixture);
}

Test(hub_routing, an_offer_is_counted_once_for_any_number_of_consumers)
{
    struct hub_fixture fixture;
    struct consumer a, b;
    struct producer_view view;
    int64_t before_ns = clock_wall_ns();

    hub_fixture_open(&fixture);
    consumer_join(&a, &fixture, subscription_params_of(NULL));
    consumer_join(&b, &fixture, subscription_params_of("other"));
    publish(&fixture, "web", 3, "t");
    publish(&fixture, "web", 2, "t");
    cr_assert_eq(count_get(COUNT_CHUNKS_IN), 2);
    cr_assert_eq(count_get(COUNT_EVENTS_IN), 5);
    view = producer(&fixture, "web");
    cr_assert_eq((uint64_t)count_get(COUNT_BYTES_IN), view.published.bytes);
    cr_assert_eq(view.published.events, 5);
    cr_assert_eq(view.last_sequence, 5);
    cr_assert_eq(view.subscriptions, 2);
    cr_assert_geq(view.last_event_wall_ns, before_ns);
    consumer_leave(&a);
    consumer_leave(&b);
    hub_fixture_close(&fixture);
}

static bool on_position(void *ctx, const struct source *source, uint64_t sequence)
{
    (void)source;
    *(uint64_t *)ctx = sequence;
    return true;
}

Test(hub_routing, positions_pass_over_what_was_filtered_out)
{
    struct hub_fixture fixture;
    struct consumer consumer;
    uint64_t position = 0;

    hub_fixture_open(&fixture);
    publish(&fixture, "web", 5, "a");
    consumer_join(&consumer, &fixture, subscription_params_of("a"));
    hub_positions(consumer.subscription, on_position, &position);
    cr_assert_eq(position, 5, "a live subscription stands where it joined");
    publish(&fixture, "web", 5, "b");
    hub_positions(consumer.subscription, on_position, &position);
    cr_assert_eq(position, 10);
    publish(&fixture, "web", 1, "a");
    hub_positions(consumer.subscription, on_position, &position);
    cr_assert_eq(position, 10, "11 waits");
    consumer_leave(&consumer);
    hub_fixture_close(&fixture);
}
