/* worker_life.c - how workers come and go, and which batch goes to which of them. */
#include "batch/worker.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "batch/placement.h"
#include "batch/processor_internal.h"

/* How long a worker has to answer an abort: the deadline of a batch, and at least this. */
#define MIN_ABORT_NS (5 * NS_PER_S)

void worker_batch_set_error(struct worker_batch *work, enum fault_reason reason, struct batch_error *error)
{
    batch_error_release(work->error);
    work->error = error;
    work->reason = reason;
    work->is_conflict = false;
}

/* ---- placement ---- */

struct batch_worker *processor_choose(const struct batch_processor *processor, struct bytes key)
{
    const uint64_t hash = placement_hash(key);
    struct batch_worker *best = NULL;
    uint64_t best_weight = 0;

    list_each(node, next, &processor->workers) {
        struct batch_worker *worker = container_of(node, struct batch_worker, node);
        const uint64_t weight = placement_weight(worker->hash, hash);

        if (worker->draining || worker->fault || (best && weight <= best_weight))
            continue;
        best = worker;
        best_weight = weight;
    }
    return best;
}

static void fail_load(struct worker_batch *work, enum fault_reason reason)
{
    work->worker = NULL;
    worker_batch_set_error(work, reason, NULL);
    batch_loaded(work->batch, false);
}

/* The worker has a place for the batch. False: no memory, so its load has failed. */
static bool begin(struct batch_worker *worker, struct worker_batch *work)
{
    work->number = atomic_fetch_add(&worker->processor->all->batches, 1) + 1;
    work->node.key = (struct bytes){(const uint8_t *)&work->number, sizeof(work->number)};
    if (map_add(&worker->numbers, &work->node)) {
        fail_load(work, FAULT_MEMORY_BUDGET);
        return false;
    }
    list_append(&worker->batches, &work->link);
    shared_bytes_release(work->worker_name);
    work->worker_name = shared_bytes_retain(worker->name);
    work->to_begin = true;
    worker_batch_dirty(work);
    return true;
}

static bool has_place(const struct batch_worker *worker)
{
    return !worker->draining && !worker->fault && worker->numbers.count < worker->max_batches;
}

/* One that comes waits behind those that wait already. */
bool worker_batch_place(struct batch_processor *processor, struct worker_batch *work)
{
    struct batch_worker *worker = processor_choose(processor, batch_key(work->batch));

    if (!worker) {
        fail_load(work, FAULT_NO_WORKER);
        return false;
    }
    work->worker = worker;
    if (list_empty(&worker->queued) && has_place(worker))
        return begin(worker, work);
    work->is_queued = true;
    list_append(&worker->queued, &work->link);
    return false;
}

void batch_worker_begin_next(struct batch_worker *worker)
{
    struct list *node = NULL;

    while (worker && has_place(worker) && (node = list_first(&worker->queued))) {
        struct worker_batch *work = container_of(node, struct worker_batch, link);

        list_remove(node);
        work->is_queued = false;
        if (begin(worker, work))
            batch_began(work->batch);
    }
}

struct batch_worker *worker_batch_detach(struct worker_batch *work)
{
    struct batch_worker *worker = work->worker;

    if (!worker)
        return NULL;
    if (!work->is_queued)
        map_remove(&worker->numbers, &work->node);
    list_remove(&work->link);
    list_remove(&work->abort_link);
    list_remove(&work->dirty_link);
    work->worker = NULL;
    work->is_queued = false;
    work->to_begin = work->to_finish = work->to_abort = false;
    return worker;
}

void worker_batch_dirty(struct worker_batch *work)
{
    struct batch_worker *worker = work->worker;

    if (!list_empty(&work->dirty_link))
        return;
    const bool was_clean = list_empty(&worker->dirty);

    list_append(&worker->dirty, &work->dirty_link);
    if (was_clean)
        worker->port.wake(worker->port.ctx);
}

/* ---- ends of batches ---- */

static bool was_sent(const struct batch_operation *in_engine)
{
    const struct processor_operation *operation =
        container_of(in_engine, struct processor_operation, in_engine);
    const struct worker_batch *work = batch_user(in_engine->batch);

    return operation->batch == work->number;
}

uint64_t worker_batch_lose(struct worker_batch *work)
{
    uint64_t operations = work->sent_count;

    for (; !list_empty(&work->unsent); operations++)
        list_remove(work->unsent.next);
    batch_return_unsent(work->batch, was_sent);
    batch_lost(work->batch);
    return operations;
}

void worker_batch_abort(struct batch_processor *processor, struct worker_batch *work,
                        enum fault_reason reason)
{
    struct batch_worker *worker = NULL;

