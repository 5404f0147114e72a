/* operation.c - see operation.h. */
#include "client/lib/batch/operation.h"

#include <stdlib.h>

#include "base/threads.h"
#include "client/lib/core/status.h"

struct operation *operation_new(const struct tributary_batch_operation *params)
{
    struct operation *operation = malloc(sizeof(*operation));

    if (operation)
        operation_renew(operation, params);
    return operation;
}

/* What only the first of those that end together has stays as it was. */
void operation_renew(struct operation *operation, const struct tributary_batch_operation *params)
{
    operation->operation = (struct batch_operation){.bytes = params->bytes};
    atomic_init(&operation->refs, 1);
    atomic_init(&operation->claim, CLAIM_NONE);
    operation->cancellable = params->cancel;
    operation->failed = operation->admitted = false;
    operation->shard = NULL;
    operation->operate = params->operate;
    operation->done = params->done;
    operation->ctx = params->ctx;
    operation->waiter = NULL;
    operation->cancel = params->cancel;
    operation->own = NULL;
    operation->ending = ENDING_BATCH;
    list_init(&operation->with_cancel);
}

void operation_retain(struct operation *operation)
{
    atomic_fetch_add_explicit(&operation->refs, 1, memory_order_relaxed);
}

/* Where it is the only one, nobody else can add or drop one at this moment. */
static bool drop_reference(struct operation *operation)
{
    return atomic_load_explicit(&operation->refs, memory_order_acquire) == 1 ||
           atomic_fetch_sub_explicit(&operation->refs, 1, memory_order_acq_rel) == 1;
}

void operation_release(struct operation *operation)
{
    if (!drop_reference(operation))
        return;
    free(operation->own);
    free(operation);
}

void operation_release_to(struct operation *operation, struct list *unused)
{
    if (!drop_reference(operation))
        return;
    free(operation->own);
    list_append(unused, &operation->operation.node);
}

bool operation_claim(struct operation *operation)
{
    uint8_t claim = CLAIM_NONE;

    return !operation->cancellable ||
           atomic_compare_exchange_strong(&operation->claim, &claim, CLAIM_BEGUN) || claim == CLAIM_BEGUN;
}

bool operation_claim_cancelled(struct operation *operation)
{
    uint8_t claim = CLAIM_NONE;

    return atomic_compare_exchange_strong(&operation->claim, &claim, CLAIM_CANCELLED);
}

bool operation_begin_cancellable(struct operation *operation)
{
    struct tributary_batch_cancel *cancel = operation->cancel;

    if (!cancel)
        return true;
    pthread_mutex_lock(&cancel->lock);

    const bool cancelled = cancel->cancelled;

    if (!cancelled) {
        list_append(&cancel->operations, &operation->with_cancel);
        atomic_fetch_add(&cancel->refs, 1);
    }
    pthread_mutex_unlock(&cancel->lock);
    if (cancelled)
        operation->cancel = NULL;
    return !cancelled;
}

void operation_end_cancellable(struct operation *operation)
{
    struct tributary_batch_cancel *cancel = operation->cancel;

    if (!cancel)
        return;
    pthread_mutex_lock(&cancel->lock);
    list_remove(&operation->with_cancel);
    pthread_mutex_unlock(&cancel->lock);
    operation->cancel = NULL;
    tributary_batch_cancel_free(cancel);
}

void tributary_batch_cancel_free(struct tributary_batch_cancel *cancel)
{
    if (!cancel || atomic_fetch_sub(&cancel->refs, 1) > 1)
        return;
    pthread_mutex_destroy(&cancel->lock);
    free(cancel);
}

void ending_status(enum ending ending, struct tributary_status *status_out)
{
    const enum fault_reason reason = ending == ENDING_LATE ? FAULT_DEADLINE : FAULT_OPERATION_CANCELLED;

    status_set_reason(status_out, (enum tributary_code)fault_code(reason), fault_reason_name(reason),
                      ending == ENDING_LATE ? "the operation has not started in time" : fault_text(reason));
}

static void unknown_failure(struct tributary_status *status, const char *reason)
{
    status_set_reason(status, TRIBUTARY_RESOURCE_EXHAUSTED, reason, "there was no memory for the cause");
}

/* The status of one of those that ended together. It is in `status`, or another one that lives as
 * long as `operation` and `first`. */
