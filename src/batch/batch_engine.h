/* batch_engine.h - keyed batches: for each key load a resource once, run many operations on it, one
 * after another, save it once, and report the outcome to all.
 *
 * The engine decides, and does nothing itself: no I/O, no thread, no clock. What it wants done goes
 * out by `struct batch_port`. What was done comes back by a *report*: batch_loaded(),
 * batch_operated(), batch_saved(), batch_unloaded(), batch_lost(). A report may come from within
 * the port's function, or at any later time. An operation is whatever embeds `struct
 * batch_operation`: a function that gets the resource in this process, or bytes for a worker at the
 * other end of a connection.
 *
 *  1. A key has at most one batch at a time. The next one begins when the save of the one before
 *     was reported.
 *  2. A batch begins with load(). Operations start in the order in which they came. One runs at a
 *     time, unless `pipelined`.
 *  3. A batch is *closed* when its window is over, when it is full, or at batch_engine_stop(). Then
 *     no operation of it starts any more. After a load that took longer than the window,
 *     operations start for one window more, while any waits.
 *  4. A closed batch in which an operation has run is saved; another one just ends.
 *  5. Each operation that was admitted ends exactly once: it is handed back by ended(), or it was
 *     cancelled. One that fails, fails alone. A save that fails, fails them all.
 *  6. A key without a batch and without a waiter takes no memory.
 *  7. A call does a bounded amount of work: at most `max_steps` of the settings. Where more is to
 *     be done, it calls wake_at() with a time that has come, and batch_engine_tick() goes on. Until
 *     then nothing is lost or reordered: operations may be run and cancelled, reports may come.
 *
 * Threads: one, or the caller's lock around every call. The port is called within these calls. */
#ifndef TRIBUTARY_BATCH_BATCH_ENGINE_H
#define TRIBUTARY_BATCH_BATCH_ENGINE_H

#include "batch/batch_port.h"
#include "batch/batch_report.h"
#include "batch/batch_settings.h"

struct batch_engine;

/* `settings` are complete. Each batch has `user_bytes` for its owner. NULL: no memory. */
struct batch_engine *batch_engine_new(const struct batch_settings *settings, const struct batch_port *port,
                                      size_t user_bytes);
/* No key may have a batch or a waiter. NULL is allowed. */
void batch_engine_free(struct batch_engine *engine);

/* Admits an operation, and copies the key: at most MAX_BATCH_KEY_BYTES. After a fault the operation
 * is the caller's, and nothing has changed. The fault names the bound:
 *   PROCESSOR_STOPPED, TOO_LONG, OPERATION_TOO_LARGE, TOO_MANY_WAITERS, WAITING_BYTES,
 *   TOO_MANY_KEYS, MEMORY_BUDGET; with `refuse_when_full` BATCH_FULL and TOO_MANY_BATCHES */
MUST_CHECK enum fault_reason batch_engine_run(struct batch_engine *engine, struct bytes key,
                                              struct batch_operation *operation, struct fault *fault);

/* Takes back an operation that has not started. True: it is the caller's again, and never runs.
 * False: it has started, so it waits for the save. */
MUST_CHECK bool batch_engine_cancel(struct batch_operation *operation);

/* Goes on with what is due, by one slice. To be called at the time that wake_at() named, which may
 * have come already: then at once, but after what else the thread has to do. More often does no
 * harm. It always calls wake_at(). */
void batch_engine_tick(struct batch_engine *engine);

/* Admits nothing any more, and starts no operation any more. Ends what waits with BATCH_STOPPED,
 * and closes every batch; those in which operations have run are saved. That begins here, slice by
 * slice, and is over when the port's stopped() is called. A second call does nothing. */
void batch_engine_stop(struct batch_engine *engine);

struct batch_stats {
    uint64_t keys, batches, waiters; /* now */
};
void batch_engine_stats(const struct batch_engine *engine, struct batch_stats *stats_out);

#endif
