/* processor_port.c - what the engine wants done becomes what a worker is sent; how batches end. */
#include "base/clock.h"
#include "base/counters.h"
#include "batch/placement.h"
#include "batch/processor_internal.h"

#include <stdlib.h>

static struct batch_processor *processor_of(void *ctx)
{
    return ctx;
}

static struct processor_operation *processor_operation_of(struct batch_operation *operation)
{
    return container_of(operation, struct processor_operation, in_engine);
}

static void init(struct worker_batch *work, struct keyed_batch *batch)
{
    work->batch = batch;
    list_init(&work->link);
    list_init(&work->abort_link);
    list_init(&work->dirty_link);
    list_init(&work->unsent);
}

/* A new attempt. */
static void load(void *ctx, struct keyed_batch *batch)
{
    struct worker_batch *work = batch_user(batch);

    if (!work->batch)
        init(work, batch);
    work->is_reload = work->is_reload || work->is_open;
    work->is_loaded = work->is_open = work->is_finished = work->is_aborting = false;
    work->is_unloading = work->is_unwanted = false;
    work->to_begin = work->to_finish = work->to_abort = false;
    work->sent_count = work->answered = 0;
    work->burst = 0;
    work->number = 0;
    work->loads++;
    worker_batch_set_error(work, FAULT_NONE, NULL);
    (void)worker_batch_place(processor_of(ctx), work);
}

static void operate(void *ctx, struct keyed_batch *batch, struct batch_operation *in_engine)
{
    struct worker_batch *work = batch_user(batch);
    struct processor_operation *operation = processor_operation_of(in_engine);

    (void)ctx;
    processor_operation_fini(operation); /* of the attempt before */
    operation->batch = 0;
    list_append(&work->unsent, &operation->node);
    worker_batch_dirty(work);
}

static void save(void *ctx, struct keyed_batch *batch)
{
    struct worker_batch *work = batch_user(batch);

    (void)ctx;
    work->to_finish = true;
    worker_batch_dirty(work);
}

/* A worker that has saved keeps nothing. One that has nothing to save must give up what it has
 * loaded. */
static void unload(void *ctx, struct keyed_batch *batch)
{
    struct worker_batch *work = batch_user(batch);

    if (!work->worker) {
        batch_unloaded(batch);
        return;
    }
    work->is_unloading = true;
    worker_batch_abort(processor_of(ctx), work, FAULT_NONE);
}

static void expired(void *ctx, struct keyed_batch *batch)
{
    struct worker_batch *work = batch_user(batch);

    if (work->worker && work->is_queued) {
        if (work->loads == 1)
            return; /* its deadline begins when the worker has a place: batch_began() */
        (void)worker_batch_detach(work);
        worker_batch_set_error(work, FAULT_BATCH_DEADLINE, NULL);
        batch_loaded(batch, false);
    } else if (work->worker && !work->is_aborting) {
        worker_batch_abort(processor_of(ctx), work, FAULT_BATCH_DEADLINE);
    }
}

static void unwanted(void *ctx, struct keyed_batch *batch)
{
    struct worker_batch *work = batch_user(batch);

    (void)ctx;
    if (work->worker && !work->is_aborting)
        worker_batch_give_up(work);
}

/* ---- the end ---- */

static bool is_lost(const struct worker_batch *work, enum batch_outcome outcome)
{
    return outcome == BATCH_LOST && !work->error &&
           (work->reason == FAULT_NONE || work->reason == FAULT_WORKER_LOST);
}

static bool may_have_run(const struct worker_batch *work, enum batch_outcome outcome)
{
    return is_lost(work, outcome) || (outcome == BATCH_SAVE_FAILED && work->error && !work->is_conflict);
}

static void set_failure(const struct worker_batch *work, struct processor_operation *operation,
                        enum batch_outcome outcome)
{
    processor_operation_fini(operation);
    operation->error = batch_error_retain(work->error);
    operation->reason = is_lost(work, outcome) ? FAULT_WORKER_LOST : work->reason;
    operation->may_have_run = may_have_run(work, outcome);
}

