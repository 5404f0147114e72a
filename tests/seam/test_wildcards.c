/* test_wildcards.c - consumers that want everything of every producer: a pair costs nothing while
 * it is idle, and where it stands is known all the same. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/counters.h"
#include "flow/chan_report.h"
#include "flow/chan_stats.h"
#include "flow/shared_feed.h"
#include "hub/positions.h"
#include "hub/session_port.h"
#include "route/data_path.h"
#include "route/resume_point.h"
#include "seam/fake_session.h"

static void count_feed(void *ctx, const struct feed_stats *stats)
{
    (void)stats;
    (*(uint32_t *)ctx)++;
}

/* How many feeds the consumer's channel has. `others_out` gets the totals of idle sources. */
static uint32_t feeds_of(const struct consumer *consumer, struct feed_stats *others_out)
{
    struct chan_stats stats;
    uint32_t count = 0;

    chan_feeds(consumer->chan, UINT32_MAX, count_feed, &count, &stats, others_out);
    return count;
}

static uint32_t feed_count(const struct consumer *consumer)
{
    struct feed_stats others;

    return feeds_of(consumer, &others);
}

static void ignore_position(void *ctx, const struct source *source, uint64_t sequence)
{
    (void)ctx, (void)source, (void)sequence;
}

/* As the sender does now and then. */
static void report_positions(const struct consumer *consumer)
{
    (void)chan_positions(consumer->chan, UINT32_MAX, ignore_position, NULL);
}

static const struct inlet *inlet_of(struct hub_fixture *fixture, const char *producer)
{
    struct inlet *inlet = hub_inlet_find(fixture->hub, text_of(producer), NULL);

    inlet_leave(inlet);
    return inlet;
}

/* Finding 18. */
Test(wildcards, an_idle_pair_has_no_feed)
{
    struct hub_fixture fixture;
    struct consumer early, late;
    struct feed_stats others;

    hub_fixture_open(&fixture);
    consumer_join(&early, &fixture, subscription_params_of(NULL));
    publish(&fixture, "web", 3, "t");
    publish(&fixture, "api", 2, "t");
    consumer_join(&late, &fixture, subscription_params_of(NULL));
    cr_assert_eq(late.result.producers_matched, 2);
    cr_assert_eq(feed_count(&early), 2, "events wait");
    cr_assert_str_eq(consumer_positions(&early), "");
    cr_assert_str_eq(consumer_read(&early), "web 1-3, api 1-2, web is ACTIVE, api is ACTIVE\n");
    cr_assert_not_null(strstr(consumer_read(&late), "web is ACTIVE"));
    report_positions(&early);
    cr_assert_eq(feeds_of(&early, &others), 0);
    cr_assert_eq(others.accepted.events, 5);
    cr_assert_eq(others.delivered.events, 5);
    cr_assert_eq(feed_count(&late), 0);
    cr_assert_eq(count_get(COUNT_LIVE_ROUTES), 4, "all pairs are there");
    cr_assert_not_null(strstr(consumer_positions(&early), "web=3"));
    cr_assert_not_null(strstr(consumer_positions(&late), "api=2"), "where it joined");
    consumer_leave(&early);
    cr_assert_eq(count_get(COUNT_LIVE_ROUTES), 2);
    consumer_leave(&late);
    hub_fixture_close(&fixture);
}

Test(wildcards, consumers_that_come_and_go_change_nothing_for_the_others)
{
    struct hub_fixture fixture;
    struct consumer consumers[5];

    hub_fixture_open(&fixture);
    for (size_t i = 0; i < ARRAY_LEN(consumers); i++)
        consumer_join(&consumers[i], &fixture, subscription_params_of(i == 2 ? "t" : NULL));
    cr_assert_eq(publish(&fixture, "web", 1, "t").matched, 5);
    consumer_leave(&consumers[1]);
    cr_assert_eq(publish(&fixture, "web", 1, "t").matched, 4);
    consumer_leave(&consumers[0]);
    consumer_join(&consumers[1], &fixture, subscription_params_of(NULL));
    cr_assert_eq(publish(&fixture, "web", 1, "t").matched, 4);
    cr_assert_str_eq(consumer_read(&consumers[1]), "web 3-3, web is ACTIVE\n");
    for (size_t i = 2; i < ARRAY_LEN(consumers); i++)
        cr_assert_str_eq(consumer_read(&consumers[i]), "web 1-1, web 2-2, web 3-3, web is ACTIVE\n");
    for (size_t i = 1; i < ARRAY_LEN(consumers); i++)
        consumer_leave(&consumers[i]);
    cr_assert_eq(count_get(COUNT_LIVE_ROUTES), 0);
    hub_fixture_close(&fixture);
}

