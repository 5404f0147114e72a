/* detached.c - a thread for each job. The group outlives its owner while a job is in flight. */
#include "loop/detached.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/threads.h"

struct detached {
    _Atomic size_t refs; /* the owner's, and one for each job in flight */

    pthread_mutex_t lock;
    struct loop *loop; /* under the lock; NULL: the owner is gone */
};

static void release(struct detached *group)
{
    if (atomic_fetch_sub_explicit(&group->refs, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_destroy(&group->lock);
    free(group);
}

static bool is_closed(struct detached *group)
{
    pthread_mutex_lock(&group->lock);
    const bool closed = !group->loop;
    pthread_mutex_unlock(&group->lock);
    return closed;
}

static void complete(struct task *task)
{
    struct detached_job *job = container_of(task, struct detached_job, task);
    struct detached *group = job->group;

    if (is_closed(group))
        job->drop(job);
    else
        job->done(job);
    release(group);
}

static void *work(void *argument)
{
    struct detached_job *job = argument;
    struct detached *group = job->group;

    job->run(job);
    job->task.run = complete;
    pthread_mutex_lock(&group->lock);
    const bool closed = !group->loop;
    if (!closed)
        loop_post(group->loop, &job->task);
    pthread_mutex_unlock(&group->lock);
    if (closed) {
        job->drop(job);
        release(group);
    }
    return NULL;
}

struct detached *detached_new(struct loop *loop)
{
    struct detached *group = calloc(1, sizeof(*group));

    if (!group)
        return NULL;
    atomic_init(&group->refs, 1);
    pthread_mutex_init(&group->lock, NULL);
    group->loop = loop;
    return group;
}

enum err detached_start(struct detached *group, struct detached_job *job)
{
    pthread_t thread;

    job->group = group;
    atomic_fetch_add_explicit(&group->refs, 1, memory_order_relaxed);
    if (thread_start(&thread, work, job, "detached") != 0) {
        release(group);
        return ERR_IO;
    }
    pthread_detach(thread);
    return ERR_OK;
}

void detached_free(struct detached *group)
{
    if (!group)
        return;
    pthread_mutex_lock(&group->lock);
    group->loop = NULL;
    pthread_mutex_unlock(&group->lock);
    release(group);
}
