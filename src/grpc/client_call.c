/* client_call.c - the state machine of a call as a client.
 *
 * DESIGN. Four operations may be in flight: the opening (the metadata, and the message of a call
 * that sends only one), one send, one read, and the status. gRPC core completes the status last,
 * but a completed read may still wait in our completion queue then. So the call is closed when no
 * operation is in flight. */
#include "grpc/client_call.h"

#include "base/fsm.h"

#include <grpc/byte_buffer.h>

static const struct fsm machine = {
    .name = "client_call",
    .states = {[CLIENT_CALL_CLOSED] = {"CLOSED", BIT(CLIENT_CALL_OPEN)},
               [CLIENT_CALL_OPEN] = {"OPEN", BIT(CLIENT_CALL_ENDING)},
               [CLIENT_CALL_ENDING] = {"ENDING", BIT(CLIENT_CALL_CLOSED)}},
};

static struct client_call *call_of(struct call_base *base)
{
    return container_of(base, struct client_call, base);
}

static void on_read(struct call_base *base, grpc_byte_buffer *message, bool ok)
{
    struct client_call *call = call_of(base);

    if (ok && message)
        call->port->received(call, &message);
    grpc_byte_buffer_destroy(message);
}

static void on_sent(struct call_base *base, bool ok)
{
    struct client_call *call = call_of(base);

    call->port->sent(call, ok);
}

static void on_unpinned(struct call_base *base)
{
    struct client_call *call = call_of(base);
    grpc_metadata_array headers = call->headers, trailers = call->trailers;
    const struct client_call_end end = {call->code, call->message, &headers, &trailers};
    grpc_call *core = call_base_fini(base);

    fsm_move(&machine, call, CLIENT_CALL_CLOSED);
    call->port->ended(call, &end); /* the call may be open again, or gone */
    grpc_slice_unref(end.message);
    grpc_metadata_array_destroy(&headers);
    grpc_metadata_array_destroy(&trailers);
    grpc_call_unref(core); /* last: it owns what headers and trailers consist of */
}

static void on_opened(struct op *op, bool ok)
{
    (void)ok; /* the status reports a failure */
    call_base_unpin(&container_of(op, struct client_call, opened)->base);
}

static void on_half_closed(struct op *op, bool ok)
{
    (void)ok;
    call_base_unpin(&container_of(op, struct client_call, half_closed)->base);
}

static void on_ended(struct op *op, bool ok)
{
    struct client_call *call = container_of(op, struct client_call, ended);

    (void)ok; /* a status always completes with success */
    fsm_move(&machine, call, CLIENT_CALL_ENDING);
    call_base_unpin(&call->base);
}

void client_call_init(struct client_call *call, struct cq_thread *thread, const struct client_call_port *port)
{
    *call = (struct client_call){.thread = thread,
                                 .port = port,
                                 .opened.done = on_opened,
                                 .half_closed.done = on_half_closed,
                                 .ended.done = on_ended};
}

static void start_opening(struct client_call *call, const struct client_call_opening *opening)
{
    grpc_byte_buffer *message = NULL;
    grpc_op ops[3] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA,
         .data.send_initial_metadata = {.count = opening->metadata_count, .metadata = opening->metadata}}};
    size_t count = 1;

    if (opening->wait_for_connection)
        ops[0].flags =
            GRPC_INITIAL_METADATA_WAIT_FOR_READY | GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET;
    if (opening->first) {
        grpc_slice first = *opening->first;

        message = grpc_raw_byte_buffer_create(&first, 1);
        ops[count++] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = message};
        ops[count++] = (grpc_op){.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    }
    call_base_start(&call->base, ops, count, &call->opened);
    grpc_byte_buffer_destroy(message);
}

void client_call_open(struct client_call *call, const struct client_call_opening *opening)
{
    static const struct call_base_port base_port = {
        .read = on_read, .sent = on_sent, .unpinned = on_unpinned};
    const gpr_timespec deadline = opening->deadline_ns == INT64_MAX
                                      ? gpr_inf_future(GPR_CLOCK_MONOTONIC)
                                      : gpr_time_from_nanos(opening->deadline_ns, GPR_CLOCK_MONOTONIC);
    const grpc_op headers = {.op = GRPC_OP_RECV_INITIAL_METADATA,
                             .data.recv_initial_metadata.recv_initial_metadata = &call->headers};
    const grpc_op status = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
                            .data.recv_status_on_client = {.trailing_metadata = &call->trailers,
                                                           .status = &call->code,
                                                           .status_details = &call->message}};
    grpc_slice method = grpc_slice_from_copied_string(opening->method);
    grpc_call *core = grpc_channel_create_call(opening->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
                                               cq_thread_queue(call->thread), method, NULL, deadline, NULL);

    CHECK(core);
    grpc_slice_unref(method);
    fsm_move(&machine, call, CLIENT_CALL_OPEN);
    call_base_init(&call->base, call->thread, &base_port, core);
    call->message = grpc_empty_slice();
    grpc_metadata_array_init(&call->headers);
    grpc_metadata_array_init(&call->trailers);
    start_opening(call, opening);
    call_base_read(&call->base, &headers);
    call_base_start(&call->base, &status, 1, &call->ended);
}

void client_call_read(struct client_call *call)
{
    if (call->state != CLIENT_CALL_CLOSED)
        call_base_read(&call->base, NULL);
}

void client_call_send(struct client_call *call, grpc_slice message)
{
    CHECK(call->state == CLIENT_CALL_OPEN);
    call_base_send(&call->base, &message, 1, NULL, 0);
}

void client_call_half_close(struct client_call *call)
{
    const grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};

    CHECK(call->state == CLIENT_CALL_OPEN && !call->base.sending);
    call_base_start(&call->base, &op, 1, &call->half_closed);
}

void client_call_cancel(struct client_call *call, grpc_status_code code, const char *message)
{
    if (call->state == CLIENT_CALL_OPEN)
        grpc_call_cancel_with_status(call->base.core, code, message, NULL);
}