    if (work->is_aborting)
        return;
    worker_batch_set_error(work, reason, NULL);
    if (work->to_begin) { /* the worker does not know of it */
        worker = worker_batch_detach(work);
        batch_loaded(work->batch, false);
        batch_worker_begin_next(worker);
        return;
    }
    work->is_aborting = work->to_abort = true;
    work->to_finish = false;
    work->abort_due_ns = clock_add_ns(clock_mono_ns(), MAX_OF(processor->settings.deadline_ns, MIN_ABORT_NS));
    list_append(&processor->aborting, &work->abort_link);
    worker_batch_dirty(work);
}

void worker_batch_give_up(struct worker_batch *work)
{
    struct batch_worker *worker = work->worker;

    if (!work->is_queued && !work->to_begin) {
        work->is_unwanted = true;
        worker_batch_abort(worker->processor, work, FAULT_NONE);
        return;
    }
    worker_batch_detach(work);
    batch_not_loaded(work->batch);
    batch_worker_begin_next(worker);
}

static void end_worker(struct batch_worker *worker, enum fault_reason reason)
{
    if (worker->fault)
        return;
    worker->fault = reason;
    worker->port.wake(worker->port.ctx);
}

void processor_check_aborts(struct batch_processor *processor, int64_t now_ns)
{
    struct list *node = NULL;

    while ((node = list_first(&processor->aborting))) {
        struct worker_batch *work = container_of(node, struct worker_batch, abort_link);

        if (work->abort_due_ns > now_ns)
            return;
        list_remove(node);
        end_worker(work->worker, FAULT_WORKER_SILENT);
    }
}

int64_t processor_due_ns(const struct batch_processor *processor)
{
    const struct list *first = list_first(&processor->aborting);
    const int64_t abort_ns =
        first ? container_of(first, struct worker_batch, abort_link)->abort_due_ns : INT64_MAX;

    return list_empty(&processor->leaving) ? MIN_OF(abort_ns, processor->engine_wake_ns) : 0;
}

/* ---- coming and going ---- */

static struct batch_worker *worker_new(const struct batch_worker_params *params, struct bytes name)
{
    const size_t peer_size = strlen(params->peer) + 1;
    struct batch_worker *worker = calloc(1, sizeof(*worker) + peer_size);
    struct shared_bytes *shared = worker ? shared_bytes_new(name) : NULL;

    if (!shared) {
        free(worker);
        return NULL;
    }
    worker->port = params->port;
    worker->max_batches = params->max_batches;
    worker->hash = placement_hash(name);
    list_init(&worker->node);
    list_init(&worker->batches);
    list_init(&worker->queued);
    list_init(&worker->dirty);
    list_init(&worker->leaving_link);
    map_init(&worker->numbers);
    worker->name = shared;
    memcpy(worker->peer, params->peer, peer_size);
    count_add(COUNT_LIVE_BATCH_WORKERS, 1);
    return worker;
}

static enum fault_reason differs(struct fault *fault, const char *field, uint64_t value, uint64_t in_force)
{
    char bound[96];

    snprintf(bound, sizeof(bound), "%" PRIu64 " is in force", in_force);
    return fault_number(fault, FAULT_POLICY_DIFFERS, field, value, bound);
}

static enum fault_reason check_settings(const struct batch_settings *asked, const struct batch_settings *have,
                                        struct fault *fault)
{
    const struct {
        const char *field;
        uint64_t asked, have;
    } all[] = {
        {"hello.policy.window", asked->window, have->window},
        {"hello.policy.window_length", (uint64_t)asked->window_ns, (uint64_t)have->window_ns},
        {"hello.policy.deadline", (uint64_t)asked->deadline_ns, (uint64_t)have->deadline_ns},
        {"hello.policy.retry_load", asked->retry_load, have->retry_load},
        {"hello.policy.max_reloads", asked->max_reloads, have->max_reloads},
        {"hello.policy.max_operations", asked->max_operations, have->max_operations},
        {"hello.policy.max_bytes", asked->max_bytes, have->max_bytes},
        {"hello.policy.max_waiters", asked->max_waiters, have->max_waiters},
        {"hello.policy.max_waiting_bytes", asked->max_waiting_bytes, have->max_waiting_bytes},
        {"hello.policy.max_keys", asked->max_keys, have->max_keys},
    };

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (all[i].asked != all[i].have)
            return differs(fault, all[i].field, all[i].asked, all[i].have);
    return FAULT_NONE;
}

static bool has_worker(const struct batch_processor *processor, struct bytes name)
{
    list_each(node, next, &processor->workers) {
        const struct batch_worker *worker = container_of(node, struct batch_worker, node);

        if (bytes_same(shared_bytes_view(worker->name), name))
            return true;
    }
    return false;
}

