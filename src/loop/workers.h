/* workers.h - threads for work that may block, such as file or database calls.
 *
 * A job runs on a worker, and its completion is called on the loop thread. The queue of waiting
 * jobs is bounded. Workers receive no signals, but for those that a thread causes itself (SIGSEGV
 * and its kind). */
#ifndef TRIBUTARY_LOOP_WORKERS_H
#define TRIBUTARY_LOOP_WORKERS_H

#include "base/base.h"
#include "base/status.h"
#include "loop/loop.h"

struct workers;

/* A piece of work, embedded in the object that it works on. The caller sets `run` and `done`. */
struct job {
    void (*run)(struct job *job);  /* a worker's thread; it may block */
    void (*done)(struct job *job); /* loop thread, once, after run(); it may free or submit the job */
    struct task task;              /* the workers' */
    struct job *next;              /* the workers' */
};

/* Starts `threads` workers whose completions are called on `loop`, which must outlive them. At most
 * `max_jobs` jobs wait, besides those that run. Both are at least 1. The caller owns the workers.
 *   ERR_NO_MEMORY  nothing was started
 *   ERR_IO         a thread could not start, `sys` is the errno; nothing is left */
MUST_CHECK struct status workers_new(struct loop *loop, unsigned threads, unsigned max_jobs,
                                     struct workers **workers_out);

/* Waits until every accepted job has run, then joins the threads and frees the workers. Completions
 * that were not called yet are called by the loop afterwards. No workers_submit() may run
 * meanwhile. NULL is allowed. */
void workers_free(struct workers *workers);
OWNED_BY(workers_free, struct workers);

/* Queues a job, which is the workers' until done() is called. Jobs begin in the order in which they
 * were submitted. Never blocks on a job. Any thread.
 *   ERR_FULL  `max_jobs` jobs wait; the job is still the caller's */
MUST_CHECK enum err workers_submit(struct workers *workers, struct job *job);

#endif
