/* batch.h - keyed batches in this process: for each key load a resource once, run many operations
 * on it, one after another, save it once, and report the outcome to all. It needs no server. Part
 * of <tributary/tributary.h>; a program may also include it alone. docs/batch.md has an example.
 *
 * Threads. Any thread may call any function. load(), save(), free(), operate() and done() run on
 * threads of the batch processor, with no lock held. For one key load(), save(), free() and
 * operate() run one at a time; keys run side by side. done() may run beside any of them, of its own
 * key too, and beside other done(). A callback that blocks holds up its own key and one thread, and
 * nothing else: give a processor as many `threads` as may block at a time. */
#ifndef TRIBUTARY_BATCH_H
#define TRIBUTARY_BATCH_H

#ifdef __cplusplus
extern "C" {
#endif

#include "batch_options.h"
#include "duration.h"
#include "event.h"
#include "export.h"
#include "status.h"

struct tributary_batch;        /* a batch processor */
struct tributary_batch_cancel; /* what cancels operations */

struct tributary_batch_operation {
    struct tributary_bytes key; /* copied */
    /* What is to be done with the resource. One that fails leaves it as it was, and fails alone.
     * It may run again, after a reload. */
    enum tributary_code (*operate)(void *ctx, void *resource, struct tributary_status *status);
    /* With tributary_batch_submit(): how it ended, once. NULL: nobody hears of it. */
    void (*done)(void *ctx, const struct tributary_status *status);
    void *ctx;                             /* of these two */
    uint64_t bytes;                        /* what it counts in the bounds; 0: nothing */
    struct tributary_batch_cancel *cancel; /* NULL: it cannot be cancelled */
};

/* Creates a batch processor and its threads. It copies everything in `options`.
 *   TRIBUTARY_INVALID_ARGUMENT    an option is out of its bounds; `status` names it
 *   TRIBUTARY_RESOURCE_EXHAUSTED  no memory, or no thread */
TRIBUTARY_API enum tributary_code tributary_batch_new(const struct tributary_batch_options *options,
                                                      struct tributary_batch **batch_out,
                                                      struct tributary_status *status);

/* Runs one operation, and waits until its batch is saved. For one that has started it waits
 * without a limit. Errors, each with a reason in `status`:
 *   TRIBUTARY_RESOURCE_EXHAUSTED   a bound, named by the reason: OPERATION_TOO_LARGE, BATCH_FULL,
 *                                  TOO_MANY_WAITERS, WAITING_BYTES, TOO_MANY_KEYS,
 *                                  TOO_MANY_BATCHES; or no memory
 *   TRIBUTARY_INVALID_ARGUMENT     TOO_LONG: the key
 *   TRIBUTARY_UNAVAILABLE          PROCESSOR_STOPPED: it has not run
 *   TRIBUTARY_CANCELLED            OPERATION_CANCELLED: it has not run
 *   TRIBUTARY_DEADLINE_EXCEEDED    DEADLINE: it has not started within `timeout_ns`, nor will it
 *   TRIBUTARY_FAILED_PRECONDITION  this is a callback of the processor, which must not wait
 *   others                         the code of the operation, or of load() or save(); where they
 *                                  set no reason: OPERATION_FAILED, LOAD_FAILED, SAVE_FAILED */
TRIBUTARY_API enum tributary_code tributary_batch_run(struct tributary_batch *batch,
                                                      const struct tributary_batch_operation *operation,
                                                      int64_t timeout_ns, struct tributary_status *status);

/* The same without waiting. After TRIBUTARY_OK done() is called; its `status` is valid during the
 * call. Otherwise it is never called. */
TRIBUTARY_API enum tributary_code tributary_batch_submit(struct tributary_batch *batch,
                                                         const struct tributary_batch_operation *operation,
                                                         struct tributary_status *status);

/* What cancels all operations that carry it. NULL: no memory. */
TRIBUTARY_API struct tributary_batch_cancel *tributary_batch_cancel_new(void);
/* Those that have not started end with OPERATION_CANCELLED; so does each that is begun later. Those
 * that have started wait for their save. */
TRIBUTARY_API void tributary_batch_cancel(struct tributary_batch_cancel *cancel);
/* Operations that carry it go on. NULL is allowed. */
TRIBUTARY_API void tributary_batch_cancel_free(struct tributary_batch_cancel *cancel);

/* Refuses what comes from now on and what has not started, ends all windows, and waits until the
 * last batch is saved and the last callback has returned. Any number of threads may call it, any
 * number of times.
 *   TRIBUTARY_FAILED_PRECONDITION  this is a callback of the processor; nothing changed */
TRIBUTARY_API enum tributary_code tributary_batch_stop(struct tributary_batch *batch);

/* Stops and frees it. Free its observers first. No other call of it may be running, nor a
 * tributary_batch_cancel() of its operations. Never call this from a callback. NULL is allowed. */
TRIBUTARY_API void tributary_batch_free(struct tributary_batch *batch);

struct tributary_batch_stats {
    uint64_t keys, batches, waiters; /* now */
};
TRIBUTARY_API void tributary_batch_stats(struct tributary_batch *batch,
                                         struct tributary_batch_stats *stats_out);

#include "batch_record.h"

#ifdef __cplusplus
}
#endif

#endif
