/* work.c - see work.h. */
#include "client/lib/processor/work.h"

#include <stdio.h>
#include <stdlib.h>

#include "client/lib/batch/failure.h"
#include "client/lib/core/bytes.h"
#include "client/lib/core/status.h"
#include "client/lib/processor/orders.h"

/* How a batch ended. */
enum outcome { OUTCOME_SAVED, OUTCOME_LOAD_FAILED, OUTCOME_SAVE_FAILED, OUTCOME_ABORTED };

struct tributary_worker_batch *work_new(struct tributary_worker *worker, const struct order *begin)
{
    struct tributary_worker_batch *batch = calloc(1, sizeof(*batch) + begin->content.size);

    if (!batch)
        return NULL;
    batch->worker = worker;
    batch->number = begin->batch;
    batch->life = worker->life;
    batch->deadline_ns = clock_from_now_ns(begin->deadline_ns);
    atomic_init(&batch->aborted, false);
    list_init(&batch->link);
    list_init(&batch->behind);
    list_init(&batch->waiting);
    list_init(&batch->arrived);
    batch->key_size = begin->content.size;
    memcpy(batch->key, begin->content.data, begin->content.size);
    batch->by_number.key = (struct bytes){(const uint8_t *)&batch->number, sizeof(batch->number)};
    batch->by_key.key = (struct bytes){batch->key, batch->key_size};
    return batch;
}

static struct tributary_bytes append(uint8_t **at, struct bytes bytes)
{
    const struct tributary_bytes copy = {bytes.size > 0 ? *at : NULL, bytes.size};

    if (bytes.size > 0)
        memcpy(*at, bytes.data, bytes.size);
    *at += bytes.size;
    return copy;
}

struct work_operation *work_operation_new(const struct order *order)
{
    struct work_operation *operation =
        malloc(sizeof(*operation) + order->operation_id.size + order->content.size);
    uint8_t *at = NULL;

    if (!operation)
        return NULL;
    *operation = (struct work_operation){.shown.id = order->id};
    list_init(&operation->node);
    at = operation->content;
    operation->shown.operation_id = append(&at, order->operation_id);
    operation->shown.data = append(&at, order->content);
    return operation;
}

void work_operation_free(struct work_operation *operation)
{
    free(operation->result);
    free(operation->failure);
    free(operation);
}

static void begin_status(struct tributary_status *status)
{
    status->code = TRIBUTARY_OK;
    status->reason[0] = status->message[0] = '\0';
}

/* ---- the end ---- */

/* The next batch of the key takes its place. Under the lock. */
static void promote_next(struct tributary_worker *worker, struct tributary_worker_batch *batch,
                         struct list *jobs)
{
    struct tributary_worker_batch *next = NULL;

    map_remove(&worker->by_key, &batch->by_key);
    if (list_empty(&batch->behind))
        return;
    next = container_of(list_first(&batch->behind), struct tributary_worker_batch, waiting);
    list_remove(&next->waiting);
    list_move_all(&batch->behind, &next->behind);
    next->waits = false;
    CHECK(map_add(&worker->by_key, &next->by_key) == ERR_OK); /* one was just removed */
    work_queue(next, jobs);
}

/* Under the lock. Returns whether the client thread must be woken. */
static bool report(struct tributary_worker_batch *batch, enum outcome outcome,
                   const struct tributary_status *failure)
{
    struct tributary_worker *worker = batch->worker;

    switch (outcome) {
    case OUTCOME_SAVED:
        worker->stats.saved++;
        return worker_report_saved(worker, batch);
    case OUTCOME_LOAD_FAILED:
    case OUTCOME_SAVE_FAILED:
        worker->stats.failed++;
        return worker_report_failed(worker, batch, failure);
    case OUTCOME_ABORTED:
        worker->stats.aborted++;
        return worker_report_aborted(worker, batch);
    }
    return false;
}

static void free_batch(struct tributary_worker_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        work_operation_free(work_operation_of(batch->operations[i]));
    list_each(node, next, &batch->arrived)
        work_operation_free(container_of(node, struct work_operation, node));
    free(batch->operations);
    free(batch);
}

