/* test_workers.c - jobs run on workers and complete on the loop; the queue is bounded; freeing the
 * workers runs every accepted job. */
#include "loop/workers.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"

#define DEADLINE_NS (10 * NS_PER_S)

/* A job that can wait at a gate while it runs. */
struct work {
    struct job job;
    struct loop *loop;
    int id;
    sem_t *begun;
    sem_t *gate;
    bool freed;
    bool signals_blocked;
};

static atomic_int runs;
static int dones;
static int run_order[64];

static void run(struct job *job)
{
    struct work *work = container_of(job, struct work, job);
    sigset_t mask;

    cr_assert_not(loop_is_mine(work->loop));
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    work->signals_blocked = sigismember(&mask, SIGTERM) && sigismember(&mask, SIGUSR1);
    run_order[atomic_fetch_add(&runs, 1) % 64] = work->id;
    if (work->begun)
        sem_post(work->begun);
    if (work->gate)
        sem_wait(work->gate);
}

static void done(struct job *job)
{
    struct work *work = container_of(job, struct work, job);

    cr_assert(loop_is_mine(work->loop));
    cr_assert(work->signals_blocked);
    dones++;
    if (work->freed)
        free(work);
}

static struct work work_for(struct loop *loop, int id)
{
    return (struct work){.job = {.run = run, .done = done}, .loop = loop, .id = id};
}

static struct loop *loop_made(void)
{
    struct loop *loop = NULL;

    cr_assert_eq(loop_new(&loop).code, ERR_OK);
    return loop;
}

static struct workers *workers_made(struct loop *loop, unsigned threads, unsigned max_jobs)
{
    struct workers *workers = NULL;

    cr_assert_eq(workers_new(loop, threads, max_jobs, &workers).code, ERR_OK);
    return workers;
}

static void turn_until(struct loop *loop, int count)
{
    int64_t deadline_ns = clock_mono_ns() + DEADLINE_NS;

    while (dones < count) {
        cr_assert_lt(clock_mono_ns(), deadline_ns, "%d of %d are done", dones, count);
        loop_turn(loop);
    }
}

Test(workers, run_jobs_on_their_threads_and_complete_them_on_the_loop)
{
    OWNED(loop_free) struct loop *loop = loop_made();
    OWNED(workers_free) struct workers *workers = workers_made(loop, 3, 100);

    for (int i = 0; i < 100; i++) {
        struct work *work = malloc(sizeof(*work));

        *work = work_for(loop, i);
        work->freed = true;
        cr_assert_eq(workers_submit(workers, &work->job), ERR_OK);
    }
    turn_until(loop, 100);
    cr_assert_eq(runs, 100);
}

Test(workers, begin_jobs_in_the_order_they_were_submitted)
{
    OWNED(loop_free) struct loop *loop = loop_made();
    OWNED(workers_free) struct workers *workers = workers_made(loop, 1, 64);
    struct work works[64];

    for (int i = 0; i < 64; i++) {
        works[i] = work_for(loop, i);
        cr_assert_eq(workers_submit(workers, &works[i].job), ERR_OK);
    }
    turn_until(loop, 64);
    for (int i = 0; i < 64; i++)
        cr_assert_eq(run_order[i], i);
}

Test(workers, refuse_a_job_when_the_queue_is_full)
{
    OWNED(loop_free) struct loop *loop = loop_made();
    struct workers *workers = workers_made(loop, 1, 2);
    struct work held = work_for(loop, 0), first = work_for(loop, 1), second = work_for(loop, 2),
                extra = work_for(loop, 3);
    sem_t begun, gate;

    sem_init(&begun, 0, 0);
    sem_init(&gate, 0, 0);
    held.begun = &begun;
    held.gate = &gate;
    cr_assert_eq(workers_submit(workers, &held.job), ERR_OK);
    sem_wait(&begun);
    cr_assert_eq(workers_submit(workers, &first.job), ERR_OK);
    cr_assert_eq(workers_submit(workers, &second.job), ERR_OK);
    cr_assert_eq(workers_submit(workers, &extra.job), ERR_FULL);
    sem_post(&gate);
    turn_until(loop, 3);
    cr_assert_eq(workers_submit(workers, &extra.job), ERR_OK, "a refused job may be submitted again");
    turn_until(loop, 4);
    workers_free(workers);
    sem_destroy(&begun);
    sem_destroy(&gate);
}

Test(workers, freeing_runs_every_accepted_job_and_the_loop_completes_them)
{
    OWNED(loop_free) struct loop *loop = loop_made();
    struct workers *workers = workers_made(loop, 2, 64);
    struct work works[64];

    for (int i = 0; i < 64; i++) {
        works[i] = work_for(loop, i);
        cr_assert_eq(workers_submit(workers, &works[i].job), ERR_OK);
    }
    workers_free(workers);
    cr_assert_eq(runs, 64, "all ran before the threads were joined");
    cr_assert_eq(dones, 0);
    loop_turn(loop);
    cr_assert_eq(dones, 64);
}

Test(workers, freeing_without_jobs_does_not_wait)
{
    OWNED(loop_free) struct loop *loop = loop_made();

    for (int i = 0; i < 50; i++)
        workers_free(workers_made(loop, 4, 1));
    workers_free(NULL);
}
