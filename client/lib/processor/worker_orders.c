/* worker_orders.c - what the server orders becomes work for the pool. Client thread. */
#include <stdlib.h>

#include "client/lib/core/bytes.h"
#include "client/lib/processor/orders.h"
#include "client/lib/processor/work.h"

/* A message that is handled. The lock is held but for the worker's own callbacks. */
struct handling {
    struct tributary_worker *worker;
    struct tributary_worker_batch *batch; /* the one that was found last; NULL: none */
    const char *refused;                  /* why the stream must end */
};

static struct tributary_worker_batch *find(struct handling *handling, uint64_t number)
{
    const struct bytes key = {(const uint8_t *)&number, sizeof(number)};
    struct map_node *node = NULL;

    if (handling->batch && handling->batch->number == number)
        return handling->batch;
    node = map_find(&handling->worker->by_number, key);
    handling->batch = node ? container_of(node, struct tributary_worker_batch, by_number) : NULL;
    return handling->batch;
}

/* Puts a batch to work, or behind the one that has its key. */
static bool place(struct tributary_worker *worker, struct tributary_worker_batch *batch)
{
    struct map_node *node = map_find(&worker->by_key, batch->by_key.key);

    if (node) {
        list_append(&container_of(node, struct tributary_worker_batch, by_key)->behind, &batch->waiting);
        batch->waits = true;
        return true;
    }
    if (map_add(&worker->by_key, &batch->by_key) != ERR_OK)
        return false;
    work_queue(batch, &worker->jobs);
    return true;
}

static const char *begin(struct handling *handling, const struct order *order)
{
    struct tributary_worker *worker = handling->worker;
    struct tributary_worker_batch *batch = NULL;

    if (order->content.size == 0 || order->content.size > TRIBUTARY_MAX_BATCH_KEY)
        return "the server began a batch without a key, or with one of more than 256 bytes";
    if (worker->by_number.count >= worker->options.max_batches)
        return "the server began more batches than max_batches";
    if (find(handling, order->batch))
        return "the server began a batch twice";
    batch = work_new(worker, order);
    if (!batch || map_add(&worker->by_number, &batch->by_number) != ERR_OK) {
        free(batch);
        return "out of memory";
    }
    if (!place(worker, batch)) {
        map_remove(&worker->by_number, &batch->by_number);
        free(batch);
        return "out of memory";
    }
    list_append(&worker->batches, &batch->link);
    worker->batch_count++;
    return NULL;
}

static const char *operation(struct handling *handling, const struct order *order)
{
    struct tributary_worker_batch *batch = find(handling, order->batch);
    struct work_operation *work = NULL;

    if (!batch)
        return NULL; /* it has ended here: its load failed, for example */
    if (batch->finished)
        return "the server sent an operation after the end of its batch";
    work = work_operation_new(order);
    if (!work)
        return "out of memory";
    list_append(&batch->arrived, &work->node);
    handling->worker->stats.operations++;
    work_queue(batch, &handling->worker->jobs);
    return NULL;
}

static void finish(struct handling *handling, const struct order *order)
{
    struct tributary_worker_batch *batch = find(handling, order->batch);

    if (!batch)
        return;
    batch->finished = true;
    work_queue(batch, &handling->worker->jobs);
}

/* Under the lock. One that waits behind another is not queued: it ends when its turn comes. */
static void abort_batch(struct tributary_worker *worker, struct tributary_worker_batch *batch)
{
    atomic_store_explicit(&batch->aborted, true, memory_order_relaxed);
    work_queue(batch, &worker->jobs);
}

/* The server orders an abort, and waits only a while for the answer. Where no thread is at the
 * batch, the answer must not wait for its turn in the pool: callbacks of other batches may hang.
 * What the pool does with it afterwards, the server does not see. Each such batch still holds its
 * key and its memory, so their number is bounded. */
static void abort_ordered(struct handling *handling, struct tributary_worker_batch *batch)
{
    struct tributary_worker *worker = handling->worker;
    const uint64_t orphans = worker->batch_count - worker->by_number.count;

    abort_batch(worker, batch);
    if (batch->running || orphans >= worker->options.max_batches)
        return;
    worker_report_aborted(worker, batch); /* pump() sends it */
    map_remove(&worker->by_number, &batch->by_number);
    batch->is_orphan = true;
    batch->life = UINT64_MAX; /* of no stream: its reports are dropped */
    handling->batch = NULL;
}

/* Calls what may call the program, without the lock. */
static void without_lock(struct handling *handling, const struct order *order)
{
    struct tributary_worker *worker = handling->worker;

    handling->batch = NULL;
    pthread_mutex_unlock(&worker->lock);
    if (order->kind == ORDER_WELCOME)
        worker_welcomed(worker, order->content);
    else
        worker_closing(worker, order->deadline_ns);
    pthread_mutex_lock(&worker->lock);
}

static void handle(void *ctx, const struct order *order)
{
    struct handling *handling = ctx;

    if (handling->refused)
        return;
    switch (order->kind) {
    case ORDER_WELCOME:
    case ORDER_CLOSING:
        without_lock(handling, order);
        break;
    case ORDER_BEGIN:
        handling->refused = begin(handling, order);
        break;
    case ORDER_OPERATION:
        handling->refused = operation(handling, order);
        break;
    case ORDER_FINISH:
        finish(handling, order);
        break;
    case ORDER_ABORT:
        if (find(handling, order->batch))
            abort_ordered(handling, handling->batch);
        break;
    case ORDER_UNKNOWN:
        break;
    }
}

const char *worker_handle_orders(struct tributary_worker *worker, struct bytes message)
{
    struct handling handling = {.worker = worker};
    bool readable = false;

    pthread_mutex_lock(&worker->lock);
    readable = orders_read(message, handle, &handling);
    pthread_mutex_unlock(&worker->lock);
    pool_add_all(&worker->pool, &worker->jobs);
    if (!readable)
        return "a message of the server cannot be read";
    return handling.refused;
}

uint32_t worker_orphan(struct tributary_worker *worker)
{
    uint32_t orphans = 0;

    pthread_mutex_lock(&worker->lock);
    list_each(node, next, &worker->batches) {
        struct tributary_worker_batch *batch = container_of(node, struct tributary_worker_batch, link);

        if (batch->is_orphan)
            continue;
        batch->is_orphan = true;
        map_remove(&worker->by_number, &batch->by_number);
        worker->stats.orphaned++;
        orphans++;
        if (!batch->finished)
            abort_batch(worker, batch);
    }
    worker->life++;
    packed_clear(&worker->reports);
    worker->no_memory = false;
    pthread_mutex_unlock(&worker->lock);
    pool_add_all(&worker->pool, &worker->jobs);
    return orphans;
}

void worker_abort_all(struct tributary_worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    list_each(node, next, &worker->batches)
        abort_batch(worker, container_of(node, struct tributary_worker_batch, link));
    pthread_mutex_unlock(&worker->lock);
    pool_add_all(&worker->pool, &worker->jobs);
}
