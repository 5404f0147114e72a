/* worker_stream.c - the call of a worker: says hello, sends reports one message at a time, and
 * comes back after a loss. Client thread. */
#include <string.h>

#include "base/fsm.h"
#include "client/lib/core/status.h"
#include "client/lib/processor/worker_state.h"
#include "grpc/slices.h"
#include "proto/field_numbers.h"

#define METHOD "/tributary.v1.Batch/Process"
#define MAX_REPORT_BYTES (128u << 10)
#define MAX_REPORTS 1024u
#define DEFAULT_DRAIN_NS (30 * NS_PER_S)
#define WELCOME_LIMIT_NS (10 * NS_PER_S)
#define ORPHANS_PAUSE_NS (100 * NS_PER_MS)

static void open_stream(struct tributary_worker *worker)
{
    const struct stream_opening opening = {
        .method = METHOD, .deadline_ns = INT64_MAX, .wait_for_connection = true};
    struct buf hello = {0};

    worker->hello_sent = worker->draining_sent = false;
    worker_write_hello(worker, &hello);
    cq_timer_set(worker->client->thread, &worker->retry,
                 clock_mono_ns() + worker->client->connect_timeout_ns);
    stream_open(&worker->stream, &opening);
    if (hello.broken) {
        buf_fini(&hello);
        stream_cancel(&worker->stream, TRIBUTARY_UNAVAILABLE, "out of memory");
        return;
    }
    stream_send(&worker->stream, slice_of_buf(&hello));
}

/* The next message with reports. False: there is none; then the next report wakes this thread. */
static bool next_message(struct tributary_worker *worker, grpc_slice *message_out)
{
    bool found = false;

    pthread_mutex_lock(&worker->lock);
    if (worker->state == WORKER_LEAVING && !worker->draining_sent) {
        worker->draining_sent = true;
        worker_report_draining(worker);
    }
    found = packed_dequeue(&worker->reports, message_out);
    worker->idle = !found;
    worker->stats.messages += found;
    pthread_mutex_unlock(&worker->lock);
    return found;
}

static bool has_memory(struct tributary_worker *worker)
{
    pthread_mutex_lock(&worker->lock);

    const bool no_memory = worker->no_memory;

    pthread_mutex_unlock(&worker->lock);
    return !no_memory;
}

static void pump(struct tributary_worker *worker)
{
    grpc_slice message;

    if (worker->state != WORKER_LIVE && worker->state != WORKER_LEAVING)
        return;
    if (!has_memory(worker)) {
        stream_cancel(&worker->stream, TRIBUTARY_UNAVAILABLE, "out of memory");
        return;
    }
    if (!stream_may_send(&worker->stream))
        return;
    /* A worker that drains does not close its side: a batch may be on its way to it. The server
     * ends the call after the last one. */
    if (next_message(worker, &message))
        stream_send(&worker->stream, message);
}

static void on_sent(struct stream *stream, bool ok)
{
    struct tributary_worker *worker = container_of(stream, struct tributary_worker, stream);

    if (!ok)
        return;
    if (!worker->hello_sent && worker->state == WORKER_OPENING) {
        worker->hello_sent = true;
        cq_timer_set(worker->client->thread, &worker->retry, clock_mono_ns() + WELCOME_LIMIT_NS);
    }
    pump(worker);
}

static void on_message(struct stream *stream, struct bytes message)
{
    struct tributary_worker *worker = container_of(stream, struct tributary_worker, stream);
    const char *fault = NULL;

    if (worker->state == WORKER_CANCELLING)
        return;
    fault = worker_handle_orders(worker, message);
    if (fault)
        stream_cancel(stream, TRIBUTARY_INTERNAL, fault);
    pump(worker);
}

/* ---- the end ---- */

