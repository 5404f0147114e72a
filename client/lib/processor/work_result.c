/* work_result.c - what callbacks may call for a batch. Threads of the pool. */
#include <stdlib.h>

#include "client/lib/core/bytes.h"
#include "client/lib/processor/work.h"

struct tributary_bytes tributary_worker_batch_key(const struct tributary_worker_batch *batch)
{
    return (struct tributary_bytes){batch->key, batch->key_size};
}

uint64_t tributary_worker_batch_number(const struct tributary_worker_batch *batch)
{
    return batch->number;
}

int64_t tributary_worker_batch_deadline_ns(const struct tributary_worker_batch *batch)
{
    return batch->deadline_ns;
}

uint64_t tributary_worker_batch_generation(const struct tributary_worker_batch *batch)
{
    return batch->generation;
}

bool tributary_worker_batch_is_aborted(const struct tributary_worker_batch *batch)
{
    return atomic_load_explicit(&batch->aborted, memory_order_relaxed);
}

/* The operation is the library's; callbacks get it as one that they must not change. */
static struct work_operation *mutable_of(const struct tributary_worker_operation *shown)
{
    return work_operation_of((const struct tributary_worker_operation *)(uintptr_t)shown);
}

enum tributary_code tributary_worker_set_result(struct tributary_worker_batch *batch,
                                                const struct tributary_worker_operation *operation,
                                                struct tributary_bytes result)
{
    struct work_operation *own = mutable_of(operation);
    uint8_t *copy = NULL;

    (void)batch;
    if (result.size > TRIBUTARY_MAX_RESULT_BYTES)
        return TRIBUTARY_INVALID_ARGUMENT;
    if (result.size > 0) {
        copy = malloc(result.size);
        if (!copy)
            return TRIBUTARY_RESOURCE_EXHAUSTED;
        memcpy(copy, result.data, result.size);
    }
    free(own->result);
    free(own->failure);
    own->result = copy;
    own->failure = NULL;
    own->shown.result = (struct tributary_bytes){copy, result.size};
    own->shown.code = TRIBUTARY_OK;
    return TRIBUTARY_OK;
}

enum tributary_code tributary_worker_fail(struct tributary_worker_batch *batch,
                                          const struct tributary_worker_operation *operation,
                                          const struct tributary_status *status)
{
    struct work_operation *own = mutable_of(operation);
    struct tributary_status *copy = NULL;

    (void)batch;
    if (status->code == TRIBUTARY_OK || (unsigned)status->code > TRIBUTARY_UNAUTHENTICATED)
        return TRIBUTARY_INVALID_ARGUMENT;
    copy = malloc(sizeof(*copy));
    if (!copy)
        return TRIBUTARY_RESOURCE_EXHAUSTED;
    *copy = *status;
    free(own->result);
    free(own->failure);
    own->result = NULL;
    own->failure = copy;
    own->shown.result = (struct tributary_bytes){NULL, 0};
    own->shown.code = status->code;
    return TRIBUTARY_OK;
}
