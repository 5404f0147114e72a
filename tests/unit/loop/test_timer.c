/* test_timer.c - timers fire once, never early, and never after they were stopped. */
#include "loop/loop.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/clock.h"

#define DEADLINE_NS (10 * NS_PER_S)

struct alarm {
    struct timer timer;
    struct loop *loop;
    int64_t due_ns;
    int fires;
    int again;           /* how often its callback arms it again */
    struct alarm *stops; /* its callback stops this one */
    bool freed;
};

static int early;
static int total;

static void fired(struct timer *timer)
{
    struct alarm *alarm = container_of(timer, struct alarm, timer);

    cr_assert_null(timer->loop, "it is not armed while it fires");
    cr_assert(loop_is_mine(alarm->loop));
    early += clock_mono_ns() < alarm->due_ns;
    alarm->fires++;
    total++;
    if (alarm->stops)
        timer_stop(&alarm->stops->timer);
    if (alarm->again > 0) {
        alarm->again--;
        cr_assert_eq(timer_start(alarm->loop, timer, 1000), ERR_OK);
    }
    if (alarm->freed)
        free(alarm);
}

static struct alarm alarm_for(struct loop *loop)
{
    return (struct alarm){.timer = {.fired = fired}, .loop = loop};
}

static void arm(struct alarm *alarm, int64_t delay_ns)
{
    alarm->due_ns = clock_mono_ns() + delay_ns;
    cr_assert_eq(timer_start(alarm->loop, &alarm->timer, delay_ns), ERR_OK);
}

static struct loop *loop_made(void)
{
    struct loop *loop = NULL;

    cr_assert_eq(loop_new(&loop).code, ERR_OK);
    return loop;
}

/* Turns the loop until `fires` timers have fired. */
static void turn_until(struct loop *loop, int fires)
{
    int64_t deadline_ns = clock_mono_ns() + DEADLINE_NS;

    while (total < fires) {
        cr_assert_lt(clock_mono_ns(), deadline_ns, "%d of %d fired", total, fires);
        loop_turn(loop);
    }
}

static void turn_for(struct loop *loop, int64_t time_ns)
{
    int64_t end_ns = clock_mono_ns() + time_ns;

    do
        loop_turn(loop);
    while (clock_mono_ns() < end_ns);
}

Test(timer, fires_once_and_never_early)
{
    OWNED(loop_free) struct loop *loop = loop_made();
    struct alarm alarms[50];

    srand(1);
    for (int i = 0; i < 50; i++) {
        alarms[i] = alarm_for(loop);
        arm(&alarms[i], rand() % (20 * (int)NS_PER_MS));
    }
    turn_until(loop, 50);
    turn_for(loop, 5 * NS_PER_MS);
    for (int i = 0; i < 50; i++)
        cr_assert_eq(alarms[i].fires, 1);
    cr_assert_eq(early, 0);
}

Test(timer, a_delay_of_zero_or_less_means_the_next_turn)
{
    OWNED(loop_free) struct loop *loop = loop_made();
    struct alarm now = alarm_for(loop), past = alarm_for(loop);

    arm(&now, 0);
    arm(&past, -NS_PER_S);
    cr_assert_eq(total, 0);
    loop_turn(loop);
    cr_assert_eq(now.fires + past.fires, 2);
}

Test(timer, a_stopped_timer_never_fires)
{
    OWNED(loop_free) struct loop *loop = loop_made();
    struct alarm alarm = alarm_for(loop);

    arm(&alarm, NS_PER_MS);
    timer_stop(&alarm.timer);
    timer_stop(&alarm.timer);
    cr_assert_null(alarm.timer.loop);
    turn_for(loop, 10 * NS_PER_MS);
    cr_assert_eq(alarm.fires, 0);
    arm(&alarm, NS_PER_MS);
    turn_until(loop, 1);
}

Test(timer, a_due_timer_may_be_stopped_by_another_in_the_same_turn)
{
    OWNED(loop_free) struct loop *loop = loop_made();
    struct alarm a = alarm_for(loop), b = alarm_for(loop);

    a.stops = &b;
    b.stops = &a;
    arm(&a, 0);
    arm(&b, 0);
    turn_for(loop, 2 * NS_PER_MS);
    cr_assert_eq(a.fires + b.fires, 1);
}

Test(timer, arming_again_moves_it)
{
    OWNED(loop_free) struct loop *loop = loop_made();
    struct alarm alarm = alarm_for(loop);

    arm(&alarm, NS_PER_MS);
    arm(&alarm, 30 * NS_PER_MS);
    turn_until(loop, 1);
    cr_assert_eq(early, 0);
    arm(&alarm, 3600 * NS_PER_S);
    arm(&alarm, NS_PER_MS);
    turn_until(loop, 2);
    cr_assert_eq(alarm.fires, 2);
}

Test(timer, its_callback_may_arm_it_again)
{
    OWNED(loop_free) struct loop *loop = loop_made();
    struct alarm alarm = alarm_for(loop);

    alarm.again = 20;
    arm(&alarm, 0);
    turn_until(loop, 21);
    turn_for(loop, 2 * NS_PER_MS);
    cr_assert_eq(alarm.fires, 21);
}

Test(timer, its_callback_may_free_it)
{
    OWNED(loop_free) struct loop *loop = loop_made();

    for (int i = 0; i < 10; i++) {
        struct alarm *alarm = malloc(sizeof(*alarm));

        *alarm = alarm_for(loop);
        alarm->freed = true;
        arm(alarm, i * 1000);
    }
    turn_until(loop, 10);
}

struct slow {
    struct task task;
    struct alarm *alarm;
};

static void spin_then_arm(struct task *task)
{
    struct slow *slow = container_of(task, struct slow, task);
    int64_t end_ns = clock_mono_ns() + 30 * NS_PER_MS;

    while (clock_mono_ns() < end_ns)
        continue;
    arm(slow->alarm, 10 * NS_PER_MS);
}

Test(timer, a_delay_counts_from_now_and_not_from_when_the_turn_began)
{
    OWNED(loop_free) struct loop *loop = loop_made();
    struct alarm alarm = alarm_for(loop);
    struct slow slow = {{.run = spin_then_arm}, &alarm};

    loop_post(loop, &slow.task);
    turn_until(loop, 1);
    cr_assert_eq(early, 0);
}

Test(timer, freeing_the_loop_disarms_its_timers)
{
    struct loop *loop = loop_made();
    struct alarm armed = alarm_for(loop), fired_before = alarm_for(loop);

    arm(&fired_before, 0);
    turn_until(loop, 1);
    arm(&armed, NS_PER_S);
    loop_free(loop);
    cr_assert_null(armed.timer.loop);
    timer_stop(&armed.timer);
    cr_assert_eq(armed.fires, 0);
}

Test(timer, may_move_from_one_loop_to_another)
{
    OWNED(loop_free) struct loop *first = loop_made();
    OWNED(loop_free) struct loop *second = loop_made();
    struct alarm alarm = alarm_for(first);

    arm(&alarm, NS_PER_MS);
    alarm.loop = second;
    arm(&alarm, NS_PER_MS);
    turn_for(first, 5 * NS_PER_MS);
    cr_assert_eq(total, 0);
    turn_until(second, 1);
}
