/* batch_ahead.c - operations that run directly one after another, with one report for all. */
#include "batch/batch_report.h"
#include "batch/batch_step.h"

struct batch_operation *batch_run_ahead(struct keyed_batch *batch)
{
    struct batch_engine *engine = batch->engine;
    struct batch_operation *operation = NULL;

    CHECK(batch->running > 0 && !engine->settings.pipelined);
    if (batch->state != OPEN || batch->closed || batch->reloads > 0 || list_empty(&batch->waiting) ||
        batch_is_over(batch))
        return NULL;
    operation = batch_start_waiting(batch);
    operation->state = OPERATION_RUNNING;
    operation->failed = false;
    batch->running++;
    batch->ahead++;
    batch->ahead_bytes += operation->bytes;
    engine->ahead++;
    return operation;
}

void batch_forget_ahead(struct keyed_batch *batch)
{
    batch->engine->ahead -= batch->ahead;
    batch->ahead = 0;
    batch->ahead_bytes = 0;
}

void batch_put_back(struct batch_operation *operation)
{
    struct keyed_batch *batch = operation->batch;
    struct batch_engine *engine = batch->engine;

    CHECK(operation->state == OPERATION_RUNNING && batch->reloads == 0);
    batch_engine_enter(engine);
    batch_forget_ahead(batch);
    list_remove(&operation->node);
    list_append(batch->waiting.next, &operation->node); /* the first */
    operation->state = OPERATION_WAITING;
    batch->running--;
    batch->started--;
    batch->bytes -= operation->bytes;
    batch->waiters++;
    batch->waiting_bytes += operation->bytes;
    engine->waiters++;
    keyed_batch_ready(batch);
    batch_engine_step(engine);
}

void batch_operated_all(struct keyed_batch *batch, struct batch_operation *const *operations, size_t count)
{
    struct batch_engine *engine = batch->engine;

    CHECK(count > 0 && count <= batch->running);
    batch_engine_enter(engine);
    batch_forget_ahead(batch);
    for (size_t i = 0; i < count; i++) {
        CHECK(operations[i]->state == OPERATION_RUNNING);
        operations[i]->state = OPERATION_RAN;
    }
    batch->running -= count;
    keyed_batch_ready(batch);
    batch_engine_step(engine);
}

int64_t batch_until_ns(const struct keyed_batch *batch)
{
    return batch->until_ns;
}
