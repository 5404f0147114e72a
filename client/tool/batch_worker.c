/* batch_worker.c - see batch_worker.h.
 *
 * Results in the store are searched for after the load, and that is no gap: whoever wrote one since
 * then has moved the generation, too. Then either the save of this batch finds a conflict, or all
 * of its operations have their results in the store, and there is nothing to save. */
#include "client/tool/batch_worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/tool/batch_json.h"
#include "client/tool/printer.h"

#define NONE SIZE_MAX

/* Operations of a batch that have one id are chained. */
struct place {
    size_t next;  /* NONE: there is no later one */
    bool is_twin; /* there is an earlier one */
};

/* A batch that is being saved. */
struct work {
    struct batch_worker *worker;
    struct tributary_worker_batch *batch;
    struct keyed_name name;
    const struct keyed_resource *resource;
    const struct tributary_worker_operation *const *operations;
    size_t count;
    struct tributary_status *status;

    struct place *places;                              /* for each operation */
    const struct tributary_worker_operation **pending; /* those that the command gets */
    size_t *pending_places;                            /* and which of the batch they are */
    size_t pending_count;
    struct keyed_result *results; /* of those of `pending` that have an id */
    size_t result_count;
    struct buf text;
    struct batch_answer answer;
};

static struct bytes bytes_of(struct tributary_bytes bytes)
{
    return (struct bytes){bytes.data, bytes.size};
}

static struct tributary_bytes public_bytes(struct bytes bytes)
{
    return (struct tributary_bytes){bytes.data, bytes.size};
}

static struct keyed_name name_of(const struct batch_worker *worker,
                                 const struct tributary_worker_batch *batch)
{
    return (struct keyed_name){text_bytes(worker->processor), bytes_of(tributary_worker_batch_key(batch))};
}

static enum tributary_code no_memory(struct tributary_status *status)
{
    return batch_status(status, TRIBUTARY_RESOURCE_EXHAUSTED, "", "the worker: out of memory");
}

/* ---- the store ---- */

static enum tributary_code store_status(struct batch_worker *worker, enum keyed_outcome outcome,
                                        const struct keyed_error *error, struct tributary_status *status)
{
    switch (outcome) {
    case KEYED_OK:
    case KEYED_NOT_FOUND:
        return TRIBUTARY_OK;
    case KEYED_CONFLICT:
        return batch_status(status, TRIBUTARY_ABORTED, "CONFLICT",
                            "somebody else has saved the key since it was loaded");
    case KEYED_FULL:
        return batch_status(status, TRIBUTARY_RESOURCE_EXHAUSTED, "STORE_FULL", "the store: %s", error->text);
    case KEYED_LOCKED:
        return batch_status(status, TRIBUTARY_UNAVAILABLE, "STORE_LOCKED", "the store: %s", error->text);
    case KEYED_NO_MEMORY:
        return batch_status(status, TRIBUTARY_RESOURCE_EXHAUSTED, "", "the store: %s", error->text);
    case KEYED_FAILED:
        break;
    }
    if (worker->store_failed)
        worker->store_failed(worker->ctx);
    return batch_status(status, TRIBUTARY_INTERNAL, "STORE_FAILED", "the store: %s", error->text);
}

enum tributary_code batch_worker_load(void *ctx, struct tributary_worker_batch *batch, void **resource_out,
                                      uint64_t *generation_out, struct tributary_status *status)
{
    struct batch_worker *worker = ctx;
    const struct keyed_name name = name_of(worker, batch);
    struct keyed_resource *resource = calloc(1, sizeof(*resource));
    struct keyed_error error;

    if (!resource)
        return no_memory(status);
    const enum keyed_outcome outcome = keyed_store_load(worker->store, &name, resource, &error);
    if (outcome != KEYED_OK) {
        free(resource);
        return store_status(worker, outcome, &error, status);
    }
    *resource_out = resource;
    *generation_out = resource->generation;
    return TRIBUTARY_OK;
}

void batch_worker_free_resource(void *ctx, void *resource)
{
    struct keyed_resource *loaded = resource;

    (void)ctx;
    buf_fini(&loaded->data);
    free(loaded);
}

