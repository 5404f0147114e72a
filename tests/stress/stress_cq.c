/* stress_cq.c - tasks that hop between two completion-queue threads, which sleep and wake all the
 * time; the test hangs if a wakeup is lost. Then threads that end while others still post: every
 * task runs once, on the thread or when it is freed. */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "grpc/cq_thread.h"

#define HOPS 20000u
#define MAX_BALLS 4u
#define AGAIN 100000u
#define ENDS 200u
#define POSTERS 3u
#define LATE_TASKS 20u

struct end {
    struct cq_thread *thread;
    struct task stop;
    bool stopping; /* the thread only */
};

static bool is_done(void *ctx)
{
    const struct end *end = ctx;

    return end->stopping;
}

static void on_stop(struct task *task)
{
    container_of(task, struct end, stop)->stopping = true;
}

static void begin(struct end *end)
{
    static const struct cq_thread_port port = {.is_done = is_done};

    *end = (struct end){.stop.run = on_stop};
    CHECK(cq_thread_new(&port, end, &end->thread).code == ERR_OK);
    CHECK(cq_thread_start(end->thread).code == ERR_OK);
}

static void finish(struct end *end)
{
    cq_thread_join(end->thread);
    cq_thread_free(end->thread);
}

/* ---- hops ---- */

struct ball {
    struct task task;
    unsigned hops; /* written by both threads in turn, ordered by nothing but the posts */
};

static struct end ends[2];
static _Atomic unsigned balls_left;

static void hop(struct task *task)
{
    struct ball *ball = container_of(task, struct ball, task);
    unsigned here = ball->hops % 2;

    CHECK(cq_is_mine(ends[here].thread));
    if (++ball->hops < HOPS)
        cq_post(ends[1 - here].thread, task);
    else
        balls_left--;
}

static void hops(unsigned count)
{
    struct ball balls[MAX_BALLS] = {0};

    balls_left = count;
    for (unsigned i = 0; i < 2; i++)
        begin(&ends[i]);
    for (unsigned i = 0; i < count; i++) {
        balls[i].task.run = hop;
        cq_post(ends[0].thread, &balls[i].task);
    }
    while (balls_left > 0)
        usleep(1000);
    for (unsigned i = 0; i < 2; i++)
        cq_post(ends[i].thread, &ends[i].stop);
    for (unsigned i = 0; i < 2; i++)
        cq_thread_join(ends[i].thread);
    for (unsigned i = 0; i < 2; i++)
        finish(&ends[i]);
}

/* ---- posts at the moment when the thread is about to wait ---- */

struct again {
    struct task task;
    _Atomic unsigned runs;
};

static void run_again(struct task *task)
{
    container_of(task, struct again, task)->runs++;
}

/* After each run this thread posts again, each time a little later. */
static void post_again_and_again(void)
{
    struct again again = {.task.run = run_again};
    struct end end;

    begin(&end);
    for (unsigned i = 0; i < AGAIN; i++) {
        cq_post(end.thread, &again.task);
        while (again.runs == i)
            continue;
        for (volatile unsigned pause = i % 512; pause > 0;)
            pause = pause - 1;
    }
    cq_post(end.thread, &end.stop);
    finish(&end);
}

/* ---- the end of a thread that others post to ---- */

struct poster {
    pthread_t thread;
    struct end *end;
    struct late {
        struct task task;
        unsigned runs; /* ordered by the post, and by the join before the thread is freed */
    } tasks[LATE_TASKS];
};

static void run_late(struct task *task)
{
    container_of(task, struct late, task)->runs++;
}

static void *post_late(void *ctx)
{
    struct poster *poster = ctx;

    for (unsigned i = 0; i < LATE_TASKS; i++) {
        poster->tasks[i].task.run = run_late;
        cq_post(poster->end->thread, &poster->tasks[i].task);
    }
    return NULL;
}

static void end_while_others_post(void)
{
    struct poster posters[POSTERS] = {0};
    struct end end;

    begin(&end);
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i].end = &end;
        CHECK(pthread_create(&posters[i].thread, NULL, post_late, &posters[i]) == 0);
    }
    cq_post(end.thread, &end.stop);
    for (unsigned i = 0; i < POSTERS; i++)
        CHECK(pthread_join(posters[i].thread, NULL) == 0);
    finish(&end);
    for (unsigned i = 0; i < POSTERS; i++)
        for (unsigned j = 0; j < LATE_TASKS; j++)
            CHECK(posters[i].tasks[j].runs == 1);
}

int main(void)
{
    grpc_init();
    for (unsigned count = 1; count <= MAX_BALLS; count++)
        hops(count);
    post_again_and_again();
    for (unsigned i = 0; i < ENDS; i++)
        end_while_others_post();
    grpc_shutdown_blocking();
    printf("%u hops of up to %u tasks between two threads; %u threads that ended while %u posted\n", HOPS,
           MAX_BALLS, ENDS, POSTERS);
    return 0;
}