static void end_operation(const struct worker_batch *work, struct processor_operation *operation,
                          enum batch_outcome outcome)
{
    operation->reason = FAULT_NONE;
    operation->may_have_run = operation->result_dropped;
    operation->in_engine.state = OPERATION_NEW;
    switch (outcome) {
    case BATCH_SAVED:
        break;
    case BATCH_STOPPED:
        processor_operation_fini(operation); /* of an attempt before */
        operation->reason = FAULT_PROCESSOR_STOPPED;
        break;
    case BATCH_LOAD_FAILED:
    case BATCH_SAVE_FAILED:
    case BATCH_LOST:
    case BATCH_NOT_LOADED:
        set_failure(work, operation, outcome);
        break;
    }
    operation->ended(operation);
}

/* For the record. A batch with nothing to save was saved, however its worker has given it up. */
static enum fault_reason reason_of(const struct worker_batch *work, enum batch_outcome outcome)
{
    if (outcome == BATCH_SAVED)
        return FAULT_NONE;
    if (is_lost(work, outcome))
        return FAULT_WORKER_LOST;
    /* Nobody waited any more for a load that was tried again. */
    return work->error || work->reason ? work->reason : FAULT_OPERATION_CANCELLED;
}

static void report(const struct batch_processor *processor, const struct worker_batch *work,
                   enum batch_outcome outcome, const struct batch_record *record)
{
    const struct batch_record_port *port = &processor->all->records;
    const struct processor_record whole = {.processor = batch_processor_name(processor),
                                           .worker = shared_bytes_view(work->worker_name),
                                           .batch = work->number,
                                           .of_engine = record,
                                           .was_lost = is_lost(work, outcome),
                                           .reason = reason_of(work, outcome),
                                           .error = outcome == BATCH_SAVED ? NULL : work->error,
                                           .may_have_run =
                                               record->operations > 0 && may_have_run(work, outcome),
                                           .generation = work->generation};

    port->record(port->ctx, &whole);
}

static void count_batch(struct batch_processor *processor, const struct worker_batch *work,
                        enum batch_outcome outcome, uint64_t operations)
{
    if (outcome == BATCH_SAVED) {
        processor->saved++;
        count_add(COUNT_KEYED_BATCHES_SAVED, 1);
    } else if (outcome != BATCH_NOT_LOADED) {
        processor->failed++;
        count_add(is_lost(work, outcome) ? COUNT_KEYED_BATCHES_LOST : COUNT_KEYED_BATCHES_FAILED, 1);
    }
    processor->operations += operations;
    count_add(COUNT_KEYED_OPERATIONS, (int64_t)operations);
}

static void ended(void *ctx, struct keyed_batch *batch, struct list *operations, enum batch_outcome outcome,
                  const struct batch_record *record)
{
    struct worker_batch *work = batch_user(batch);

    list_each(node, next, operations) {
        list_remove(node);
        end_operation(work, processor_operation_of(container_of(node, struct batch_operation, node)),
                      outcome);
    }
    if (!record)
        return;
    CHECK(!work->worker);
    count_batch(processor_of(ctx), work, outcome, record->operations);
    if (outcome != BATCH_NOT_LOADED)
        report(processor_of(ctx), work, outcome, record);
    worker_batch_set_error(work, FAULT_NONE, NULL);
    shared_bytes_release(work->worker_name);
    free(work->sent);
}

static int64_t now_ns(void *ctx)
{
    (void)ctx;
    return clock_mono_ns();
}

static void wake_at(void *ctx, int64_t at_ns)
{
    processor_of(ctx)->engine_wake_ns = at_ns;
}

static void stopped(void *ctx)
{
    struct batch_processor *processor = processor_of(ctx);

    processor->is_stopped = true;
    processor_wake_workers(processor);
}

const struct batch_port processor_port = {.load = load,
                                          .operate = operate,
                                          .save = save,
                                          .unload = unload,
                                          .ended = ended,
                                          .expired = expired,
                                          .unwanted = unwanted,
                                          .now_ns = now_ns,
                                          .wake_at = wake_at,
                                          .stopped = stopped};
