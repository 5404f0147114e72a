/* mailbox.h - tasks that any thread posts and that one thread, the owner, runs.
 *
 * DESIGN. The mailbox is a stack. Any thread pushes a task onto it with one compare-and-swap. The
 * owner takes the whole stack with one exchange and reverses it. This has four effects. The order
 * in which tasks were posted is kept. A run is bounded by the tasks that were there when it began.
 * A poster knows whether the mailbox was empty, and so whether the owner must be woken. A thread
 * that is interrupted while it posts delays nobody else.
 *
 * A zeroed mailbox is empty and ready for use. It allocates nothing and never blocks. The objects
 * that embed tasks bound it. */
#ifndef TRIBUTARY_BASE_MAILBOX_H
#define TRIBUTARY_BASE_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/base.h"

/* A piece of work for the owner, embedded in the object that it works on. */
struct task {
    struct task *next;              /* the mailbox's */
    void (*run)(struct task *task); /* owner's thread; it may free the task or post it again */
};

struct mailbox {
    struct task *_Atomic newest;
};

/* Posts a task. It belongs to the mailbox until run() is called, so it must not be posted twice
 * meanwhile. Returns whether the mailbox was empty. Any thread.
 *
 * What the caller did before happens before run(). */
static inline bool mailbox_post(struct mailbox *mailbox, struct task *task)
{
    struct task *before = atomic_load_explicit(&mailbox->newest, memory_order_relaxed);

    do
        task->next = before;
    while (!atomic_compare_exchange_weak_explicit(&mailbox->newest, &before, task, memory_order_release,
                                                  memory_order_relaxed));
    return !before;
}

/* Whether no task waits. Owner's thread: a task that another thread posts at this moment may be
 * missed. */
static inline bool mailbox_is_empty(const struct mailbox *mailbox)
{
    return !atomic_load_explicit(&mailbox->newest, memory_order_relaxed);
}

/* Takes the tasks that are in the mailbox now, in order: those of one thread in the order in which
 * it posted them. Returns the first, or NULL, and in `last_out` the last. They belong to the
 * caller, who runs each once and reads `next` before that. Owner's thread. */
static inline struct task *mailbox_take(struct mailbox *mailbox, struct task **last_out)
{
    struct task *newest = atomic_exchange_explicit(&mailbox->newest, NULL, memory_order_acquire);
    struct task *oldest = NULL;

    *last_out = newest;
    while (newest) {
        struct task *next = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

/* Runs the tasks that are in the mailbox now, once each, in order. Tasks that are posted meanwhile
 * stay for the next call. Owner's thread. */
static inline void mailbox_run(struct mailbox *mailbox)
{
    struct task *last;
    struct task *oldest = mailbox_take(mailbox, &last);

    while (oldest) {
        struct task *task = oldest;

        oldest = task->next; /* read before run(), which may free the task or post it again */
        task->run(task);
    }
}

#endif
