/* processor.c - a batch processor: options, life, stop. */
#include <stdlib.h>

#include "base/threads.h"
#include "client/lib/batch/shard_port.h"
#include "client/lib/core/status.h"

#define MAX_THREADS 1024u
#define MAX_CAPACITY (1u << 20)

_Static_assert(TRIBUTARY_MAX_BATCH_KEY == MAX_BATCH_KEY_BYTES, "the engine has the same bound");

static enum tributary_code refuse(struct tributary_status *status, const struct fault *fault)
{
    char text[sizeof(status->message)];

    fault_message(fault, text, sizeof(text));
    return status_set(status, TRIBUTARY_INVALID_ARGUMENT, text);
}

static enum tributary_code read_options(const struct tributary_batch_options *options,
                                        struct batch_settings *settings, struct tributary_status *status)
{
    struct fault fault;

    *settings = (struct batch_settings){.window = (enum batch_window)options->window,
                                        .window_ns = options->window_ns,
                                        .deadline_ns = options->deadline_ns,
                                        .retry_load = options->retry_load,
                                        .retry_first_ns = options->retry_first_ns,
                                        .retry_max_ns = options->retry_max_ns,
                                        .max_reloads = options->max_reloads,
                                        .max_operations = options->max_operations,
                                        .max_bytes = options->max_bytes,
                                        .max_waiters = options->max_waiters,
                                        .max_waiting_bytes = options->max_waiting_bytes,
                                        .max_keys = options->max_keys,
                                        .max_batches = options->max_batches,
                                        .refuse_when_full = options->refuse_when_full};
    if (batch_settings_complete(settings, &fault))
        return refuse(status, &fault);
    if (options->threads > MAX_THREADS)
        return status_format(status, TRIBUTARY_INVALID_ARGUMENT, "threads: at most %u", MAX_THREADS);
    if (options->resource_bytes > 0 && options->load)
        return status_set(status, TRIBUTARY_INVALID_ARGUMENT, "resource_bytes: not together with load");
    return TRIBUTARY_OK;
}

static void tick(void *ctx, unsigned slot)
{
    struct tributary_batch *batch = ctx;

    shard_tick(&batch->shards[slot]);
}

/* A bound on batches that have begun is one of one engine. */
static void spread(struct tributary_batch *batch, const struct tributary_batch_options *options)
{
    batch->shard_count = options->max_batches > 0 ? 1 : TICKER_SLOTS;
}

static bool begin(struct tributary_batch *batch, struct batch_settings *settings)
{
    bool good = true;

    settings->all_keys = &batch->keys;
    for (unsigned i = 0; i < batch->shard_count; i++)
        good = shard_init(&batch->shards[i], batch, i, settings) && good;
    if (good && ticker_begin(&batch->ticker, tick, batch)) {
        if (pool_begin(&batch->pool, pool_thread_count(batch->options.threads, MAX_THREADS)))
            return true;
        ticker_end(&batch->ticker);
    }
    return false;
}

static void fini(struct tributary_batch *batch)
{
    for (unsigned i = 0; i < batch->shard_count; i++)
        shard_fini(&batch->shards[i]);
    records_fini(&batch->records);
    pthread_cond_destroy(&batch->quiet);
    pthread_mutex_destroy(&batch->stop_lock);
    free(batch);
}

enum tributary_code tributary_batch_new(const struct tributary_batch_options *options,
                                        struct tributary_batch **batch_out, struct tributary_status *status)
{
    struct tributary_batch *batch = NULL;
    struct batch_settings settings;

    if (read_options(options, &settings, status) != TRIBUTARY_OK)
        return TRIBUTARY_INVALID_ARGUMENT;
    batch = aligned_alloc(alignof(struct tributary_batch), sizeof(*batch));
    if (!batch)
        return status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "no memory");
    memset(batch, 0, sizeof(*batch));
    batch->options = *options;
    pthread_mutex_init(&batch->stop_lock, NULL);
    cond_init(&batch->quiet);
    records_init(&batch->records);
    spread(batch, options);
    if (!begin(batch, &settings)) {
        fini(batch);
        return status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "no memory, or no thread");
    }
    *batch_out = batch;
    return status_set(status, TRIBUTARY_OK, "");
}

static bool is_quiet(struct tributary_batch *batch)
{
    for (unsigned i = 0; i < batch->shard_count; i++)
        if (!shard_is_quiet(&batch->shards[i]))
            return false;
    return true;
}

enum tributary_code tributary_batch_stop(struct tributary_batch *batch)
{
    if (pool_is_mine(&batch->pool))
        return TRIBUTARY_FAILED_PRECONDITION;
    atomic_store(&batch->stopping, true);
    for (unsigned i = 0; i < batch->shard_count; i++)
        shard_stop(&batch->shards[i]);
    pthread_mutex_lock(&batch->stop_lock);
    while (!is_quiet(batch))
        pthread_cond_wait(&batch->quiet, &batch->stop_lock);
    pthread_mutex_unlock(&batch->stop_lock);
    records_close(&batch->records);
    return TRIBUTARY_OK;
}

void tributary_batch_free(struct tributary_batch *batch)
{
    if (!batch)
        return;
    CHECK(tributary_batch_stop(batch) == TRIBUTARY_OK);
    ticker_end(&batch->ticker); /* first: it gives jobs to the pool */
    pool_end(&batch->pool);
    fini(batch);
}

void tributary_batch_stats(struct tributary_batch *batch, struct tributary_batch_stats *stats_out)
{
    *stats_out = (struct tributary_batch_stats){0};
    for (unsigned i = 0; i < batch->shard_count; i++) {
        struct batch_stats stats;

        shard_enter(&batch->shards[i]);
        batch_engine_stats(batch->shards[i].engine, &stats);
        shard_leave(&batch->shards[i]);
        stats_out->keys += stats.keys;
        stats_out->batches += stats.batches;
        stats_out->waiters += stats.waiters;
    }
}

enum tributary_code tributary_batch_observe(struct tributary_batch *batch, uint32_t capacity,
                                            struct tributary_batch_observer **observer_out,
                                            struct tributary_status *status)
{
    struct tributary_batch_observer *observer = NULL;

    if (capacity > MAX_CAPACITY)
        return status_format(status, TRIBUTARY_INVALID_ARGUMENT, "capacity: at most %u", MAX_CAPACITY);
    observer = records_observe(&batch->records, capacity > 0 ? capacity : 1024);
    if (!observer)
        return status_set(status, TRIBUTARY_RESOURCE_EXHAUSTED, "no memory");
    *observer_out = observer;
    return status_set(status, TRIBUTARY_OK, "");
}
