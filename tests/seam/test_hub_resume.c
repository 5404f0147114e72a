/* test_hub_resume.c - what a consumer that comes back is told of what it missed. */
#include <criterion/criterion.h>

#include "seam/bench.h"

static struct subscription_params resuming(const char *topic, const struct resume_point *points, size_t count)
{
    struct subscription_params params = wish_of(topic);

    params.resume = points;
    params.resume_count = count;
    return params;
}

Test(hub_resume, the_same_epoch_is_told_exactly_and_goes_on_without_a_hole)
{
    struct bench bench;
    struct consumer consumer;
    struct offer offer;
    struct resume_point point;

    bench_open(&bench);
    offer = publish(&bench, "web", 7, "t");
    point = (struct resume_point){text_of("web"), offer.epoch, 4};
    consumer_join(&consumer, &bench, resuming(NULL, &point, 1));
    publish(&bench, "web", 2, "t");
    cr_assert_str_eq(consumer_read(&consumer), "lost web 3 5-7 RESUME_GAP, web 8-9, web is ACTIVE\n");
    consumer_leave(&consumer);
    bench_close(&bench);
}

Test(hub_resume, nothing_is_told_where_nothing_was_missed)
{
    struct bench bench;
    struct consumer at_end, ahead;
    struct offer offer;
    struct resume_point point;

    bench_open(&bench);
    offer = publish(&bench, "web", 7, "t");
    point = (struct resume_point){text_of("web"), offer.epoch, 7};
    consumer_join(&at_end, &bench, resuming(NULL, &point, 1));
    point.sequence = UINT64_MAX;
    consumer_join(&ahead, &bench, resuming(NULL, &point, 1));
    publish(&bench, "web", 1, "t");
    cr_assert_str_eq(consumer_read(&at_end), "web 8-8, web is ACTIVE\n");
    cr_assert_str_eq(consumer_read(&ahead), "web 8-8, web is ACTIVE\n");
    consumer_leave(&at_end);
    consumer_leave(&ahead);
    bench_close(&bench);
}

Test(hub_resume, another_epoch_is_a_gap_of_unknown_size)
{
    struct bench bench;
    struct consumer consumer;
    struct offer offer;
    struct resume_point point;

    bench_open(&bench);
    offer = publish(&bench, "web", 7, "t");
    point = (struct resume_point){text_of("web"), offer.epoch - 1, 40};
    consumer_join(&consumer, &bench, resuming(NULL, &point, 1));
    publish(&bench, "web", 1, "t");
    cr_assert_str_eq(consumer_read(&consumer), "lost web ? 1-7 RESUME_GAP, web 8-8, web is ACTIVE\n");
    consumer_leave(&consumer);
    bench_close(&bench);
}

Test(hub_resume, another_epoch_is_a_gap_even_before_its_first_event)
{
    struct bench bench;
    struct consumer consumer;
    struct putter putter;
    struct resume_point point = {text_of("web"), 5, 40};

    bench_open(&bench);
    putter_open(&putter, &bench, "web");
    consumer_join(&consumer, &bench, resuming(NULL, &point, 1));
    cr_assert_str_eq(consumer_read(&consumer), "lost web ? 0-0 RESUME_GAP, web is ACTIVE\n");
    putter_leave(&putter);
    consumer_leave(&consumer);
    bench_close(&bench);
}

Test(hub_resume, a_source_that_is_not_in_the_token_is_missed_from_its_first_event)
{
    struct bench bench;
    struct consumer consumer;
    struct resume_point none;

    bench_open(&bench);
    publish(&bench, "web", 7, "t");
    consumer_join(&consumer, &bench, resuming(NULL, &none, 0));
    publish(&bench, "later", 1, "t");
    cr_assert_str_eq(consumer_read(&consumer),
                     "lost web 7 1-7 RESUME_GAP, later 1-1, web is ACTIVE, later is ACTIVE\n");
    consumer_leave(&consumer);
    bench_close(&bench);
}

Test(hub_resume, a_source_that_was_silent_all_along_has_no_gap)
{
    struct bench bench;
    struct consumer consumer;
    struct putter silent;
    struct resume_point none;

    bench_open(&bench);
    putter_open(&silent, &bench, "silent");
    consumer_join(&consumer, &bench, resuming(NULL, &none, 0));
    cr_assert_eq(putter_put(&silent, sample_chunk(1, "t", 8)), ERR_OK);
    cr_assert_str_eq(consumer_read(&consumer), "silent 1-1, silent is ACTIVE\n");
    putter_leave(&silent);
    consumer_leave(&consumer);
    bench_close(&bench);
}

Test(hub_resume, a_source_that_is_gone_is_told_of_once_if_it_would_match)
{
    struct bench bench;
    struct consumer consumer;
    struct subscription_params params;
    struct resume_point points[] = {{text_of("web/1"), 5, 9}, {text_of("api/1"), 5, 9}};

    bench_open(&bench);
    params = resuming(NULL, points, 2);
    filter_free(params.filter);
    params.filter = filter_of("web/*", NULL, NULL);
    consumer_join(&consumer, &bench, params);
    cr_assert_eq(consumer.result.producers_matched, 0);
    cr_assert_str_eq(consumer_read(&consumer), "lost web/1 ? 0-0 RESUME_GAP, web/1 is REMOVED\n");
    cr_assert_eq(consumer.epoch, 5);
    cr_assert_str_eq(consumer_read(&consumer), "");
    consumer_leave(&consumer);
    bench_close(&bench);
}

Test(hub_resume, a_gap_is_counted_only_where_every_event_was_wanted)
{
    struct bench bench;
    struct consumer consumer;
    struct offer offer;
    struct resume_point point;

    bench_open(&bench);
    offer = publish(&bench, "web", 7, "other");
    point = (struct resume_point){text_of("web"), offer.epoch, 4};
    consumer_join(&consumer, &bench, resuming("t", &point, 1));
    cr_assert_str_eq(consumer_read(&consumer), "lost web ? 5-7 RESUME_GAP, web is ACTIVE\n");
    consumer_leave(&consumer);
    bench_close(&bench);
}

Test(hub_resume, of_several_epochs_in_a_token_the_latest_says_where_it_stood)
{
    struct bench bench;
    struct consumer consumer;
    struct offer offer;
    struct resume_point points[3];

    bench_open(&bench);
    offer = publish(&bench, "web", 7, "t");
    points[0] = (struct resume_point){text_of("web"), offer.epoch - 2, 90};
    points[1] = (struct resume_point){text_of("web"), offer.epoch, 6};
    points[2] = (struct resume_point){text_of("web"), offer.epoch - 1, 80};
    consumer_join(&consumer, &bench, resuming(NULL, points, 3));
    cr_assert_str_eq(consumer_read(&consumer), "lost web 1 7-7 RESUME_GAP, web is ACTIVE\n");
    consumer_leave(&consumer);
    bench_close(&bench);
}

Test(hub_resume, a_gap_is_no_part_of_the_sums)
{
    struct bench bench;
    struct consumer consumer;
    struct chan_stats stats;
    struct resume_point none;

    bench_open(&bench);
    publish(&bench, "web", 7, "t");
    consumer_join(&consumer, &bench, resuming(NULL, &none, 0));
    chan_stats(consumer.chan, &stats);
    cr_assert_eq(stats.accepted.events, 0);
    cr_assert_eq(chan_dropped(&stats).events, 0);
    consumer_leave(&consumer);
    bench_close(&bench);
}
