/* test_turns.c - the histogram of turns. */
#include "loop/loop.h"

#include <criterion/criterion.h>

#include "base/clock.h"
#include "base/counters.h"

static int64_t turns_from(enum counter first)
{
    int64_t turns = 0;

    for (int i = (int)first; i <= COUNT_LOOP_TURNS_GT_1S; i++)
        turns += count_get((enum counter)i);
    return turns;
}

static void work_for_3_ms(struct task *task)
{
    int64_t until_ns = clock_mono_ns() + 3 * NS_PER_MS;

    (void)task;
    while (clock_mono_ns() < until_ns)
        continue;
}

static void nothing(struct timer *timer)
{
    (void)timer;
}

Test(turns, each_turn_counts_once_by_how_long_it_worked)
{
    OWNED(loop_free) struct loop *loop = NULL;
    struct task task = {.run = work_for_3_ms};

    cr_assert_eq(loop_new(&loop).code, ERR_OK);
    loop_turn(loop);
    cr_assert_eq(turns_from(COUNT_LOOP_TURNS_LE_64US), 1);
    loop_post(loop, &task);
    loop_turn(loop);
    cr_assert_eq(turns_from(COUNT_LOOP_TURNS_LE_64US), 2);
    cr_assert_geq(turns_from(COUNT_LOOP_TURNS_LE_4MS), 1, "3 ms are in the bucket of 4 ms or later");
    cr_assert_geq(count_get(COUNT_LOOP_TURN_MAX_US), 3000);
}

Test(turns, time_outside_of_the_loop_is_no_work)
{
    OWNED(loop_free) struct loop *loop = NULL;
    struct timer timer = {.fired = nothing};
    int64_t longest_us;

    cr_assert_eq(loop_new(&loop).code, ERR_OK);
    loop_turn(loop);
    longest_us = count_get(COUNT_LOOP_TURN_MAX_US);
    work_for_3_ms(NULL);
    cr_assert_eq(timer_start(loop, &timer, NS_PER_S), ERR_OK);
    loop_turn(loop);
    loop_stop(loop);
    loop_run(loop);
    timer_stop(&timer);
    cr_assert_lt(count_get(COUNT_LOOP_TURN_MAX_US), longest_us + 3000);
}

struct crowd {
    struct loop *loop;
    struct timer timer;
    unsigned ran, ran_before_the_timer;
};

struct member {
    struct task task;
    struct crowd *crowd;
    unsigned number;
};

static void fired(struct timer *timer)
{
    struct crowd *crowd = container_of(timer, struct crowd, timer);

    crowd->ran_before_the_timer = crowd->ran;
    loop_stop(crowd->loop);
}

static void work_for_1_ms(struct task *task)
{
    struct member *member = container_of(task, struct member, task);
    struct crowd *crowd = member->crowd;
    int64_t until_ns = clock_mono_ns() + NS_PER_MS;

    cr_assert_eq(crowd->ran++, member->number, "in the order in which they were posted");
    if (member->number == 0)
        cr_assert_eq(timer_start(crowd->loop, &crowd->timer, 0), ERR_OK);
    while (clock_mono_ns() < until_ns)
        continue;
}

Test(turns, many_tasks_share_turns_with_timers)
{
    OWNED(loop_free) struct loop *loop = NULL;
    struct member members[100];
    struct crowd crowd = {.timer.fired = fired};

    cr_assert_eq(loop_new(&loop).code, ERR_OK);
    crowd.loop = loop;
    for (unsigned i = 0; i < 100; i++) {
        members[i] = (struct member){{.run = work_for_1_ms}, &crowd, i};
        loop_post(loop, &members[i].task);
    }
    loop_run(loop);
    cr_assert_lt(crowd.ran_before_the_timer, 50);
    cr_assert_eq(crowd.ran, 100, "a stop comes after what was posted before");
}
