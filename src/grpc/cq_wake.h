/* cq_wake.h - wakes an object on its thread, from any thread. However often it is woken from other
 * threads, at most one task is on its way.
 *
 * Threads: each function says. */
#ifndef TRIBUTARY_GRPC_CQ_WAKE_H
#define TRIBUTARY_GRPC_CQ_WAKE_H

#include <stdatomic.h>

#include "grpc/cq_thread.h"

/* Embedded in the object. */
struct cq_wake {
    struct cq_thread *thread;
    void (*woken)(struct cq_wake *wake); /* on the thread: usually it adds a post-poll hook */
    void (*freed)(struct cq_wake *wake); /* on the thread: nothing refers to `wake` any more */
    /* Any thread. */
    _Atomic bool posted; /* `task` is on its way: it may neither be posted again nor freed */
    struct task task;
};

/* `freed` NULL: cq_wake_free() is not used. No task may be on its way then when the object is
 * freed. */
void cq_wake_init(struct cq_wake *wake, struct cq_thread *thread, void (*woken)(struct cq_wake *wake),
                  void (*freed)(struct cq_wake *wake));
/* Any thread. woken() is called: at once on the thread itself, else in a task. */
void cq_wake_up(struct cq_wake *wake);
/* The thread, after every cq_wake_up() of other threads has returned, and once. freed() is called:
 * at once, or when the task that is on its way has come. woken() is not called any more. */
void cq_wake_free(struct cq_wake *wake);

#endif
