/* runner.h - run operations on keys of a processor, over the server. The server brings the
 * operations of all callers of a key together into a batch, and a worker (worker.h) loads the key's
 * resource, runs them, and saves it. An operation ends after that save. Part of
 * <tributary/tributary.h>. docs/batch.md has an example.
 *
 * A runner has one stream to the server. Operations that come while a message is on its way go into
 * the next message together. Operations of one key start in the order in which they were submitted,
 * but for those that are sent again.
 *
 * Lost connections. The runner connects again, with growing pauses. An operation that was on its
 * way may have run. One with an operation id is sent again within its timeout: the worker's store
 * knows it by its id, and returns the first result. One without an id ends with UNAVAILABLE and
 * `may_have_run`. The same holds where the server lost the worker (WORKER_LOST). */
#ifndef TRIBUTARY_RUNNER_H
#define TRIBUTARY_RUNNER_H

#include <stdbool.h>

#include "batch_options.h"
#include "duration.h"
#include "event.h"
#include "export.h"
#include "status.h"

struct tributary;
struct tributary_runner;

#define TRIBUTARY_MAX_OPERATION_ID 64 /* bytes */
#define TRIBUTARY_MAX_OPERATION_BYTES (1u << 20)

struct tributary_runner_options {
    const char *processor; /* 1 to 256 bytes, printable */
    /* The bounds of what is in flight: submitted and not ended. */
    uint32_t max_operations; /* 0: 16384; at most 1048576 */
    size_t max_bytes;        /* of keys, ids and data; 0: 16 MiB; where nothing is in flight, any */
    /* A message has at most this many operations and bytes. A larger operation goes alone. */
    uint32_t message_operations; /* 0: 1024; at most 4096 */
    uint32_t message_bytes;      /* 0: 128 KiB; at most 1 MiB */
    int64_t timeout_ns;          /* of an operation that has none; 0: 30 s; TRIBUTARY_NONE: no limit */
    /* An operation without an id gets a random one of 16 bytes. */
    bool make_operation_ids;
    /* One that the server refuses because no worker is there (NO_WORKER, PROCESSOR_STOPPED) or it
     * is about to end (DRAINING) is sent again within its timeout, with growing pauses. False: it
     * ends with UNAVAILABLE. Either way it has not run. */
    bool retry_refused;
    /* The connection was lost or could not be made; the runner tries again after `retry_ns`. On the
     * client thread. NULL is allowed. */
    void (*interrupted)(void *ctx, const struct tributary_status *status, int64_t retry_ns);
    void *ctx;
};

/* How an operation ended. */
struct tributary_runner_result {
    struct tributary_status status;
    struct tributary_bytes data; /* what the worker answered; empty after a failure */
    uint64_t batch;              /* the batch that it was in; 0: none is known */
    /* Its effect is not known. False: with code OK it is saved; otherwise it had none. */
    bool may_have_run;
    uint32_t attempts; /* how often it was sent */
};

struct tributary_runner_operation {
    struct tributary_bytes key;          /* 1 to 256 bytes, of any value */
    struct tributary_bytes operation_id; /* at most 64 bytes; unique within the processor and key */
    struct tributary_bytes data;         /* at most 1 MiB together with key and id */
    /* It ends with DEADLINE_EXCEEDED unless it starts within this time. 0: the runner's; for one
     * that has started there is no limit. TRIBUTARY_NONE: no limit. */
    int64_t timeout_ns;
    /* How it ended, once, on the client thread. `result` is valid during the call. NULL: nobody
     * hears of it. */
    void (*done)(void *ctx, const struct tributary_runner_result *result);
    void *ctx;
};

/* At all times: submitted = ok + failed + in_flight. */
struct tributary_runner_stats {
    uint64_t submitted, ok, failed;
    uint32_t in_flight;
    uint64_t sent_again; /* operations, after a refusal or a loss */
    uint64_t messages;   /* sent */
    uint64_t reconnects; /* lost connections so far */
};

/* Creates a runner. It copies everything in `options`.
 *   TRIBUTARY_INVALID_ARGUMENT    an option is out of its bounds; `status` names it
 *   TRIBUTARY_RESOURCE_EXHAUSTED  no memory */
TRIBUTARY_API enum tributary_code tributary_runner_new(struct tributary *client,
                                                       const struct tributary_runner_options *options,
                                                       struct tributary_runner **runner_out,
                                                       struct tributary_status *status);

/* Sends a copy of an operation, without waiting. After OK done() follows; otherwise it never does.
 * `number_out` may be NULL: by that number it can be cancelled.
 *   TRIBUTARY_INVALID_ARGUMENT    a bound of the operation; `status` names it
 *   TRIBUTARY_RESOURCE_EXHAUSTED  RUNNER_FULL: max_operations or max_bytes, which the message
 *                                 names; tributary_runner_wait() waits for space. Or no memory
 *   TRIBUTARY_CANCELLED           the runner is being freed */
TRIBUTARY_API enum tributary_code tributary_runner_submit(struct tributary_runner *runner,
                                                          const struct tributary_runner_operation *operation,
                                                          uint64_t *number_out,
                                                          struct tributary_status *status);

/* Waits until an eighth of the bounds is free. An operation with more bytes than that may still
 * have to wait.
 *   TRIBUTARY_DEADLINE_EXCEEDED    it is not
 *   TRIBUTARY_FAILED_PRECONDITION  this is a callback, which must not wait */
TRIBUTARY_API enum tributary_code tributary_runner_wait(struct tributary_runner *runner, int64_t timeout_ns);

/* Sends an operation, and waits until it has ended; also for space, within its timeout. Free the
 * result's data with tributary_runner_result_free(), whatever it is. done() is not called. Errors
 * are those of submit, and:
 *   TRIBUTARY_UNAVAILABLE          NO_WORKER, PROCESSOR_STOPPED, DRAINING: it has not run.
 *                                  WORKER_LOST, CONNECTION_LOST: see result->may_have_run
 *   TRIBUTARY_DEADLINE_EXCEEDED    it has not started in time
 *   TRIBUTARY_FAILED_PRECONDITION  this is a callback, which must not wait
 *   others                         the code of the operation, of the load or of the save */
TRIBUTARY_API enum tributary_code tributary_runner_run(struct tributary_runner *runner,
                                                       const struct tributary_runner_operation *operation,
                                                       struct tributary_runner_result *result_out);
TRIBUTARY_API void tributary_runner_result_free(struct tributary_runner_result *result);

/* Cancels an operation: one that has not started ends with OPERATION_CANCELLED. One that has
 * started ends as it would. Does not wait. A number that is not in flight changes nothing. */
TRIBUTARY_API void tributary_runner_cancel(struct tributary_runner *runner, uint64_t number);

/* Waits until all operations that were submitted before this call have ended, and their done() has
 * returned. It does not wait for later ones.
 *   TRIBUTARY_DEADLINE_EXCEEDED    some have not; they go on
 *   TRIBUTARY_FAILED_PRECONDITION  this is a callback, which must not wait */
TRIBUTARY_API enum tributary_code tributary_runner_flush(struct tributary_runner *runner, int64_t timeout_ns);

TRIBUTARY_API void tributary_runner_stats(struct tributary_runner *runner,
                                          struct tributary_runner_stats *stats_out);

/* Ends the runner. What is in flight ends with CANCELLED, so flush first. Waits until the last
 * callback has returned. Never call this from a callback. NULL is allowed. */
TRIBUTARY_API void tributary_runner_free(struct tributary_runner *runner);

#endif
