/* work.h - one batch of a worker. A thread of the pool does one thing after another for it, as long
 * as there is one.
 *
 * DESIGN. A batch is in `worker->batches` from its begin to its end. While it is `queued` it is a
 * job of the pool, or a thread of the pool runs it; then only that thread ends it. A batch whose
 * key is worked on by an older one waits behind that (`behind`). */
#ifndef TRIBUTARY_CLIENT_WORK_H
#define TRIBUTARY_CLIENT_WORK_H

#include <stdatomic.h>

#include "client/lib/processor/worker_state.h"

struct work_operation {
    struct tributary_worker_operation shown; /* first: callbacks get its address */
    struct list node;                        /* in `arrived` */
    uint8_t *result;                         /* owned */
    struct tributary_status *failure;        /* owned; NULL: it has not failed */
    uint8_t content[];                       /* the id and the data */
};

struct tributary_worker_batch {
    /* Set once. */
    struct tributary_worker *worker;
    uint64_t number, life;
    int64_t deadline_ns;

    _Atomic bool aborted; /* it shall not be saved, or nobody waits for it */

    /* Under the worker's lock. */
    struct job job;
    struct list link;          /* in worker->batches */
    struct map_node by_number; /* in worker->by_number, while it is of this stream */
    struct map_node by_key;    /* in worker->by_key, unless it waits behind another */
    struct list behind;        /* those of its key that wait for its end; by `waiting` */
    struct list waiting;
    struct list arrived; /* operations that no thread has seen */
    bool queued;
    bool running;   /* a thread of the pool is at a step of it, and reports its end */
    bool finished;  /* no operation follows */
    bool waits;     /* in `behind` of another one */
    bool is_orphan; /* the server knows its end, or its stream is lost; not in by_number */

    /* The pool's. */
    bool is_loaded;
    void *resource;
    uint64_t generation;
    const struct tributary_worker_operation **operations;
    size_t count, capacity;

    size_t key_size;
    uint8_t key[];
};

static inline struct work_operation *work_operation_of(const struct tributary_worker_operation *shown)
{
    return container_of(shown, struct work_operation, shown);
}

/* NULL: no memory. */
struct tributary_worker_batch *work_new(struct tributary_worker *worker, const struct order *begin);
struct work_operation *work_operation_new(const struct order *operation);
void work_operation_free(struct work_operation *operation);

/* Makes it a job, if it is none and does not wait. Under the lock. The caller adds `jobs` to the
 * pool afterwards, without the lock. */
void work_queue(struct tributary_worker_batch *batch, struct list *jobs);

#endif
