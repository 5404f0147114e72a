/* cq_wake.c - see cq_wake.h. */
#include "grpc/cq_wake.h"

static void on_wake(struct task *task)
{
    struct cq_wake *wake = container_of(task, struct cq_wake, task);

    atomic_store(&wake->posted, false);
    wake->woken(wake);
}

static void on_free(struct task *task)
{
    struct cq_wake *wake = container_of(task, struct cq_wake, task);

    wake->freed(wake);
}

void cq_wake_init(struct cq_wake *wake, struct cq_thread *thread, void (*woken)(struct cq_wake *wake),
                  void (*freed)(struct cq_wake *wake))
{
    wake->thread = thread;
    wake->woken = woken;
    wake->freed = freed;
    wake->task.run = on_wake;
}

void cq_wake_up(struct cq_wake *wake)
{
    if (cq_is_mine(wake->thread))
        wake->woken(wake);
    else if (!atomic_exchange(&wake->posted, true))
        cq_post(wake->thread, &wake->task);
}

/* The task may be on its way: then what it does is changed, on the thread that will run it. */
void cq_wake_free(struct cq_wake *wake)
{
    wake->task.run = on_free;
    if (!atomic_exchange(&wake->posted, true))
        wake->freed(wake);
}
