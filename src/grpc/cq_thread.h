/* cq_thread.h - a thread that serves one completion queue of gRPC core: the queue, a mailbox for
 * other threads, timers, and hooks for the end of a turn.
 *
 * A *turn* is one return of the completion queue's next() and all that it leads to, in this order:
 *   1. the operation that completed, and others that have completed too, up to the owner's bound
 *   2. the posted tasks
 *   3. the owner's after_tasks()
 *   4. the timers that are due
 *   5. the early post-poll hooks, then the other ones
 * Between two turns the thread waits for the next operation, task or timer.
 *
 * Threads: cq_post() and cq_is_mine() may be called on any thread. Everything else belongs to the
 * thread itself, or to its owner's thread before the start and after the end. */
#ifndef TRIBUTARY_GRPC_CQ_THREAD_H
#define TRIBUTARY_GRPC_CQ_THREAD_H

#include <stdbool.h>

#include "base/base.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "base/status.h"

#include <grpc/grpc.h>

struct cq_thread;

/* What the owner of the thread decides and does. Each runs on the thread. Each but `is_done` may be
 * NULL. */
struct cq_thread_port {
    void (*begun)(void *ctx); /* the first act of the thread */
    /* The bound of this turn, at least 1. NULL: one operation in each turn. */
    unsigned (*max_completions)(void *ctx);
    void (*after_tasks)(void *ctx, int64_t now_ns); /* `now_ns`: cq_now_ns() */
    bool (*has_work)(void *ctx);                    /* true: the next turn does not wait */
    bool (*is_done)(void *ctx);                     /* asked before each turn; true: the thread ends */
    void (*ended)(void *ctx);                       /* the last act of the thread */
};

/* A timer, embedded. Zeroed but for `fired` it is ready for use. */
struct cq_timer {
    struct heap_node node;
    void (*fired)(struct cq_timer *timer, int64_t now_ns); /* it is not armed, and may be freed */
};

/* Work for the end of a turn, embedded in the object that it is about. To take back a hook that was
 * added, remove its link from the list. */
struct post_poll_hook {
    struct list link; /* list_init() before the first use */
    void (*post_poll)(struct post_poll_hook *hook, int64_t now_ns);
};

/* Makes a thread that is not started, with a queue that works. `port` and `ctx` must outlive it.
 * gRPC core must be initialised.
 *   ERR_NO_MEMORY  nothing was made */
MUST_CHECK struct status cq_thread_new(const struct cq_thread_port *port, void *ctx,
                                       struct cq_thread **thread_out);
/* Starts the thread.
 *   ERR_IO  it could not be started, see `sys`; it can only be freed */
MUST_CHECK struct status cq_thread_start(struct cq_thread *thread);
/* Blocks until the thread has ended: is_done() must become true. Does nothing if it never started.
 * Any other thread. */
void cq_thread_join(struct cq_thread *thread);
/* After cq_thread_join(), or where the thread never started, and when every cq_post() of other
 * threads has returned. No operation may be in flight. Runs on the caller's thread what was posted
 * and did not run, with turns that end when the mailbox is empty and the owner has no work. Then it
 * frees queue and thread. NULL is allowed. */
void cq_thread_free(struct cq_thread *thread);
OWNED_BY(cq_thread_free, struct cq_thread);

/* The queue, for gRPC core. Each tag in it must be a `struct op`. Any thread. */
grpc_completion_queue *cq_thread_queue(const struct cq_thread *thread);

/* Posts a task (base/mailbox.h): run() is called once, on the thread. Never blocks, never fails,
 * allocates nothing. Tasks of one thread run in the order in which it posted them. A turn runs the
 * tasks that were there when it came to them. Any thread. */
void cq_post(struct cq_thread *thread, struct task *task);
/* Whether the caller is this thread. Any thread. */
bool cq_is_mine(const struct cq_thread *thread);

/* The thread does not end between the two, whatever is_done() says: operations of others are in its
 * queue. On the thread. */
void cq_hold(struct cq_thread *thread);
void cq_unhold(struct cq_thread *thread);

/* clock_mono_ns() at the beginning of the turn. */
int64_t cq_now_ns(const struct cq_thread *thread);

/* Whether this turn handled as many operations as it may: more may have completed. */
bool cq_is_behind(const struct cq_thread *thread);

/* Whether this turn may handle several operations, and not only one. */
bool cq_turn_is_long(const struct cq_thread *thread);

/* Arms the timer for `at_ns` (clock_mono_ns()), or moves it. INT64_MAX disarms it. A timer fires
 * once, not early. Armed for a time that is not after cq_now_ns() it may fire in the same turn.
 * Ends the process when memory runs out. */
void cq_timer_set(struct cq_thread *thread, struct cq_timer *timer, int64_t at_ns);
/* Disarms the timer, even where it was due in this turn. Does nothing if it is not armed. */
void cq_timer_stop(struct cq_thread *thread, struct cq_timer *timer);

/* Runs the hook at the end of this turn, once, however often it is added. A hook that is added
 * while hooks of its kind run is run at the end of the next turn. */
void cq_add_post_poll_hook(struct cq_thread *thread, struct post_poll_hook *hook);
/* The same, but early hooks run before all other hooks: what an early hook produces can still leave
 * in this turn. */
void cq_add_early_post_poll_hook(struct cq_thread *thread, struct post_poll_hook *hook);

/* For the owner's after_tasks(): handles operations that have completed, until the queue came back
 * empty `empty_polls` times, or it was asked `max_polls` times. A poll that finds the queue empty
 * lets gRPC core attend to one descriptor. */
void cq_poll(struct cq_thread *thread, unsigned empty_polls, unsigned max_polls);

#endif
