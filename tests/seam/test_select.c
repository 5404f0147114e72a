/* test_select.c - filters that change while the stream goes on, and the history that a consumer may
 * start with. */
#include <criterion/criterion.h>

#include <string.h>

#include "base/counters.h"
#include "flow/chan_report.h"
#include "flow/chan_stats.h"
#include "hub/session_port.h"
#include "route/history.h"
#include "seam/fake_session.h"
#include "seam/virtual_clock.h"

static struct subscription_params wanting(const char *producer, const char *topic)
{
    struct subscription_params params = subscription_params_of(NULL);

    filter_free(params.filter);
    params.filter = filter_of(producer, topic, NULL);
    params.request = text_of("q");
    return params;
}

static bool has_read(const struct consumer *consumer, const char *text)
{
    return !!strstr((const char *)consumer->transcript.data, text);
}

Test(select, producers_that_match_both_filters_go_on_undisturbed)
{
    struct hub_fixture fixture;
    struct fake_session web = {0}, api = {0}, shared = {0};
    struct consumer consumer;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, fake_session_params("web/1", SESSION_PER_CONSUMER));
    fake_session_join(&api, &fixture, fake_session_params("api/1", SESSION_PER_CONSUMER));
    fake_session_join(&shared, &fixture, fake_session_params("web/2", SESSION_SHARED));
    consumer_join(&consumer, &fixture, wanting("web/*", NULL));
    cr_assert_eq(fake_session_put(&web, 1, 1), ERR_OK);
    cr_assert_eq(consumer_select(&consumer, "*", NULL), 1);
    cr_assert_str_eq(fake_session_transcript(&web), "welcome, start 1 \"q\"");
    cr_assert_str_eq(fake_session_transcript(&api), "welcome, start 1 \"q\"");
    cr_assert_eq(fake_session_put(&web, 1, 1), ERR_OK);
    cr_assert_eq(web.offer.first_sequence, 2);
    cr_assert_eq(fake_session_put(&shared, 0, 1), ERR_OK);
    cr_assert_eq(fake_session_put(&api, 1, 1), ERR_OK);
    consumer_read(&consumer);
    cr_assert(has_read(&consumer, "web/1 1-1, "));
    cr_assert(has_read(&consumer, "\nmark 1\nweb/1 2-2, web/2 1-1, api/1 1-1"));
    cr_assert_eq(consumer_select(&consumer, "web/*", NULL), 2);
    cr_assert_eq(web.stops + shared.closings, 0);
    consumer_leave(&consumer);
    fake_session_fini(&web);
    fake_session_fini(&api);
    fake_session_fini(&shared);
    hub_fixture_close(&fixture);
}

Test(select, producers_that_no_longer_match_end_at_once_and_what_waits_stays)
{
    struct hub_fixture fixture;
    struct fake_session web = {0}, shared = {0};
    struct consumer consumer;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    fake_session_join(&shared, &fixture, fake_session_params("shared", SESSION_SHARED));
    consumer_join(&consumer, &fixture, wanting("*", NULL));
    cr_assert_eq(fake_session_put(&web, 1, 1), ERR_OK);
    cr_assert_eq(fake_session_put(&shared, 0, 1), ERR_OK);
    fake_session_transcript(&web);
    cr_assert_eq(consumer_select(&consumer, "other", NULL), 1);
    cr_assert_str_eq(fake_session_transcript(&web), "stop 1 FINISHED now");
    cr_assert_eq(fake_session_put(&web, 1, 1), ERR_CLOSED);
    cr_assert_eq(fake_session_put(&shared, 0, 1), ERR_OK);
    cr_assert_eq(shared.offer.matched, 0);
    cr_assert_eq(consumer.closings + consumer.aborts, 0);
    consumer_read(&consumer);
    cr_assert(has_read(&consumer, "web 1-1, shared 1-1, "));
    cr_assert(has_read(&consumer, "web is ENDED") && has_read(&consumer, "shared is ENDED"));
    cr_assert_eq(count_get(COUNT_LIVE_ROUTES), 0);
    cr_assert_eq(consumer_select(&consumer, "*", NULL), 2);
    cr_assert_str_eq(fake_session_transcript(&web), "start 2 \"q\"", "selected again, it starts again");
    cr_assert_eq(fake_session_put(&shared, 0, 1), ERR_OK);
    consumer_read(&consumer);
    cr_assert(has_read(&consumer, "shared 3-3"), "live, in the same epoch");
    consumer_leave(&consumer);
    fake_session_fini(&web);
    fake_session_fini(&shared);
    hub_fixture_close(&fixture);
}

