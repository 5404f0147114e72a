/* test_detached.c - a detached job completes on the loop, and one that never returns holds up
 * nobody. */
#include "loop/detached.h"

#include <criterion/criterion.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

struct work {
    struct detached_job job;
    sem_t gate;
    struct loop *loop;
    bool is_done;
};

static atomic_int drops;

static void run(struct detached_job *job)
{
    struct work *work = container_of(job, struct work, job);

    cr_assert_not(loop_is_mine(work->loop));
    sem_wait(&work->gate);
}

static void done(struct detached_job *job)
{
    struct work *work = container_of(job, struct work, job);

    cr_assert(loop_is_mine(work->loop));
    work->is_done = true;
    loop_stop(work->loop);
}

static void drop(struct detached_job *job)
{
    free(container_of(job, struct work, job));
    atomic_fetch_add(&drops, 1);
}

static struct work *work_new(struct loop *loop)
{
    struct work *work = calloc(1, sizeof(*work));

    cr_assert(work);
    work->job = (struct detached_job){.run = run, .done = done, .drop = drop};
    work->loop = loop;
    sem_init(&work->gate, 0, 0);
    return work;
}

static struct loop *loop_made(void)
{
    struct loop *loop = NULL;

    cr_assert(!loop_new(&loop).code);
    return loop;
}

static void wait_for_drop(void)
{
    while (atomic_load(&drops) == 0)
        usleep(1000);
}

Test(detached, a_job_completes_on_the_loop_and_may_be_started_again, .timeout = 20)
{
    OWNED(loop_free) struct loop *loop = loop_made();
    OWNED(detached_free) struct detached *group = detached_new(loop);
    struct work *work = work_new(loop);

    for (int i = 0; i < 3; i++) {
        work->is_done = false;
        cr_assert_eq(detached_start(group, &work->job), ERR_OK);
        sem_post(&work->gate);
        loop_run(loop);
        cr_assert(work->is_done);
    }
    free(work);
}

Test(detached, freeing_the_group_waits_for_no_job_and_the_job_is_dropped, .timeout = 20)
{
    struct loop *loop = loop_made();
    struct detached *group = detached_new(loop);
    struct work *work = work_new(loop);

    cr_assert_eq(detached_start(group, &work->job), ERR_OK);
    detached_free(group);
    loop_free(loop);
    sem_post(&work->gate);
    wait_for_drop();
}

Test(detached, a_completion_that_waits_when_the_group_is_freed_is_dropped, .timeout = 20)
{
    struct loop *loop = loop_made();
    struct detached *group = detached_new(loop);
    struct work *work = work_new(loop);

    sem_post(&work->gate);
    cr_assert_eq(detached_start(group, &work->job), ERR_OK);
    usleep(50000); /* it is posted, most likely; either way it is dropped */
    detached_free(group);
    loop_free(loop);
    wait_for_drop();
}
