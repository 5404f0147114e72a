/* worker_report.c - what a worker reports: checked, then handed to the engine. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/budget.h"
#include "base/clock.h"
#include "batch/processor_internal.h"

static enum fault_reason refuse(struct fault *fault, const char *field, uint64_t batch, const char *bound)
{
    return fault_number(fault, FAULT_BAD_REPORT, field, batch, bound);
}

/* NULL: the worker does not have the batch; *fault says so. */
static struct worker_batch *find(struct batch_worker *worker, uint64_t batch, const char *field,
                                 struct fault *fault)
{
    struct map_node *node =
        map_find(&worker->numbers, (struct bytes){(const uint8_t *)&batch, sizeof(batch)});
    struct worker_batch *work = node ? container_of(node, struct worker_batch, node) : NULL;

    if (work && !work->to_begin)
        return work;
    refuse(fault, field, batch, "a batch that this worker has");
    return NULL;
}

enum fault_reason batch_worker_loaded(struct batch_worker *worker, uint64_t batch, uint64_t generation,
                                      struct fault *fault)
{
    struct worker_batch *work = find(worker, batch, "loaded.batch", fault);

    if (!work)
        return fault->reason;
    if (work->is_loaded)
        return refuse(fault, "loaded.batch", batch, "a batch is loaded once");
    work->is_loaded = true;
    work->generation = generation;
    if (work->is_aborting)
        return FAULT_NONE;
    work->is_open = true;
    batch_loaded(work->batch, true);
    return FAULT_NONE;
}

/* The operation has run, and its caller gets no result. */
static bool drop_result(struct processor_operation *operation)
{
    const struct batch_error_text text = {
        .code = CODE_RESOURCE_EXHAUSTED,
        .message = text_bytes("it has run, but the server has no memory for its result"),
        .reason = text_bytes(fault_reason_name(FAULT_MEMORY_BUDGET))};

    buf_fini(&operation->result);
    operation->error = batch_error_new(&text);
    operation->result_dropped = true;
    return operation->error;
}

static bool keep_result(struct processor_operation *operation, struct bytes data,
                        const struct batch_error_text *error)
{
    if (error) {
        operation->error = batch_error_new(error);
        return operation->error;
    }
    if (data.size > 0 && !budget_take(COUNT_LIVE_BATCH_BYTES, data.size))
        return drop_result(operation);
    buf_bytes(&operation->result, data.data, data.size);
    if (!operation->result.broken)
        return true;
    budget_give(COUNT_LIVE_BATCH_BYTES, data.size);
    return drop_result(operation);
}

enum fault_reason batch_worker_result(struct batch_worker *worker, uint64_t batch, uint64_t id,
                                      struct bytes data, const struct batch_error_text *error,
                                      struct fault *fault)
{
    struct worker_batch *work = find(worker, batch, "result.batch", fault);

    if (!work)
        return fault->reason;
    if (id == 0 || id > work->sent_count)
        return refuse(fault, "result.id", id, "an operation of the batch");
    struct processor_operation *operation = work->sent[id - 1];

    if (!operation)
        return refuse(fault, "result.id", id, "an operation has one result");
    if (!keep_result(operation, data, error))
        return fault_set(fault, FAULT_MEMORY_BUDGET, "result.data", NULL);
    work->sent[id - 1] = NULL;
    work->answered++;
    worker->operations++;
    batch_operated(&operation->in_engine, !error);
    return FAULT_NONE;
}

enum fault_reason batch_worker_saved(struct batch_worker *worker, uint64_t batch, struct fault *fault)
{
    struct worker_batch *work = find(worker, batch, "saved.batch", fault);

    if (!work)
        return fault->reason;
    if (!work->is_finished)
        return refuse(fault, "saved.batch", batch, "a batch whose finish was sent");
    if (work->answered < work->sent_count)
        return refuse(fault, "saved.batch", batch, "a batch whose operations all have a result");
    worker->saved++;
    worker_batch_detach(work);
    worker_batch_set_error(work, FAULT_NONE, NULL);
    batch_saved(work->batch, BATCH_SAVE_OK);
    batch_worker_begin_next(worker);
    return FAULT_NONE;
}

/* The batch is over at its worker without a save, and work->error or work->reason says why. */
static void fail(struct batch_worker *worker, struct worker_batch *work)
{
    struct keyed_batch *batch = work->batch;

    worker_batch_detach(work);
    if (!work->is_unloading && !work->is_unwanted) /* those have no operations that could fail */
        worker->failed++;
    if (work->is_unloading) {
        batch_unloaded(batch);
    } else if (work->is_unwanted) {
        batch_not_loaded(batch);
    } else if (!work->is_open) {
        batch_loaded(batch, false);
    } else if (work->is_finished) {
        for (uint64_t i = 0; i < work->sent_count; i++)
            if (work->sent[i])
                batch_operated(&work->sent[i]->in_engine, false);
        batch_saved(batch, work->is_conflict ? BATCH_SAVE_CONFLICT : BATCH_SAVE_ERROR);
    } else {
        (void)worker_batch_lose(work);
    }
    batch_worker_begin_next(worker);
}

enum fault_reason batch_worker_failed(struct batch_worker *worker, uint64_t batch,
                                      const struct batch_error_text *text, struct fault *fault)
{
    struct worker_batch *work = find(worker, batch, "failed.batch", fault);
    struct batch_error *error = work ? batch_error_new(text) : NULL;

    if (!work)
        return fault->reason;
    if (!error)
        return fault_set(fault, FAULT_MEMORY_BUDGET, "failed", NULL);
    worker_batch_set_error(work, FAULT_NONE, error);
    work->is_conflict = text->code == CODE_ABORTED && bytes_same(text->reason, text_bytes("CONFLICT"));
    fail(worker, work);
    return FAULT_NONE;
}

enum fault_reason batch_worker_aborted(struct batch_worker *worker, uint64_t batch, struct fault *fault)
{
    struct worker_batch *work = find(worker, batch, "aborted.batch", fault);

    /* The abort has crossed the report that ended the batch. */
    if (!work && batch > 0 && batch <= atomic_load(&worker->processor->all->batches))
        return FAULT_NONE;
    if (!work)
        return fault->reason;
    if (!work->is_aborting || work->to_abort)
        return refuse(fault, "aborted.batch", batch, "a batch whose abort was sent");
    fail(worker, work);
    return FAULT_NONE;
}
