/* worker.h - work for a processor of keyed batches: load the resource of a key, run the operations
 * that callers sent to it, and save it. The server brings the operations of all callers together
 * into batches. Part of <tributary/tributary.h>. docs/batch.md has an example.
 *
 * For one batch these are called in turn: load() when it begins, operate() for each operation as it
 * arrives, save() once all have arrived, free(). A program that handles all operations at once, for
 * example in one transaction, leaves operate() out and does everything in save().
 *
 * Threads. Any thread may call any function. load(), operate(), save() and free() run on threads of
 * the worker, with no lock held: one at a time for a key, also across lost connections; keys side
 * by side. They may block. The other callbacks run on the client thread and must not.
 *
 * Lost connections. The worker comes back under its name, with growing pauses. A batch that was
 * under way goes on to its end: one that has all its operations is saved. But the server does not
 * hear of it: its callers get UNAVAILABLE with WORKER_LOST, and the server may give the key to
 * another worker at once. So save() compares the generation that load() has found, within its
 * transaction, and answers ABORTED where the store has another one. */
#ifndef TRIBUTARY_WORKER_H
#define TRIBUTARY_WORKER_H

#include <stdbool.h>

#include "duration.h"
#include "export.h"
#include "worker_batch.h"
#include "worker_policy.h"

struct tributary;
struct tributary_worker;

struct tributary_worker_options {
    const char *processor; /* whom it works for: 1 to 256 bytes, printable */
    /* The worker's name: the server chooses the worker of a key by it. At most 256 bytes; NULL or
     * empty: the server makes one, which the worker keeps when it comes back. */
    const char *worker;
    struct tributary_worker_policy policy;
    uint32_t max_batches; /* at a time; 0: 64; at most 10000 */
    uint32_t threads;     /* for the callbacks; 0: one for each processor, at least 2; at most 1024 */
    bool no_reconnect;    /* the first loss of the connection ends the worker, with UNAVAILABLE */

    /* A callback that fails returns a code, and may fill in the reason and the message of `status`,
     * which is never NULL. */

    /* Makes the resource of a key, and sets the generation that the store has for it, which the
     * server shows. Both are 0 before. NULL: there is no resource. Where it fails, the batch is not
     * saved. */
    enum tributary_code (*load)(void *ctx, struct tributary_worker_batch *batch, void **resource_out,
                                uint64_t *generation_out, struct tributary_status *status);
    /* Runs one operation. Its result is what tributary_worker_set_result() is given; without that
     * it is empty. One that fails leaves the resource as it was, and fails alone. */
    enum tributary_code (*operate)(void *ctx, struct tributary_worker_batch *batch, void *resource,
                                   const struct tributary_worker_operation *operation,
                                   struct tributary_status *status);
    /* Saves. `count` operations, at least 1, are all of the batch, in their order. Without
     * operate() this sets their results, or failures (tributary_worker_fail()). ABORTED means a
     * conflict: the store has another generation than load() found. NULL: nothing is saved. */
    enum tributary_code (*save)(void *ctx, struct tributary_worker_batch *batch, void *resource,
                                const struct tributary_worker_operation *const *operations, size_t count,
                                struct tributary_status *status);
    /* Frees the resource at last, whatever became of the batch; not one that is NULL. */
    void (*free)(void *ctx, void *resource);

    /* On the client thread. Each may be NULL. */

    /* The worker works, under this name. Called again after each new connection. */
    void (*welcomed)(void *ctx, const char *worker);
    /* The connection was lost or could not be made, or the server ended it because the worker was
     * slow (WORKER_SILENT, NOT_READING). The worker tries again after `retry_ns`. */
    void (*interrupted)(void *ctx, const struct tributary_status *status, int64_t retry_ns);
    /* The worker has ended, after its last batch. Called once, and last.
     *   OK         tributary_worker_finish() was called
     *   CANCELLED  tributary_worker_cancel() was called
     *   others     the server refuses it, for example because other workers of the processor have
     *              another policy */
    void (*ended)(void *ctx, const struct tributary_status *status);
    void *ctx; /* of all callbacks */
};

struct tributary_worker_stats {
    uint32_t batches;    /* now */
    uint64_t saved;      /* batches, so far */
    uint64_t failed;     /* batches whose load or save failed */
    uint64_t aborted;    /* batches that the server wanted not to be saved */
    uint64_t orphaned;   /* batches whose connection was lost before their end; also counted above */
    uint64_t operations; /* that arrived */
    uint64_t messages;   /* sent */
    uint64_t welcomes;   /* connections on which the worker was welcome */
};

/* Starts a worker. It copies everything in `options`.
 *   TRIBUTARY_INVALID_ARGUMENT    an option is out of its bounds; `status` names it
 *   TRIBUTARY_RESOURCE_EXHAUSTED  no memory, or no thread */
TRIBUTARY_API enum tributary_code tributary_worker_new(struct tributary *client,
                                                       const struct tributary_worker_options *options,
                                                       struct tributary_worker **worker_out,
                                                       struct tributary_status *status);

TRIBUTARY_API void tributary_worker_stats(struct tributary_worker *worker,
                                          struct tributary_worker_stats *stats_out);

/* Ends the worker gently: no more batches begin. Those that have begun are finished, for at most
 * `drain_ns` (0: 30 s; TRIBUTARY_FOREVER: without a limit). Then ended() is called. Does not wait.
 * A second call changes nothing. */
TRIBUTARY_API void tributary_worker_finish(struct tributary_worker *worker, int64_t drain_ns);

/* Ends the call at once. Callbacks that have begun return first; save() is called no more. Then
 * ended() is called. Does not wait. A second call changes nothing. */
TRIBUTARY_API void tributary_worker_cancel(struct tributary_worker *worker);

/* Waits until ended() has returned. Returns its code and sets *status to its status.
 *   TRIBUTARY_DEADLINE_EXCEEDED    "STILL_RUNNING" in status->reason: it has not ended in time
 *   TRIBUTARY_FAILED_PRECONDITION  this is a callback, which must not wait */
TRIBUTARY_API enum tributary_code tributary_worker_wait(struct tributary_worker *worker, int64_t timeout_ns,
                                                        struct tributary_status *status);

/* Cancels the worker if it has not ended, waits until its last callback has returned, and frees it.
 * Never call this from a callback. NULL is allowed. */
TRIBUTARY_API void tributary_worker_free(struct tributary_worker *worker);

#endif
