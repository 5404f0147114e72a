/* workers.c - a bounded queue of jobs and the threads that run them. Completions go through the
 * loop's mailbox. */
#include "loop/workers.h"

#include <stdlib.h>

#include "base/threads.h"

struct workers {
    struct loop *loop; /* constant */
    unsigned max_jobs;

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a job was queued, or `closing` was set */
    struct job *first;
    struct job *last;
    unsigned waiting;
    bool closing;

    /* The owner's thread only. */
    unsigned thread_count;
    pthread_t threads[];
};

static void complete(struct task *task)
{
    struct job *job = container_of(task, struct job, task);

    job->done(job);
}

/* Waits for a job and takes it out of the queue. NULL: the workers are closing and the queue is
 * empty. */
static struct job *next_job(struct workers *workers)
{
    pthread_mutex_lock(&workers->lock);
    while (!workers->first && !workers->closing)
        pthread_cond_wait(&workers->changed, &workers->lock);
    struct job *job = workers->first;
    if (job) {
        workers->first = job->next;
        if (!workers->first)
            workers->last = NULL;
        workers->waiting--;
    }
    pthread_mutex_unlock(&workers->lock);
    return job;
}

static void *work(void *argument)
{
    struct workers *workers = argument;
    struct job *job;

    while ((job = next_job(workers))) {
        job->run(job);
        job->task.run = complete;
        loop_post(workers->loop, &job->task);
    }
    return NULL;
}

void workers_free(struct workers *workers)
{
    if (!workers)
        return;
    pthread_mutex_lock(&workers->lock);
    workers->closing = true;
    pthread_cond_broadcast(&workers->changed);
    pthread_mutex_unlock(&workers->lock);
    for (unsigned i = 0; i < workers->thread_count; i++)
        CHECK(pthread_join(workers->threads[i], NULL) == 0);
    pthread_cond_destroy(&workers->changed);
    pthread_mutex_destroy(&workers->lock);
    free(workers);
}

/* Returns 0 or an errno. */
static int start(struct workers *workers, unsigned threads)
{
    int failed = 0;

    while (workers->thread_count < threads && !failed) {
        failed = thread_start(&workers->threads[workers->thread_count], work, workers, "worker");
        if (!failed)
            workers->thread_count++;
    }
    return failed;
}

struct status workers_new(struct loop *loop, unsigned threads, unsigned max_jobs,
                          struct workers **workers_out)
{
    struct workers *workers = calloc(1, sizeof(*workers) + threads * sizeof(pthread_t));

    CHECK(threads > 0 && max_jobs > 0);
    if (!workers)
        return (struct status){ERR_NO_MEMORY, 0, "allocate workers"};
    workers->loop = loop;
    workers->max_jobs = max_jobs;
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->changed, NULL);
    int failed = start(workers, threads);
    if (failed) {
        workers_free(workers);
        return (struct status){ERR_IO, failed, "start a worker thread"};
    }
    *workers_out = workers;
    return STATUS_OK;
}

enum err workers_submit(struct workers *workers, struct job *job)
{
    enum err err = ERR_FULL;

    pthread_mutex_lock(&workers->lock);
    CHECK(!workers->closing);
    if (workers->waiting < workers->max_jobs) {
        job->next = NULL;
        if (workers->last)
            workers->last->next = job;
        else
            workers->first = job;
        workers->last = job;
        workers->waiting++;
        pthread_cond_signal(&workers->changed);
        err = ERR_OK;
    }
    pthread_mutex_unlock(&workers->lock);
    return err;
}
