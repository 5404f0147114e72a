/* worker_batch.h - a batch as a worker has it. Part of <tributary/worker.h>.
 *
 * Everything here is valid during the callback that is given the batch; an operation and its result
 * also in the later callbacks of its batch. */
#ifndef TRIBUTARY_WORKER_BATCH_H
#define TRIBUTARY_WORKER_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"
#include "export.h"
#include "status.h"

#define TRIBUTARY_MAX_RESULT_BYTES (1u << 20)

struct tributary_worker_batch;

struct tributary_worker_operation {
    uint64_t id; /* its place in the batch, from 1 */
    /* By which a worker with a store knows an operation that comes again: it returns the first
     * result. Empty: none. */
    struct tributary_bytes operation_id;
    struct tributary_bytes data;
    /* What was set so far. */
    struct tributary_bytes result;
    enum tributary_code code; /* OK, or that of a failure */
};

TRIBUTARY_API struct tributary_bytes tributary_worker_batch_key(const struct tributary_worker_batch *batch);
/* Its number: no other batch of the server's life has it. */
TRIBUTARY_API uint64_t tributary_worker_batch_number(const struct tributary_worker_batch *batch);
/* CLOCK_MONOTONIC: when it should be saved. The callbacks keep to it themselves. */
TRIBUTARY_API int64_t tributary_worker_batch_deadline_ns(const struct tributary_worker_batch *batch);
/* What load() has set. */
TRIBUTARY_API uint64_t tributary_worker_batch_generation(const struct tributary_worker_batch *batch);
/* Whether the server does not want it to be saved any more, or nobody waits for it because the
 * connection is lost. A long callback may ask, and fail with CANCELLED. */
TRIBUTARY_API bool tributary_worker_batch_is_aborted(const struct tributary_worker_batch *batch);

/* Sets the result of an operation, of which it makes a copy, in place of what was set before. Only
 * in operate() for its own operation, or in save() where there is no operate().
 *   TRIBUTARY_INVALID_ARGUMENT     `result` has more than TRIBUTARY_MAX_RESULT_BYTES
 *   TRIBUTARY_RESOURCE_EXHAUSTED   no memory */
TRIBUTARY_API enum tributary_code
tributary_worker_set_result(struct tributary_worker_batch *batch,
                            const struct tributary_worker_operation *operation,
                            struct tributary_bytes result);

/* Makes an operation fail alone, with what is in `status`. Its code must not be OK. Only in save()
 * where there is no operate().
 *   TRIBUTARY_INVALID_ARGUMENT    the code
 *   TRIBUTARY_RESOURCE_EXHAUSTED  no memory */
TRIBUTARY_API enum tributary_code tributary_worker_fail(struct tributary_worker_batch *batch,
                                                        const struct tributary_worker_operation *operation,
                                                        const struct tributary_status *status);

#endif
