/* call.c - the call's state machine: every operation of every server call starts and completes
 * here.
 *
 * DESIGN. A call lives until its last tag has arrived and its last hold is dropped; `pins` counts
 * both. RECV_CLOSE_ON_SERVER is started first and completes last: it is the end of the call.
 *
 * RECV_MESSAGE may complete without a buffer. That is a half-close only if the operation is ok and
 * grpc_call_failed_before_recv_message() is false. In every other case the peer is lost, and
 * RECV_CLOSE_ON_SERVER reports that. */
#include "server/wire/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/fsm.h"
#include "grpc/op.h"
#include "server/wire/message.h"

#include <grpc/support/alloc.h>

/* How long the write of a status may take. After that the call is cancelled, and the peer gets no
 * details. */
#define MAX_STATUS_NS NS_PER_S

/*   OPEN --finish--> FINISHING --abort, status limit--> ABORTED
 *    | `-----------------abort----------------------------^ |
 *    `----------------------------closed------------------------> ENDED */
enum call_state { OPEN, FINISHING, ABORTED, ENDED };

static const struct fsm machine = {
    .name = "call",
    .states = {[OPEN] = {"OPEN", BIT(FINISHING) | BIT(ABORTED) | BIT(ENDED)},
               [FINISHING] = {"FINISHING", BIT(ABORTED) | BIT(ENDED)},
               [ABORTED] = {"ABORTED", BIT(ENDED)},
               [ENDED] = {"ENDED", 0}},
};

struct call {
    struct wire_thread *thread;
    const struct call_port *port;
    void *own;
    grpc_call *core;
    struct list live; /* the link in the acceptor's list of live calls */
    enum call_state state;
    unsigned pins; /* tags in flight, and holds */
    bool headers_sent, reading, sending, answered_ok, lost_notified;
    int cancelled;
    grpc_byte_buffer *received;
    struct op closed, read, sent, status;
    struct wire_timer status_limit;
    /* What the status says; set by finish(). */
    enum fault_reason reason;
    char *status_text; /* NULL: the reason's own text */
    int64_t deadline_ns;
    int fd; /* of the TCP connection, which the core owns; -1: not known, or no TCP */
    char peer[96];
};

void (*call_fault_details)(const struct fault *fault, struct buf *details);

/* Starts operations of the core under one tag. If the core refused them, no tag would arrive. */
static void start(struct call *call, const grpc_op *ops, size_t count, struct op *op)
{
    grpc_call_error error = grpc_call_start_batch(call->core, ops, count, op, NULL);

    CHECK(error == GRPC_CALL_OK);
    call->pins++;
}

static void unpin(struct call *call)
{
    if (--call->pins > 0)
        return;
    CHECK(call->state == ENDED);
    if (call->port->closed)
        call->port->closed(call, call->answered_ok && !call->cancelled);
    wire_timer_set(call->thread, &call->status_limit, INT64_MAX);
    list_remove(&call->live);
    grpc_call_unref(call->core);
    count_add(COUNT_LIVE_CALLS, -1);
    free(call->status_text);
    free(call);
}

static void notify_lost(struct call *call)
{
    if (call->lost_notified)
        return;
    call->lost_notified = true;
    if (call->port->lost)
        call->port->lost(call);
}

static void on_closed(struct op *op, bool ok)
{
    struct call *call = container_of(op, struct call, closed);
    enum call_state before = call->state;

    (void)ok; /* RECV_CLOSE_ON_SERVER always completes with ok */
    fsm_move(&machine, call, ENDED);
    if (before == OPEN || before == ABORTED)
        notify_lost(call);
    unpin(call);
}

static void on_read(struct op *op, bool ok)
{
    struct call *call = container_of(op, struct call, read);
    grpc_byte_buffer *received = call->received;

    call->reading = false;
    call->received = NULL;
    if (received) {
        struct message message = {.buffer = received};
        if (call->state == OPEN && call->port->message)
            call->port->message(call, &message);
        message_fini(&message);
    } else if (ok && call->state == OPEN && !grpc_call_failed_before_recv_message(call->core)) {
        if (call->port->half_closed)
            call->port->half_closed(call);
    }
    unpin(call);
}

static void on_sent(struct op *op, bool ok)
{
    struct call *call = container_of(op, struct call, sent);

    call->sending = false;
    if (call->port->sent)
        call->port->sent(call, ok);
    unpin(call);
}

static void on_status(struct op *op, bool ok)
{
    struct call *call = container_of(op, struct call, status);

    call->answered_ok = ok;
    wire_timer_set(call->thread, &call->status_limit, INT64_MAX);
    unpin(call);
}

