/* stress_loop.c - four threads post to one loop at full speed; every task arrives once, and in the order of its thread. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "loop/loop.h"

#define THREADS 4
#define TASKS 100000

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

int main(void)
{
    struct poster posters[THREADS];

    CHECK(loop_new(&loop).code == ERR_OK);
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
    loop_free(loop);
    for (unsigned i = 0; i < THREADS; i++)
        free(posters[i].tasks);
    printf("%u tasks from %d threads, each in its order\n", arrived, THREADS);
    return 0;
}
