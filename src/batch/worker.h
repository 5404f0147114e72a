/* worker.h - the workers of batch processors: what they are sent, and what they report.
 *
 * The owner of a worker (a call) fetches what is to be sent with batch_worker_next(), and hands in
 * what the worker reports. A report that breaks the order is refused; then the owner ends the call,
 * and calls batch_worker_leave().
 *
 * Threads: any, within the lock of the processor, unless a function says otherwise. */
#ifndef TRIBUTARY_BATCH_WORKER_H
#define TRIBUTARY_BATCH_WORKER_H

#include "base/peer.h"
#include "batch/processor.h"

#define MAX_WORKER_NAME_BYTES 256u
#define MAX_WORKER_BATCHES 10000u
#define MAX_PROCESSOR_WORKERS 1000u
#define MAX_WORKERS 10000u /* of all processors; each peer has its share of them */

struct batch_worker;

/* What the owner does. */
struct batch_worker_port {
    /* There is something to fetch, or the worker must end: batch_worker_fault(). Within the lock,
     * on any thread. It must not call the functions of this file. */
    void (*wake)(void *ctx);
    void *ctx;
};

/* The texts are the caller's, and copied. */
struct batch_worker_params {
    struct bytes processor; /* checked by the caller */
    struct bytes name;      /* empty: one is made */
    const char *peer;
    struct peer_key peer_key;
    struct batch_settings settings; /* complete */
    uint32_t max_batches;           /* 1 to MAX_WORKER_BATCHES */
    struct batch_worker_port port;
};

/* Adds a worker. Without any lock. *worker_out has a reference to its processor.
 *   WORKER_EXISTS      another worker of the processor has the name
 *   POLICY_DIFFERS     other workers have the processor, with other settings; the field is named
 *   TOO_MANY_WORKERS   the processor has MAX_PROCESSOR_WORKERS, or all have MAX_WORKERS
 *   PEER_WORKERS       the peer has its share of MAX_WORKERS
 *   PROCESSOR_STOPPED  the server ends
 *   MEMORY_BUDGET      no memory */
MUST_CHECK enum fault_reason batch_worker_join(struct batch_processors *processors,
                                               const struct batch_worker_params *params,
                                               struct batch_worker **worker_out, struct fault *fault);
/* The worker is gone, and not the caller's any more. Its batches are lost, slice by slice. Without
 * any lock. NULL is allowed. */
void batch_worker_leave(struct batch_worker *worker);

struct batch_processor *batch_worker_processor(const struct batch_worker *worker); /* any time */

struct batch_worker_view {
    struct bytes name; /* valid as long as the worker */
    const struct batch_settings *settings;
    uint32_t max_batches;
};
void batch_worker_view(const struct batch_worker *worker, struct batch_worker_view *view_out);

/* Why the worker's owner must end it: WORKER_SILENT, MEMORY_BUDGET; FAULT_NONE: it need not. */
enum fault_reason batch_worker_fault(const struct batch_worker *worker);
/* The worker gets no more batches. Those that wait for a place go to others, slice by slice. */
void batch_worker_drain(struct batch_worker *worker);
/* Whether it has been drained, and has no batch any more. */
bool batch_worker_is_drained(const struct batch_worker *worker);
bool batch_worker_has_batches(const struct batch_worker *worker);
/* Whether the server ends, and by when batches should have ended: clock_mono_ns(). */
bool batch_worker_closes(const struct batch_worker *worker);
int64_t batch_worker_stop_ns(const struct batch_worker *worker);
/* Whether the server ends, and no batch can come any more. */
bool batch_worker_is_over(const struct batch_worker *worker);

enum worker_command_kind { WORKER_BEGIN, WORKER_OPERATION, WORKER_FINISH, WORKER_ABORT };

/* Valid until the lock is released. */
struct worker_command {
    enum worker_command_kind kind;
    uint64_t batch;
    struct bytes key;                            /* BEGIN */
    int64_t deadline_ns;                         /* BEGIN: from now */
    uint64_t id;                                 /* OPERATION */
    const struct processor_operation *operation; /* OPERATION */
    const char *reason;                          /* ABORT */
};

/* Fetches what is to be sent next. False: nothing, now. */
MUST_CHECK bool batch_worker_next(struct batch_worker *worker, struct worker_command *command_out);

/* The reports. FAULT_NONE, or BAD_REPORT with the field, and nothing has changed. */
MUST_CHECK enum fault_reason batch_worker_loaded(struct batch_worker *worker, uint64_t batch,
                                                 uint64_t generation, struct fault *fault);
/* `error` NULL: `data` is the result. Both are copied. */
MUST_CHECK enum fault_reason batch_worker_result(struct batch_worker *worker, uint64_t batch, uint64_t id,
                                                 struct bytes data, const struct batch_error_text *error,
                                                 struct fault *fault);
MUST_CHECK enum fault_reason batch_worker_saved(struct batch_worker *worker, uint64_t batch,
                                                struct fault *fault);
MUST_CHECK enum fault_reason batch_worker_failed(struct batch_worker *worker, uint64_t batch,
                                                 const struct batch_error_text *error, struct fault *fault);
/* An old batch that the worker does not have any more is ignored: the abort has crossed the report
 * that ended it. */
MUST_CHECK enum fault_reason batch_worker_aborted(struct batch_worker *worker, uint64_t batch,
                                                  struct fault *fault);

#endif