/* A consumer with space for one event blocks the putter of "web", which puts so many. */
static void block_web(struct hub_fixture *fixture, struct consumer *slow, struct putter *web, uint32_t events)
{
    struct subscription_params params = wanting("*", NULL);

    params.limits.max_events = 1;
    params.limits.overflow = OVERFLOW_BLOCK;
    params.limits.fallback = OVERFLOW_DROP_OLDEST;
    params.limits.block_timeout_ns = 3600 * NS_PER_S;
    consumer_join(slow, fixture, params);
    putter_open(web, fixture, "web");
    cr_assert_eq(putter_put(web, sample_chunk(events, "t", 8)), ERR_AGAIN);
    cr_assert_eq(web->over, 0);
}

/* Finding 20. */
Test(select, a_putter_does_not_wait_for_a_channel_that_it_left)
{
    struct hub_fixture fixture;
    struct consumer slow;
    struct putter web;

    hub_fixture_open(&fixture);
    block_web(&fixture, &slow, &web, 3);
    cr_assert_eq(consumer_select(&slow, "other", NULL), 1);
    cr_assert_eq(web.over, 1);
    putter_leave(&web);
    consumer_read(&slow);
    cr_assert(has_read(&slow, "web 1-1") && has_read(&slow, "web 2-2") && has_read(&slow, "web 3-3"),
              "what it has parked is not lost");
    consumer_leave(&slow);
    hub_fixture_close(&fixture);
}

/* Finding 20. */
Test(select, a_putter_does_not_wait_where_its_producer_was_removed)
{
    struct hub_fixture fixture;
    struct consumer slow;
    struct producer_view view;
    struct putter web;
    struct fault fault;

    hub_fixture_open(&fixture);
    block_web(&fixture, &slow, &web, 2);
    cr_assert_eq(hub_remove(fixture.hub, text_of("web"), 0, hub_fixture_copy_view, &view, &fault),
                 FAULT_NONE);
    cr_assert_eq(web.over, 1);
    putter_leave(&web);
    consumer_leave(&slow);
    hub_fixture_close(&fixture);
}

Test(select, the_mark_is_between_the_events_of_the_two_filters)
{
    static const uint64_t sequences[] = {1, 1, 4, 4};
    struct hub_fixture fixture;
    struct fake_session web = {0}, shared = {0};
    struct consumer consumer;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    fake_session_join(&shared, &fixture, fake_session_params("shared", SESSION_SHARED));
    consumer_join(&consumer, &fixture, wanting("*", "a"));
    cr_assert_eq(fake_session_put_topics(&web, 1, "ab"), ERR_OK);
    cr_assert_eq(fake_session_put_topics(&shared, 0, "ab"), ERR_OK);
    cr_assert_eq(consumer_select(&consumer, "*", "b"), 1);
    cr_assert_eq(fake_session_put_topics(&shared, 0, "ab"), ERR_OK);
    cr_assert_eq(fake_session_put_topics(&web, 1, "ab"), ERR_OK);
    for (unsigned i = 0; i < ARRAY_LEN(sequences); i++) {
        cr_assert_eq(chan_marked(consumer.chan), i == 2, "two events before the mark, two after it");
        cr_assert_eq(chan_dequeue(consumer.chan, &consumer.batch, 1, 1 << 20, clock_mono_ns()), i < 3);
        cr_assert_eq(consumer.batch.events, 1);
        cr_assert_eq(chunk_sequence(consumer.batch.entries[0].chunk, consumer.batch.entries[0].first),
                     sequences[i]);
        chan_delivered(consumer.chan, &consumer.batch);
    }
    consumer_leave(&consumer);
    fake_session_fini(&web);
    fake_session_fini(&shared);
    hub_fixture_close(&fixture);
}

