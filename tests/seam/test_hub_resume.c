/* test_hub_resume.c - what a consumer that comes back learns of what it missed. */
#include <criterion/criterion.h>

#include "flow/chan_stats.h"
#include "seam/hub_fixture.h"

static struct resume_point own_point_of(const char *source, uint64_t epoch, uint64_t sequence, bool overrides)
{
    return (struct resume_point){text_of(source), epoch, sequence, overrides};
}

static struct resume_point point_of(const char *source, uint64_t epoch, uint64_t sequence)
{
    return own_point_of(source, epoch, sequence, false);
}

static struct subscription_params resuming(const char *topic, const struct resume_point *points, size_t count)
{
    struct subscription_params params = subscription_params_of(topic);

    params.resume = points;
    params.resume_count = count;
    return params;
}

Test(hub_resume, a_gap_in_the_same_epoch_is_exact_and_nothing_is_missing_after_it)
{
    struct hub_fixture fixture;
    struct consumer consumer;
    struct offer offer;
    struct resume_point point;

    hub_fixture_open(&fixture);
    offer = publish(&fixture, "web", 7, "t");
    point = point_of("web", offer.epoch, 4);
    consumer_join(&consumer, &fixture, resuming(NULL, &point, 1));
    publish(&fixture, "web", 2, "t");
    cr_assert_str_eq(consumer_read(&consumer), "lost web 3 5-7 RESUME_GAP, web 8-9, web is ACTIVE\n");
    consumer_leave(&consumer);
    hub_fixture_close(&fixture);
}

Test(hub_resume, no_gap_is_reported_where_nothing_was_missed)
{
    struct hub_fixture fixture;
    struct consumer at_end, ahead;
    struct offer offer;
    struct resume_point point;

    hub_fixture_open(&fixture);
    offer = publish(&fixture, "web", 7, "t");
    point = point_of("web", offer.epoch, 7);
    consumer_join(&at_end, &fixture, resuming(NULL, &point, 1));
    point.sequence = UINT64_MAX;
    consumer_join(&ahead, &fixture, resuming(NULL, &point, 1));
    publish(&fixture, "web", 1, "t");
    cr_assert_str_eq(consumer_read(&at_end), "web 8-8, web is ACTIVE\n");
    cr_assert_str_eq(consumer_read(&ahead), "web 8-8, web is ACTIVE\n");
    consumer_leave(&at_end);
    consumer_leave(&ahead);
    hub_fixture_close(&fixture);
}

Test(hub_resume, another_epoch_is_a_gap_of_unknown_size)
{
    struct hub_fixture fixture;
    struct consumer consumer;
    struct offer offer;
    struct resume_point point;

    hub_fixture_open(&fixture);
    offer = publish(&fixture, "web", 7, "t");
    point = point_of("web", offer.epoch - 1, 40);
    consumer_join(&consumer, &fixture, resuming(NULL, &point, 1));
    publish(&fixture, "web", 1, "t");
    cr_assert_str_eq(consumer_read(&consumer), "lost web ? 1-7 RESUME_GAP, web 8-8, web is ACTIVE\n");
    consumer_leave(&consumer);
    hub_fixture_close(&fixture);
}

Test(hub_resume, another_epoch_is_a_gap_even_before_its_first_event)
{
    struct hub_fixture fixture;
    struct consumer consumer;
    struct putter putter;
    struct resume_point point = point_of("web", 5, 40);

    hub_fixture_open(&fixture);
    putter_open(&putter, &fixture, "web");
    consumer_join(&consumer, &fixture, resuming(NULL, &point, 1));
    cr_assert_str_eq(consumer_read(&consumer), "lost web ? 0-0 RESUME_GAP, web is ACTIVE\n");
    putter_leave(&putter);
    consumer_leave(&consumer);
    hub_fixture_close(&fixture);
}

Test(hub_resume, a_source_that_is_not_in_the_token_is_missed_from_its_first_event)
{
    struct hub_fixture fixture;
    struct consumer consumer;
    struct resume_point none;

    hub_fixture_open(&fixture);
    publish(&fixture, "web", 7, "t");
    consumer_join(&consumer, &fixture, resuming(NULL, &none, 0));
    publish(&fixture, "later", 1, "t");
    cr_assert_str_eq(consumer_read(&consumer),
                     "lost web 7 1-7 RESUME_GAP, later 1-1, web is ACTIVE, later is ACTIVE\n");
    consumer_leave(&consumer);
    hub_fixture_close(&fixture);
}

Test(hub_resume, a_source_that_was_silent_all_along_has_no_gap)
{
    struct hub_fixture fixture;
    struct consumer consumer;
    struct putter silent;
    struct resume_point none;

    hub_fixture_open(&fixture);
    putter_open(&silent, &fixture, "silent");
    consumer_join(&consumer, &fixture, resuming(NULL, &none, 0));
    cr_assert_eq(putter_put(&silent, sample_chunk(1, "t", 8)), ERR_OK);
    cr_assert_str_eq(consumer_read(&consumer), "silent 1-1, silent is ACTIVE\n");
    putter_leave(&silent);
    consumer_leave(&consumer);
    hub_fixture_close(&fixture);
}

