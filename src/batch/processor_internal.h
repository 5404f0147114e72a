/* processor_internal.h - processors, workers and their batches. Inside of src/batch only.
 *
 * A *worker batch* is the attempt to run a batch at a worker. It is the engine's user data of the
 * batch, and exists as long as the batch.
 *
 *   (no worker) --load--> QUEUED --place free--> AT_WORKER --report, loss--> (no worker)
 *
 * Threads: within the lock of the processor, but where a member says otherwise. */
#ifndef TRIBUTARY_BATCH_PROCESSOR_INTERNAL_H
#define TRIBUTARY_BATCH_PROCESSOR_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "base/peer_share.h"
#include "base/shared_bytes.h"
#include "base/sorted.h"
#include "batch/batch_engine.h"
#include "batch/processor.h"
#include "batch/processor_record.h"
#include "batch/worker.h"
#include "loop/loop.h"

struct batch_processors {
    struct loop *loop;
    pthread_mutex_t lock; /* taken before that of a processor */
    struct map processors;
    struct sorted by_name; /* the same */
    struct batch_record_port records;
    _Atomic uint64_t batches; /* the number of the last batch */
    uint64_t workers;         /* that have joined: for names */
    struct peer_counts peers; /* the workers that are there, by their peer, and all of them */
    uint32_t worker_count;
    bool stopping;
    size_t not_stopped; /* processors that still have a batch; and 1 while the stop is begun */
    void (*stopped)(void *ctx);
    void *stopped_ctx;
    struct task stopped_task;
};

struct batch_processor {
    struct batch_processors *all;
    _Atomic uint32_t references;
    pthread_mutex_t lock;
    struct map_node node; /* in all->processors, by name; under the lock of `all` */
    struct sorted_node by_name;
    struct batch_settings settings;
    struct batch_engine *engine;
    struct list workers;
    uint32_t worker_count;
    struct list leaving;  /* workers with batches that they must not keep, the oldest first */
    struct list aborting; /* worker batches whose abort was decided, the oldest first */
    bool retired;         /* not in all->processors any more */
    bool stopping, is_stopped;
    int64_t stop_ns; /* after the stop: when batches should have ended */

    /* The loop's timer. */
    int64_t engine_wake_ns; /* when the engine must be ticked */
    int64_t timer_ns;       /* when the timer fires; INT64_MAX: it is not armed */
    bool timer_posted;      /* `timer_task` is on its way, and has a reference */
    struct task timer_task;
    struct timer timer; /* on the loop; has a reference while it is armed */

    uint64_t saved, failed, operations;
    size_t name_size;
    uint8_t name[];
};

struct batch_worker {
    struct batch_processor *processor;
    struct batch_worker_port port;
    struct list node;    /* in processor->workers */
    uint64_t hash;       /* of the name */
    struct map numbers;  /* worker batches AT_WORKER, by number */
    struct list batches; /* the same */
    uint32_t max_batches;
    struct list queued; /* worker batches that wait for a place */
    struct list dirty;  /* worker batches with something to send */
    bool draining;
    bool is_gone;               /* it has left: its batches are lost */
    struct list leaving_link;   /* in processor->leaving */
    struct peer_count *of_peer; /* in all->peers; NULL: it is not counted */
    enum fault_reason fault;
    uint64_t saved, failed, operations;
    struct shared_bytes *name;
    char peer[];
};

struct worker_batch {
    struct keyed_batch *batch;   /* NULL: not initialised */
    struct batch_worker *worker; /* QUEUED or AT_WORKER; NULL: neither */
    bool is_queued;
    uint64_t number;                   /* AT_WORKER */
    struct map_node node;              /* in worker->numbers */
    struct list link;                  /* in worker->queued or worker->batches */
    struct list abort_link;            /* in processor->aborting */
    struct list dirty_link;            /* in worker->dirty */
    struct list unsent;                /* operations, in order */
    struct processor_operation **sent; /* NULL: its result is there */
    uint64_t sent_count, answered, sent_capacity;
    unsigned burst;                     /* operations fetched in a row */
    unsigned loads;                     /* attempts */
    bool to_begin, to_finish, to_abort; /* to be sent */
    bool is_loaded;                     /* the worker said so */
    bool is_open;                       /* and the engine knows */
    bool is_reload;                     /* it was open before */
    bool is_finished;                   /* `finish` was sent */
    bool is_aborting;
    bool is_unloading, is_unwanted; /* why: nothing has run; nobody waits for the load */
    int64_t abort_due_ns;           /* the worker must have answered the abort */
    uint64_t generation;
    struct shared_bytes *worker_name; /* of the last attempt; NULL: it had none */
    enum fault_reason reason;         /* why operations fail */
    struct batch_error *error;
    bool is_conflict;
};

extern const struct batch_port processor_port; /* its `ctx` is the processor */

/* Chooses a worker. Whether it has a place at once. */
bool worker_batch_place(struct batch_processor *processor, struct worker_batch *work);
/* Returns the worker that had it, whose next batch may begin: batch_worker_begin_next(), after the
 * report. */
struct batch_worker *worker_batch_detach(struct worker_batch *work);
void batch_worker_begin_next(struct batch_worker *worker);
void worker_batch_dirty(struct worker_batch *work); /* there is something to send */
/* Nobody waits for its load: it ends, at once or by an abort. */
void worker_batch_give_up(struct worker_batch *work);
/* Decides that the batch must not be saved. `reason` is told to its operations. */
void worker_batch_abort(struct batch_processor *processor, struct worker_batch *work,
                        enum fault_reason reason);
/* The batch is over at its worker, which was not sent `finish`. Operations that were sent end with
 * work->reason or work->error; the others go on in the next batch. Returns how many it had. */
uint64_t worker_batch_lose(struct worker_batch *work);
void worker_batch_set_error(struct worker_batch *work, enum fault_reason reason, struct batch_error *error);
/* Which worker of the processor a key goes to. NULL: none accepts batches. */
struct batch_worker *processor_choose(const struct batch_processor *processor, struct bytes key);

/* Finds or makes the processor, and locks it; within the lock of `all`. */
enum fault_reason processor_open(struct batch_processors *all, struct bytes name,
                                 const struct batch_settings *settings,
                                 struct batch_processor **processor_out, struct fault *fault);
void processor_wake_workers(struct batch_processor *processor);
/* Ends workers that have not answered in time. */
void processor_check_aborts(struct batch_processor *processor, int64_t now_ns);
/* What must be done next, by the clock. */
int64_t processor_due_ns(const struct batch_processor *processor);

#endif
