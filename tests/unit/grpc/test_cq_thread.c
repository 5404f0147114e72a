/* test_cq_thread.c - what other threads post, timers, hooks, and the end. */
#include <pthread.h>
#include <stdlib.h>

#include "cq_fixture.h"

#define POSTERS 4
#define TASKS 25000 /* of each poster */

static struct cq_fixture fixture;

static void open_fixture(void)
{
    cq_fixture_open(&fixture);
}

static void close_fixture(void)
{
    cq_fixture_close(&fixture);
}

TestSuite(cq_thread, .init = open_fixture, .fini = close_fixture);

struct poster {
    pthread_t thread;
    struct numbered {
        struct task task;
        struct poster *poster;
        uint32_t number;
    } * tasks;
    uint32_t next; /* wire thread only */
};

static _Atomic uint32_t tasks_run;

static void run_numbered(struct task *task)
{
    struct numbered *numbered = container_of(task, struct numbered, task);

    CHECK(cq_is_mine(fixture.thread));
    CHECK(numbered->number == numbered->poster->next++);
    tasks_run++;
}

static void *post_all(void *ctx)
{
    struct poster *poster = ctx;

    for (uint32_t i = 0; i < TASKS; i++) {
        poster->tasks[i] = (struct numbered){.task = {.run = run_numbered}, .poster = poster, .number = i};
        cq_post(fixture.thread, &poster->tasks[i].task);
    }
    return NULL;
}

