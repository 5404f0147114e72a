/* test_shedder.c - who loses what when the budget is short: history first, then the
 * channel that pins most, and before it the channels of a peer above its share. */
#include <criterion/criterion.h>

#include "base/budget.h"
#include "base/counters.h"
#include "flow/chan_stats.h"
#include "hub_fixture.h"

#define MIB (1 << 20)
#define KIB_100 (100 * 1024)

static const struct peer_key one = {PEER_IPV4, 0xC0000201}, other = {PEER_IPV4, 0xC0000202};

static struct hub_fixture fixture;

static void open_hub(void)
{
    hub_fixture_open(&fixture);
    budget_set(10 * MIB);
}

static void close_hub(void)
{
    hub_fixture_close(&fixture);
    budget_set(0);
}

TestSuite(shedder, .init = open_hub, .fini = close_hub);

static void join(struct consumer *consumer, const char *topic, struct peer_key peer)
{
    struct subscription_params params = subscription_params_of(topic);

    params.limits.max_events = 1 << 20;
    params.limits.max_bytes = 1 << 30;
    params.peer_key = peer;
    consumer_join(consumer, &fixture, params);
}

static void publish_large(struct putter *putter, const char *topic, uint32_t times)
{
    for (uint32_t i = 0; i < times; i++)
        cr_assert_eq(putter_put(putter, sample_chunk(1, topic, KIB_100)), ERR_OK);
}

static uint64_t lost(const struct consumer *consumer)
{
    struct chan_stats stats;

    check_totals(consumer->chan);
    chan_stats(consumer->chan, &stats);
    cr_assert_eq(stats.dropped[LOSS_BUDGET].events, chan_dropped(&stats).events);
    return stats.dropped[LOSS_BUDGET].events;
}

static bool has_recovered(void *ctx)
{
    (void)ctx;
    return budget_used() <= budget_limit() / 4 * 3;
}

/* Finding 8. */
Test(shedder, the_fullest_channel_loses_and_the_others_do_not)
{
    struct consumer large, small;
    struct putter putter;

    join(&large, "large", one);
    join(&small, "small", other);
    putter_open(&putter, &fixture, "web");
    publish_large(&putter, "small", 10);
    publish_large(&putter, "large", 70);
    for (int turn = 0; turn < 3; turn++)
        loop_turn(fixture.loop);
    cr_assert_eq(lost(&large) + lost(&small), 0, "four fifths are not short");
    publish_large(&putter, "large", 3);
    cr_assert(hub_fixture_until(&fixture, has_recovered, NULL));
    cr_assert_gt(lost(&large), 0);
    cr_assert_lt(lost(&large), 40, "no more than it takes");
    cr_assert_eq(lost(&small), 0);
    cr_assert(hub_fixture_logged(&fixture, "budget.shed") == 1);
    putter_leave(&putter);
    consumer_leave(&large);
    consumer_leave(&small);
}

Test(shedder, channels_that_share_their_chunks_lose_together)
{
    struct consumer consumers[5];
    struct putter putter;

    for (size_t i = 0; i < ARRAY_LEN(consumers); i++)
        join(&consumers[i], "t", i % 2 == 0 ? one : other);
    putter_open(&putter, &fixture, "web");
    for (int round = 0; round < 10; round++) {
        publish_large(&putter, "t", 20);
        for (int turn = 0; turn < 10; turn++)
            loop_turn(fixture.loop);
    }
    cr_assert(hub_fixture_until(&fixture, has_recovered, NULL));
    for (size_t i = 0; i < ARRAY_LEN(consumers); i++)
        cr_assert_gt(lost(&consumers[i]), 100);
    putter_leave(&putter);
    for (size_t i = 0; i < ARRAY_LEN(consumers); i++)
        consumer_leave(&consumers[i]);
}

Test(shedder, a_peer_above_its_share_loses_first_however_many_channels_it_has)
{
    struct consumer many[4], fullest;
    struct putter putter;

    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        join(&many[i], (const char *[]){"a", "b", "c", "d"}[i], one);
    join(&fullest, "fullest", other);
    putter_open(&putter, &fixture, "web");
    publish_large(&putter, "fullest", 20);
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        publish_large(&putter, (const char *[]){"a", "b", "c", "d"}[i], 16);
    cr_assert(hub_fixture_until(&fixture, has_recovered, NULL));
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        cr_assert_gt(lost(&many[i]), 0, "64 %% of the budget, of 50");
    cr_assert_eq(lost(&fullest), 0);
    putter_leave(&putter);
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        consumer_leave(&many[i]);
    consumer_leave(&fullest);
}

/* Finding 21. */
Test(shedder, history_gives_way_before_anybody_loses)
{
    struct consumer consumer, first;
    struct subscription_params params = subscription_params_of("nothing");
    struct putter idle, busy;

    params.last = 1;
    consumer_join(&first, &fixture, params);
    putter_open(&idle, &fixture, "idle");
    publish_large(&idle, "idle", 10);
    cr_assert_gt(count_get(COUNT_LIVE_CHUNK_BYTES), 9 * KIB_100);
    join(&consumer, "busy", one);
    putter_open(&busy, &fixture, "busy");
    publish_large(&busy, "busy", 80);
    cr_assert_lt(count_get(COUNT_LIVE_CHUNK_BYTES), 81 * (KIB_100 + 1000), "the idle one's is gone");
    cr_assert_eq(lost(&consumer), 0);
    putter_leave(&idle);
    putter_leave(&busy);
    consumer_leave(&consumer);
    consumer_leave(&first);
}

Test(shedder, what_nobody_may_lose_stays_and_is_looked_at_again)
{
    OWNED(chunk_release) struct chunk *mine = chunk_begin(1, 9 * MIB);
    struct consumer consumer;

    cr_assert_not_null(mine);
    for (int turn = 0; turn < 5; turn++)
        loop_turn(fixture.loop);
    join(&consumer, "t", one);
    publish(&fixture, "web", 1, "t");
    cr_assert(budget_is_short());
    for (int turn = 0; turn < 5; turn++)
        loop_turn(fixture.loop);
    chunk_release(mine);
    mine = NULL;
    cr_assert(hub_fixture_until(&fixture, has_recovered, NULL));
    consumer_leave(&consumer);
}
