/* batch_stream_request.c - what the messages of a RunStream call ask for. */
#include "base/clock.h"
#include "proto/field_numbers.h"
#include "server/rpc/batch_stream.h"
#include "server/rpc/rpc_internal.h"

/* Of `more`, in one turn of the thread: about a millisecond. */
#define MAX_PART 256u

/* The answer to a request that was refused. */
static enum fault_reason refuse(struct run_stream *stream, struct stream_operation *operation,
                                struct fault *fault)
{
    char text[600];
    const struct batch_error_text error = {
        .code = fault_code(fault->reason),
        .message = {(const uint8_t *)text, fault_message(fault, text, sizeof(text))},
        .reason = text_bytes(fault_reason_name(fault->reason))};

    operation->base.error = batch_error_new(&error);
    operation->base.reason = fault->reason;
    list_append(&stream->answers, &operation->base.node);
    cq_add_post_poll_hook(call_cq(stream->call), &stream->send_hook);
    return FAULT_NONE;
}

/* Finds the processor, unless the operation before had the same. */
static enum fault_reason find(struct run_stream *stream, struct bytes name, struct fault *fault)
{
    if (stream->processor && bytes_same(batch_processor_name(stream->processor), name))
        return FAULT_NONE;
    batch_processor_release(stream->processor);
    stream->processor = NULL;
    return batch_processors_find(stream->rpc->batches, name, &stream->processor, fault);
}

static enum fault_reason run_once(struct run_stream *stream, const struct run_request *run,
                                  struct stream_operation *operation, struct fault *fault)
{
    if (find(stream, run->processor, fault))
        return fault->reason;
    operation->processor = stream->processor;
    batch_processor_retain(operation->processor);
    batch_processor_lock(stream->processor);
    enum fault_reason reason = batch_processor_run(stream->processor, run->key, &operation->base, fault);

    batch_processor_unlock(stream->processor);
    return reason;
}

static enum fault_reason run(struct run_stream *stream, const struct run_request *request,
                             struct stream_operation *operation, struct fault *fault)
{
    enum fault_reason reason = FAULT_NONE;

    if (peer_charge_add(&stream->rpc->batch_memory, loop_settings(stream->rpc->loop), &operation->charge,
                        call_peer_key(stream->call), operation->bytes, fault))
        return fault->reason;
    list_append(&stream->operations, &operation->link);
    reason = run_once(stream, request, operation, fault);
    if (reason == FAULT_NO_WORKER && stream->processor) { /* perhaps it has another of this name */
        batch_processor_release(operation->processor);
        operation->processor = NULL;
        batch_processor_release(stream->processor);
        stream->processor = NULL;
        reason = run_once(stream, request, operation, fault);
    }
    if (reason)
        list_remove(&operation->link);
    return reason;
}

/* A fault ends the call. */
static enum fault_reason begin(struct run_stream *stream, const struct stream_request *request,
                               struct fault *fault)
{
    struct run_request run_request = {.processor = {NULL, 0}};
    struct fault refusal = {.reason = FAULT_NONE};
    struct stream_operation *operation = NULL;

    if (run_request_read(request->run, &run_request, &refusal))
        fault_within(&refusal, "run.");
    if (stream_operation_add(stream, request, &run_request, &operation, fault))
        return fault->reason;
    if (refusal.reason || run(stream, &run_request, operation, &refusal))
        return refuse(stream, operation, &refusal);
    if (request->timeout_ns > 0)
        stream_operation_expire_at(operation,
                                   clock_add_ns(cq_now_ns(call_cq(stream->call)), request->timeout_ns));
    return FAULT_NONE;
}

static void cancel_request(struct run_stream *stream, uint64_t request)
{
    struct map_node *node =
        map_find(&stream->requests, (struct bytes){(const uint8_t *)&request, sizeof(request)});
    struct stream_operation *operation = node ? container_of(node, struct stream_operation, node) : NULL;

    if (operation && !list_empty(&operation->link))
        stream_operation_end(operation, FAULT_OPERATION_CANCELLED);
}

static enum fault_reason handle_one(struct run_stream *stream, const struct stream_request *request,
                                    struct fault *fault)
{
    stream->packed = stream->packed || request->packed;
    if (request->cancel)
        cancel_request(stream, request->request);
    return request->has_run ? begin(stream, request, fault) : FAULT_NONE;
}

/* The next part of what is in `more`. *done_out: it was the last one. */
static enum fault_reason handle_more(struct run_stream *stream, bool *done_out, struct fault *fault)
{
    struct stream_request request;
    struct bytes more;

    for (unsigned i = 0; i < MAX_PART; i++) {
        if (!more_next(message_bytes(&stream->message), PB_RUN_STREAM_REQUEST_MORE, &stream->more_at, &more))
            return FAULT_NONE;
        if (stream_request_read(more, true, &request, fault) || handle_one(stream, &request, fault)) {
            fault_within(fault, "more.");
            return fault->reason;
        }
    }
    *done_out = false;
    cq_add_post_poll_hook(call_cq(stream->call), &stream->send_hook);
    return FAULT_NONE;
}

enum fault_reason stream_handle(struct run_stream *stream, struct fault *fault)
{
    struct stream_request request = {.has_more = true};
    enum fault_reason reason = FAULT_NONE;
    bool done = true;

    if (!stream->more_at && (stream_request_read(message_bytes(&stream->message), false, &request, fault) ||
                             handle_one(stream, &request, fault)))
        reason = fault->reason;
    if (!reason && request.has_more)
        reason = handle_more(stream, &done, fault);
    if (done || reason) {
        message_fini(&stream->message);
        stream->more_at = NULL;
    }
    return reason;
}