Test(wildcards, after_a_gentle_end_the_positions_are_those_of_that_moment)
{
    struct hub_fixture fixture;
    struct consumer everything, filtered;
    struct fault fault;

    hub_fixture_open(&fixture);
    publish(&fixture, "idle", 2, "a");
    publish(&fixture, "web", 3, "a");
    consumer_join(&everything, &fixture, subscription_params_of(NULL));
    consumer_join(&filtered, &fixture, subscription_params_of("a"));
    consumer_read(&everything);
    consumer_read(&filtered);
    publish(&fixture, "web", 2, "a");
    publish(&fixture, "idle", 2, "b");
    cr_assert_eq(hub_finish(fixture.hub, text_of(everything.result.id), CLOSING_FINISHED, NS_PER_S, &fault),
                 FAULT_NONE);
    cr_assert_eq(hub_finish(fixture.hub, text_of(filtered.result.id), CLOSING_FINISHED, NS_PER_S, &fault),
                 FAULT_NONE);
    publish(&fixture, "web", 7, "a");
    publish(&fixture, "idle", 7, "b");
    cr_assert_not_null(strstr(consumer_positions(&everything), "web=3"), "4 and 5 wait: %s",
                       consumer_positions(&everything));
    cr_assert_not_null(strstr(consumer_positions(&everything), "idle=2"), "3 and 4 wait");
    cr_assert_not_null(strstr(consumer_positions(&filtered), "idle=4"), "filtered out, and no more since: %s",
                       consumer_positions(&filtered));
    cr_assert_str_eq(consumer_read(&everything), "web 4-5, idle 3-4\n");
    cr_assert_str_eq(consumer_read(&filtered), "web 4-5\n");
    cr_assert_not_null(strstr(consumer_positions(&everything), "web=5"));
    cr_assert_not_null(strstr(consumer_positions(&everything), "idle=4"));
    cr_assert_not_null(strstr(consumer_positions(&filtered), "web=5"));
    consumer_leave(&everything);
    consumer_leave(&filtered);
    hub_fixture_close(&fixture);
}

Test(wildcards, a_drain_notes_the_positions_once_for_all)
{
    struct hub_fixture fixture;
    struct consumer consumers[2];

    hub_fixture_open(&fixture);
    publish(&fixture, "api", 2, "t");
    publish(&fixture, "web", 3, "t");
    for (size_t i = 0; i < ARRAY_LEN(consumers); i++)
        consumer_join(&consumers[i], &fixture, subscription_params_of(NULL));
    publish(&fixture, "web", 1, "t");
    hub_drain(fixture.hub, NS_PER_S, hub_fixture_emptied, &fixture);
    cr_expect_eq(count_get(COUNT_LIVE_ROUTES), 0, "they are out of the set");
    cr_expect_eq(count_get(COUNT_LIVE_POSITION_BYTES), 0, "none keeps a list of its own");
    for (size_t i = 0; i < ARRAY_LEN(consumers); i++) {
        cr_expect_str_eq(consumer_positions(&consumers[i]), "api=2 web=3", "4 waits: %s",
                         consumer_positions(&consumers[i]));
        consumer_read(&consumers[i]);
        cr_expect_not_null(strstr(consumer_positions(&consumers[i]), "web=4"));
        cr_expect_not_null(strstr(consumer_positions(&consumers[i]), "api=2"));
        consumer_leave(&consumers[i]);
    }
    hub_fixture_close(&fixture);
}

