/* detached.h - threads for work that may never return, such as asking a resolver, or reading from a
 * network file system. Nobody waits for such a thread, not even at the end of the process.
 *
 * Threads: the loop, except where a function says otherwise. */
#ifndef TRIBUTARY_LOOP_DETACHED_H
#define TRIBUTARY_LOOP_DETACHED_H

#include "base/base.h"
#include "base/status.h"
#include "loop/loop.h"

struct detached;

/* A piece of work, embedded in the object that it works on. The caller sets the three functions,
 * and bounds how many of them there are at a time: each has a thread of its own. */
struct detached_job {
    void (*run)(struct detached_job *job);  /* the job's thread; it may never return */
    void (*done)(struct detached_job *job); /* loop, once, after run(); it may free or start the job */
    /* In the place of done(), where detached_free() came first. Any thread. It frees the job, and
     * must not use anything that does not belong to the job. */
    void (*drop)(struct detached_job *job);
    struct detached *group; /* this and the next: the group's */
    struct task task;
};

/* Makes a group of jobs whose completions are called on `loop`. The caller owns it. NULL: out of
 * memory. */
struct detached *detached_new(struct loop *loop);

/* Starts the job. It is the group's until done() or drop() is called.
 *   ERR_IO  no thread could be made; the job is still the caller's */
MUST_CHECK enum err detached_start(struct detached *group, struct detached_job *job);

/* No done() is called after this. It does not wait. The loop must outlive the call only. NULL is
 * allowed. */
void detached_free(struct detached *group);
OWNED_BY(detached_free, struct detached);

#endif
