/* test_tool_bench.c - the parts of a bench on which its results rest: marks, the histogram, the
 * check, the schedule. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "client/tool/bench_check.h"
#include "client/tool/bench_mark.h"
#include "client/tool/bench_publisher.h"

/* A check, and the event that it gets next. */
struct tool_bench_fixture {
    struct check check;
    uint8_t payload[MARK_BYTES + 8];
    struct mark mark;
    struct tributary_delivery delivery;
    int64_t now_ns;
};

static struct tool_bench_fixture *fixture_new(void)
{
    struct tool_bench_fixture *fixture = calloc(1, sizeof(*fixture));

    cr_assert(fixture);
    check_init(&fixture->check);
    fixture->mark = (struct mark){.host = fixture->check.host, .run = 1000};
    fixture->delivery = (struct tributary_delivery){.source = tributary_text("a"), .epoch = 7, .sequence = 1};
    fixture->delivery.event.data = (struct tributary_bytes){fixture->payload, sizeof(fixture->payload)};
    return fixture;
}

static void fixture_free(struct tool_bench_fixture *fixture)
{
    check_fini(&fixture->check);
    free(fixture);
}

/* Checks an event with this number and the next sequence. */
static void receive(struct tool_bench_fixture *fixture, uint64_t number)
{
    fixture->mark.number = number;
    mark_write(fixture->payload, &fixture->mark);
    check_event(&fixture->check, &fixture->delivery, fixture->now_ns);
    fixture->delivery.sequence++;
}

Test(tool_bench, a_mark_is_read_back_and_other_bytes_are_refused)
{
    const struct mark mark = {
        .producer = 65535, .host = 4711, .run = UINT64_MAX - 1, .number = 1u << 31, .time_ns = INT64_MAX - 3};
    uint8_t payload[MARK_BYTES];
    struct mark read = {0};

    mark_write(payload, &mark);
    cr_assert_arr_eq(payload, "trbm\xff\xff\x67\x12", 8);
    cr_assert(mark_read((struct tributary_bytes){payload, MARK_BYTES}, &read));
    cr_assert_eq(read.producer, mark.producer);
    cr_assert_eq(read.host, mark.host);
    cr_assert_eq(read.run, mark.run);
    cr_assert_eq(read.number, mark.number);
    cr_assert_eq(read.time_ns, mark.time_ns);
    cr_assert_not(mark_read((struct tributary_bytes){payload, MARK_BYTES - 1}, &read));
    for (size_t i = 0; i < 4; i++) {
        payload[i] ^= 1;
        cr_assert_not(mark_read((struct tributary_bytes){payload, MARK_BYTES}, &read), "byte %zu", i);
        payload[i] ^= 1;
    }
    cr_assert_eq(mark_host(), mark_host());
    cr_assert_neq(mark_run() >> 16, 0);
}

Test(tool_bench, every_value_is_in_the_slot_whose_bounds_hold_it)
{
    uint64_t end = 0;

    for (size_t slot = 0; slot < HISTOGRAM_SLOTS; slot++) {
        uint64_t min = 0;
        uint64_t max = 0;

        histogram_bounds(slot, &min, &max);
        cr_assert_eq(min, end, "slot %zu begins where the one before ends", slot);
        cr_assert_eq(histogram_slot(min), slot);
        cr_assert_eq(histogram_slot(max), slot);
        cr_assert_leq((double)(max - min), (double)min / 64, "slot %zu is narrow", slot);
        end = max + 1;
    }
    cr_assert_eq(end, UINT64_C(1) << HISTOGRAM_BITS);
}

Test(tool_bench, percentiles_are_rounded_up_by_at_most_a_64th)
{
    struct histogram *histogram = calloc(2, sizeof(*histogram));

    cr_assert_eq(histogram_quantile(histogram, 0.5), 0, "an empty one");
    for (int64_t i = 1; i <= 1000; i++)
        histogram_add(&histogram[i % 2], i * 1000);
    histogram_merge(&histogram[0], &histogram[1]);
    cr_assert_eq(histogram->count, 1000);
    cr_assert_eq(histogram->max, 1000000);
    cr_assert_eq(histogram_quantile(histogram, 1), 1000000);
    for (int percent = 1; percent < 100; percent++) {
        const uint64_t value = histogram_quantile(histogram, percent / 100.0);

        cr_assert_geq(value, (uint64_t)percent * 10000, "p%d", percent);
        cr_assert_leq((double)value, percent * 10000.0 * 65 / 64, "p%d", percent);
    }
    histogram_add(histogram, -5);
    cr_assert_eq(histogram->slots[0], 1);
    histogram_add(histogram, INT64_MAX);
    cr_assert_eq(histogram_quantile(histogram, 1), (UINT64_C(1) << HISTOGRAM_BITS) - 1);
    free(histogram);
}

