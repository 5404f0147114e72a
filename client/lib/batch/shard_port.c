/* shard_port.c - see shard_port.h. */
#include "client/lib/batch/shard_port.h"

#include <stdlib.h>

#include "base/clock.h"
#include "client/lib/batch/lead.h"
#include "client/lib/core/bytes.h"

static void on_load(void *ctx, struct keyed_batch *batch)
{
    struct lead *lead = batch_user(batch);

    lead->shard = ctx;
    lead->batch = batch;
    lead_act(lead, ACTION_LOAD);
}

static void on_operate(void *ctx, struct keyed_batch *batch, struct batch_operation *operation)
{
    struct lead *lead = batch_user(batch);

    (void)ctx;
    lead->operation = container_of(operation, struct operation, operation);
    lead_act(lead, ACTION_OPERATE);
}

static void on_save(void *ctx, struct keyed_batch *batch)
{
    (void)ctx;
    lead_act(batch_user(batch), ACTION_SAVE);
}

static void on_unload(void *ctx, struct keyed_batch *batch)
{
    (void)ctx;
    lead_unload(batch_user(batch));
}

struct ended_record {
    struct end end;
    struct tributary_batch_record record;
};

static void put_record(struct end *end, struct list *unused)
{
    (void)unused;
    struct ended_record *ended = container_of(end, struct ended_record, end);

    records_put(&end->shard->batch->records, &ended->record);
    free(ended);
}

/* The record is put into the rings without the shard's lock, before the operations are reported. */
static void add_record(struct shard *shard, const struct batch_record *record,
                       const struct tributary_status *failure)
{
    struct ended_record *ended = malloc(sizeof(*ended));
    SCRATCH struct tributary_batch_record made;

    if (ended) {
        records_make(record, failure, &ended->record);
        shard_add_end(shard, &ended->end, put_record);
        return;
    }
    records_make(record, failure, &made); /* no memory: no record is lost */
    records_put(&shard->batch->records, &made);
}

static void on_ended(void *ctx, struct keyed_batch *batch, struct list *operations,
                     enum batch_outcome outcome, const struct batch_record *record)
{
    struct shard *shard = ctx;
    struct lead *lead = batch_user(batch);
    struct tributary_status *failure = NULL;

    if (record) {
        failure = lead->failure;
        if (shard->leading == lead)
            shard->leading = NULL;
        if (outcome != BATCH_NOT_LOADED && records_wanted(&shard->batch->records))
            add_record(shard, record, outcome == BATCH_SAVED ? NULL : failure);
    }
    operations_end(shard, operations, outcome, failure);
}

static int64_t now_ns(void *ctx)
{
    (void)ctx;
    return clock_mono_ns();
}

static void wake_at(void *ctx, int64_t at_ns)
{
    struct shard *shard = ctx;

    ticker_set(&shard->batch->ticker, shard->number, at_ns);
}

static void on_stopped(void *ctx)
{
    ((struct shard *)ctx)->stopped = true;
}

bool shard_init(struct shard *shard, struct tributary_batch *batch, unsigned number,
                const struct batch_settings *settings)
{
    const struct batch_port port = {.load = on_load,
                                    .operate = on_operate,
                                    .save = on_save,
                                    .unload = on_unload,
                                    .ended = on_ended,
                                    .now_ns = now_ns,
                                    .wake_at = wake_at,
                                    .stopped = on_stopped,
                                    .ctx = shard};

    shard->batch = batch;
    shard->number = number;
    list_init(&shard->leads);
    list_init(&shard->ends);
    unused_init(&shard->unused);
    shard->engine = batch_engine_new(settings, &port, sizeof(struct lead));
    if (!shard->engine)
        return false;
    pthread_mutex_init(&shard->lock, NULL);
    return true;
}

void shard_fini(struct shard *shard)
{
    if (!shard->engine)
        return;
    batch_engine_free(shard->engine);
    unused_fini(&shard->unused);
    pthread_mutex_destroy(&shard->lock);
}

enum fault_reason shard_run(struct bytes key, struct operation *operation, struct fault *fault)
{
    struct shard *shard = operation->shard;
    enum fault_reason reason = FAULT_OPERATION_CANCELLED;

    shard_enter(shard);
    operation->admitted = true;
    if (operation->ending == ENDING_BATCH)
        reason = batch_engine_run(shard->engine, key, &operation->operation, fault);
    else
        fault_set(fault, reason, NULL, NULL);
    shard_leave(shard);
    return reason;
}

/* With the lock. NULL: no memory. */
static struct operation *new_operation(struct shard *shard, const struct tributary_batch_operation *params)
{
    struct operation *operation = unused_reuse(&shard->unused);

    if (!operation)
        return operation_new(params);
    operation_renew(operation, params);
    return operation;
}

enum fault_reason shard_submit(struct shard *shard, const struct tributary_batch_operation *params,
                               struct fault *fault)
{
    struct operation *operation = NULL;
    enum fault_reason reason = FAULT_MEMORY_BUDGET;

    shard_enter(shard);
    operation = new_operation(shard, params);
    if (operation) {
        operation->shard = shard;
        operation->admitted = true;
        reason = batch_engine_run(shard->engine, to_bytes(params->key), &operation->operation, fault);
    } else {
        fault_set(fault, reason, NULL, NULL);
    }
    shard_leave(shard);
    if (reason && operation)
        operation_release(operation);
    return reason;
}

void shard_cancel(struct operation *operation, enum ending ending)
{
    struct shard *shard = operation->shard;
    struct batch_operation *admitted = &operation->operation;

    shard_enter(shard);
    if (!operation->admitted) {
        operation->ending = ending;
    } else if (batch_engine_cancel(admitted)) {
        operation_report_early(operation, ending);
        operation_end_alone(operation, ending);
    } else if (admitted->state == OPERATION_RUNNING && operation_claim_cancelled(operation)) {
        operation->ending = ending;
        operation_report_early(operation, ending);
    }
    shard_leave(shard);
}

void shard_tick(struct shard *shard)
{
    shard_enter(shard);
    batch_engine_tick(shard->engine);
    shard_leave(shard);
}

void shard_stop(struct shard *shard)
{
    shard_enter(shard);
    batch_engine_stop(shard->engine);
    shard_leave(shard);
}