/* Without the lock. The batch is gone afterwards, and the worker may be. */
static void end(struct tributary_worker_batch *batch, enum outcome outcome,
                const struct tributary_status *failure)
{
    struct tributary_worker *worker = batch->worker;
    struct list jobs;

    list_init(&jobs);
    if (batch->resource && worker->options.free)
        worker->options.free(worker->options.ctx, batch->resource);
    pthread_mutex_lock(&worker->lock);
    const bool wake = report(batch, outcome, failure);

    if (!batch->is_orphan)
        map_remove(&worker->by_number, &batch->by_number);
    promote_next(worker, batch, &jobs);
    list_remove(&batch->link);
    worker->batch_count--;
    if (wake || worker->batch_count == 0)
        client_post(worker->client, &worker->work);
    pthread_mutex_unlock(&worker->lock); /* without `jobs` the worker may be gone from here on */
    if (!list_empty(&jobs))
        pool_add_all(&worker->pool, &jobs);
    free_batch(batch);
}

/* Ends it with a failure that a callback has filled in. */
static void end_failed(struct tributary_worker_batch *batch, enum outcome outcome,
                       const struct tributary_status *status, enum tributary_code code)
{
    const struct bytes key = {batch->key, batch->key_size};
    struct tributary_status *failure = outcome == OUTCOME_LOAD_FAILED ? failure_of_load(status, code, key)
                                                                      : failure_of_save(status, code, key);
    SCRATCH struct tributary_status made;

    if (!failure) {
        status_set(&made, code, "no memory for the message");
        failure = &made;
    }
    if (outcome == OUTCOME_SAVE_FAILED && code == TRIBUTARY_ABORTED)
        snprintf(failure->reason, sizeof(failure->reason), "CONFLICT");
    end(batch, outcome, failure);
    if (failure != &made)
        free(failure);
}

/* ---- the steps ---- */

/* False: it failed, and the batch has ended. */
static bool load(struct tributary_worker_batch *batch)
{
    struct tributary_worker *worker = batch->worker;
    const struct tributary_worker_options *options = &worker->options;
    enum tributary_code code = TRIBUTARY_OK;
    SCRATCH struct tributary_status status;

    begin_status(&status);
    if (options->load)
        code = options->load(options->ctx, batch, &batch->resource, &batch->generation, &status);
    if (code != TRIBUTARY_OK) {
        batch->resource = NULL;
        end_failed(batch, OUTCOME_LOAD_FAILED, &status, code);
        return false;
    }
    batch->is_loaded = true;
    pthread_mutex_lock(&worker->lock);
    if (worker_report_loaded(worker, batch))
        client_post(worker->client, &worker->work);
    pthread_mutex_unlock(&worker->lock);
    return true;
}

static void operate(struct tributary_worker_batch *batch, struct work_operation *operation)
{
    const struct tributary_worker_options *options = &batch->worker->options;
    enum tributary_code code = TRIBUTARY_OK;
    SCRATCH struct tributary_status status;

    begin_status(&status);
    code = options->operate(options->ctx, batch, batch->resource, &operation->shown, &status);
    if (code == TRIBUTARY_OK)
        return;
    if (status.reason[0] == '\0')
        snprintf(status.reason, sizeof(status.reason), "OPERATION_FAILED");
    status.code = (unsigned)code > TRIBUTARY_UNAUTHENTICATED ? TRIBUTARY_UNKNOWN : code;
    if (tributary_worker_fail(batch, &operation->shown, &status) != TRIBUTARY_OK)
        operation->shown.code = status.code; /* no memory: report_results() sees it */
}

/* Makes space for one more. */
static bool reserve(struct tributary_worker_batch *batch)
{
    const size_t capacity = MAX_OF(batch->capacity * 2, 16);
    const struct tributary_worker_operation **grown = NULL;

    if (batch->count < batch->capacity)
        return true;
    grown = realloc(batch->operations, capacity * sizeof(*grown));
    if (!grown)
        return false;
    batch->operations = grown;
    batch->capacity = capacity;
    return true;
}

/* Reports the results from number `from` on. */
static void report_results(struct tributary_worker_batch *batch, size_t from)
{
    struct tributary_worker *worker = batch->worker;
    bool wake = false;

    pthread_mutex_lock(&worker->lock);
    for (size_t i = from; i < batch->count; i++)
        wake = worker_report_result(worker, batch, work_operation_of(batch->operations[i])) || wake;
    if (wake)
        client_post(worker->client, &worker->work);
    pthread_mutex_unlock(&worker->lock);
}

