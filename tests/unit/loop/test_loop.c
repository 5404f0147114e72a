/* test_loop.c - the mailbox: order, wake-ups, bounded turns, and the end of a loop. */
#include "loop/loop.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#define MAX_TASKS 16

struct work {
    struct task task;
    struct loop *loop;
    int id;
    int runs;
    struct work *posts; /* run() posts it; may be this one */
    bool stops;
    bool freed;
    sem_t *ran;
};

static int order[MAX_TASKS];
static int order_count;

static void run(struct task *task)
{
    struct work *work = container_of(task, struct work, task);
    sem_t *ran = work->ran;

    cr_assert(loop_is_mine(work->loop));
    if (order_count < MAX_TASKS)
        order[order_count++] = work->id;
    work->runs++;
    if (work->posts)
        loop_post(work->loop, &work->posts->task);
    if (work->stops)
        loop_stop(work->loop);
    if (work->freed)
        free(work);
    if (ran)
        sem_post(ran);
}

static struct work work_for(struct loop *loop, int id)
{
    return (struct work){.task = {.run = run}, .loop = loop, .id = id};
}

static struct loop *loop_made(void)
{
    struct loop *loop = NULL;

    cr_assert_eq(loop_new(&loop).code, ERR_OK);
    return loop;
}

Test(loop, runs_tasks_in_the_order_they_were_posted)
{
    OWNED(loop_free) struct loop *loop = loop_made();
    struct work works[5];

    for (int i = 0; i < 5; i++) {
        works[i] = work_for(loop, i);
        loop_post(loop, &works[i].task);
    }
    cr_assert_eq(order_count, 0, "posting runs nothing");
    loop_turn(loop);
    cr_assert_eq(order_count, 5);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(order[i], i);
    loop_turn(loop);
    cr_assert_eq(order_count, 5, "each once");
}

Test(loop, a_task_may_free_itself)
{
    OWNED(loop_free) struct loop *loop = loop_made();

    for (int i = 0; i < 3; i++) {
        struct work *work = malloc(sizeof(*work));

        *work = work_for(loop, i);
        work->freed = true;
        loop_post(loop, &work->task);
    }
    loop_turn(loop);
    cr_assert_eq(order_count, 3);
}

Test(loop, a_task_that_posts_itself_runs_once_in_a_turn)
{
    OWNED(loop_free) struct loop *loop = loop_made();
    struct work work = work_for(loop, 1);

    work.posts = &work;
    loop_post(loop, &work.task);
    for (int turn = 1; turn <= 5; turn++) {
        loop_turn(loop);
        cr_assert_eq(work.runs, turn);
    }
    work.posts = NULL;
    loop_turn(loop);
    cr_assert_eq(work.runs, 6);
}

struct stopper {
    struct timer timer;
    struct loop *loop;
};

static void fired(struct timer *timer)
{
    loop_stop(container_of(timer, struct stopper, timer)->loop);
}

Test(loop, a_task_that_posts_itself_cannot_starve_a_timer)
{
    OWNED(loop_free) struct loop *loop = loop_made();
    struct work work = work_for(loop, 1);
    struct stopper stopper = {{.fired = fired}, loop};

    work.posts = &work;
    loop_post(loop, &work.task);
    cr_assert_eq(timer_start(loop, &stopper.timer, 1000000), ERR_OK);
    loop_run(loop);
    cr_assert_gt(work.runs, 0);
    work.posts = NULL;
    loop_turn(loop);
}

static void *post_one_by_one(void *argument)
{
    struct work *work = argument;

    for (int i = 0; i < 20000; i++) {
        loop_post(work->loop, &work->task);
        sem_wait(work->ran);
    }
    loop_stop(work->loop);
    return NULL;
}

Test(loop, every_post_to_a_waiting_loop_wakes_it)
{
    OWNED(loop_free) struct loop *loop = loop_made();
    struct work work = work_for(loop, 1);
    pthread_t thread;
    sem_t ran;

    sem_init(&ran, 0, 0);
    work.ran = &ran;
    cr_assert_eq(pthread_create(&thread, NULL, post_one_by_one, &work), 0);
    loop_run(loop);
    pthread_join(thread, NULL);
    cr_assert_eq(work.runs, 20000);
    sem_destroy(&ran);
}