static void abort_call(struct call *call, enum fault_reason reason, const char *text)
{
    fsm_move(&machine, call, ABORTED);
    if (reason)
        grpc_call_cancel_with_status(call->core, (grpc_status_code)fault_code(reason), text, NULL);
    else /* an OK would reach the peer before messages that it has not read */
        grpc_call_cancel_with_status(call->core, GRPC_STATUS_CANCELLED, "the status was not read", NULL);
}

/* The owner has called call_finish(), so it does not hear of a loss. */
static void abort_finishing(struct call *call, enum fault_reason reason, const char *text)
{
    call->lost_notified = true;
    abort_call(call, reason, text);
}

static void on_status_limit(struct wire_timer *timer, int64_t now_ns)
{
    struct call *call = container_of(timer, struct call, status_limit);

    (void)now_ns;
    if (call->state == FINISHING)
        abort_finishing(call, call->reason, call->status_text ? call->status_text : fault_text(call->reason));
}

/* INT64_MAX: no deadline, or one beyond the range of clock_mono_ns(). */
static int64_t as_mono_ns(gpr_timespec at)
{
    gpr_timespec mono = gpr_convert_clock_type(at, GPR_CLOCK_MONOTONIC);

    if (mono.tv_sec >= INT64_MAX / NS_PER_S)
        return INT64_MAX;
    return mono.tv_sec * NS_PER_S + mono.tv_nsec;
}

/* The core names the peer of an adopted connection "fd:N"; the connection table knows the peer at
 * that descriptor. */
static void name_peer(struct call *call)
{
    char *core_peer = grpc_call_get_peer(call->core);

    call->fd = -1;
    if (core_peer && sscanf(core_peer, "fd:%d", &call->fd) == 1)
        wire_thread_peer(call->thread, call->fd, call->peer, sizeof(call->peer));
    else
        snprintf(call->peer, sizeof(call->peer), "%s", core_peer ? core_peer : "");
    if (strncmp(call->peer, "unix:", 5) == 0)
        call->fd = -1;
    gpr_free(core_peer);
}

static void refuse_unserved(struct call *call, grpc_slice path)
{
    struct fault fault;

    fault_bytes(&fault, FAULT_METHOD_NOT_SERVED, "method",
                (struct bytes){GRPC_SLICE_START_PTR(path), GRPC_SLICE_LENGTH(path)}, "");
    call_finish(call, &fault);
}

static const struct call_port unserved = {.unary = true};

void call_open(struct wire_thread *thread, struct list *live, const struct method *method, grpc_call *core,
               const grpc_call_details *details, bool draining)
{
    struct call *call = calloc(1, sizeof(*call));

    if (!call) {
        grpc_call_unref(core);
        return;
    }
    *call = (struct call){.thread = thread,
                          .port = method ? method->port : &unserved,
                          .core = core,
                          .closed.done = on_closed,
                          .read.done = on_read,
                          .sent.done = on_sent,
                          .status.done = on_status,
                          .status_limit.fired = on_status_limit,
                          .deadline_ns = as_mono_ns(details->deadline)};
    count_add(COUNT_LIVE_CALLS, 1);
    count_add(COUNT_CALLS, 1);
    list_append(live, &call->live);
    name_peer(call);
    start(call,
          &(grpc_op){.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                     .data.recv_close_on_server.cancelled = &call->cancelled},
          1, &call->closed);
    call_hold(call);
    if (!method)
        refuse_unserved(call, details->method);
    else if (method->port->opened)
        method->port->opened(call, method->ctx);
    if (draining && call->port->draining && call->state == OPEN)
        call->port->draining(call);
    call_unhold(call);
}

void call_notify_all_draining(struct list *live)
{
    list_each(node, safe, live) {
        struct call *call = container_of(node, struct call, live);
        if (call->state == OPEN && call->port->draining)
            call->port->draining(call);
    }
}

void call_own(struct call *call, void *own)
{
    call->own = own;
}

void *call_owned(const struct call *call)
{
    return call->own;
}

struct wire_thread *call_thread(const struct call *call)
{
    return call->thread;
}

const char *call_peer(const struct call *call)
{
    return call->peer;
}

int64_t call_deadline_ns(const struct call *call)
{
    return call->deadline_ns;
}

bool call_alive(const struct call *call)
{
    return call->state == OPEN;
}

void call_hold(struct call *call)
{
    call->pins++;
}