/* The last use of the worker on the client thread. After the unlock it may be freed. */
static void release(struct tributary_worker *worker)
{
    if (client_post_behind(worker->client, &worker->work, &worker->end))
        return; /* on_free() comes here again */
    pthread_mutex_lock(&worker->lock);
    worker->released = true;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
}

/* Ends it, if no batch is left. */
static void try_end(struct tributary_worker *worker)
{
    bool is_freed = false;

    pthread_mutex_lock(&worker->lock);

    const uint32_t left = worker->batch_count;

    pthread_mutex_unlock(&worker->lock);
    if (left > 0)
        return; /* the last one wakes this thread */
    fsm_move(&worker_machine, worker, WORKER_ENDED);
    if (worker->options.ended)
        worker->options.ended(worker->options.ctx, &worker->last);
    pthread_mutex_lock(&worker->lock);
    worker->final = worker->last;
    worker->ended = true;
    is_freed = worker->is_freed;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
    if (is_freed)
        release(worker);
}

static void stop(struct tributary_worker *worker)
{
    cq_timer_stop(worker->client->thread, &worker->retry);
    fsm_move(&worker_machine, worker, WORKER_STOPPING);
    try_end(worker);
}

static void back_off(struct tributary_worker *worker)
{
    const int64_t retry_ns = client_backoff_ns(worker->client, worker->attempt++);

    fsm_move(&worker_machine, worker, WORKER_BACKOFF);
    cq_timer_set(worker->client->thread, &worker->retry, clock_mono_ns() + retry_ns);
    if (worker->options.interrupted)
        worker->options.interrupted(worker->options.ctx, &worker->last, retry_ns);
}

/* Whether the server has ended the call because the worker was slow. It may work again, once its
 * callbacks return. */
static bool was_slow(const struct tributary_status *status)
{
    return strcmp(status->reason, "WORKER_SILENT") == 0 || strcmp(status->reason, "NOT_READING") == 0;
}

/* Whether another attempt may succeed. The server may not have noticed yet that an earlier
 * connection of this worker is gone: then its name is taken for a while. */
static bool may_retry(const struct tributary_worker *worker)
{
    if (worker->options.no_reconnect)
        return false;
    return status_is_retryable(&worker->last) ||
           (worker->welcomed && (worker->last.code == TRIBUTARY_ALREADY_EXISTS || was_slow(&worker->last)));
}

static void on_ended(struct stream *stream, const struct tributary_status *status)
{
    struct tributary_worker *worker = container_of(stream, struct tributary_worker, stream);
    const uint32_t orphans = worker_orphan(worker);

    worker->last = *status;
    if (worker->state == WORKER_CANCELLING) {
        if (worker->finishing)
            status_set(&worker->last, TRIBUTARY_OK, "");
        else
            status_set(&worker->last, TRIBUTARY_CANCELLED, "cancelled");
        stop(worker);
    } else if (worker->finishing) {
        if (orphans == 0)
            status_set(&worker->last, TRIBUTARY_OK, "");
        stop(worker);
    } else {
        if (status->code == TRIBUTARY_OK)
            status_set(&worker->last, TRIBUTARY_UNAVAILABLE, "the server ended the call");
        if (may_retry(worker))
            back_off(worker);
        else
            stop(worker);
    }
}

static void on_retry_backoff(struct tributary_worker *worker)
{
    bool too_many = false;

    pthread_mutex_lock(&worker->lock);
    too_many = worker->batch_count >= worker->options.max_batches;
    pthread_mutex_unlock(&worker->lock);
    if (too_many) { /* of earlier streams: their callbacks hang */
        cq_timer_set(worker->client->thread, &worker->retry, clock_mono_ns() + ORPHANS_PAUSE_NS);
        return;
    }
    fsm_move(&worker_machine, worker, WORKER_OPENING);
    open_stream(worker);
}