static const struct tributary_status *
status_of(const struct operation *operation, const struct operation *first, struct tributary_status *status)
{
    status->code = TRIBUTARY_OK;
    status->reason[0] = status->message[0] = '\0';
    if (operation->ending != ENDING_BATCH) {
        ending_status(operation->ending, status);
        return status;
    }
    switch (first->outcome) {
    case BATCH_SAVED:
        if (operation->own)
            return operation->own;
        if (operation->failed)
            unknown_failure(status, "OPERATION_FAILED");
        return status;
    case BATCH_LOAD_FAILED:
    case BATCH_SAVE_FAILED:
        if (first->failure)
            return first->failure;
        unknown_failure(status, first->outcome == BATCH_LOAD_FAILED ? "LOAD_FAILED" : "SAVE_FAILED");
        return status;
    case BATCH_STOPPED:
        status_set_reason(status, (enum tributary_code)fault_code(FAULT_PROCESSOR_STOPPED),
                          fault_reason_name(FAULT_PROCESSOR_STOPPED), fault_text(FAULT_PROCESSOR_STOPPED));
        return status;
    case BATCH_LOST:       /* batch_lost() is for workers of a service */
    case BATCH_NOT_LOADED: /* without operations */
        break;
    }
    return status;
}

static void report(struct operation *operation, const struct operation *first)
{
    SCRATCH struct tributary_status own;
    const struct tributary_status *status = status_of(operation, first, &own);

    operation_end_cancellable(operation);
    if (operation->waiter)
        waiter_complete(operation->waiter, status);
    else if (operation->done)
        operation->done(operation->ctx, status);
}

void operation_report_early(struct operation *operation, enum ending ending)
{
    SCRATCH struct tributary_status status;

    if (!operation->waiter)
        return;
    ending_status(ending, &status);
    waiter_complete(operation->waiter, &status);
    operation->waiter = NULL;
}

/* Reports those that a thread waits for. */
static void report_to_waiters(struct operation *first, struct list *unused)
{
    if (first->waiter)
        report(first, first);
    list_each(node, next, &first->together) {
        struct operation *operation = container_of(node, struct operation, operation.node);

        if (!operation->waiter)
            continue;
        list_remove(node);
        report(operation, first);
        operation_release_to(operation, unused);
    }
}

/* Threads that wait come first: done() may block. */
static void report_all(struct end *end, struct list *unused)
{
    struct operation *first = container_of(end, struct operation, end);
    struct tributary_status *failure = first->failure;
    const bool waited_for = first->waiter;

    list_remove(&first->operation.node);
    report_to_waiters(first, unused);
    if (!waited_for)
        report(first, first);
    list_each(node, next, &first->together) {
        struct operation *operation = container_of(node, struct operation, operation.node);

        __builtin_prefetch(next);
        list_remove(node);
        report(operation, first);
        operation_release_to(operation, unused);
    }
    operation_release_to(first, unused);
    free(failure);
}

void operations_end(struct shard *shard, struct list *operations, enum batch_outcome outcome,
                    struct tributary_status *failure)
{
    struct list *node = list_first(operations);

    if (!node) {
        free(failure);
        return;
    }

    struct operation *first = container_of(node, struct operation, operation.node);

    list_remove(node);
    list_init(&first->together);
    list_move_all(operations, &first->together);
    first->outcome = outcome;
    first->failure = failure;
    shard_add_end(shard, &first->end, report_all);
}

void operation_end_alone(struct operation *operation, enum ending ending)
{
    operation->ending = ending;
    list_init(&operation->operation.node);
    list_init(&operation->together);
    operation->outcome = BATCH_SAVED;
    operation->failure = NULL;
    shard_add_end(operation->shard, &operation->end, report_all);
}

void waiter_init(struct waiter *waiter)
{
    pthread_mutex_init(&waiter->lock, NULL);
    cond_init(&waiter->changed);
    waiter->done = false;
}

void waiter_fini(struct waiter *waiter)
{
    pthread_cond_destroy(&waiter->changed);
    pthread_mutex_destroy(&waiter->lock);
}

void waiter_complete(struct waiter *waiter, const struct tributary_status *status)
{
    pthread_mutex_lock(&waiter->lock);
    waiter->status = *status;
    waiter->done = true;
    pthread_cond_signal(&waiter->changed);
    pthread_mutex_unlock(&waiter->lock);
}
