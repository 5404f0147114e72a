/* batch_run_stream.c - Batch.RunStream: many operations in, one answer for each.
 *
 * Bounds: while the operations of a stream are too many, or their bytes, it is not read. So a
 * client that does not read its answers is not read either.
 *
 * The call is held while it has operations. Each of them is in a processor, or has ended and waits
 * to be answered. */
#include <stdlib.h>

#include "base/clock.h"
#include "server/rpc/batch_stream.h"
#include "server/rpc/batch_write.h"
#include "server/rpc/method_table.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/services.h"
#include "server/wire/message.h"

#define MAX_STREAM_OPERATIONS 65536u
#define MAX_STREAM_BYTES ((uint64_t)16 << 20)

static void read_next(struct run_stream *stream)
{
    if (stream->reading || stream->half_closed || message_is_there(&stream->message) ||
        stream->requests.count >= MAX_STREAM_OPERATIONS || stream->bytes >= MAX_STREAM_BYTES ||
        !call_alive(stream->call))
        return;
    stream->reading = true;
    call_read(stream->call);
}

/* ---- what is sent ---- */

static size_t answer_size(const struct stream_operation *operation)
{
    return operation->base.result.size + 64;
}

static bool write_answers(struct run_stream *stream, struct buf *buf)
{
    struct list *node = NULL;

    while ((node = list_first(&stream->answers))) {
        struct stream_operation *operation =
            stream_operation_of(container_of(node, struct processor_operation, node));

        if (buf->size > 0 && (!stream->packed || buf->size + answer_size(operation) > MAX_PACKED_BYTES))
            break;
        write_stream_response(buf, stream->packed, operation->request, &operation->base);
        list_remove(node);
        stream_operation_free(operation);
    }
    return !buf->broken;
}

static void send_answers(struct run_stream *stream, int64_t now_ns)
{
    OWNED(buf_fini) struct buf bytes = {0};
    struct fault fault;

    if (!write_answers(stream, &bytes)) {
        fault_set(&fault, FAULT_MEMORY_BUDGET, NULL, NULL);
        call_finish(stream->call, &fault);
        return;
    }
    stream->sending = call_send(stream->call, &bytes);
    cq_timer_set(call_cq(stream->call), &stream->write_timer,
                 clock_add_ns(now_ns, loop_settings(stream->rpc->loop)->write_timeout_ns));
}

static void finish_idle(struct run_stream *stream)
{
    struct fault fault = {.reason = FAULT_NONE};

    if ((!stream->half_closed && !stream->draining) || message_is_there(&stream->message))
        return;
    if (!stream->half_closed)
        fault_set(&fault, FAULT_DRAINING, NULL, NULL);
    call_finish(stream->call, &fault);
}

static void handle(struct run_stream *stream)
{
    struct fault fault;

    if (!stream_handle(stream, &fault))
        return;
    call_finish(stream->call, &fault);
    cq_add_post_poll_hook(call_cq(stream->call), &stream->send_hook);
}

static void on_send(struct post_poll_hook *hook, int64_t now_ns)
{
    struct run_stream *stream = container_of(hook, struct run_stream, send_hook);

    if (message_is_there(&stream->message) && call_alive(stream->call))
        handle(stream);
    const bool was_idle = stream_is_idle(stream);

    stream_collect(stream);
    if (!call_alive(stream->call)) {
        message_fini(&stream->message);
        stream_take_back(stream);
        return;
    }
    if (!stream->sending && !list_empty(&stream->answers))
        send_answers(stream, now_ns);
    else if (!stream->sending && stream_is_idle(stream))
        finish_idle(stream);
    read_next(stream);
    if (!was_idle && stream_is_idle(stream))
        call_unhold(stream->call);
}

static void on_woken(struct cq_wake *wake)
{
    struct run_stream *stream = container_of(wake, struct run_stream, wake);

    cq_add_post_poll_hook(call_cq(stream->call), &stream->send_hook);
}