/* ---- which operations the command gets ---- */

struct id_place {
    struct bytes id;
    size_t place;
};

static int by_id(const void *a, const void *b)
{
    const struct id_place *first = a, *second = b;
    const int order = bytes_compare(first->id, second->id);

    return order != 0 ? order : (first->place > second->place) - (first->place < second->place);
}

static bool find_twins(struct work *work)
{
    struct id_place *ids = calloc(work->count, sizeof(*ids));
    size_t id_count = 0;

    if (!ids)
        return false;
    for (size_t i = 0; i < work->count; i++) {
        work->places[i].next = NONE;
        if (work->operations[i]->operation_id.size > 0)
            ids[id_count++] = (struct id_place){bytes_of(work->operations[i]->operation_id), i};
    }
    qsort(ids, id_count, sizeof(*ids), by_id);
    for (size_t i = 1; i < id_count; i++) {
        if (bytes_same(ids[i - 1].id, ids[i].id)) {
            work->places[ids[i - 1].place].next = ids[i].place;
            work->places[ids[i].place].is_twin = true;
        }
    }
    free(ids);
    return true;
}

static enum tributary_code set_one(struct work *work, const struct tributary_worker_operation *operation,
                                   const struct keyed_result *result)
{
    struct tributary_status failure;

    if (result->code == TRIBUTARY_OK)
        return tributary_worker_set_result(work->batch, operation, public_bytes(result->data));
    (void)batch_status(&failure, (enum tributary_code)result->code, "", "%.*s", (int)result->message.size,
                       result->message.size > 0 ? (const char *)result->message.data : "");
    snprintf(failure.reason, sizeof(failure.reason), "%.*s", (int)result->reason.size,
             result->reason.size > 0 ? (const char *)result->reason.data : "");
    return tributary_worker_fail(work->batch, operation, &failure);
}

/* Of an operation and of those that have the same id. */
static enum tributary_code set_outcome(struct work *work, size_t place, const struct keyed_result *result)
{
    for (; place != NONE; place = work->places[place].next)
        if (set_one(work, work->operations[place], result) != TRIBUTARY_OK)
            return no_memory(work->status);
    return TRIBUTARY_OK;
}

/* One that has a result in the store gets it. Others are to be run. */
static enum tributary_code sort_out(struct work *work, size_t place)
{
    struct batch_worker *worker = work->worker;
    const struct tributary_worker_operation *operation = work->operations[place];
    enum keyed_outcome outcome = KEYED_NOT_FOUND;
    struct keyed_result result = {.code = TRIBUTARY_OK};
    struct keyed_error error;

    if (operation->operation_id.size > 0)
        outcome = keyed_store_find(worker->store, &work->name, bytes_of(operation->operation_id), &work->text,
                                   &result, &error);
    if (outcome == KEYED_OK)
        return set_outcome(work, place, &result);
    if (outcome != KEYED_NOT_FOUND)
        return store_status(worker, outcome, &error, work->status);
    work->pending_places[work->pending_count] = place;
    work->pending[work->pending_count++] = operation;
    return TRIBUTARY_OK;
}

static enum tributary_code select_pending(struct work *work)
{
    enum tributary_code code = TRIBUTARY_OK;

    work->places = calloc(work->count, sizeof(*work->places));
    work->pending = calloc(work->count, sizeof(*work->pending));
    work->pending_places = calloc(work->count, sizeof(*work->pending_places));
    work->results = calloc(work->count, sizeof(*work->results));
    if (!work->places || !work->pending || !work->pending_places || !work->results || !find_twins(work))
        return no_memory(work->status);
    for (size_t i = 0; i < work->count && code == TRIBUTARY_OK; i++)
        if (!work->places[i].is_twin)
            code = sort_out(work, i);
    return code;
}

/* ---- the command ---- */

static bool is_unwanted(void *ctx)
{
    const struct work *work = ctx;

    return atomic_load(&work->worker->is_abandoned) || tributary_worker_batch_is_aborted(work->batch);
}