Test(select, a_complete_activation_is_not_started_again)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer consumer;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &fixture, wanting("*", NULL));
    fake_session_end(&web, 1, CODE_OK, NULL);
    cr_assert_eq(consumer_select(&consumer, "web", NULL), 1);
    cr_assert_eq(web.starts, 1);
    consumer_leave(&consumer);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

Test(select, an_activation_that_waits_for_its_retry_is_kept_or_ended)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer keeps, drops;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    consumer_join(&keeps, &fixture, wanting("*", NULL));
    consumer_join(&drops, &fixture, wanting("*", NULL));
    fake_session_end(&web, 1, CODE_INTERNAL, NULL);
    fake_session_end(&web, 2, CODE_INTERNAL, NULL);
    cr_assert_eq(consumer_select(&keeps, "w*", NULL), 1);
    cr_assert_eq(consumer_select(&drops, "a*", NULL), 1);
    virtual_time_pass(fixture.loop, NS_PER_S);
    cr_assert_eq(web.starts, 3);
    cr_assert_str_eq(web.subscription, keeps.result.id);
    cr_assert_eq(web.stops, 0);
    consumer_leave(&keeps);
    consumer_leave(&drops);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

Test(select, nothing_changes_after_an_end_began)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer consumer;
    struct fault fault;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &fixture, wanting("*", NULL));
    cr_assert_eq(hub_finish(fixture.hub, text_of(consumer.result.id), CLOSING_FINISHED, NS_PER_S, &fault),
                 FAULT_NONE);
    cr_assert_eq(consumer_select(&consumer, "other", NULL), 0);
    cr_assert_eq(fake_session_put(&web, 1, 1), ERR_OK);
    cr_assert_str_eq(consumer_read(&consumer), "web 1-1, web is ACTIVE\n");
    consumer_leave(&consumer);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

Test(select, end_when_all_ended_waits_for_activations_of_the_new_filter)
{
    struct hub_fixture fixture;
    struct fake_session web = {0}, api = {0};
    struct consumer consumer;
    struct subscription_params params = wanting("web", NULL);

    params.end_when_all_ended = true;
    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &fixture, params);
    cr_assert_eq(consumer_select(&consumer, "api", NULL), 1);
    cr_assert_eq(consumer.closings, 0, "no activation of the new filter has begun");
    fake_session_join(&api, &fixture, fake_session_params("api", SESSION_PER_CONSUMER));
    cr_assert_eq(consumer_select(&consumer, "*", NULL), 2);
    fake_session_end(&web, 2, CODE_OK, NULL);
    cr_assert_eq(consumer.closings, 0);
    fake_session_end(&api, 1, CODE_OK, NULL);
    cr_assert_eq(consumer.closings, 1);
    consumer_leave(&consumer);
    fake_session_fini(&web);
    fake_session_fini(&api);
    hub_fixture_close(&fixture);
}

/* ---- start.last ---- */

static struct subscription_params last_of(uint32_t count, const char *topic)
{
    struct subscription_params params = wanting("*", topic);

    params.last = count;
    return params;
}

Test(history, starts_with_the_last_events_and_nothing_is_missing_after_them)
{
    struct hub_fixture fixture;
    struct consumer first, consumer;

    hub_fixture_open(&fixture);
    consumer_join(&first, &fixture, last_of(1, NULL));
    publish(&fixture, "web", 3, "t");
    publish(&fixture, "web", 4, "t");
    consumer_join(&consumer, &fixture, last_of(5, NULL));
    publish(&fixture, "web", 1, "t");
    cr_assert_str_eq(consumer_read(&consumer), "web 3-3, web 4-7, web 8-8, web is ACTIVE\n");
    consumer_leave(&consumer);
    consumer_join(&consumer, &fixture, last_of(1000, NULL));
    cr_assert_str_eq(consumer_read(&consumer), "web 1-3, web 4-7, web 8-8, web is ACTIVE\n", "all there is");
    consumer_leave(&consumer);
    consumer_join(&consumer, &fixture, last_of(0, NULL));
    cr_assert_str_eq(consumer_read(&consumer), "web is ACTIVE\n", "live");
    consumer_leave(&consumer);
    consumer_leave(&first);
    hub_fixture_close(&fixture);
}

