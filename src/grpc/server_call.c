/* server_call.c - the state machine of a call as a server.
 *
 * DESIGN. RECV_CLOSE_ON_SERVER is started first and completes last: it is the end of the call.
 *
 * RECV_MESSAGE may complete without a message. That is a half-close if the operation is ok and
 * grpc_call_failed_before_recv_message() is false. Else the peer is lost, and RECV_CLOSE_ON_SERVER
 * reports that at once; or the peer has closed its side with trailers, which no gRPC client does,
 * and nothing else is reported. So it counts as a half-close after CLOSED_WAIT_NS.
 *
 * The core writes a status behind the message in flight, whole. A cancel does not wait: it writes
 * its status into the middle of the message. Some peers report such a message as broken and lose
 * the status (grpc-go: INTERNAL, "unexpected EOF"). So a call is cancelled only when its peer had
 * the write timeout. */
#include "grpc/server_call.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fsm.h"
#include "grpc/slices.h"

#define CLOSED_WAIT_NS (2 * NS_PER_S)

static const struct fsm machine = {
    .name = "server_call",
    .states = {[SERVER_CALL_OPEN] = {"OPEN", BIT(SERVER_CALL_FINISHING) | BIT(SERVER_CALL_ABORTED) |
                                                 BIT(SERVER_CALL_ENDED)},
               [SERVER_CALL_FINISHING] = {"FINISHING", BIT(SERVER_CALL_ABORTED) | BIT(SERVER_CALL_ENDED)},
               [SERVER_CALL_ABORTED] = {"ABORTED", BIT(SERVER_CALL_ENDED)},
               [SERVER_CALL_ENDED] = {"ENDED", 0}},
};

static struct server_call *call_of(struct call_base *base)
{
    return container_of(base, struct server_call, base);
}

static void notify_lost(struct server_call *call)
{
    if (call->lost_notified)
        return;
    call->lost_notified = true;
    call->port->lost(call);
}

static void on_ended(struct op *op, bool ok)
{
    struct server_call *call = container_of(op, struct server_call, ended);
    enum server_call_state before = call->state;

    (void)ok; /* RECV_CLOSE_ON_SERVER always completes with ok */
    fsm_move(&machine, call, SERVER_CALL_ENDED);
    if (before == SERVER_CALL_OPEN || before == SERVER_CALL_ABORTED)
        notify_lost(call);
    call_base_unpin(&call->base);
}

static void on_read(struct call_base *base, grpc_byte_buffer *message, bool ok)
{
    struct server_call *call = call_of(base);

    if (call->state == SERVER_CALL_OPEN) {
        if (message)
            call->port->received(call, &message);
        else if (ok && !grpc_call_failed_before_recv_message(base->core))
            call->port->half_closed(call);
        else if (ok)
            cq_timer_set(base->thread, &call->limit, clock_from_now_ns(CLOSED_WAIT_NS));
    }
    grpc_byte_buffer_destroy(message);
}

/* What is being written began at `since_ns`. */
static void set_status_limit(struct server_call *call, int64_t since_ns)
{
    cq_timer_set(call->base.thread, &call->limit, clock_add_ns(since_ns, call->write_timeout_ns));
}

static void on_sent(struct call_base *base, bool ok)
{
    struct server_call *call = call_of(base);

    if (call->state == SERVER_CALL_FINISHING && ok) /* the status comes next */
        set_status_limit(call, clock_mono_ns());
    call->port->sent(call, ok);
}

static void on_unpinned(struct call_base *base)
{
    struct server_call *call = call_of(base);
    bool ok = call->answered_ok && !call->cancelled;

    CHECK(call->state == SERVER_CALL_ENDED);
    cq_timer_stop(base->thread, &call->limit);
    free(call->text);
    call->text = NULL;
    grpc_call_unref(call_base_fini(base));
    call->port->closed(call, ok);
}

static void on_status(struct op *op, bool ok)
{
    struct server_call *call = container_of(op, struct server_call, status);

    call->answered_ok = ok;
    cq_timer_stop(call->base.thread, &call->limit);
    call_base_unpin(&call->base);
}

static void abort_call(struct server_call *call, grpc_status_code code, const char *text)
{
    fsm_move(&machine, call, SERVER_CALL_ABORTED);
    if (code != GRPC_STATUS_OK)
        grpc_call_cancel_with_status(call->base.core, code, text, NULL);
    else /* an OK would reach the peer before messages that it has not read */
        grpc_call_cancel_with_status(call->base.core, GRPC_STATUS_CANCELLED, "the status was not read", NULL);
}

/* The owner has called server_call_finish(), so it does not hear of a loss. */
static void abort_finishing(struct server_call *call, grpc_status_code code, const char *text)
{
    call->lost_notified = true;
    abort_call(call, code, text);
}