static void on_retry(struct cq_timer *timer, int64_t now_ns)
{
    struct tributary_worker *worker = container_of(timer, struct tributary_worker, retry);

    (void)now_ns;
    if (worker->state == WORKER_BACKOFF) {
        on_retry_backoff(worker);
    } else if (worker->state == WORKER_OPENING) {
        stream_cancel(&worker->stream, TRIBUTARY_UNAVAILABLE,
                      worker->hello_sent ? "the server did not welcome the worker in time"
                                         : "the server cannot be reached");
    } else {
        stream_cancel(&worker->stream,
                      worker->finishing ? TRIBUTARY_DEADLINE_EXCEEDED : TRIBUTARY_UNAVAILABLE,
                      "batches did not end in time");
    }
}

static void cancel(struct tributary_worker *worker)
{
    if (worker->state == WORKER_STOPPING || worker->state == WORKER_ENDED) {
        worker_abort_all(worker);
        return;
    }
    if (worker->state == WORKER_BACKOFF) {
        worker_abort_all(worker);
        status_set(&worker->last, TRIBUTARY_CANCELLED, "cancelled while there was no connection");
        stop(worker);
        return;
    }
    worker->finishing = false;
    worker_abort_all(worker);
    if (worker->state != WORKER_CANCELLING)
        fsm_move(&worker_machine, worker, WORKER_CANCELLING);
    stream_cancel(&worker->stream, TRIBUTARY_CANCELLED, "cancelled");
}

static void finish(struct tributary_worker *worker, int64_t drain_ns)
{
    if (worker->finishing || worker->state == WORKER_CANCELLING || worker->state == WORKER_STOPPING ||
        worker->state == WORKER_ENDED)
        return;
    worker->finishing = true;
    if (worker->state == WORKER_BACKOFF) {
        status_set(&worker->last, TRIBUTARY_OK, "");
        stop(worker);
    } else if (worker->state == WORKER_OPENING) {
        fsm_move(&worker_machine, worker, WORKER_CANCELLING);
        stream_cancel(&worker->stream, TRIBUTARY_CANCELLED, "finished before it was welcome");
    } else {
        worker_leave_within(worker, drain_ns == 0 ? DEFAULT_DRAIN_NS : MAX_OF(drain_ns, 0));
    }
}

static void on_begin(struct post *post)
{
    open_stream(container_of(post, struct tributary_worker, begin));
}

static void on_work(struct post *post)
{
    struct tributary_worker *worker = container_of(post, struct tributary_worker, work);

    pthread_mutex_lock(&worker->lock);

    const bool wants_cancel = worker->wants_cancel;
    const bool wants_finish = worker->wants_finish;
    const int64_t drain_ns = worker->drain_ns;

    worker->wants_cancel = worker->wants_finish = false;
    pthread_mutex_unlock(&worker->lock);
    if (wants_finish)
        finish(worker, drain_ns);
    if (wants_cancel)
        cancel(worker);
    if (worker->state == WORKER_STOPPING)
        try_end(worker);
    else
        pump(worker);
}

static void on_free(struct post *post)
{
    struct tributary_worker *worker = container_of(post, struct tributary_worker, end);

    if (worker->state == WORKER_ENDED) {
        release(worker);
        return;
    }
    pthread_mutex_lock(&worker->lock);
    worker->is_freed = true;
    pthread_mutex_unlock(&worker->lock);
    cancel(worker);
}

void worker_stream_init(struct tributary_worker *worker)
{
    static const struct stream_port port = {.sent = on_sent, .received = on_message, .ended = on_ended};

    stream_init(&worker->stream, worker->client, &port);
    worker->reports.more = PB_PROCESS_REQUEST_MORE;
    worker->reports.max_bytes = MAX_REPORT_BYTES;
    worker->reports.max_entries = MAX_REPORTS;
    packed_init(&worker->reports);
    list_init(&worker->batches);
    list_init(&worker->jobs);
    worker->retry.fired = on_retry;
    worker->begin.run = on_begin;
    worker->work.run = on_work;
    worker->end.run = on_free;
}
