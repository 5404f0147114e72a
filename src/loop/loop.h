/* loop.h - the control thread: libev with a mailbox, timers, signals and workers. All control state lives on it, so none of that needs a lock.
 *
 * Threads: whoever calls loop_run() is the loop thread. Only loop_post(), loop_stop() and loop_is_mine() may be called from others. */
#ifndef TRIBUTARY_LOOP_LOOP_H
#define TRIBUTARY_LOOP_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/base.h"
#include "base/status.h"

struct loop;

MUST_CHECK struct status loop_new(struct loop **loop_out);
/* Runs what was posted and not yet run, then frees. Not while loop_run() runs. */
void loop_free(struct loop *loop);

void loop_run(struct loop *loop);  /* until loop_stop() */
void loop_stop(struct loop *loop); /* any thread; what was posted before is still run */
/* One turn without waiting: for tests that drive by hand. */
void loop_turn(struct loop *loop);
bool loop_is_mine(const struct loop *loop); /* true on the thread that is in loop_run() or loop_turn() */

/* A piece of work for the loop, embedded in what it is about. Posting order of one thread is kept. */
struct task {
    struct task *_Atomic next;
    void (*run)(struct task *task); /* the task may be freed or posted again from here on */
};

/* Any thread; never blocks, never fails. The task is the loop's until run() is called. Bounded by what embeds tasks. */
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

/* Calls `caught` on the loop thread for each arrival of a signal. At most 8; the loop owns them.
 *   ERR_FULL  no more fit */
MUST_CHECK enum err loop_signal(struct loop *loop, int signal, void (*caught)(void *ctx, int signal), void *ctx);

/* Workers: threads for what may block. `run` is called on a worker, then `done` on the loop. At most `jobs_most` jobs wait. */
struct workers;
struct job {
    void (*run)(struct job *job);
    void (*done)(struct job *job); /* the job may be freed from here on */
    struct task task;              /* the workers' own */
    struct job *next;              /* the workers' own */
    struct workers *workers;       /* the workers' own */
};
MUST_CHECK struct status workers_new(struct loop *loop, unsigned threads, unsigned jobs_most, struct workers **workers_out);
/* Finishes every accepted job, joins the threads; each job's done() is run by the loop afterwards. */
void workers_free(struct workers *workers);
/*   ERR_FULL  jobs_most wait already; the caller keeps the job */
MUST_CHECK enum err workers_take(struct workers *workers, struct job *job);

#endif
