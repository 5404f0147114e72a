/* processor.h - batch processors: each has a name, the workers that work for it, and a batch engine
 * that brings the operations of all callers to them.
 *
 *  1. A processor comes with its first worker, which decides its settings. It goes when it has no
 *     worker and no key any more.
 *  2. A batch goes to one worker, by its key (placement.h). A worker that has as many batches as it
 *     may gets the next one when one of them has ended; the keys wait in order.
 *  3. What the worker has to be told is fetched by its owner, when its connection accepts it
 *     (worker.h). An operation has been *sent* once it was fetched.
 *  4. A worker that leaves loses its batches. Operations that were sent end with WORKER_LOST; the
 *     others go on in the next batch of their key, in front of those that wait. That is done in
 *     slices of 256.
 *  5. Where no worker is left that accepts batches, operations end with NO_WORKER.
 *
 * Threads: any. Each processor has one lock, which callers take around the functions that say so:
 * batch_processor_lock(). Callbacks come within that lock, on the thread that holds it, and must
 * call nothing of this file. Deadlines are kept by the loop. */
#ifndef TRIBUTARY_BATCH_PROCESSOR_H
#define TRIBUTARY_BATCH_PROCESSOR_H

#include "base/buf.h"
#include "batch/batch_error.h"
#include "batch/batch_port.h"
#include "batch/batch_settings.h"
#include "batch/processor_record.h"

struct batch_processor;
struct batch_processors;
struct loop;

/* An operation of a caller; embedded in the caller's object. Zeroed but for what is named it is
 * ready for use. */
struct processor_operation {
    /* Set by the caller. The bytes stay the caller's, and are valid until the operation has
     * ended. */
    struct bytes id, data;
    /* The operation is over: what follows is set. The lock is held, on any thread. */
    void (*ended)(struct processor_operation *operation);
    struct list node; /* the caller's, once ended() is called */

    /* How it ended. */
    enum fault_reason reason;  /* FAULT_NONE: see `error` */
    struct batch_error *error; /* a reference of the operation's; NULL: it has a result */
    bool may_have_run;         /* it failed, and nobody knows whether it has run and was saved */
    struct buf result;         /* the operation's: processor_operation_fini(); in the budget */
    bool result_dropped;       /* it has run, and the budget had no space for its result */
    uint64_t batch;            /* that it was sent with last; 0: none */

    struct batch_operation in_engine; /* the processor's */
};

/* Frees what an operation has got. It must not be in a processor. */
void processor_operation_fini(struct processor_operation *operation);

/* `records` is copied. NULL: no memory. */
struct batch_processors *batch_processors_new(struct loop *loop, const struct batch_record_port *records);
/* No processor may be left. NULL is allowed. The loop's thread, before the loop is freed. */
void batch_processors_free(struct batch_processors *processors);

/* Finds a processor by its name. *processor_out is a reference of the caller's.
 *   NO_WORKER          there is none
 *   PROCESSOR_STOPPED  the server ends */
MUST_CHECK enum fault_reason batch_processors_find(struct batch_processors *processors, struct bytes name,
                                                   struct batch_processor **processor_out,
                                                   struct fault *fault);
void batch_processor_retain(struct batch_processor *processor);
void batch_processor_release(struct batch_processor *processor); /* NULL is allowed; without the lock */
struct bytes batch_processor_name(const struct batch_processor *processor);

void batch_processor_lock(struct batch_processor *processor);
void batch_processor_unlock(struct batch_processor *processor);

/* Admits an operation, and copies the key. Within the lock. After a fault the operation is the
 * caller's, and ended() is not called. Otherwise ended() follows, perhaps before this returns.
 *   NO_WORKER  no worker accepts batches
 *   others     as batch_engine_run() */
MUST_CHECK enum fault_reason batch_processor_run(struct batch_processor *processor, struct bytes key,
                                                 struct processor_operation *operation, struct fault *fault);
/* Takes back an operation that was not sent. Within the lock. True: it is the caller's, and ended()
 * is not called. False: it was sent, so it waits for the save, or it has ended. */
MUST_CHECK bool batch_processor_cancel(struct processor_operation *operation);

/* Admits nothing any more, and ends all that waits: PROCESSOR_STOPPED. Batches that have begun are
 * closed and saved; workers hear that they should be by `until_ns` (clock_mono_ns()). `stopped` is
 * called once, in a later task of the loop, when no key has a batch any more. The loop's thread,
 * once. */
void batch_processors_stop(struct batch_processors *processors, int64_t until_ns, void (*stopped)(void *ctx),
                           void *ctx);

#endif