/* Fills in work->answer. */
static enum tributary_code run_command(struct work *work)
{
    const struct keyed_resource *resource = work->resource;
    const struct batch_document document = {
        .processor = work->worker->processor,
        .key = public_bytes(work->name.key),
        .has_resource = resource->is_there,
        .resource = {resource->data.data, resource->data.size},
        .operations = work->pending,
        .count = work->pending_count,
    };
    struct buf output = {0};

    buf_clear(&work->text);
    if (!batch_document_write(&document, &work->text))
        return no_memory(work->status);
    const struct batch_call call = {.input = {work->text.data, work->text.size},
                                    .deadline_ns = tributary_worker_batch_deadline_ns(work->batch),
                                    .is_unwanted = is_unwanted,
                                    .ctx = work};
    enum tributary_code code = batch_command_run(work->worker->commands, &call, &output, work->status);
    if (code == TRIBUTARY_OK &&
        !batch_answer_read(&work->answer, (const char *)output.data, output.size, work->pending_count))
        code = batch_status(work->status, TRIBUTARY_INTERNAL, "BAD_ANSWER", "the command's answer: %s",
                            work->answer.fault);
    buf_fini(&output);
    return code;
}

/* The results of the command's operations, for the callers and for the store. */
static enum tributary_code set_results(struct work *work)
{
    for (size_t i = 0; i < work->pending_count; i++) {
        const struct batch_answer_result *answer = &work->answer.results[i];
        const struct keyed_result result = {.operation_id = bytes_of(work->pending[i]->operation_id),
                                            .code = (int)answer->code,
                                            .reason = text_bytes(answer->reason),
                                            .message = text_bytes(answer->message),
                                            .data = bytes_of(answer->data)};

        if (set_outcome(work, work->pending_places[i], &result) != TRIBUTARY_OK)
            return work->status->code;
        if (result.operation_id.size > 0)
            work->results[work->result_count++] = result;
    }
    return TRIBUTARY_OK;
}

static enum tributary_code save(struct work *work)
{
    static const enum keyed_change changes[] = {[BATCH_UNCHANGED] = KEYED_UNCHANGED,
                                                [BATCH_REPLACED] = KEYED_REPLACED,
                                                [BATCH_REMOVED] = KEYED_REMOVED};
    const struct keyed_save saving = {.name = work->name,
                                      .generation = work->resource->generation,
                                      .change = changes[work->answer.change],
                                      .resource = bytes_of(work->answer.resource),
                                      .results = work->results,
                                      .result_count = work->result_count};
    struct keyed_error error;

    if (is_unwanted(work))
        return batch_status(work->status, TRIBUTARY_CANCELLED, "NOT_SAVED",
                            "the batch is not wanted any more, and was not saved");
    return store_status(work->worker, keyed_store_save(work->worker->store, &saving, &error), &error,
                        work->status);
}

static enum tributary_code do_work(struct work *work)
{
    enum tributary_code code = select_pending(work);

    if (code != TRIBUTARY_OK || work->pending_count == 0)
        return code;
    code = run_command(work);
    if (code == TRIBUTARY_OK)
        code = set_results(work);
    return code == TRIBUTARY_OK ? save(work) : code;
}

static void report(const struct work *work, enum tributary_code code)
{
    struct buf key = {0};

    if (work->worker->quiet || code == TRIBUTARY_ABORTED)
        return;
    escape_text(&key, public_bytes(work->name.key));
    fprintf(stderr, "tributary: key %.*s: %s\n", (int)key.size, key.size > 0 ? (const char *)key.data : "",
            work->status->message);
    buf_fini(&key);
}

enum tributary_code batch_worker_save(void *ctx, struct tributary_worker_batch *batch, void *resource,
                                      const struct tributary_worker_operation *const *operations,
                                      size_t count, struct tributary_status *status)
{
    struct work work = {.worker = ctx,
                        .batch = batch,
                        .name = name_of(ctx, batch),
                        .resource = resource,
                        .operations = operations,
                        .count = count,
                        .status = status};
    const enum tributary_code code = do_work(&work);

    if (code != TRIBUTARY_OK)
        report(&work, code);
    batch_answer_fini(&work.answer);
    buf_fini(&work.text);
    free(work.places);
    free(work.pending);
    free(work.pending_places);
    free(work.results);
    return code;
}
