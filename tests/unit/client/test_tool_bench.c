/* test_tool_bench.c - the parts of a bench that must not flatter: marks, the histogram, the check,
 * the schedule. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "client/tool/bench_check.h"
#include "client/tool/bench_mark.h"
#include "client/tool/bench_publisher.h"

/* A checker, and the event that it is given next. */
struct tool_bench_fixture {
    struct check check;
    uint8_t payload[MARK_BYTES + 8];
    struct mark mark;
    struct tributary_delivery delivery;
    int64_t now_ns;
};

static struct tool_bench_fixture *fixture_new(void)
{
    struct tool_bench_fixture *tool_bench_fixture = calloc(1, sizeof(*tool_bench_fixture));

    cr_assert(tool_bench_fixture != NULL);
    check_init(&tool_bench_fixture->check);
    tool_bench_fixture->mark = (struct mark){.host = tool_bench_fixture->check.host, .run = 1000};
    tool_bench_fixture->delivery =
        (struct tributary_delivery){.source = tributary_text("a"), .epoch = 7, .sequence = 1};
    tool_bench_fixture->delivery.event.data =
        (struct tributary_bytes){tool_bench_fixture->payload, sizeof(tool_bench_fixture->payload)};
    return tool_bench_fixture;
}

static void fixture_free(struct tool_bench_fixture *tool_bench_fixture)
{
    check_fini(&tool_bench_fixture->check);
    free(tool_bench_fixture);
}

/* The event with this number, under the next sequence. */
static void number(struct tool_bench_fixture *tool_bench_fixture, uint64_t number)
{
    tool_bench_fixture->mark.number = number;
    mark_write(tool_bench_fixture->payload, &tool_bench_fixture->mark);
    check_event(&tool_bench_fixture->check, &tool_bench_fixture->delivery, tool_bench_fixture->now_ns);
    tool_bench_fixture->delivery.sequence++;
}

Test(tool_bench, a_mark_is_read_back_and_nothing_else_is_one)
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

Test(tool_bench, every_duration_falls_into_the_slot_that_holds_it)
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

Test(tool_bench, what_comes_in_order_is_no_fault)
{
    struct tool_bench_fixture *tool_bench_fixture = fixture_new();
    const struct check_stats *stats = &tool_bench_fixture->check.stats;

    tool_bench_fixture->now_ns = 5000;
    tool_bench_fixture->mark.time_ns = 2000;
    for (uint64_t i = 0; i < 100; i++) {
        tool_bench_fixture->mark.producer = (uint16_t)(i % 2); /* two producers under one name */
        number(tool_bench_fixture, i / 2);
    }
    cr_assert_eq(stats->events, 100);
    cr_assert_eq(stats->bytes, 100 * (MARK_BYTES + 8));
    cr_assert_eq(stats->producers, 2);
    cr_assert_eq(stats->duplicates + stats->unchecked + stats->before, 0);
    cr_assert_not(check_failed_by(stats));
    cr_assert_eq(tool_bench_fixture->check.latency.count, 100);
    cr_assert_eq(tool_bench_fixture->check.latency.max, 3000);
    fixture_free(tool_bench_fixture);
}

Test(tool_bench, a_hole_is_counted_and_what_fills_it_came_too_late)
{
    struct tool_bench_fixture *tool_bench_fixture = fixture_new();
    const struct check_stats *stats = &tool_bench_fixture->check.stats;

    number(tool_bench_fixture, 0);
    number(tool_bench_fixture, 5);
    cr_assert_eq(stats->holes, 1);
    cr_assert_eq(stats->missing, 4);
    number(tool_bench_fixture, 2);
    cr_assert_eq(stats->disorder, 1);
    cr_assert_eq(stats->missing, 3);
    number(tool_bench_fixture, 4);
    number(tool_bench_fixture, 1);
    number(tool_bench_fixture, 3);
    cr_assert_eq(stats->disorder, 4);
    cr_assert_eq(stats->missing, 0);
    number(tool_bench_fixture, 3);
    number(tool_bench_fixture, 0);
    cr_assert_eq(stats->duplicates, 2);
    cr_assert_eq(stats->disorder, 4);
    number(tool_bench_fixture, 6);
    cr_assert_eq(stats->holes, 1);
    cr_assert(check_failed_by(stats));
    fixture_free(tool_bench_fixture);
}

Test(tool_bench, more_holes_than_are_remembered_are_still_counted)
{
    struct tool_bench_fixture *tool_bench_fixture = fixture_new();

    for (uint64_t i = 1; i <= 100; i++)
        number(tool_bench_fixture, i * 2);
    cr_assert_eq(tool_bench_fixture->check.stats.holes, 100);
    cr_assert_eq(tool_bench_fixture->check.stats.missing, 101);
    fixture_free(tool_bench_fixture);
}