Test(loop, a_stop_runs_the_tasks_that_were_posted_before)
{
    OWNED(loop_free) struct loop *loop = loop_made();
    struct work first = work_for(loop, 1), second = work_for(loop, 2);

    first.stops = true;
    loop_post(loop, &first.task);
    loop_post(loop, &second.task);
    loop_run(loop);
    cr_assert_eq(first.runs + second.runs, 2);
}

static void *post_and_stop(void *argument)
{
    struct work *work = argument;

    loop_post(work->loop, &work->task);
    loop_stop(work->loop);
    return NULL;
}

Test(loop, a_stop_of_another_thread_comes_after_its_posts)
{
    OWNED(loop_free) struct loop *loop = loop_made();
    struct work work = work_for(loop, 1);

    for (int round = 1; round <= 500; round++) {
        pthread_t thread;

        cr_assert_eq(pthread_create(&thread, NULL, post_and_stop, &work), 0);
        loop_run(loop);
        cr_assert_eq(work.runs, round);
        pthread_join(thread, NULL);
    }
}

Test(loop, a_stop_before_the_run_counts_once)
{
    OWNED(loop_free) struct loop *loop = loop_made();
    struct work work = work_for(loop, 1);

    loop_post(loop, &work.task);
    loop_stop(loop);
    loop_run(loop);
    cr_assert_eq(work.runs, 1);
    work.stops = true;
    loop_post(loop, &work.task);
    loop_run(loop);
    cr_assert_eq(work.runs, 2, "the second run waited for its own stop");
}

Test(loop, freeing_runs_the_remaining_tasks_and_those_that_they_post)
{
    struct loop *loop = loop_made();
    struct work first = work_for(loop, 1), second = work_for(loop, 2);

    first.posts = &second;
    loop_post(loop, &first.task);
    loop_free(loop);
    cr_assert_eq(order_count, 2);
    cr_assert_eq(second.runs, 1);
    loop_free(NULL);
}

static void *check_is_mine(void *loop)
{
    return loop_is_mine(loop) ? loop : NULL;
}

static void check_elsewhere(struct task *task)
{
    struct work *work = container_of(task, struct work, task);
    pthread_t thread;
    void *result = work;

    cr_assert(loop_is_mine(work->loop));
    cr_assert_eq(pthread_create(&thread, NULL, check_is_mine, work->loop), 0);
    pthread_join(thread, &result);
    cr_assert_null(result, "it is not that thread's");
    work->runs++;
}

Test(loop, is_mine_only_on_the_thread_that_runs_it)
{
    OWNED(loop_free) struct loop *loop = loop_made();
    struct work work = work_for(loop, 1);

    work.task.run = check_elsewhere;
    cr_assert_not(loop_is_mine(loop));
    loop_post(loop, &work.task);
    loop_turn(loop);
    cr_assert_eq(work.runs, 1);
    cr_assert_not(loop_is_mine(loop));
}

static void turn_the_other(struct task *task)
{
    struct work *work = container_of(task, struct work, task);

    loop_turn(work->posts->loop);
    cr_assert(loop_is_mine(work->loop));
    cr_assert_not(loop_is_mine(work->posts->loop));
}

Test(loop, a_loop_may_be_turned_within_another)
{
    OWNED(loop_free) struct loop *outer = loop_made();
    OWNED(loop_free) struct loop *inner = loop_made();
    struct work in = work_for(inner, 1), out = work_for(outer, 2);

    out.task.run = turn_the_other;
    out.posts = &in;
    loop_post(inner, &in.task);
    loop_post(outer, &out.task);
    loop_turn(outer);
    cr_assert_eq(in.runs, 1);
}

Test(loop, hands_out_the_settings_that_were_published_last)
{
    struct settings settings = settings_defaults;
    const struct settings *first;
    struct loop *loop;

    cr_assert_eq(loop_new(&loop).code, ERR_OK);
    first = loop_settings(loop);
    cr_assert_eq(first->version, 0);
    settings.max_producers = 5;
    cr_assert_eq(loop_publish_settings(loop, &settings), ERR_OK);
    cr_assert_eq(loop_settings(loop)->version, 1);
    cr_assert_eq(loop_settings(loop)->max_producers, 5);
    cr_assert_eq(first->max_producers, settings_defaults.max_producers);
    loop_free(loop);
}
