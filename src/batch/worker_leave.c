/* worker_leave.c - a worker drains or leaves: its batches go to others, or are lost.
 *
 * It may have as many as there are keys. So this is done in slices: the first one at once, the
 * others by the loop's timer. A worker that has left stays until they are done. Nobody but its
 * processor knows of it then. */
#include "batch/worker_leave.h"

#include <stdlib.h>

#include "base/counters.h"
#include "batch/processor_internal.h"

/* Of one slice: batches, and operations of batches that are lost. */
#define MAX_SLICE 256u

static void ignore(void *ctx)
{
    (void)ctx;
}

static void worker_free(struct batch_worker *worker)
{
    map_fini(&worker->numbers);
    shared_bytes_release(worker->name);
    count_add(COUNT_LIVE_BATCH_WORKERS, -1);
    free(worker);
}

static uint64_t waiters_of(const struct batch_processor *processor)
{
    struct batch_stats stats;

    batch_engine_stats(processor->engine, &stats);
    return stats.waiters;
}

/* Returns how many operations have ended, because there was no other worker. */
static uint64_t place_again(struct worker_batch *work)
{
    struct batch_processor *processor = work->worker->processor;
    const uint64_t before = waiters_of(processor);

    worker_batch_detach(work);
    if (worker_batch_place(processor, work))
        batch_began(work->batch);

    const uint64_t after = waiters_of(processor);

    return before - MIN_OF(before, after);
}

/* Returns how many operations the batch had. */
static uint64_t lose(struct worker_batch *work)
{
    worker_batch_detach(work);
    worker_batch_set_error(work, FAULT_WORKER_LOST, NULL);
    if (work->is_unloading)
        batch_unloaded(work->batch);
    else if (work->is_unwanted)
        batch_not_loaded(work->batch);
    else
        return worker_batch_lose(work);
    return 0;
}

/* Returns what is left of `steps`. */
static uint64_t step(struct batch_worker *worker, uint64_t steps)
{
    struct list *node = NULL;

    while (steps > 0) {
        uint64_t operations = 0;

        if ((node = list_first(&worker->queued)))
            operations = place_again(container_of(node, struct worker_batch, link));
        else if (worker->is_gone && (node = list_first(&worker->batches)))
            operations = lose(container_of(node, struct worker_batch, link));
        else
            break;
        steps -= MIN_OF(steps, operations + 1);
    }
    return steps;
}

static bool is_done(const struct batch_worker *worker)
{
    return list_empty(&worker->queued) && (!worker->is_gone || list_empty(&worker->batches));
}

void processor_step_leaving(struct batch_processor *processor)
{
    /* The loop may end before a timer fires: then nothing may be left. */
    const bool is_ending = processor->stopping || processor->is_stopped;
    uint64_t steps = is_ending ? UINT64_MAX : MAX_SLICE;
    struct list *node = NULL;

    while (steps > 0 && (node = list_first(&processor->leaving))) {
        steps = step(container_of(node, struct batch_worker, leaving_link), steps);
        processor_drop_left(processor);
    }
}

void processor_drop_left(struct batch_processor *processor)
{
    struct list *node = NULL;

    while ((node = list_first(&processor->leaving))) {
        struct batch_worker *worker = container_of(node, struct batch_worker, leaving_link);

        if (!is_done(worker))
            return;
        list_remove(node);
        if (worker->is_gone) {
            worker_free(worker);
            /* Its own reference. The caller has another one. */
            atomic_fetch_sub_explicit(&processor->references, 1, memory_order_relaxed);
        }
    }
}

static void begin(struct batch_worker *worker)
{
    worker->draining = true;
    if (list_empty(&worker->leaving_link))
        list_append(&worker->processor->leaving, &worker->leaving_link);
    processor_step_leaving(worker->processor);
}

void batch_worker_drain(struct batch_worker *worker)
{
    begin(worker);
}

static void uncount(struct batch_worker *worker)
{
    struct batch_processors *all = worker->processor->all;

    pthread_mutex_lock(&all->lock);
    peer_counts_remove(&all->peers, worker->of_peer);
    all->worker_count--;
    pthread_mutex_unlock(&all->lock);
}

void batch_worker_leave(struct batch_worker *worker)
{
    if (!worker)
        return;
    struct batch_processor *processor = worker->processor;

    uncount(worker);
    batch_processor_retain(processor);
    batch_processor_lock(processor);
    list_remove(&worker->node);
    processor->worker_count--;
    worker->is_gone = true;
    worker->port = (struct batch_worker_port){.wake = ignore};
    begin(worker);
    batch_processor_unlock(processor);
    batch_processor_release(processor);
}