Test(tool_bench, events_in_order_are_no_fault)
{
    struct tool_bench_fixture *fixture = fixture_new();
    const struct check_stats *stats = &fixture->check.stats;

    fixture->now_ns = 5000;
    fixture->mark.time_ns = 2000;
    for (uint64_t i = 0; i < 100; i++) {
        fixture->mark.producer = (uint16_t)(i % 2); /* two producers under one name */
        receive(fixture, i / 2);
    }
    cr_assert_eq(stats->events, 100);
    cr_assert_eq(stats->bytes, 100 * (MARK_BYTES + 8));
    cr_assert_eq(stats->producers, 2);
    cr_assert_eq(stats->duplicates + stats->unchecked + stats->before, 0);
    cr_assert_not(check_failed_by(stats));
    cr_assert_eq(fixture->check.latency.count, 100);
    cr_assert_eq(fixture->check.latency.max, 3000);
    fixture_free(fixture);
}

Test(tool_bench, a_hole_is_counted_and_an_event_that_fills_it_is_disorder)
{
    struct tool_bench_fixture *fixture = fixture_new();
    const struct check_stats *stats = &fixture->check.stats;

    receive(fixture, 0);
    receive(fixture, 5);
    cr_assert_eq(stats->holes, 1);
    cr_assert_eq(stats->missing, 4);
    receive(fixture, 2);
    cr_assert_eq(stats->disorder, 1);
    cr_assert_eq(stats->missing, 3);
    receive(fixture, 4);
    receive(fixture, 1);
    receive(fixture, 3);
    cr_assert_eq(stats->disorder, 4);
    cr_assert_eq(stats->missing, 0);
    receive(fixture, 3);
    receive(fixture, 0);
    cr_assert_eq(stats->duplicates, 2);
    cr_assert_eq(stats->disorder, 4);
    receive(fixture, 6);
    cr_assert_eq(stats->holes, 1);
    cr_assert(check_failed_by(stats));
    fixture_free(fixture);
}

Test(tool_bench, more_holes_than_are_kept_are_counted)
{
    struct tool_bench_fixture *fixture = fixture_new();

    for (uint64_t i = 1; i <= 100; i++)
        receive(fixture, i * 2);
    cr_assert_eq(fixture->check.stats.holes, 100);
    cr_assert_eq(fixture->check.stats.missing, 101);
    fixture_free(fixture);
}

Test(tool_bench, an_older_run_may_begin_at_any_number_and_a_newer_one_must_begin_at_0)
{
    struct tool_bench_fixture *fixture = fixture_new();
    const struct check_stats *stats = &fixture->check.stats;

    fixture->check.since_wall_ns = 1001;
    receive(fixture, 50);
    receive(fixture, 51);
    cr_assert_eq(stats->before, 50);
    cr_assert_not(check_failed_by(stats));
    fixture->mark.run = 1001;
    receive(fixture, 1);
    cr_assert_eq(stats->holes, 1);
    cr_assert_eq(stats->missing, 1);
    fixture_free(fixture);
}

