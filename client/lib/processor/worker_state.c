/* worker_state.c - the states of a worker, and the moves to LIVE and LEAVING. Client thread. */
#include "client/lib/processor/worker_state.h"

#include "base/fsm.h"

const struct fsm worker_machine = {
    .name = "client.worker",
    .states = {[WORKER_OPENING] = {"OPENING", BIT(WORKER_LIVE) | BIT(WORKER_BACKOFF) |
                                                  BIT(WORKER_CANCELLING) | BIT(WORKER_STOPPING)},
               [WORKER_LIVE] = {"LIVE", BIT(WORKER_LEAVING) | BIT(WORKER_BACKOFF) | BIT(WORKER_CANCELLING) |
                                            BIT(WORKER_STOPPING)},
               [WORKER_LEAVING] = {"LEAVING",
                                   BIT(WORKER_BACKOFF) | BIT(WORKER_CANCELLING) | BIT(WORKER_STOPPING)},
               [WORKER_BACKOFF] = {"BACKOFF", BIT(WORKER_OPENING) | BIT(WORKER_STOPPING)},
               [WORKER_CANCELLING] = {"CANCELLING", BIT(WORKER_STOPPING)},
               [WORKER_STOPPING] = {"STOPPING", BIT(WORKER_ENDED)},
               [WORKER_ENDED] = {"ENDED", 0}},
};

void worker_leave_within(struct tributary_worker *worker, int64_t limit_ns)
{
    if (worker->state == WORKER_LIVE)
        fsm_move(&worker_machine, worker, WORKER_LEAVING);
    cq_timer_set(worker->client->thread, &worker->retry, clock_from_now_ns(limit_ns));
}

void worker_welcomed(struct tributary_worker *worker, struct bytes name)
{
    if (worker->state != WORKER_OPENING)
        return;
    cq_timer_stop(worker->client->thread, &worker->retry);
    fsm_move(&worker_machine, worker, WORKER_LIVE);
    worker->attempt = 0;
    worker->welcomed = true;
    if (name.size > 0 && name.size < sizeof(worker->name)) {
        memcpy(worker->name, name.data, name.size);
        worker->name[name.size] = '\0';
    }
    pthread_mutex_lock(&worker->lock);
    worker->stats.welcomes++;
    pthread_mutex_unlock(&worker->lock);
    if (worker->options.welcomed)
        worker->options.welcomed(worker->options.ctx, worker->name);
}

void worker_closing(struct tributary_worker *worker, int64_t deadline_ns)
{
    if (worker->state == WORKER_LIVE)
        worker_leave_within(worker, deadline_ns + WORKER_STATUS_LIMIT_NS);
}
