/* worker_send.c - what a worker is sent next. */
#include <stdlib.h>

#include "base/clock.h"
#include "batch/processor_internal.h"

/* Operations of one batch that are sent before another batch has its turn. */
#define MAX_BURST 64u

static bool reserve(struct worker_batch *work)
{
    const uint64_t capacity = MAX_OF(2 * work->sent_capacity, 8u);
    struct processor_operation **sent = NULL;

    if (work->sent_count < work->sent_capacity)
        return true;
    sent = realloc(work->sent, capacity * sizeof(struct processor_operation *));
    if (!sent)
        return false;
    work->sent = sent;
    work->sent_capacity = capacity;
    return true;
}

static void send_operation(struct worker_batch *work, struct worker_command *command_out)
{
    struct processor_operation *operation = container_of(work->unsent.next, struct processor_operation, node);

    list_remove(&operation->node);
    operation->batch = work->number;
    work->sent[work->sent_count++] = operation;
    command_out->kind = WORKER_OPERATION;
    command_out->id = work->sent_count;
    command_out->operation = operation;
}

/* False: there is nothing to send about the batch, now. */
static bool next_of(struct worker_batch *work, struct worker_command *command_out)
{
    command_out->batch = work->number;
    if (work->to_begin) {
        work->to_begin = false;
        command_out->kind = WORKER_BEGIN;
        command_out->key = batch_key(work->batch);
        command_out->deadline_ns = MAX_OF(batch_deadline_ns(work->batch) - clock_mono_ns(), 1);
        return true;
    }
    if (work->to_abort) {
        work->to_abort = false;
        command_out->kind = WORKER_ABORT;
        command_out->reason =
            work->is_unloading || work->is_unwanted ? "NOTHING_TO_SAVE" : fault_reason_name(work->reason);
        return true;
    }
    if (work->is_aborting)
        return false;
    if (!list_empty(&work->unsent)) {
        send_operation(work, command_out);
        return true;
    }
    if (!work->to_finish)
        return false;
    work->to_finish = false;
    work->is_finished = true;
    command_out->kind = WORKER_FINISH;
    return true;
}

bool batch_worker_next(struct batch_worker *worker, struct worker_command *command_out)
{
    struct list *node = NULL;

    while (!worker->fault && (node = list_first(&worker->dirty))) {
        struct worker_batch *work = container_of(node, struct worker_batch, dirty_link);

        if (!list_empty(&work->unsent) && !reserve(work)) {
            worker->fault = FAULT_MEMORY_BUDGET;
            worker->port.wake(worker->port.ctx);
            return false;
        }
        if (!next_of(work, command_out)) {
            list_remove(node);
            work->burst = 0;
            continue;
        }
        if (++work->burst >= MAX_BURST) {
            work->burst = 0;
            list_remove(node);
            list_append(&worker->dirty, node);
        }
        return true;
    }
    return false;
}