Test(tool_bench, sequences_are_checked_for_each_source_and_epoch)
{
    struct tool_bench_fixture *fixture = fixture_new();
    const struct check_stats *stats = &fixture->check.stats;

    fixture->delivery.sequence = 10;
    receive(fixture, 0);
    fixture->delivery.sequence = 13;
    receive(fixture, 1);
    cr_assert_eq(stats->sequence_holes, 1);
    cr_assert_eq(stats->sequence_missing, 2);
    fixture->delivery.epoch++;
    fixture->delivery.sequence = 1;
    receive(fixture, 2);
    cr_assert_eq(stats->sequence_holes, 1, "a new epoch begins anew");
    fixture->delivery.source = tributary_text("b");
    fixture->delivery.sequence = 500;
    fixture->mark.producer = 1;
    receive(fixture, 0);
    cr_assert_eq(stats->sequence_holes, 1, "another source has its own");
    cr_assert_eq(stats->disorder, 0);
    fixture->delivery.sequence = 500;
    receive(fixture, 1);
    cr_assert_eq(stats->disorder, 1);
    fixture->delivery.sequence = 900;
    fixture->delivery.epoch--;
    receive(fixture, 2);
    cr_assert_eq(stats->disorder, 2, "a late event of an earlier epoch");
    fixture_free(fixture);
}

Test(tool_bench, with_a_filter_sequences_are_not_checked)
{
    struct tool_bench_fixture *fixture = fixture_new();

    fixture->check.no_sequences = true;
    receive(fixture, 0);
    fixture->delivery.sequence = 13;
    receive(fixture, 1);
    cr_assert_not(check_failed_by(&fixture->check.stats));
    fixture_free(fixture);
}

Test(tool_bench, an_event_without_a_mark_is_counted_and_not_checked)
{
    struct tool_bench_fixture *fixture = fixture_new();

    fixture->delivery.event.data = tributary_text("hello");
    check_event(&fixture->check, &fixture->delivery, 0);
    cr_assert_eq(fixture->check.stats.events, 1);
    cr_assert_eq(fixture->check.stats.unchecked, 1);
    cr_assert_eq(fixture->check.latency.count, 0);
    fixture_free(fixture);
}

Test(tool_bench, latencies_of_other_machines_and_of_the_warm_up_are_left_out)
{
    struct tool_bench_fixture *fixture = fixture_new();

    fixture->check.latency_from_ns = 100;
    fixture->mark.time_ns = 99;
    receive(fixture, 0);
    fixture->mark.time_ns = 100;
    fixture->mark.host++;
    receive(fixture, 1);
    cr_assert_eq(fixture->check.latency.count, 0);
    fixture->mark.host--;
    receive(fixture, 2);
    cr_assert_eq(fixture->check.latency.count, 1);
    cr_assert_not(check_failed_by(&fixture->check.stats));
    fixture_free(fixture);
}

Test(tool_bench, a_loss_that_the_server_reports_is_a_fault)
{
    struct tool_bench_fixture *fixture = fixture_new();
    struct check_stats both = {0};

    check_lost(&fixture->check, &(struct tributary_lost){.count = 3, .bytes = 30});
    cr_assert(check_failed_by(&fixture->check.stats));
    check_stats_add(&both, &fixture->check.stats);
    check_stats_add(&both, &fixture->check.stats);
    cr_assert_eq(both.lost, 6);
    cr_assert_eq(both.lost_bytes, 60);
    cr_assert(check_failed_by(&(struct check_stats){.lost_unknown = true}));
    fixture_free(fixture);
}

Test(tool_bench, events_are_divided_evenly_and_publishers_publish_in_turn)
{
    struct bench_plan plan = {.publishers = 3, .events = 8, .rate = 3000, .began_ns = 50};
    uint64_t sum = 0;

    for (uint32_t i = 0; i < 3; i++) {
        const struct bench_publisher publisher = {.plan = &plan, .number = i};

        sum += bench_share(&plan, i);
        cr_assert_eq(bench_due_ns(&publisher, 0), 50 + (int64_t)(i * 1e9 / 3000));
        cr_assert_eq(bench_due_ns(&publisher, 3000), bench_due_ns(&publisher, 0) + 3000000000);
    }
    cr_assert_eq(sum, 8);
    plan.batch = 64;
    cr_assert_eq(bench_due_ns(&(struct bench_publisher){.plan = &plan, .number = 1}, 63),
                 50 + (int64_t)(64 * 1e9 / 3000), "the events of a message are due together");
    cr_assert_eq(bench_due_ns(&(struct bench_publisher){.plan = &plan, .number = 1}, 64),
                 50 + (int64_t)(4 * 64 * 1e9 / 3000));
    plan.events = 0;
    cr_assert_eq(bench_share(&plan, 0), UINT64_MAX);
}
