/* worker_make.c - workers: options, hello, making and freeing them. */
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "client/lib/core/encode.h"
#include "client/lib/core/status.h"
#include "client/lib/processor/worker_state.h"

#define DEFAULT_MAX_BATCHES 64u
#define MAX_THREADS 1024u

static const char *apply_defaults(struct tributary_worker_options *options)
{
    const size_t size = options->processor ? strlen(options->processor) : 0;

    if (size == 0 || size > MAX_NAME_BYTES)
        return "processor: 1 to 256 bytes";
    if (options->worker && strlen(options->worker) > MAX_NAME_BYTES)
        return "worker: at most 256 bytes";
    if (!options->operate && !options->save)
        return "operate, save: at least one of them";
    if (options->policy.window != TRIBUTARY_BATCH_FIXED && options->policy.window != TRIBUTARY_BATCH_ADAPTIVE)
        return "policy.window: FIXED or ADAPTIVE";
    options->max_batches = options->max_batches == 0 ? DEFAULT_MAX_BATCHES : options->max_batches;
    if (options->max_batches > MAX_WORKER_BATCHES)
        return "max_batches: at most 10000";
    if (options->threads > MAX_THREADS)
        return "threads: at most 1024";
    options->threads = pool_thread_count(options->threads, MAX_THREADS);
    return NULL;
}

static void destroy(struct tributary_worker *worker)
{
    packed_clear(&worker->reports);
    map_fini(&worker->by_number);
    map_fini(&worker->by_key);
    pthread_cond_destroy(&worker->changed);
    pthread_mutex_destroy(&worker->lock);
    free(worker->processor);
    free(worker);
}

/* NULL: no memory, or no thread. */
static struct tributary_worker *make(struct tributary *client, const struct tributary_worker_options *options)
{
    struct tributary_worker *worker = calloc(1, sizeof(*worker));

    if (!worker)
        return NULL;
    worker->client = client;
    worker->options = *options;
    worker->processor = strdup(options->processor);
    strcpy(worker->name, options->worker ? options->worker : "");
    worker->options.processor = worker->options.worker = NULL;
    CHECK(pthread_mutex_init(&worker->lock, NULL) == 0);
    cond_init(&worker->changed);
    map_init(&worker->by_number);
    map_init(&worker->by_key);
    worker_stream_init(worker);
    if (!worker->processor || !pool_begin(&worker->pool, options->threads)) {
        destroy(worker);
        return NULL;
    }
    return worker;
}

enum tributary_code tributary_worker_new(struct tributary *client,
                                         const struct tributary_worker_options *options,
                                         struct tributary_worker **worker_out,
                                         struct tributary_status *status)
{
    struct tributary_worker_options complete = *options;
    const char *fault = apply_defaults(&complete);
    struct tributary_worker *worker = NULL;

    if (fault)
        return status_set(status, TRIBUTARY_INVALID_ARGUMENT, fault);
    worker = make(client, &complete);
    if (!worker)
        return status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "no memory, or no thread");
    atomic_fetch_add(&client->users, 1);
    *worker_out = worker;
    client_post(client, &worker->begin);
    return status_set(status, TRIBUTARY_OK, "");
}

void tributary_worker_free(struct tributary_worker *worker)
{
    struct tributary *client = NULL;

    if (!worker)
        return;
    client = worker->client;
    CHECK(!on_client_thread(client) && !pool_is_mine(&worker->pool));
    client_post(client, &worker->end);
    pthread_mutex_lock(&worker->lock);
    while (!worker->released)
        cond_wait_until(&worker->changed, &worker->lock, INT64_MAX);
    pthread_mutex_unlock(&worker->lock);
    pool_end(&worker->pool);
    destroy(worker);
    atomic_fetch_sub(&client->users, 1);
}