Test(history, counts_only_events_that_match)
{
    struct hub_fixture fixture;
    struct fake_session shared = {0};
    struct consumer first, consumer;

    hub_fixture_open(&fixture);
    consumer_join(&first, &fixture, last_of(1, NULL));
    fake_session_join(&shared, &fixture, fake_session_params("web", SESSION_SHARED));
    cr_assert_eq(fake_session_put_topics(&shared, 0, "aabab"), ERR_OK);
    cr_assert_eq(fake_session_put_topics(&shared, 0, "bba"), ERR_OK);
    consumer_join(&consumer, &fixture, last_of(3, "a"));
    cr_assert_str_eq(consumer_read(&consumer), "web 2-2, web 4-4, web 8-8, web is ACTIVE\n");
    consumer_leave(&consumer);
    consumer_join(&consumer, &fixture, last_of(2, "b"));
    cr_assert_str_eq(consumer_read(&consumer), "web 6-7, web is ACTIVE\n");
    consumer_leave(&consumer);
    fake_session_leave(&shared, FAULT_NONE);
    consumer_leave(&first);
    cr_assert_eq(count_get(COUNT_LIVE_CHUNKS), 0, "it goes with its producer");
    fake_session_fini(&shared);
    hub_fixture_close(&fixture);
}

static uint64_t events_of_history(struct hub_fixture *fixture)
{
    struct consumer consumer;
    struct subscription_params params = last_of(UINT32_MAX, NULL);
    struct chan_stats stats;

    params.limits.max_events = 1 << 20;
    params.limits.max_bytes = 1 << 30;
    consumer_join(&consumer, fixture, params);
    chan_stats(consumer.chan, &stats);
    consumer_leave(&consumer);
    return stats.accepted.events;
}

Test(history, is_bounded_in_events_and_in_bytes)
{
    struct hub_fixture fixture;
    struct putter putter;

    hub_fixture_open(&fixture);
    cr_assert_eq(events_of_history(&fixture), 0);
    for (unsigned i = 0; i < HISTORY_EVENTS - 1; i++)
        publish(&fixture, "web", 1, "t");
    cr_assert_eq(events_of_history(&fixture), HISTORY_EVENTS - 1);
    publish(&fixture, "web", 1, "t");
    cr_assert_eq(events_of_history(&fixture), HISTORY_EVENTS);
    publish(&fixture, "web", 1, "t");
    cr_assert_eq(events_of_history(&fixture), HISTORY_EVENTS);
    publish(&fixture, "web", HISTORY_EVENTS - 1, "t");
    cr_assert_eq(events_of_history(&fixture), HISTORY_EVENTS);
    publish(&fixture, "web", 3000, "t");
    cr_assert_eq(events_of_history(&fixture), 3000, "the newest chunk is kept as it is");
    putter_open(&putter, &fixture, "large");
    for (unsigned i = 0; i < 40; i++) {
        cr_assert_eq(putter_put(&putter, sample_chunk(1, "t", HISTORY_BYTES / 10)), ERR_OK);
        cr_assert_leq(count_get(COUNT_LIVE_CHUNK_BYTES), (int64_t)(3000 * 64 + HISTORY_BYTES));
    }
    cr_assert_eq(events_of_history(&fixture), 3000 + 9);
    putter_leave(&putter);
    hub_fixture_close(&fixture);
}

Test(history, activations_keep_no_history)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer first, consumer;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    consumer_join(&first, &fixture, last_of(5, NULL));
    cr_assert_eq(fake_session_put(&web, 1, 3), ERR_OK);
    consumer_join(&consumer, &fixture, last_of(5, NULL));
    cr_assert_str_eq(consumer_read(&consumer), "web is ACTIVE\n");
    consumer_leave(&first);
    cr_assert_eq(count_get(COUNT_LIVE_CHUNKS), 0);
    consumer_leave(&consumer);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}