/* Runs operations that have arrived. False: no memory, and the batch has ended. */
static bool run_arrived(struct tributary_worker_batch *batch, struct list *arrived)
{
    const bool operates = batch->worker->options.operate;
    const size_t from = batch->count;

    list_each(node, next, arrived) {
        struct work_operation *operation = container_of(node, struct work_operation, node);

        if (!reserve(batch)) {
            const struct tributary_status status = {.code = TRIBUTARY_RESOURCE_EXHAUSTED,
                                                    .message = "no memory for the operations"};

            list_move_all(arrived, &batch->arrived);
            end_failed(batch, OUTCOME_SAVE_FAILED, &status, status.code);
            return false;
        }
        list_remove(node);
        batch->operations[batch->count++] = &operation->shown;
        if (operates && !tributary_worker_batch_is_aborted(batch))
            operate(batch, operation);
    }
    if (operates)
        report_results(batch, from);
    return true;
}

static void save(struct tributary_worker_batch *batch)
{
    const struct tributary_worker_options *options = &batch->worker->options;
    enum tributary_code code = TRIBUTARY_OK;
    SCRATCH struct tributary_status status;

    begin_status(&status);
    if (options->save && batch->count > 0)
        code = options->save(options->ctx, batch, batch->resource, batch->operations, batch->count, &status);
    if (code != TRIBUTARY_OK) {
        end_failed(batch, OUTCOME_SAVE_FAILED, &status, code);
        return;
    }
    if (!options->operate)
        report_results(batch, 0);
    end(batch, OUTCOME_SAVED, NULL);
}

enum step { STEP_LOAD, STEP_OPERATE, STEP_SAVE, STEP_ABORT, STEP_REST };

/* Under the lock. */
static enum step next_step(const struct tributary_worker_batch *batch)
{
    if (tributary_worker_batch_is_aborted(batch))
        return STEP_ABORT;
    if (!batch->is_loaded)
        return STEP_LOAD;
    if (!list_empty(&batch->arrived))
        return STEP_OPERATE;
    return batch->finished ? STEP_SAVE : STEP_REST;
}

/* Decides what is next, and gets what it needs. */
static enum step begin_step(struct tributary_worker_batch *batch, struct list *arrived)
{
    struct tributary_worker *worker = batch->worker;
    enum step step = STEP_REST;

    pthread_mutex_lock(&worker->lock);
    step = next_step(batch);
    if (step == STEP_OPERATE)
        list_move_all(&batch->arrived, arrived);
    batch->running = step != STEP_REST;
    if (step == STEP_REST)
        batch->queued = false;
    pthread_mutex_unlock(&worker->lock); /* at rest the client thread, or another one, may end it */
    return step;
}

/* After a step. False: the batch was aborted meanwhile, and this thread ends it at once. */
static bool end_step(struct tributary_worker_batch *batch)
{
    bool goes_on = false;

    pthread_mutex_lock(&batch->worker->lock);
    goes_on = !tributary_worker_batch_is_aborted(batch);
    batch->running = !goes_on;
    pthread_mutex_unlock(&batch->worker->lock);
    return goes_on;
}

/* One turn. What arrived meanwhile waits for the other batches that are in the pool. */
static void run(struct job *job)
{
    struct tributary_worker_batch *batch = container_of(job, struct tributary_worker_batch, job);
    struct pool *pool = &batch->worker->pool;
    struct list arrived, jobs;

    list_init(&arrived);
    list_init(&jobs);
    switch (begin_step(batch, &arrived)) {
    case STEP_REST:
        return;
    case STEP_ABORT:
        end(batch, OUTCOME_ABORTED, NULL);
        return;
    case STEP_SAVE:
        save(batch);
        return;
    case STEP_LOAD:
        if (!load(batch))
            return;
        break;
    case STEP_OPERATE:
        if (!run_arrived(batch, &arrived))
            return;
        break;
    }
    if (!end_step(batch)) {
        end(batch, OUTCOME_ABORTED, NULL);
        return;
    }
    list_append(&jobs, &batch->job.node);
    pool_add_all(pool, &jobs);
}

void work_queue(struct tributary_worker_batch *batch, struct list *jobs)
{
    if (batch->queued || batch->waits)
        return;
    batch->queued = true;
    batch->job.run = run;
    list_append(jobs, &batch->job.node);
}
