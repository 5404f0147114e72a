/* worker.c - what any thread may call: stats, finish, cancel, wait. */

#include "base/threads.h"
#include "client/lib/core/status.h"
#include "client/lib/processor/worker_state.h"

void tributary_worker_stats(struct tributary_worker *worker, struct tributary_worker_stats *stats_out)
{
    pthread_mutex_lock(&worker->lock);
    *stats_out = worker->stats;
    stats_out->batches = worker->batch_count;
    pthread_mutex_unlock(&worker->lock);
}

void tributary_worker_finish(struct tributary_worker *worker, int64_t drain_ns)
{
    pthread_mutex_lock(&worker->lock);
    worker->wants_finish = true;
    worker->drain_ns = drain_ns;
    pthread_mutex_unlock(&worker->lock);
    client_post(worker->client, &worker->work);
}

void tributary_worker_cancel(struct tributary_worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    worker->wants_cancel = true;
    pthread_mutex_unlock(&worker->lock);
    client_post(worker->client, &worker->work);
}

enum tributary_code tributary_worker_wait(struct tributary_worker *worker, int64_t timeout_ns,
                                          struct tributary_status *status)
{
    const int64_t deadline_ns = clock_from_now_ns(timeout_ns);
    enum tributary_code code = TRIBUTARY_OK;
    bool in_time = true;

    if (on_client_thread(worker->client) || pool_is_mine(&worker->pool))
        return status_set(status, TRIBUTARY_FAILED_PRECONDITION, "a callback must not wait");
    pthread_mutex_lock(&worker->lock);
    while (in_time && !worker->ended)
        in_time = cond_wait_until(&worker->changed, &worker->lock, deadline_ns);
    if (worker->ended) {
        code = worker->final.code;
        if (status)
            *status = worker->final;
    } else {
        code = status_set_reason(status, TRIBUTARY_DEADLINE_EXCEEDED, "STILL_RUNNING",
                                 "the worker has not ended");
    }
    pthread_mutex_unlock(&worker->lock);
    return code;
}
