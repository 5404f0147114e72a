/* stress_loop.c - four threads post to one loop at full speed. Every task arrives once, in the
 * order of its thread. Then workers answer as fast as they can. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "loop/workers.h"

#define THREADS 4
#define TASKS 100000
#define ROUNDS 8
#define JOBS 5000

struct stamped {
    struct task task;
    unsigned thread;
    unsigned number;
};

struct poster {
    pthread_t thread;
    unsigned index;
    struct stamped *tasks;
};

static struct loop *loop;
static unsigned next_number[THREADS];
static unsigned arrived;

static void run(struct task *task)
{
    struct stamped *stamped = container_of(task, struct stamped, task);

    CHECK(loop_is_mine(loop));
    CHECK(stamped->number == next_number[stamped->thread]);
    next_number[stamped->thread]++;
    if (++arrived == THREADS * TASKS)
        loop_stop(loop);
}

static void *post(void *argument)
{
    struct poster *poster = argument;

    for (unsigned i = 0; i < TASKS; i++) {
        struct stamped *stamped = &poster->tasks[i];

        *stamped = (struct stamped){.task = {.run = run}, .thread = poster->index, .number = i};
        loop_post(loop, &stamped->task);
    }
    return NULL;
}

/* A job goes back to the workers as soon as it is done, until all rounds are over. */
struct round {
    struct job job;
    struct workers *workers;
    unsigned left;
    unsigned work; /* written by workers and loop in turn, ordered by nothing but the hand-over */
};

static unsigned rounds_running;

static void round_run(struct job *job)
{
    container_of(job, struct round, job)->work++;
}

static void round_done(struct job *job)
{
    struct round *round = container_of(job, struct round, job);

    CHECK(loop_is_mine(loop));
    round->work++;
    if (--round->left > 0)
        CHECK(workers_submit(round->workers, job) == ERR_OK);
    else if (--rounds_running == 0)
        loop_stop(loop);
}

static void through_workers(void)
{
    struct workers *workers;
    struct round rounds[ROUNDS];

    CHECK(workers_new(loop, THREADS, ROUNDS, &workers).code == ERR_OK);
    rounds_running = ROUNDS;
    for (unsigned i = 0; i < ROUNDS; i++) {
        rounds[i] =
            (struct round){.job = {.run = round_run, .done = round_done}, .workers = workers, .left = JOBS};
        CHECK(workers_submit(workers, &rounds[i].job) == ERR_OK);
    }
    loop_run(loop);
    workers_free(workers);
    for (unsigned i = 0; i < ROUNDS; i++)
        CHECK(rounds[i].work == 2 * JOBS);
}

static void through_mailbox(void)
{
    struct poster posters[THREADS];

    for (unsigned i = 0; i < THREADS; i++) {
        posters[i].index = i;
        posters[i].tasks = calloc(TASKS, sizeof(struct stamped));
        CHECK(posters[i].tasks);
        CHECK(pthread_create(&posters[i].thread, NULL, post, &posters[i]) == 0);
    }
    loop_run(loop);
    for (unsigned i = 0; i < THREADS; i++) {
        CHECK(pthread_join(posters[i].thread, NULL) == 0);
        CHECK(next_number[i] == TASKS);
    }
    for (unsigned i = 0; i < THREADS; i++)
        free(posters[i].tasks);
}

int main(void)
{
    CHECK(loop_new(&loop).code == ERR_OK);
    through_mailbox();
    through_workers();
    loop_free(loop);
    printf("%d tasks from %d threads, each in its order; %d jobs on %d workers\n", THREADS * TASKS, THREADS,
           ROUNDS * JOBS, THREADS);
    return 0;
}
