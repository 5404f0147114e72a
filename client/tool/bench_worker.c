/* bench_worker.c - see bench_worker.h. */
#include "client/tool/bench_worker.h"

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "client/tool/bench_stamp.h"
#include "client/tool/link.h"

#define FINISH_NS (5 * NS_PER_S)

/* The stamp that a batch answers with. */
static enum tributary_code load(void *ctx, struct tributary_worker_batch *batch, void **resource_out,
                                uint64_t *generation_out, struct tributary_status *status)
{
    (void)ctx, (void)batch, (void)generation_out, (void)status;
    *resource_out = calloc(1, BENCH_STAMP_BYTES);
    return *resource_out ? TRIBUTARY_OK : TRIBUTARY_RESOURCE_EXHAUSTED;
}

static enum tributary_code operate(void *ctx, struct tributary_worker_batch *batch, void *resource,
                                   const struct tributary_worker_operation *operation,
                                   struct tributary_status *status)
{
    (void)ctx, (void)status;
    if (operation->id == 1)
        stamp_write(resource, stamp_read(operation->data));
    return tributary_worker_set_result(batch, operation,
                                       (struct tributary_bytes){resource, BENCH_STAMP_BYTES});
}

static enum tributary_code save(void *ctx, struct tributary_worker_batch *batch, void *resource,
                                const struct tributary_worker_operation *const *operations, size_t count,
                                struct tributary_status *status)
{
    const struct bench_worker *worker = ctx;
    const struct timespec delay = {worker->save_delay_ns / NS_PER_S, worker->save_delay_ns % NS_PER_S};

    (void)batch, (void)resource, (void)operations, (void)count, (void)status;
    if (worker->save_delay_ns > 0)
        nanosleep(&delay, NULL);
    return TRIBUTARY_OK;
}

static void free_resource(void *ctx, void *resource)
{
    (void)ctx;
    free(resource);
}

static void on_welcomed(void *ctx, const char *name)
{
    struct bench_worker *worker = ctx;

    (void)name;
    atomic_store(&worker->welcome, true);
    stop_wake(worker->stop);
}

static void on_interrupted(void *ctx, const struct tributary_status *status, int64_t retry_ns)
{
    const struct bench_worker *worker = ctx;

    if (!worker->quiet)
        link_interrupted("worker: not connected", status, retry_ns);
}

static void on_ended(void *ctx, const struct tributary_status *status)
{
    struct bench_worker *worker = ctx;

    if (status->code != TRIBUTARY_OK && status->code != TRIBUTARY_CANCELLED)
        link_failed("working", status);
    atomic_store(&worker->ended, (int)status->code + 1);
    stop_wake(worker->stop);
}

enum tributary_code bench_worker_open(struct bench_worker *worker, struct tributary *client,
                                      const struct tributary_worker_options *options)
{
    struct tributary_worker_options complete = *options;
    struct tributary_status status;

    worker->client = client;
    complete.load = load;
    complete.operate = operate;
    complete.save = save;
    complete.free = free_resource;
    complete.welcomed = on_welcomed;
    complete.interrupted = on_interrupted;
    complete.ended = on_ended;
    complete.ctx = worker;
    if (tributary_worker_new(client, &complete, &worker->worker, &status) != TRIBUTARY_OK)
        link_failed("working", &status);
    return status.code;
}

bool bench_worker_wait(struct bench_worker *worker)
{
    while (!atomic_load(&worker->welcome) && atomic_load(&worker->ended) == 0 &&
           !stop_requested(worker->stop))
        stop_wait(worker->stop, -1, INT64_MAX);
    return atomic_load(&worker->welcome) && atomic_load(&worker->ended) == 0;
}

void bench_worker_close(struct bench_worker *worker)
{
    if (worker->worker) {
        tributary_worker_finish(worker->worker, FINISH_NS);
        tributary_worker_wait(worker->worker, FINISH_NS, NULL);
    }
    tributary_worker_free(worker->worker);
    tributary_free(worker->client);
    worker->worker = NULL;
    worker->client = NULL;
}