/* While the call is open the timer runs only where its peer may have closed its side. */
static void on_limit(struct cq_timer *timer, int64_t now_ns)
{
    struct server_call *call = container_of(timer, struct server_call, limit);

    (void)now_ns;
    if (call->state == SERVER_CALL_FINISHING)
        abort_finishing(call, call->code, call->text ? call->text : "");
    else if (call->state == SERVER_CALL_OPEN)
        call->port->half_closed(call);
}

void server_call_open(struct server_call *call, struct cq_thread *thread, const struct server_call_port *port,
                      grpc_call *core, const struct server_call_params *params)
{
    static const struct call_base_port base_port = {
        .read = on_read, .sent = on_sent, .unpinned = on_unpinned};

    *call = (struct server_call){.port = port,
                                 .headers = params->headers,
                                 .headers_with_answer = params->headers_with_answer,
                                 .write_timeout_ns = params->write_timeout_ns,
                                 .ended.done = on_ended,
                                 .status.done = on_status,
                                 .limit.fired = on_limit};
    call_base_init(&call->base, thread, &base_port, core);
    call_base_start(&call->base,
                    &(grpc_op){.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                               .data.recv_close_on_server.cancelled = &call->cancelled},
                    1, &call->ended);
}

/* The operation that sends the headers, once; NULL: they are sent. */
static const grpc_op *headers(struct server_call *call)
{
    static const grpc_op none_of_ours = {.op = GRPC_OP_SEND_INITIAL_METADATA};

    if (call->headers_sent)
        return NULL;
    call->headers_sent = true;
    return call->headers ? call->headers : &none_of_ours;
}

void server_call_read(struct server_call *call)
{
    if (call->state == SERVER_CALL_OPEN)
        call_base_read(&call->base, call->headers_with_answer ? NULL : headers(call));
}

static bool send_slices(struct server_call *call, grpc_slice *slices, size_t count, uint32_t flags)
{
    if (call->state != SERVER_CALL_OPEN)
        return false;
    call->sent_at_ns = cq_now_ns(call->base.thread);
    call_base_send(&call->base, slices, count, headers(call), flags);
    return true;
}

bool server_call_send(struct server_call *call, grpc_slice *slices, size_t count)
{
    return send_slices(call, slices, count, 0);
}

bool server_call_send_before_more(struct server_call *call, grpc_slice *slices, size_t count)
{
    return send_slices(call, slices, count, GRPC_WRITE_BUFFER_HINT);
}

void server_call_finish(struct server_call *call, const struct server_status *status, grpc_slice *answer)
{
    if (call->state != SERVER_CALL_OPEN)
        return;
    grpc_byte_buffer *message = answer ? grpc_raw_byte_buffer_create(answer, 1) : NULL;
    grpc_slice text = slice_copy_of(status->text);
    grpc_slice details = slice_copy_of(status->details);
    grpc_metadata trailers[MAX_SERVER_TRAILERS + 1];
    size_t trailer_count = 0;
    const grpc_op *send_headers = headers(call);
    grpc_op ops[3];
    size_t count = 0;

    if (status->details.size > 0)
        trailers[trailer_count++] = (grpc_metadata){
            .key = grpc_slice_from_static_string("grpc-status-details-bin"), .value = details};
    CHECK(status->trailer_count <= MAX_SERVER_TRAILERS);
    for (size_t i = 0; i < status->trailer_count; i++)
        trailers[trailer_count++] = status->trailers[i];
    if (send_headers)
        ops[count++] = *send_headers;
    if (message)
        ops[count++] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = message};
    ops[count++] = (grpc_op){.op = GRPC_OP_SEND_STATUS_FROM_SERVER,
                             .data.send_status_from_server = {.status = status->code,
                                                              .status_details = &text,
                                                              .trailing_metadata_count = trailer_count,
                                                              .trailing_metadata = trailers}};
    call->code = status->code;
    call->text = status->text.size > 0 ? strndup((const char *)status->text.data, status->text.size) : NULL;
    fsm_move(&machine, call, SERVER_CALL_FINISHING);
    call_base_start(&call->base, ops, count, &call->status);
    set_status_limit(call, call->base.sending ? call->sent_at_ns : clock_mono_ns());
    grpc_slice_unref(details);
    grpc_slice_unref(text);
    grpc_byte_buffer_destroy(message);
}

void server_call_abort(struct server_call *call, grpc_status_code code, const char *text)
{
    if (call->state == SERVER_CALL_FINISHING)
        abort_finishing(call, code, text);
    else if (call->state == SERVER_CALL_OPEN)
        abort_call(call, code, text);
}

void server_call_hold(struct server_call *call)
{
    call_base_pin(&call->base);
}

void server_call_unhold(struct server_call *call)
{
    call_base_unpin(&call->base);
}
