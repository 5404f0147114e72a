/* test_position_memory.c - the most positions that a request may have: the report of their sources
 * in portions, and what the budget is charged for positions. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "hub/left_positions.h"
#include "hub/subscription_internal.h"
#include "seam/hub_fixture.h"
#include "seam/virtual_clock.h"

#define MAX_POSITIONS 16384u /* of subscribe_request.c */
#define STEPS_OF_A_TURN 16u
#define SORTING_STEPS (MAX_POSITIONS / 64u)      /* STEP_POSITIONS of bind_walk.c */
#define SOURCES_OF_A_TURN (8u * STEPS_OF_A_TURN) /* STEP_PRODUCERS of bind_walk.c */

static struct hub_fixture fixture;
static char (*names)[8];
static struct resume_point *points;

static void begin(void)
{
    names = calloc(MAX_POSITIONS, sizeof(*names));
    points = calloc(MAX_POSITIONS, sizeof(*points));
    cr_assert(names && points);
    for (unsigned i = 0; i < MAX_POSITIONS; i++) {
        snprintf(names[i], sizeof(names[i]), "u%05u", i);
        points[i] = (struct resume_point){text_of(names[i]), 5, 9, true};
    }
    hub_fixture_open(&fixture);
}

static void end(void)
{
    virtual_slice_steps = 0;
    hub_fixture_close(&fixture);
    cr_assert_eq(budget_used(), 0);
    budget_set(0);
    free(points);
    free(names);
}

TestSuite(position_memory, .init = begin, .fini = end);

/* Runs in each turn until the consumer is bound. */
struct neighbour {
    struct task task;
    const struct consumer *consumer;
    unsigned turns;
};

static void run_neighbour(struct task *task)
{
    struct neighbour *neighbour = container_of(task, struct neighbour, task);

    neighbour->turns++;
    if (!neighbour->consumer->bound)
        loop_post(fixture.loop, task);
}

/* Begins a stream after all points, which is bound in portions. */
static enum fault_reason join(struct consumer *consumer, struct neighbour *neighbour)
{
    struct subscription_params params = subscription_params_of(NULL);

    params.resume = points;
    params.resume_count = MAX_POSITIONS;
    params.resume_others_live = true;
    *neighbour = (struct neighbour){.task = {.run = run_neighbour}, .consumer = consumer};
    return consumer_begin(consumer, &fixture, params);
}

static uint32_t consumer_producers(const struct consumer *consumer)
{
    return subscription_producers(consumer->subscription);
}

/* Counts how often each source is reported as lost. */
static void count_lost(struct consumer *consumer, uint8_t *lost)
{
    const char *text;

    while (*(text = consumer_read(consumer)))
        for (; (text = strstr(text, "lost u")); text++)
            lost[strtoul(text + strlen("lost u"), NULL, 10)]++;
}

Test(position_memory, sources_that_are_gone_are_reported_in_portions_and_each_once)
{
    static uint8_t lost[100000];
    struct consumer consumer;
    struct neighbour neighbour;

    virtual_slice_steps = STEPS_OF_A_TURN;
    cr_assert_eq(join(&consumer, &neighbour), FAULT_NONE);
    cr_assert(consumer.result.pending);
    cr_assert_geq(count_get(COUNT_LIVE_POSITION_BYTES), (int64_t)(MAX_POSITIONS * sizeof(*points)));
    loop_post(fixture.loop, &neighbour.task);
    virtual_time_pass(fixture.loop, 0);
    cr_assert(consumer.bound);
    cr_assert_geq(neighbour.turns, MAX_POSITIONS / SOURCES_OF_A_TURN - 1);
    cr_assert_eq(count_get(COUNT_LIVE_POSITION_BYTES), 0);
    count_lost(&consumer, lost);
    for (unsigned i = 0; i < MAX_POSITIONS; i++)
        cr_assert_eq(lost[i], 1, "%s: %u times", names[i], lost[i]);
    consumer_leave(&consumer);
}

Test(position_memory, a_source_that_comes_back_after_its_report_has_no_second_gap)
{
    static uint8_t lost[100000];
    struct consumer consumer;
    struct neighbour neighbour;

    do { /* a slice sometimes takes no step at first */
        virtual_slice_steps = SORTING_STEPS + STEPS_OF_A_TURN;
        cr_assert_eq(join(&consumer, &neighbour), FAULT_NONE);
        count_lost(&consumer, lost);
        if (lost[0] == 0)
            consumer_leave(&consumer);
    } while (lost[0] == 0);
    publish(&fixture, names[0], 1, "t");
    virtual_time_pass(fixture.loop, 0);
    count_lost(&consumer, lost);
    cr_assert_eq(lost[0], 1);
    consumer_leave(&consumer);
}

Test(position_memory, a_producer_that_is_added_while_positions_are_sorted_is_bound_by_the_walk)
{
    static uint8_t lost[100000];
    struct consumer consumer;
    struct neighbour neighbour;
    unsigned last = MAX_POSITIONS - 1;

    virtual_slice_steps = 1;
    cr_assert_eq(join(&consumer, &neighbour), FAULT_NONE);
    publish(&fixture, names[last], 1, "t");
    publish(&fixture, "other", 1, "t");
    cr_assert_eq(consumer_producers(&consumer), 0);
    virtual_time_pass(fixture.loop, 0);
    cr_assert_eq(consumer_producers(&consumer), 2);
    count_lost(&consumer, lost);
    for (unsigned i = 0; i < MAX_POSITIONS; i++)
        cr_assert_eq(lost[i], 1, "%s: %u times", names[i], lost[i]);
    publish(&fixture, names[last], 1, "t");
    publish(&fixture, "other", 1, "t");
    cr_assert_str_eq(consumer_read(&consumer), "u16383 2-2, other 2-2\n");
    consumer_leave(&consumer);
}

Test(position_memory, a_stream_that_ends_in_between_gives_the_budget_back)
{
    struct consumer consumer;
    struct neighbour neighbour;

    virtual_slice_steps = STEPS_OF_A_TURN;
    cr_assert_eq(join(&consumer, &neighbour), FAULT_NONE);
    consumer_leave(&consumer);
    cr_assert_eq(count_get(COUNT_LIVE_POSITION_BYTES), 0);
}

/* Finding 10. */
Test(position_memory, positions_that_the_budget_has_no_room_for_are_refused)
{
    struct consumer consumer;
    struct neighbour neighbour;

    budget_set(MAX_POSITIONS * sizeof(*points));
    cr_assert_eq(join(&consumer, &neighbour), FAULT_MEMORY_BUDGET);
    cr_assert_eq(budget_used(), 0);
}

Test(position_memory, a_position_that_was_left_is_charged_or_left_out)
{
    struct left_positions positions = {0};
    struct source *source = source_new(text_of("web"), 5);

    atomic_store(&source->routed, 7);
    left_positions_add(&positions, source);
    budget_set(budget_used());
    while (positions.count < positions.capacity)
        left_positions_add(&positions, source);
    cr_assert_eq(positions.left_out, 0);
    left_positions_add(&positions, source);
    cr_assert_eq(positions.left_out, 1);
    cr_assert_eq(positions.count, positions.capacity);
    cr_assert_eq(count_get(COUNT_LIVE_POSITION_BYTES),
                 (int64_t)(positions.capacity * sizeof(*positions.list)));
    left_positions_fini(&positions);
    source_release(source);
}