Test(wildcards, a_narrower_filter_misses_nothing_and_gets_nothing_twice)
{
    struct hub_fixture fixture;
    struct consumer consumer, other;

    hub_fixture_open(&fixture);
    publish(&fixture, "web", 3, "t");
    publish(&fixture, "api", 3, "t");
    consumer_join(&consumer, &fixture, subscription_params_of(NULL));
    consumer_join(&other, &fixture, subscription_params_of(NULL));
    consumer_read(&consumer);
    publish(&fixture, "web", 1, "t");
    cr_assert_eq(consumer_select(&consumer, "web", NULL), 1);
    publish(&fixture, "web", 1, "t");
    publish(&fixture, "api", 1, "t");
    cr_assert_str_eq(consumer_read(&consumer), "web 4-4, api is ENDED\nmark 1\nweb 5-5\n");
    cr_assert_str_eq(consumer_positions(&consumer), "web=5");
    cr_assert_eq(inlet_of(&fixture, "web")->route_count, 1);
    publish(&fixture, "web", 1, "t");
    cr_assert_eq(consumer_select(&consumer, "*", NULL), 2);
    cr_assert_eq(inlet_of(&fixture, "web")->route_count, 0, "it is a wildcard again");
    cr_assert_eq(inlet_of(&fixture, "api")->wildcard_count, 2);
    publish(&fixture, "web", 1, "t");
    publish(&fixture, "api", 1, "t");
    cr_assert_str_eq(consumer_read(&consumer), "web 6-6, api is ACTIVE\nmark 2\nweb 7-7, api 5-5\n");
    cr_assert_str_eq(consumer_read(&other),
                     "web 4-4, web 5-5, api 4-4, web 6-6, web 7-7, api 5-5, web is ACTIVE, api is ACTIVE\n");
    consumer_leave(&consumer);
    consumer_leave(&other);
    cr_assert_eq(count_get(COUNT_LIVE_ROUTES), 0);
    hub_fixture_close(&fixture);
}

Test(wildcards, the_same_filter_again_only_sets_the_mark)
{
    struct hub_fixture fixture;
    struct consumer consumer;

    hub_fixture_open(&fixture);
    consumer_join(&consumer, &fixture, subscription_params_of(NULL));
    publish(&fixture, "web", 1, "t");
    cr_assert_eq(consumer_select(&consumer, "*", NULL), 1);
    publish(&fixture, "web", 1, "t");
    cr_assert_str_eq(consumer_read(&consumer), "web 1-1, web is ACTIVE\nmark 1\nweb 2-2\n");
    report_positions(&consumer);
    cr_assert_eq(feed_count(&consumer), 0, "it is a wildcard still");
    consumer_leave(&consumer);
    hub_fixture_close(&fixture);
}

Test(wildcards, a_resumed_stream_becomes_one_when_it_is_bound)
{
    struct hub_fixture fixture;
    struct consumer consumer;
    struct subscription_params params = subscription_params_of(NULL);
    struct resume_point point = {.source = text_of("web"), .sequence = 1};

    hub_fixture_open(&fixture);
    point.epoch = publish(&fixture, "web", 3, "t").epoch;
    publish(&fixture, "api", 2, "t");
    params.resume = &point;
    params.resume_count = 1;
    consumer_join(&consumer, &fixture, params);
    cr_assert_eq(inlet_of(&fixture, "web")->route_count, 0);
    cr_assert_eq(inlet_of(&fixture, "web")->wildcard_count, 1);
    cr_assert_eq(consumer.result.producers_matched, 2);
    cr_assert_eq(count_get(COUNT_LIVE_ROUTES), 2);
    publish(&fixture, "web", 1, "t");
    cr_assert_str_eq(consumer_read(&consumer),
                     "lost web 2 2-3 RESUME_GAP, lost api 2 1-2 RESUME_GAP, web 4-4, "
                     "api is ACTIVE, web is ACTIVE\n");
    report_positions(&consumer);
    cr_assert_eq(feed_count(&consumer), 0);
    publish(&fixture, "web", 1, "t");
    publish(&fixture, "new", 1, "t");
    cr_assert_str_eq(consumer_read(&consumer), "web 5-5, new 1-1, new is ACTIVE\n");
    consumer_leave(&consumer);
    cr_assert_eq(count_get(COUNT_LIVE_ROUTES), 0);
    hub_fixture_close(&fixture);
}

