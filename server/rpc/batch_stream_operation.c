/* batch_stream_operation.c - the operations of a RunStream call: how they come and go.
 *
 * A processor ends operations on any thread: it puts them into `ended` of their stream. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "server/rpc/batch_stream.h"
#include "server/rpc/rpc_internal.h"

/* Operations that are collected, taken back or freed in one turn. */
#define MAX_PART 1024u

/* Any thread, within the processor's lock. */
static void on_ended(struct processor_operation *base)
{
    struct run_stream *stream = stream_operation_of(base)->stream;

    pthread_mutex_lock(&stream->lock);
    const bool was_empty = list_empty(&stream->ended);

    list_append(&stream->ended, &base->node);
    if (was_empty) /* else stream_collect() is to come */
        cq_wake_up(&stream->wake);
    pthread_mutex_unlock(&stream->lock);
}

static struct stream_operation *operation_new(struct run_stream *stream, const struct stream_request *request,
                                              const struct run_request *run)
{
    struct stream_operation *operation = malloc(sizeof(*operation) + run->operation_id.size + run->data.size);

    if (!operation)
        return NULL;
    memset(operation, 0, sizeof(*operation));
    operation->stream = stream;
    operation->request = request->request;
    operation->node.key = (struct bytes){(const uint8_t *)&operation->request, sizeof(operation->request)};
    operation->bytes = sizeof(*operation) + run->operation_id.size + run->data.size;
    operation->base.ended = on_ended;
    list_init(&operation->link);
    if (run->operation_id.size > 0)
        memcpy(operation->data, run->operation_id.data, run->operation_id.size);
    if (run->data.size > 0)
        memcpy(operation->data + run->operation_id.size, run->data.data, run->data.size);
    operation->base.id = (struct bytes){operation->data, run->operation_id.size};
    operation->base.data = (struct bytes){operation->data + run->operation_id.size, run->data.size};
    return operation;
}

enum fault_reason stream_operation_add(struct run_stream *stream, const struct stream_request *request,
                                       const struct run_request *run, struct stream_operation **operation_out,
                                       struct fault *fault)
{
    struct stream_operation *operation = operation_new(stream, request, run);

    if (!operation || map_reserve(&stream->requests) ||
        heap_reserve(&stream->timers, stream->requests.count + 1)) {
        free(operation);
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    }
    if (map_find(&stream->requests, operation->node.key)) {
        free(operation);
        return fault_number(fault, FAULT_REQUEST_IN_USE, "request", request->request, NULL);
    }
    CHECK(map_add(&stream->requests, &operation->node) == ERR_OK); /* reserved */
    stream->bytes += operation->bytes;
    if (stream->requests.count == 1)
        call_hold(stream->call);
    *operation_out = operation;
    return FAULT_NONE;
}

void stream_operation_free(struct stream_operation *operation)
{
    struct run_stream *stream = operation->stream;

    list_remove(&operation->link);
    heap_remove(&stream->timers, &operation->timer);
    map_remove(&stream->requests, &operation->node);
    stream->bytes -= operation->bytes;
    peer_charge_give_back(&stream->rpc->batch_memory, &operation->charge);
    batch_processor_release(operation->processor);
    processor_operation_fini(&operation->base);
    free(operation);
}

/* The next part of what has ended. Whether there is more. */
static bool fetch_ended(struct run_stream *stream, struct list *part_out)
{
    struct list *node = NULL;

    list_init(part_out);
    pthread_mutex_lock(&stream->lock);
    for (unsigned i = 0; i < MAX_PART && (node = list_first(&stream->ended)); i++) {
        list_remove(node);
        list_append(part_out, node);
    }
    const bool more = !list_empty(&stream->ended);

    pthread_mutex_unlock(&stream->lock);
    return more;
}

void stream_collect(struct run_stream *stream)
{
    struct list ended;

    if (fetch_ended(stream, &ended))
        cq_add_post_poll_hook(call_cq(stream->call), &stream->send_hook);
    list_each(node, next, &ended) {
        struct stream_operation *operation =
            stream_operation_of(container_of(node, struct processor_operation, node));

        list_remove(&operation->link);
        heap_remove(&stream->timers, &operation->timer);
        stream->bytes += operation->base.result.size;
        operation->bytes += operation->base.result.size;
    }
    list_move_all(&ended, &stream->answers);
}

/* Whether the operation will never run; otherwise on_ended() has been called, or will be. */
static bool cancel(struct stream_operation *operation)
{
    batch_processor_lock(operation->processor);
    const bool cancelled = batch_processor_cancel(&operation->base);

    batch_processor_unlock(operation->processor);
    return cancelled;
}

void stream_operation_end(struct stream_operation *operation, enum fault_reason reason)
{
    struct run_stream *stream = operation->stream;

    if (!cancel(operation))
        return;
    list_remove(&operation->link);
    heap_remove(&stream->timers, &operation->timer);
    operation->base.reason = reason;
    list_append(&stream->answers, &operation->base.node);
    cq_add_post_poll_hook(call_cq(stream->call), &stream->send_hook);
}

static void set_timeout_timer(struct run_stream *stream)
{
    const struct heap_node *first = heap_first(&stream->timers);

    cq_timer_set(call_cq(stream->call), &stream->timeout_timer, first ? first->key : INT64_MAX);
}

void stream_operation_expire_at(struct stream_operation *operation, int64_t due_ns)
{
    struct run_stream *stream = operation->stream;

    CHECK(heap_set(&stream->timers, &operation->timer, due_ns) == ERR_OK); /* reserved */
    if (heap_first(&stream->timers) == &operation->timer)
        set_timeout_timer(stream);
}

void stream_on_timeout(struct cq_timer *timer, int64_t now_ns)
{
    struct run_stream *stream = container_of(timer, struct run_stream, timeout_timer);
    struct heap_node *first = NULL;

    for (unsigned i = 0; i < MAX_PART && (first = heap_first(&stream->timers)) && first->key <= now_ns; i++) {
        heap_remove(&stream->timers, first);
        stream_operation_end(container_of(first, struct stream_operation, timer), FAULT_DEADLINE);
    }
    set_timeout_timer(stream);
}

static void drop_answers(struct run_stream *stream)
{
    struct list *node = NULL;
    const bool was_idle = stream_is_idle(stream);

    for (unsigned i = 0; i < MAX_PART && (node = list_first(&stream->answers)); i++) {
        list_remove(node);
        stream_operation_free(stream_operation_of(container_of(node, struct processor_operation, node)));
    }
    if (!list_empty(&stream->answers))
        cq_add_post_poll_hook(call_cq(stream->call), &stream->send_hook);
    if (!was_idle && stream_is_idle(stream))
        call_unhold(stream->call);
}

void stream_take_back(struct run_stream *stream)
{
    struct list *node = NULL;

    for (unsigned i = 0; i < MAX_PART && (node = list_first(&stream->operations)); i++) {
        struct stream_operation *operation = container_of(node, struct stream_operation, link);

        list_remove(node);
        if (cancel(operation))
            list_append(&stream->answers, &operation->base.node);
    }
    if (node && !list_empty(&stream->operations))
        cq_add_post_poll_hook(call_cq(stream->call), &stream->send_hook);
    drop_answers(stream);
}