/* Within both locks. */
static enum fault_reason join(struct batch_processor *processor, const struct batch_worker_params *params,
                              struct batch_worker **worker_out, struct fault *fault)
{
    struct bytes name = params->name;
    char made[32];

    if (check_settings(&params->settings, &processor->settings, fault))
        return fault->reason;
    if (processor->worker_count >= MAX_PROCESSOR_WORKERS)
        return fault_number(fault, FAULT_TOO_MANY_WORKERS, "hello.processor", processor->worker_count + 1,
                            "at most 1000 workers of one processor");
    if (name.size == 0) {
        do {
            snprintf(made, sizeof(made), "worker-%" PRIu64, ++processor->all->workers);
            name = text_bytes(made);
        } while (has_worker(processor, name));
    }
    if (has_worker(processor, name))
        return fault_bytes(fault, FAULT_WORKER_EXISTS, "hello.worker", name, NULL);
    struct batch_worker *worker = worker_new(params, name);

    if (!worker)
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    worker->processor = processor;
    batch_processor_retain(processor);
    list_append(&processor->workers, &worker->node);
    processor->worker_count++;
    *worker_out = worker;
    return FAULT_NONE;
}

/* Within the lock of all. */
static enum fault_reason check_bounds(const struct batch_processors *all,
                                      const struct batch_worker_params *params, struct fault *fault)
{
    if (peer_share_check(&all->peers, loop_settings(all->loop), MAX_WORKERS, params->peer_key,
                         FAULT_PEER_WORKERS, fault))
        return fault->reason;
    if (all->worker_count < MAX_WORKERS)
        return FAULT_NONE;
    return fault_number(fault, FAULT_TOO_MANY_WORKERS, NULL, all->worker_count + 1,
                        "at most 10000 workers of all processors");
}

/* Within the lock of all. Without memory the worker is not counted, and MEMORY_BUDGET. */
static enum fault_reason open_and_join(struct batch_processors *all, const struct batch_worker_params *params,
                                       struct batch_processor **processor_out,
                                       struct batch_worker **worker_out, struct fault *fault)
{
    struct peer_count *of_peer = NULL;
    struct batch_processor *processor = NULL;

    if (check_bounds(all, params, fault))
        return fault->reason;
    of_peer = peer_counts_add(&all->peers, params->peer_key);
    if (!of_peer)
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    enum fault_reason reason =
        processor_open(all, params->processor, &params->settings, processor_out, fault);

    processor = *processor_out;
    if (!reason) {
        reason = join(processor, params, worker_out, fault);
        batch_processor_retain(processor);
        if (!reason)
            (*worker_out)->of_peer = of_peer;
        pthread_mutex_unlock(&processor->lock);
    }
    if (reason)
        peer_counts_remove(&all->peers, of_peer);
    else
        all->worker_count++;
    return reason;
}

enum fault_reason batch_worker_join(struct batch_processors *processors,
                                    const struct batch_worker_params *params,
                                    struct batch_worker **worker_out, struct fault *fault)
{
    struct batch_processor *processor = NULL;
    enum fault_reason reason = FAULT_NONE;

    pthread_mutex_lock(&processors->lock);
    reason = open_and_join(processors, params, &processor, worker_out, fault);
    pthread_mutex_unlock(&processors->lock);
    if (!processor)
        return reason;
    batch_processor_lock(processor);
    batch_processor_unlock(processor); /* a new one without a worker goes */
    batch_processor_release(processor);
    return reason;
}

struct batch_processor *batch_worker_processor(const struct batch_worker *worker)
{
    return worker->processor;
}

void batch_worker_view(const struct batch_worker *worker, struct batch_worker_view *view_out)
{
    *view_out = (struct batch_worker_view){.name = shared_bytes_view(worker->name),
                                           .settings = &worker->processor->settings,
                                           .max_batches = worker->max_batches};
}

enum fault_reason batch_worker_fault(const struct batch_worker *worker)
{
    return worker->fault;
}

bool batch_worker_is_drained(const struct batch_worker *worker)
{
    return worker->draining && worker->numbers.count == 0;
}

bool batch_worker_closes(const struct batch_worker *worker)
{
    return worker->processor->stopping || worker->processor->is_stopped;
}

bool batch_worker_has_batches(const struct batch_worker *worker)
{
    return worker->numbers.count > 0;
}

int64_t batch_worker_stop_ns(const struct batch_worker *worker)
{
    return worker->processor->stop_ns;
}

bool batch_worker_is_over(const struct batch_worker *worker)
{
    return worker->processor->is_stopped;
}