static void on_write_timeout(struct cq_timer *timer, int64_t now_ns)
{
    struct run_stream *stream = container_of(timer, struct run_stream, write_timer);
    struct fault fault;

    (void)now_ns;
    fault_not_reading(&fault, "write", loop_settings(stream->rpc->loop)->write_timeout_ns);
    call_abort(stream->call, &fault);
}

/* ---- what is received ---- */

static void message(struct call *call, struct message *message)
{
    struct run_stream *stream = call_owned(call);
    struct fault fault;

    stream->reading = false;
    if (message_check(message, UINT64_MAX, &fault)) {
        call_finish(call, &fault);
        cq_add_post_poll_hook(call_cq(stream->call), &stream->send_hook);
        return;
    }
    stream->message = message_move(message);
    stream->more_at = NULL;
    handle(stream);
    read_next(stream);
}

static void half_closed(struct call *call)
{
    struct run_stream *stream = call_owned(call);

    stream->reading = false;
    stream->half_closed = true;
    cq_add_post_poll_hook(call_cq(stream->call), &stream->send_hook);
}

static void sent(struct call *call, bool ok)
{
    struct run_stream *stream = call_owned(call);

    (void)ok; /* after a failure the call is about to end */
    stream->sending = false;
    cq_timer_stop(call_cq(stream->call), &stream->write_timer);
    cq_add_post_poll_hook(call_cq(stream->call), &stream->send_hook);
}

/* ---- the call ---- */

static void freed(struct cq_wake *wake)
{
    struct run_stream *stream = container_of(wake, struct run_stream, wake);

    pthread_mutex_destroy(&stream->lock);
    free(stream);
}

static void opened(struct call *call, void *ctx)
{
    struct run_stream *stream = calloc(1, sizeof(*stream));
    struct fault fault;

    if (!stream) {
        fault_set(&fault, FAULT_MEMORY_BUDGET, NULL, NULL);
        call_finish(call, &fault);
        return;
    }
    stream->rpc = ctx;
    stream->call = call;
    map_init(&stream->requests);
    list_init(&stream->operations);
    list_init(&stream->answers);
    list_init(&stream->ended);
    CHECK(pthread_mutex_init(&stream->lock, NULL) == 0);
    cq_wake_init(&stream->wake, call_cq(call), on_woken, freed);
    list_init(&stream->send_hook.link);
    stream->send_hook.post_poll = on_send;
    stream->timeout_timer.fired = stream_on_timeout;
    stream->write_timer.fired = on_write_timeout;
    call_own(call, stream);
    read_next(stream);
}

static void lost(struct call *call)
{
    struct run_stream *stream = call_owned(call);

    if (stream)
        cq_add_post_poll_hook(call_cq(stream->call), &stream->send_hook);
}

static void draining(struct call *call)
{
    struct run_stream *stream = call_owned(call);

    if (!stream)
        return;
    stream->draining = true;
    cq_add_post_poll_hook(call_cq(stream->call), &stream->send_hook);
}

static void closed(struct call *call, bool ok)
{
    struct run_stream *stream = call_owned(call);

    (void)ok; /* nothing is kept of how it ended */
    if (!stream)
        return;
    cq_timer_stop(call_cq(stream->call), &stream->timeout_timer);
    cq_timer_stop(call_cq(stream->call), &stream->write_timer);
    list_remove(&stream->send_hook.link);
    message_fini(&stream->message);
    map_fini(&stream->requests);
    heap_fini(&stream->timers);
    batch_processor_release(stream->processor);
    cq_wake_free(&stream->wake);
}

static const struct call_port run_stream_port = {.opened = opened,
                                                 .message = message,
                                                 .half_closed = half_closed,
                                                 .sent = sent,
                                                 .lost = lost,
                                                 .draining = draining,
                                                 .closed = closed};

enum err batch_run_stream_serve(struct rpc *rpc)
{
    return rpc_add_method(rpc, "/tributary.v1.Batch/RunStream", &run_stream_port, rpc);
}