Test(cq_thread, runs_every_task_in_the_order_of_its_poster)
{
    struct poster posters[POSTERS] = {0};

    for (size_t i = 0; i < POSTERS; i++) {
        posters[i].tasks = calloc(TASKS, sizeof(struct numbered));
        cr_assert(posters[i].tasks);
        cr_assert_eq(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    for (size_t i = 0; i < POSTERS; i++)
        pthread_join(posters[i].thread, NULL);
    cq_fixture_until(tasks_run == POSTERS * TASKS);
    for (size_t i = 0; i < POSTERS; i++)
        free(posters[i].tasks);
    cr_assert_not(cq_is_mine(fixture.thread));
}

/* Posts one task at a time, each after the one before has run: the test fails if a wakeup is
 * lost. */
Test(cq_thread, wakes_for_every_task)
{
    struct poster poster = {0};
    struct numbered one;

    for (uint32_t i = 0; i < 5000; i++) {
        one = (struct numbered){.task = {.run = run_numbered}, .poster = &poster, .number = i};
        cq_post(fixture.thread, &one.task);
        for (int64_t limit_ns = clock_mono_ns() + DEADLINE_NS; tasks_run != i + 1;)
            cr_assert_lt(clock_mono_ns(), limit_ns, "task %u was forgotten", i);
    }
}

struct again {
    struct task task;
    uint32_t left;
    _Atomic bool done;
};

static void run_again(struct task *task)
{
    struct again *again = container_of(task, struct again, task);

    if (--again->left > 0)
        cq_post(fixture.thread, &again->task);
    else
        again->done = true;
}

Test(cq_thread, a_task_may_post_itself)
{
    struct again again = {.task = {.run = run_again}, .left = 10000};

    cq_post(fixture.thread, &again.task);
    cq_fixture_until(again.done);
}

struct alarms {
    struct alarm {
        struct cq_timer timer;
        struct alarms *all;
        int64_t at_ns; /* when it should fire */
        uint32_t rearm;
    } alarms[20];
    struct alarm *rung[64];
    _Atomic uint32_t rings;
    bool early;
};

static void ring(struct cq_timer *timer, int64_t now_ns)
{
    struct alarm *alarm = container_of(timer, struct alarm, timer);
    uint32_t rings = alarm->all->rings;

    CHECK(cq_is_mine(fixture.thread));
    alarm->all->early |= now_ns < alarm->at_ns || clock_mono_ns() < alarm->at_ns;
    alarm->all->rung[rings % ARRAY_LEN(alarm->all->rung)] = alarm;
    if (alarm->rearm > 0) {
        alarm->rearm--;
        alarm->at_ns = now_ns + NS_PER_MS;
        cq_timer_set(fixture.thread, timer, alarm->at_ns);
    }
    alarm->all->rings = rings + 1;
}

static void set(struct alarms *all, size_t number, int64_t at_ns)
{
    struct alarm *alarm = &all->alarms[number];

    alarm->all = all;
    alarm->timer.fired = ring;
    alarm->at_ns = at_ns;
    cq_timer_set(fixture.thread, &alarm->timer, at_ns);
}

static void act_set_backwards(void *ctx)
{
    int64_t base_ns = clock_mono_ns() + 20 * NS_PER_MS;

    for (size_t i = 20; i-- > 0;)
        set(ctx, i, base_ns + (int64_t)i * NS_PER_MS / 4);
}

Test(cq_thread, timers_fire_in_order_and_not_early)
{
    struct alarms alarms = {0};

    cq_fixture_run(&fixture, act_set_backwards, &alarms);
    cq_fixture_until(alarms.rings == 20);
    for (size_t i = 0; i < 20; i++)
        cr_assert_eq(alarms.rung[i], &alarms.alarms[i]);
    cr_assert_not(alarms.early);
}

static void act_rearm(void *ctx)
{
    int64_t now_ns = clock_mono_ns();

    set(ctx, 0, now_ns + 5 * NS_PER_MS);
    set(ctx, 1, now_ns + 10 * NS_PER_MS);
    set(ctx, 2, now_ns + 3600 * NS_PER_S);
    set(ctx, 3, now_ns + 30 * NS_PER_MS);
    set(ctx, 4, INT64_MAX); /* was never armed */
    set(ctx, 0, INT64_MAX);
    set(ctx, 0, INT64_MAX);
    set(ctx, 1, now_ns + 40 * NS_PER_MS); /* later */
    set(ctx, 2, now_ns + 20 * NS_PER_MS); /* earlier */
}

Test(cq_thread, a_timer_can_be_disarmed_and_moved)
{
    struct alarms alarms = {0};

    cq_fixture_run(&fixture, act_rearm, &alarms);
    cq_fixture_until(alarms.rings == 3);
    cr_assert_eq(alarms.rung[0], &alarms.alarms[2]);
    cr_assert_eq(alarms.rung[1], &alarms.alarms[3]);
    cr_assert_eq(alarms.rung[2], &alarms.alarms[1]);
    cr_assert_not(alarms.early);
}

static void act_set_three(void *ctx)
{
    for (size_t i = 0; i < 3; i++)
        set(ctx, i, clock_mono_ns());
}

Test(cq_thread, a_timer_may_rearm_itself)
{
    struct alarms alarms = {.alarms = {{.rearm = 10}, {.rearm = 10}, {.rearm = 10}}};

    cq_fixture_run(&fixture, act_set_three, &alarms);
    cq_fixture_until(alarms.rings == 33);
    cr_assert_not(alarms.early);
}

/* A timer that is due together with the alarms, and fires before them. */
struct disarmer {
    struct cq_timer timer;
    struct alarms *alarms;
};

static void disarm_all(struct cq_timer *timer, int64_t now_ns)
{
    struct alarms *alarms = container_of(timer, struct disarmer, timer)->alarms;

    (void)now_ns;
    for (size_t i = 0; i < ARRAY_LEN(alarms->alarms); i++)
        cq_timer_set(fixture.thread, &alarms->alarms[i].timer, INT64_MAX);
}

static void act_set_with_disarmer(void *ctx)
{
    struct disarmer *disarmer = ctx;
    int64_t now_ns = clock_mono_ns();

    for (size_t i = 0; i < ARRAY_LEN(disarmer->alarms->alarms); i++)
        set(disarmer->alarms, i, now_ns + 1);
    disarmer->timer.fired = disarm_all;
    cq_timer_set(fixture.thread, &disarmer->timer, now_ns);
}

static void act_nothing(void *ctx)
{
    (void)ctx;
}

Test(cq_thread, a_timer_that_is_due_can_still_be_disarmed)
{
    struct alarms alarms = {0};
    struct disarmer disarmer = {.alarms = &alarms};

    cq_fixture_run(&fixture, act_set_with_disarmer, &disarmer);
    cq_fixture_run(&fixture, act_nothing, NULL);
    cq_fixture_run(&fixture, act_nothing, NULL);
    cr_assert_eq(alarms.rings, 0);
}

struct counted_hook {
    struct post_poll_hook hook;
    struct counted_hook *other; /* added when this one runs */
    uint32_t again;             /* how often it adds itself again when it runs */
    _Atomic uint32_t runs;
};

static void count_run(struct post_poll_hook *hook, int64_t now_ns)
{
    struct counted_hook *counted = container_of(hook, struct counted_hook, hook);

    CHECK(now_ns == cq_now_ns(fixture.thread));
    if (counted->other)
        cq_add_post_poll_hook(fixture.thread, &counted->other->hook);
    if (counted->again > 0) {
        counted->again--;
        cq_add_post_poll_hook(fixture.thread, &counted->hook);
        cq_add_post_poll_hook(fixture.thread, &counted->hook);
    }
    counted->runs++;
}

static void act_add_often(void *ctx)
{
    struct counted_hook *hooks = ctx;

    for (int i = 0; i < 3; i++) {
        cq_add_post_poll_hook(fixture.thread, &hooks[0].hook);
        cq_add_post_poll_hook(fixture.thread, &hooks[1].hook);
    }
    CHECK(hooks[0].runs == 0); /* adding a hook does not run it */
}

Test(cq_thread, a_hook_runs_once_at_the_end_of_the_turn)
{
    struct counted_hook hooks[3] = {{.hook = {.post_poll = count_run}},
                                    {.hook = {.post_poll = count_run}, .other = &hooks[2]},
                                    {.hook = {.post_poll = count_run}}};

    for (size_t i = 0; i < ARRAY_LEN(hooks); i++)
        list_init(&hooks[i].hook.link);
    cq_fixture_run(&fixture, act_add_often, hooks);
    cq_fixture_until(hooks[2].runs > 0);
    cq_fixture_run(&fixture, act_nothing, NULL);
    cq_fixture_run(&fixture, act_nothing, NULL);
    cr_assert_eq(hooks[0].runs, 1);
    cr_assert_eq(hooks[1].runs, 1);
    cr_assert_eq(hooks[2].runs, 1);
}

Test(cq_thread, a_hook_that_adds_itself_again_runs_in_the_next_turn)
{
    struct counted_hook hooks[2] = {{.hook = {.post_poll = count_run}, .again = 500},
                                    {.hook = {.post_poll = count_run}}};

    list_init(&hooks[0].hook.link);
    list_init(&hooks[1].hook.link);
    cq_fixture_run(&fixture, act_add_often, hooks);
    cq_fixture_until(hooks[0].runs == 501);
    cq_fixture_run(&fixture, act_nothing, NULL);
    cr_assert_eq(hooks[0].runs, 501);
    cr_assert_eq(hooks[1].runs, 1);
}

static void act_add_and_remove(void *ctx)
{
    struct counted_hook *counted = ctx;

    cq_add_post_poll_hook(fixture.thread, &counted->hook);
    list_remove(&counted->hook.link);
}

Test(cq_thread, a_hook_can_be_removed_before_it_runs)
{
    struct counted_hook counted = {.hook = {.post_poll = count_run}};

    list_init(&counted.hook.link);
    cq_fixture_run(&fixture, act_add_and_remove, &counted);
    cq_fixture_run(&fixture, act_nothing, NULL);
    cq_fixture_run(&fixture, act_nothing, NULL);
    cr_assert_eq(counted.runs, 0);
}

static void act_add_both(void *ctx)
{
    struct counted_hook *hooks = ctx;

    cq_add_post_poll_hook(fixture.thread, &hooks[0].hook);
    cq_add_early_post_poll_hook(fixture.thread, &hooks[1].hook);
}

static void check_second_runs(struct post_poll_hook *hook, int64_t now_ns)
{
    struct counted_hook *counted = container_of(hook, struct counted_hook, hook);

    (void)now_ns;
    CHECK(counted->other->runs == 1);
    counted->runs++;
}

Test(cq_thread, early_hooks_run_before_the_other_hooks)
{
    struct counted_hook hooks[2] = {{.hook = {.post_poll = check_second_runs}, .other = &hooks[1]},
                                    {.hook = {.post_poll = count_run}}};

    list_init(&hooks[0].hook.link);
    list_init(&hooks[1].hook.link);
    cq_fixture_run(&fixture, act_add_both, hooks);
    cq_fixture_until(hooks[0].runs == 1);
    cr_assert_eq(hooks[1].runs, 1);
}

static void count_task(struct task *task)
{
    (void)task;
    tasks_run++;
}

Test(cq_thread, a_task_posted_after_the_thread_ended_is_run_when_it_is_freed)
{
    struct task tasks[3] = {{.run = count_task}, {.run = count_task}, {.run = count_task}};

    cq_fixture_stop(&fixture);
    for (size_t i = 0; i < ARRAY_LEN(tasks); i++)
        cq_post(fixture.thread, &tasks[i]);
    cr_assert_eq(tasks_run, 0);
    cq_fixture_close(&fixture);
    cr_assert_eq(tasks_run, 3);
    fixture = (struct cq_fixture){0};
    open_fixture();
}

static struct task last = {.run = count_task};

static void post_last(struct cq_fixture *ending)
{
    cq_post(ending->thread, &last);
}

Test(cq_thread, a_task_that_the_thread_posts_at_its_end_is_run_when_it_is_freed)
{
    fixture.at_end = post_last;
    cq_fixture_close(&fixture);
    cr_assert_eq(tasks_run, 1);
    fixture = (struct cq_fixture){0};
    open_fixture();
}

Test(cq_thread, a_thread_that_was_never_started_can_be_freed)
{
    static const struct cq_thread_port port = {0};
    struct task task = {.run = count_task};
    struct cq_thread *bare;

    cr_assert_eq(cq_thread_new(&port, NULL, &bare).code, ERR_OK);
    cq_post(bare, &task);
    cq_thread_join(bare);
    cq_thread_free(bare);
    cr_assert_eq(tasks_run, 1);
    cq_thread_free(NULL);
}
