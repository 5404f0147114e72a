/* loop.h - the control thread: libev with a mailbox, timers, signals and workers. All control state
 * lives on it, so none of that needs a lock.
 *
 * Threads: whoever calls loop_run() is the loop thread. Only loop_post(), loop_stop() and
 * loop_is_mine() may be called from others. */
#ifndef TRIBUTARY_LOOP_LOOP_H
#define TRIBUTARY_LOOP_LOOP_H

#include <stdbool.h>

#include "base/base.h"
#include "base/status.h"

struct loop;

MUST_CHECK struct status loop_new(struct loop **loop_out);
/* Runs what was posted and not yet run, and what that posts, then frees; armed timers are stopped.
 * Not while loop_run() runs, and not before the last loop_post() or loop_stop() of another thread
 * has returned. NULL allowed. */
void loop_free(struct loop *loop);
OWNED_BY(loop_free, struct loop);

void loop_run(struct loop *loop);  /* until loop_stop(); one that came before loop_run() counts */
void loop_stop(struct loop *loop); /* any thread; what was posted before is still run */
/* One turn without waiting: for tests that drive by hand. */
void loop_turn(struct loop *loop);
bool loop_is_mine(const struct loop *loop); /* true on the thread that is in loop_run() or loop_turn() */

/* A piece of work for the loop, embedded in what it is about. Posting order of one thread is kept.
 * A turn runs what had been posted when it began to run tasks: one that posts itself again is run
 * in the next turn, after the timers had theirs. */
struct task {
    struct task *next;              /* the loop's own */
    void (*run)(struct task *task); /* the task may be freed or posted again from here on */
};

/* Any thread; never blocks, never fails. The task is the loop's until run() is called. Bounded by
 * what embeds tasks. */
void loop_post(struct loop *loop, struct task *task);

/* A timer, embedded. Loop thread only. */
struct timer {
    void (*fired)(struct timer *timer);
    struct loop *loop; /* NULL: not armed */
    void *watcher;     /* the loop's own */
};

/* (Re)arms; fires once, `delay_ns` from now (0: at the next turn).
 *   ERR_NO_MEMORY  it is not armed */
MUST_CHECK enum err timer_start(struct loop *loop, struct timer *timer, int64_t delay_ns);
void timer_stop(struct timer *timer); /* nothing where it is not armed; never fires afterwards */

/* Calls `caught` on the loop thread when a signal arrived; arrivals that come faster than turns may
 * be told as one. At most 8; they end
 * with the loop, and the signal is back to its default then. A signal belongs to one loop of the process at a time. ERR_FULL     no more
 * fit ERR_INVALID  no such signal, or another loop has it */
MUST_CHECK enum err loop_signal(struct loop *loop, int signal, void (*caught)(void *ctx, int signal),
                                void *ctx);

/* Workers: threads for what may block. `run` is called on a worker, then `done` on the loop. At
 * most `max_jobs` jobs wait, besides those that run. Jobs begin in the order they were taken.
 * Workers receive no signals. */
struct workers;
struct job {
    void (*run)(struct job *job);
    void (*done)(struct job *job); /* the job may be freed from here on */
    struct task task;              /* the workers' own */
    struct job *next;              /* the workers' own */
};
MUST_CHECK struct status workers_new(struct loop *loop, unsigned threads, unsigned max_jobs,
                                     struct workers **workers_out);
/* Finishes every accepted job, joins the threads; what was not done() yet is done by the loop
 * afterwards. No workers_take() meanwhile. NULL allowed. */
void workers_free(struct workers *workers);
OWNED_BY(workers_free, struct workers);
/* Any thread.
 *   ERR_FULL  max_jobs wait already; the caller keeps the job */
MUST_CHECK enum err workers_take(struct workers *workers, struct job *job);

#endif