Test(wildcards, a_session_that_closes_keeps_the_bindings_that_it_has)
{
    struct hub_fixture fixture;
    struct fake_session closing = {0};
    struct consumer before, after;
    struct producer_view view;
    struct fault fault;

    hub_fixture_open(&fixture);
    fake_session_join(&closing, &fixture, fake_session_params("closing", SESSION_SHARED));
    publish(&fixture, "web", 1, "t");
    consumer_join(&before, &fixture, subscription_params_of(NULL));
    cr_assert_eq(consumer_select(&before, "closing", NULL), 1);
    cr_assert_eq(
        hub_remove(fixture.hub, text_of("closing"), 5 * NS_PER_S, hub_fixture_copy_view, &view, &fault),
        FAULT_NONE);
    cr_assert_eq(fake_session_put(&closing, 0, 1), ERR_OK);
    consumer_join(&after, &fixture, subscription_params_of(NULL));
    cr_assert_eq(consumer_select(&before, "*", NULL), 2);
    cr_assert_eq(count_get(COUNT_LIVE_ROUTES), 3);
    cr_assert_eq(fake_session_put(&closing, 0, 1), ERR_OK);
    publish(&fixture, "web", 1, "t");
    consumer_read(&before);
    cr_assert_null(strstr(consumer_read(&after), "closing"));
    report_positions(&before);
    cr_assert_str_eq(consumer_positions(&before), "web=2 closing=2", "each once");
    cr_assert_str_eq(consumer_positions(&after), "web=2", "it gets nothing of the other");
    consumer_leave(&before);
    cr_assert_eq(fake_session_put(&closing, 0, 1), ERR_OK);
    publish(&fixture, "web", 1, "t");
    cr_assert_str_eq(consumer_read(&after), "web 3-3\n");
    consumer_leave(&after);
    fake_session_fini(&closing);
    hub_fixture_close(&fixture);
}

Test(wildcards, a_session_that_closes_gets_no_new_wildcard)
{
    struct hub_fixture fixture;
    struct fake_session closing = {0}, live = {0};
    struct consumer before, after;
    struct producer_view view;
    struct fault fault;

    hub_fixture_open(&fixture);
    fake_session_join(&closing, &fixture, fake_session_params("closing", SESSION_SHARED));
    fake_session_join(&live, &fixture, fake_session_params("live", SESSION_SHARED));
    consumer_join(&before, &fixture, subscription_params_of(NULL));
    cr_assert_eq(
        hub_remove(fixture.hub, text_of("closing"), 5 * NS_PER_S, hub_fixture_copy_view, &view, &fault),
        FAULT_NONE);
    consumer_join(&after, &fixture, subscription_params_of(NULL));
    cr_assert_eq(after.result.producers_matched, 1);
    cr_assert_eq(fake_session_put(&closing, 0, 2), ERR_OK);
    cr_assert_eq(fake_session_put(&live, 0, 1), ERR_OK);
    cr_assert_null(strstr(consumer_read(&after), "closing"));
    cr_assert_not_null(strstr(consumer_read(&before), "closing 1-2"));
    consumer_leave(&before);
    cr_assert_eq(fake_session_put(&live, 0, 1), ERR_OK);
    cr_assert_str_eq(consumer_read(&after), "live 2-2\n");
    consumer_leave(&after);
    fake_session_fini(&closing);
    fake_session_fini(&live);
    hub_fixture_close(&fixture);
}

/* More states than a channel reports are one RESYNC, and one fewer are all reported. */
Test(wildcards_many, the_states_of_very_many_producers_are_one_resync_from_the_beginning)
{
    struct hub_fixture fixture;
    struct consumer few, many;
    char name[16];

    hub_fixture_settings.max_producers = MAX_SHARED_STATES + 1;
    hub_fixture_open(&fixture);
    for (unsigned i = 0; i < MAX_SHARED_STATES; i++) {
        snprintf(name, sizeof(name), "p%u", i);
        publish(&fixture, name, 1, "t");
    }
    consumer_join(&few, &fixture, subscription_params_of(NULL));
    cr_assert(strstr(consumer_read(&few), "p0 is ACTIVE, p1 is ACTIVE"));
    publish(&fixture, "q", 1, "t");
    consumer_join(&many, &fixture, subscription_params_of(NULL));
    cr_assert_eq(many.result.producers_matched, MAX_SHARED_STATES + 1);
    cr_assert_str_eq(consumer_read(&many), "RESYNC\n");
    publish(&fixture, "q", 1, "t");
    cr_assert_str_eq(consumer_read(&many), "q 2-2\n");
    consumer_leave(&few);
    consumer_leave(&many);
    hub_fixture_close(&fixture);
}