Test(tool_bench, an_older_run_may_be_met_in_its_middle_and_a_newer_one_may_not)
{
    struct tool_bench_fixture *tool_bench_fixture = fixture_new();
    const struct check_stats *stats = &tool_bench_fixture->check.stats;

    tool_bench_fixture->check.since_wall_ns = 1001;
    number(tool_bench_fixture, 50);
    number(tool_bench_fixture, 51);
    cr_assert_eq(stats->before, 50);
    cr_assert_not(check_failed_by(stats));
    tool_bench_fixture->mark.run = 1001;
    number(tool_bench_fixture, 1);
    cr_assert_eq(stats->holes, 1);
    cr_assert_eq(stats->missing, 1);
    fixture_free(tool_bench_fixture);
}

Test(tool_bench, sequences_are_checked_by_source_and_life)
{
    struct tool_bench_fixture *tool_bench_fixture = fixture_new();
    const struct check_stats *stats = &tool_bench_fixture->check.stats;

    tool_bench_fixture->delivery.sequence = 10;
    number(tool_bench_fixture, 0);
    tool_bench_fixture->delivery.sequence = 13;
    number(tool_bench_fixture, 1);
    cr_assert_eq(stats->sequence_holes, 1);
    cr_assert_eq(stats->sequence_missing, 2);
    tool_bench_fixture->delivery.epoch++;
    tool_bench_fixture->delivery.sequence = 1;
    number(tool_bench_fixture, 2);
    cr_assert_eq(stats->sequence_holes, 1, "a new life begins anew");
    tool_bench_fixture->delivery.source = tributary_text("b");
    tool_bench_fixture->delivery.sequence = 500;
    tool_bench_fixture->mark.producer = 1;
    number(tool_bench_fixture, 0);
    cr_assert_eq(stats->sequence_holes, 1, "another source has its own");
    cr_assert_eq(stats->disorder, 0);
    tool_bench_fixture->delivery.sequence = 500;
    number(tool_bench_fixture, 1);
    cr_assert_eq(stats->disorder, 1);
    tool_bench_fixture->delivery.sequence = 900;
    tool_bench_fixture->delivery.epoch--;
    number(tool_bench_fixture, 2);
    cr_assert_eq(stats->disorder, 2, "a late word of an earlier life");
    fixture_free(tool_bench_fixture);
}

Test(tool_bench, with_a_filter_sequences_may_have_holes)
{
    struct tool_bench_fixture *tool_bench_fixture = fixture_new();

    tool_bench_fixture->check.no_sequences = true;
    number(tool_bench_fixture, 0);
    tool_bench_fixture->delivery.sequence = 13;
    number(tool_bench_fixture, 1);
    cr_assert_not(check_failed_by(&tool_bench_fixture->check.stats));
    fixture_free(tool_bench_fixture);
}

Test(tool_bench, what_carries_no_mark_counts_and_is_not_checked)
{
    struct tool_bench_fixture *tool_bench_fixture = fixture_new();

    tool_bench_fixture->delivery.event.data = tributary_text("hello");
    check_event(&tool_bench_fixture->check, &tool_bench_fixture->delivery, 0);
    cr_assert_eq(tool_bench_fixture->check.stats.events, 1);
    cr_assert_eq(tool_bench_fixture->check.stats.unchecked, 1);
    cr_assert_eq(tool_bench_fixture->check.latency.count, 0);
    fixture_free(tool_bench_fixture);
}

Test(tool_bench, latencies_of_other_machines_and_of_the_warm_up_are_left_out)
{
    struct tool_bench_fixture *tool_bench_fixture = fixture_new();

    tool_bench_fixture->check.latency_from_ns = 100;
    tool_bench_fixture->mark.time_ns = 99;
    number(tool_bench_fixture, 0);
    tool_bench_fixture->mark.time_ns = 100;
    tool_bench_fixture->mark.host++;
    number(tool_bench_fixture, 1);
    cr_assert_eq(tool_bench_fixture->check.latency.count, 0);
    tool_bench_fixture->mark.host--;
    number(tool_bench_fixture, 2);
    cr_assert_eq(tool_bench_fixture->check.latency.count, 1);
    cr_assert_not(check_failed_by(&tool_bench_fixture->check.stats));
    fixture_free(tool_bench_fixture);
}

Test(tool_bench, a_loss_that_the_server_tells_is_a_fault)
{
    struct tool_bench_fixture *tool_bench_fixture = fixture_new();
    struct check_stats both = {0};

    check_lost(&tool_bench_fixture->check, &(struct tributary_lost){.count = 3, .bytes = 30});
    cr_assert(check_failed_by(&tool_bench_fixture->check.stats));
    check_stats_add(&both, &tool_bench_fixture->check.stats);
    check_stats_add(&both, &tool_bench_fixture->check.stats);
    cr_assert_eq(both.lost, 6);
    cr_assert_eq(both.lost_bytes, 60);
    cr_assert(check_failed_by(&(struct check_stats){.lost_unknown = true}));
    fixture_free(tool_bench_fixture);
}

Test(tool_bench, events_are_shared_out_and_publishers_take_turns)
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
    plan.events = 0;
    cr_assert_eq(bench_share(&plan, 0), UINT64_MAX);
}