void call_unhold(struct call *call)
{
    unpin(call);
}

void call_read(struct call *call)
{
    grpc_op ops[2] = {{.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &call->received}};
    size_t count = 1;

    if (call->state != OPEN)
        return;
    CHECK(!call->reading);
    call->reading = true;
    if (!call->headers_sent && !call->port->unary) {
        ops[count++] = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
        call->headers_sent = true;
    }
    start(call, ops, count, &call->read);
}

bool call_send_slices(struct call *call, grpc_slice *slices, size_t slice_count)
{
    grpc_op ops[2];
    size_t count = 0;

    if (call->state != OPEN)
        return false;
    CHECK(!call->sending);
    call->sending = true;
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(slices, slice_count);
    if (!call->headers_sent)
        ops[count++] = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
    call->headers_sent = true;
    ops[count++] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = buffer};
    start(call, ops, count, &call->sent);
    grpc_byte_buffer_destroy(buffer);
    return true;
}

bool call_send(struct call *call, struct buf *bytes)
{
    grpc_slice slice = wire_slice_of(bytes);
    bool sent = call_send_slices(call, &slice, 1);

    grpc_slice_unref(slice);
    return sent;
}

/* Unix sockets are not asked: their buffer is small, and the peer empties it many times within the
 * millisecond after which the sender would ask again.
 *
 * The connection may be closed, and its descriptor given to another connection, before the call is
 * notified. The result is meaningless then, and harmless. */
size_t call_writable(const struct call *call, size_t *unread_out)
{
    int unread = 0, buffer = 0;
    socklen_t size = sizeof(buffer);

    *unread_out = 0;
    if (call->fd < 0 || ioctl(call->fd, SIOCOUTQ, &unread) != 0 ||
        getsockopt(call->fd, SOL_SOCKET, SO_SNDBUF, &buffer, &size) != 0)
        return SIZE_MAX;
    int writable = buffer - buffer / 8 - unread; /* the kernel counts its overhead, too */
    *unread_out = (size_t)unread;
    return writable < buffer / 4 ? 0 : (size_t)writable;
}

/* Sends the answer, if there is one, and then the status. */
static void finish(struct call *call, const struct fault *fault, grpc_byte_buffer *answer)
{
    OWNED(buf_fini) struct buf details = {0};
    char text[600];
    grpc_op ops[3];
    size_t count = 0;
    grpc_metadata trailer = {.key = grpc_slice_from_static_string("grpc-status-details-bin")};
    size_t length = fault->reason ? fault_message(fault, text, sizeof(text)) : 0;
    grpc_slice message = grpc_slice_from_copied_buffer(text, length);

    if (fault->reason && call_fault_details)
        call_fault_details(fault, &details);
    trailer.value = grpc_slice_from_copied_buffer((const char *)details.data, details.size);
    if (!call->headers_sent)
        ops[count++] = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
    call->headers_sent = true;
    if (answer)
        ops[count++] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = answer};
    ops[count++] =
        (grpc_op){.op = GRPC_OP_SEND_STATUS_FROM_SERVER,
                  .data.send_status_from_server = {.status = (grpc_status_code)fault_code(fault->reason),
                                                   .status_details = &message,
                                                   .trailing_metadata_count = details.size > 0 ? 1 : 0,
                                                   .trailing_metadata = &trailer}};
    call->reason = fault->reason;
    call->status_text = length > 0 ? strdup(text) : NULL;
    fsm_move(&machine, call, FINISHING);
    start(call, ops, count, &call->status);
    wire_timer_set(call->thread, &call->status_limit, clock_mono_ns() + MAX_STATUS_NS);
    grpc_slice_unref(trailer.value);
    grpc_slice_unref(message);
}

void call_finish(struct call *call, const struct fault *fault)
{
    static const struct fault none;

    if (call->state == OPEN)
        finish(call, fault ? fault : &none, NULL);
}

void call_answer(struct call *call, struct buf *bytes)
{
    static const struct fault none;
    grpc_slice slice = wire_slice_of(bytes);

    if (call->state == OPEN) {
        grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
        finish(call, &none, buffer);
        grpc_byte_buffer_destroy(buffer);
    }
    grpc_slice_unref(slice);
}

void call_abort(struct call *call, const struct fault *fault)
{
    char text[600];

    if (call->state != OPEN && call->state != FINISHING)
        return;
    fault_message(fault, text, sizeof(text));
    if (call->state == FINISHING)
        abort_finishing(call, fault->reason, text);
    else
        abort_call(call, fault->reason, text);
}