Test(hub_resume, a_source_that_is_gone_is_reported_once_if_it_would_match)
{
    struct hub_fixture fixture;
    struct consumer consumer;
    struct subscription_params params;
    struct resume_point points[] = {point_of("web/1", 5, 9), point_of("api/1", 5, 9)};

    hub_fixture_open(&fixture);
    params = resuming(NULL, points, 2);
    filter_free(params.filter);
    params.filter = filter_of("web/*", NULL, NULL);
    consumer_join(&consumer, &fixture, params);
    cr_assert_eq(consumer.result.producers_matched, 0);
    cr_assert_str_eq(consumer_read(&consumer), "lost web/1 ? 0-0 RESUME_GAP, web/1 is REMOVED\n");
    cr_assert_eq(consumer.epoch, 5);
    cr_assert_str_eq(consumer_read(&consumer), "");
    consumer_leave(&consumer);
    hub_fixture_close(&fixture);
}

Test(hub_resume, a_gap_is_counted_only_where_every_event_was_wanted)
{
    struct hub_fixture fixture;
    struct consumer consumer;
    struct offer offer;
    struct resume_point point;

    hub_fixture_open(&fixture);
    offer = publish(&fixture, "web", 7, "other");
    point = point_of("web", offer.epoch, 4);
    consumer_join(&consumer, &fixture, resuming("t", &point, 1));
    cr_assert_str_eq(consumer_read(&consumer), "lost web ? 5-7 RESUME_GAP, web is ACTIVE\n");
    consumer_leave(&consumer);
    hub_fixture_close(&fixture);
}

Test(hub_resume, of_several_epochs_in_a_token_the_latest_counts)
{
    struct hub_fixture fixture;
    struct consumer consumer;
    struct offer offer;
    struct resume_point points[3];

    hub_fixture_open(&fixture);
    offer = publish(&fixture, "web", 7, "t");
    points[0] = point_of("web", offer.epoch - 2, 90);
    points[1] = point_of("web", offer.epoch, 6);
    points[2] = point_of("web", offer.epoch - 1, 80);
    consumer_join(&consumer, &fixture, resuming(NULL, points, 3));
    cr_assert_str_eq(consumer_read(&consumer), "lost web 1 7-7 RESUME_GAP, web is ACTIVE\n");
    consumer_leave(&consumer);
    hub_fixture_close(&fixture);
}

Test(hub_resume, a_position_of_the_clients_own_counts_more_than_one_of_the_token)
{
    struct hub_fixture fixture;
    struct consumer behind, restarted;
    struct offer offer;
    struct resume_point points[2];

    hub_fixture_open(&fixture);
    offer = publish(&fixture, "web", 7, "t");
    points[0] = own_point_of("web", offer.epoch, 6, false);
    points[1] = own_point_of("web", offer.epoch, 4, true);
    consumer_join(&behind, &fixture, resuming(NULL, points, 2));
    cr_assert_str_eq(consumer_read(&behind), "lost web 3 5-7 RESUME_GAP, web is ACTIVE\n");
    points[0] = own_point_of("web", offer.epoch, 4, true);
    points[1] = own_point_of("web", offer.epoch, 6, true);
    consumer_join(&restarted, &fixture, resuming(NULL, points, 2));
    cr_assert_str_eq(consumer_read(&restarted), "lost web 1 7-7 RESUME_GAP, web is ACTIVE\n",
                     "of two such positions the later one");
    consumer_leave(&behind);
    consumer_leave(&restarted);
    hub_fixture_close(&fixture);
}

Test(hub_resume, without_a_token_other_sources_are_read_from_now_on)
{
    struct hub_fixture fixture;
    struct consumer consumer;
    struct subscription_params params;
    struct offer offer;
    struct resume_point point;

    hub_fixture_open(&fixture);
    offer = publish(&fixture, "web", 7, "t");
    publish(&fixture, "other", 3, "t");
    point = own_point_of("web", offer.epoch, 4, true);
    params = resuming(NULL, &point, 1);
    params.resume_others_live = true;
    consumer_join(&consumer, &fixture, params);
    publish(&fixture, "other", 1, "t");
    cr_assert_str_eq(consumer_read(&consumer), "lost web 3 5-7 RESUME_GAP, other 4-4, "
                                               "other is ACTIVE, web is ACTIVE\n");
    consumer_leave(&consumer);
    hub_fixture_close(&fixture);
}

Test(hub_resume, a_gap_is_in_no_total)
{
    struct hub_fixture fixture;
    struct consumer consumer;
    struct chan_stats stats;
    struct resume_point none;

    hub_fixture_open(&fixture);
    publish(&fixture, "web", 7, "t");
    consumer_join(&consumer, &fixture, resuming(NULL, &none, 0));
    chan_stats(consumer.chan, &stats);
    cr_assert_eq(stats.accepted.events, 0);
    cr_assert_eq(chan_dropped(&stats).events, 0);
    consumer_leave(&consumer);
    hub_fixture_close(&fixture);
}
