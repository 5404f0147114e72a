/* run.c - a program runs operations, waits for them, and cancels them. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/threads.h"
#include "client/lib/batch/shard_port.h"
#include "client/lib/core/bytes.h"
#include "client/lib/core/status.h"

/* Begins it. On failure it is released. */
static enum tributary_code begin(struct tributary_batch *batch, struct bytes key, struct operation *operation,
                                 struct tributary_status *status)
{
    SCRATCH struct fault fault;
    enum tributary_code code = TRIBUTARY_OK;

    operation->shard = shard_of(batch, key);
    if (!operation_begin_cancellable(operation)) {
        fault_set(&fault, FAULT_OPERATION_CANCELLED, NULL, NULL);
        code = status_set_fault(status, &fault);
    } else if (shard_run(key, operation, &fault)) {
        operation_end_cancellable(operation);
        code = status_set_fault(status, &fault);
    }
    if (code != TRIBUTARY_OK)
        operation_release(operation);
    return code;
}

static enum tributary_code check(const struct tributary_batch_operation *params,
                                 struct tributary_status *status)
{
    if (params->operate)
        return TRIBUTARY_OK;
    return status_set(status, TRIBUTARY_INVALID_ARGUMENT, "operate: a value is missing");
}

enum tributary_code tributary_batch_submit(struct tributary_batch *batch,
                                           const struct tributary_batch_operation *operation,
                                           struct tributary_status *status)
{
    struct operation *made = NULL;
    SCRATCH struct fault fault;

    if (check(operation, status) != TRIBUTARY_OK)
        return TRIBUTARY_INVALID_ARGUMENT;
    if (!operation->cancel)
        return shard_submit(shard_of(batch, to_bytes(operation->key)), operation, &fault)
                   ? status_set_fault(status, &fault)
                   : TRIBUTARY_OK;
    made = operation_new(operation);
    if (!made)
        return status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "no memory");
    return begin(batch, to_bytes(operation->key), made, status);
}

/* Waits for the end. After `timeout_ns` it ends the operation, if that has not started. */
static void await(struct waiter *waiter, struct operation *operation, int64_t timeout_ns)
{
    const int64_t deadline_ns =
        timeout_ns == TRIBUTARY_FOREVER ? INT64_MAX : clock_from_now_ns(MAX_OF(timeout_ns, 0));

    pthread_mutex_lock(&waiter->lock);
    while (!waiter->done && cond_wait_until(&waiter->changed, &waiter->lock, deadline_ns))
        continue;
    if (!waiter->done) {
        pthread_mutex_unlock(&waiter->lock);
        shard_cancel(operation, ENDING_LATE);
        pthread_mutex_lock(&waiter->lock);
    }
    while (!waiter->done)
        pthread_cond_wait(&waiter->changed, &waiter->lock);
    pthread_mutex_unlock(&waiter->lock);
}

enum tributary_code tributary_batch_run(struct tributary_batch *batch,
                                        const struct tributary_batch_operation *operation, int64_t timeout_ns,
                                        struct tributary_status *status)
{
    struct operation *made = NULL;
    SCRATCH struct waiter waiter;
    enum tributary_code code = TRIBUTARY_OK;

    if (pool_is_mine(&batch->pool))
        return status_set(status, TRIBUTARY_FAILED_PRECONDITION,
                          "a callback must not wait for its processor");
    if (check(operation, status) != TRIBUTARY_OK)
        return TRIBUTARY_INVALID_ARGUMENT;
    made = operation_new(operation);
    if (!made)
        return status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "no memory");
    waiter_init(&waiter);
    made->waiter = &waiter;
    made->done = NULL;
    made->cancellable = true;
    operation_retain(made); /* await() uses it while others may end it */
    code = begin(batch, to_bytes(operation->key), made, status);
    if (code == TRIBUTARY_OK) {
        await(&waiter, made, timeout_ns);
        code = waiter.status.code;
        if (status)
            *status = waiter.status;
    }
    operation_release(made);
    waiter_fini(&waiter);
    return code;
}

struct tributary_batch_cancel *tributary_batch_cancel_new(void)
{
    struct tributary_batch_cancel *cancel = calloc(1, sizeof(*cancel));

    if (!cancel)
        return NULL;
    pthread_mutex_init(&cancel->lock, NULL);
    list_init(&cancel->operations);
    atomic_init(&cancel->refs, 1);
    return cancel;
}

void tributary_batch_cancel(struct tributary_batch_cancel *cancel)
{
    struct list *node = NULL;

    pthread_mutex_lock(&cancel->lock);
    cancel->cancelled = true;
    while ((node = list_first(&cancel->operations))) {
        struct operation *operation = container_of(node, struct operation, with_cancel);

        list_remove(node);
        operation_retain(operation); /* its end, which is to come, takes it out of the list first */
        pthread_mutex_unlock(&cancel->lock);
        shard_cancel(operation, ENDING_CANCELLED);
        operation_release(operation);
        pthread_mutex_lock(&cancel->lock);
    }
    pthread_mutex_unlock(&cancel->lock);
}
