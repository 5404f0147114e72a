/* processors.c - tributary_processors() of tributary/processors.h. */
#include <stdlib.h>

#include "base/base.h"
#include "client/lib/admin/admin_call.h"
#include "tributary/processors.h"
#include "tributary/v1/batch.pb-c.h"

#define PAGE_SIZE 100u

static struct tributary_worker_policy policy_of(const Tributary__V1__BatchPolicy *from)
{
    if (!from)
        return (struct tributary_worker_policy){.window_ns = 0};
    return (struct tributary_worker_policy){
        .window = from->window == TRIBUTARY__V1__BATCH_WINDOW__BATCH_WINDOW_ADAPTIVE
                      ? TRIBUTARY_BATCH_ADAPTIVE
                      : TRIBUTARY_BATCH_FIXED,
        .window_ns = admin_duration_ns(from->window_length),
        .deadline_ns = admin_duration_ns(from->deadline),
        .retry_load = from->retry_load != 0,
        .max_reloads = from->max_reloads,
        .max_operations = from->max_operations,
        .max_bytes = from->max_bytes,
        .max_waiters = from->max_waiters,
        .max_waiting_bytes = from->max_waiting_bytes,
        .max_keys = from->max_keys,
    };
}

/* False: out of memory. */
static bool show(const struct tributary_processors_query *query, const Tributary__V1__Processor *from)
{
    struct tributary_processor_worker *workers = NULL;

    if (!ADMIN_NEW_ARRAY(workers, from->n_workers))
        return false;
    for (size_t i = 0; i < from->n_workers; i++) {
        const Tributary__V1__Processor__Worker *worker = from->workers[i];

        workers[i] = (struct tributary_processor_worker){
            .name = worker->name,
            .peer = worker->peer,
            .draining = worker->draining != 0,
            .batches = worker->batches,
            .max_batches = worker->max_batches,
            .batches_saved = worker->batches_saved,
            .batches_failed = worker->batches_failed,
            .operations = worker->operations,
        };
    }
    const struct tributary_processor processor = {
        .name = from->name,
        .policy = policy_of(from->policy),
        .workers = workers,
        .worker_count = from->n_workers,
        .keys = from->keys,
        .batches = from->batches,
        .waiters = from->waiters,
        .batches_saved = from->batches_saved,
        .batches_failed = from->batches_failed,
        .operations = from->operations,
    };
    query->each(query->ctx, &processor);
    free(workers);
    return true;
}

static bool show_processors(const void *ctx, const ProtobufCMessage *message, const char **next_out)
{
    const Tributary__V1__ListProcessorsResponse *answer = (const void *)message;

    *next_out = answer->next_page_token;
    for (size_t i = 0; i < answer->n_processors; i++)
        if (!show(ctx, answer->processors[i]))
            return false;
    return true;
}

enum tributary_code tributary_processors(struct tributary *client,
                                         const struct tributary_processors_query *query,
                                         struct tributary_status *status)
{
    Tributary__V1__ListProcessorsRequest request = TRIBUTARY__V1__LIST_PROCESSORS_REQUEST__INIT;
    const struct admin_walk walk = {.client = client,
                                    .method = {"/tributary.v1.Batch/ListProcessors", query->timeout_ns},
                                    .request = &request.base,
                                    .page_token = &request.page_token,
                                    .answer_type = &tributary__v1__list_processors_response__descriptor,
                                    .show = show_processors,
                                    .ctx = query};

    request.page_size = PAGE_SIZE;
    return admin_walk_run(&walk, status);
}
