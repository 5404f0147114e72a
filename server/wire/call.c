/* call.c - what the server adds to a call of gRPC core (grpc/server_call.h): the method's port, the
 * peer, faults as statuses, and how much its connection accepts. */
#include "server/wire/call.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "grpc/message_flag.h"
#include "grpc/server_call.h"
#include "grpc/slices.h"
#include "h2socket/h2socket.h"
#include "server/wire/connection_end.h"
#include "server/wire/message.h"
#include "server/wire/request_headers.h"
#include "server/wire/response_headers.h"
#include "server/wire/socket_writable.h"
#include "server/wire/via.h"
#include "server/wire/waiting_message.h"

#include <grpc/support/alloc.h>

/* How much earlier than its deadline a call may end for it: at least and at most. */
#define LEAST_DEADLINE_ERROR_NS (20 * NS_PER_MS)
#define MAX_DEADLINE_ERROR_NS NS_PER_S

struct call {
    struct server_call base;
    struct wire_thread *thread;
    const struct call_port *port;
    void *own;
    const struct core_call *request; /* while it is opened */
    struct list live;                /* the link in the acceptor's list of live calls */
    int64_t opened_ns, deadline_ns;
    enum fault_reason end_reason; /* see call_end_reason() */
    int fd;                       /* of the TCP connection, which the core owns; -1: not known, or no TCP */
    char peer[96];
    struct peer_key peer_key;
    struct h2socket_end *connection_end; /* of its connection; NULL: not known */
    struct header_charge headers;
    struct waiting_message deflated; /* a compressed message for which its thread had no time */
    struct shared_bytes *via;        /* see call_via() */
};

void (*call_fault_details)(const struct fault *fault, struct buf *details);

static struct call *call_of(struct server_call *base)
{
    return container_of(base, struct call, base);
}

/* `refusal`: why the message is not even looked at; FAULT_NONE: it is. */
static void hand_over(struct call *call, grpc_byte_buffer *buffer, bool is_flagged, enum fault_reason refusal)
{
    struct message message = message_receive(
        buffer, &(struct message_origin){.max_bytes = wire_thread_settings(call->thread)->max_message_bytes,
                                         .is_flagged = is_flagged,
                                         .refusal = refusal});

    if (call->port->message)
        call->port->message(call, &message);
    message_fini(&message);
}

static struct waiting_owner owner_of(const struct call *call)
{
    return (struct waiting_owner){.all = wire_thread_settings(call->thread)->waiting,
                                  .queue = wire_heavy_queue(call->thread),
                                  .peer = call->peer_key,
                                  .connection = call->connection_end};
}

static void inflate_and_hand_over(struct heavy_work *work)
{
    struct call *call = container_of(work, struct call, deflated.work);
    struct waiting_owner owner = owner_of(call);
    grpc_byte_buffer *buffer = waiting_message_take(&call->deflated, &owner);

    if (!call_alive(call)) {
        grpc_byte_buffer_destroy(buffer);
        return;
    }
    call_hold(call);
    hand_over(call, buffer, true, FAULT_NONE);
    call_unhold(call);
}

static void on_received(struct server_call *base, grpc_byte_buffer **received)
{
    struct call *call = call_of(base);
    struct waiting_owner owner = owner_of(call);
    grpc_byte_buffer *buffer = *received;

    *received = NULL;
    if (!message_is_deflated(buffer)) {
        hand_over(call, buffer, message_is_flagged(base->base.core), FAULT_NONE);
    } else if (wire_has_time(call->thread)) {
        call->deflated.buffer = buffer;
        wire_run_heavy(call->thread, &call->deflated.work);
    } else if (waiting_message_add(&call->deflated, buffer, &owner)) {
        hand_over(call, buffer, true, FAULT_MEMORY_BUDGET);
    }
}

static void on_half_closed(struct server_call *base)
{
    struct call *call = call_of(base);

    if (call->port->half_closed)
        call->port->half_closed(call);
}

static void on_sent(struct server_call *base, bool ok)
{
    struct call *call = call_of(base);

    if (call->port->sent)
        call->port->sent(call, ok);
}

/* The peer may end the call by its own clock, which is ahead of ours: gRPC rounds a timeout up, by
 * at most a hundredth. */
static bool is_near_deadline(const struct call *call)
{
    if (call->deadline_ns == INT64_MAX)
        return false;
    const int64_t timeout_ns = call->deadline_ns - call->opened_ns;
    int64_t near_ns = MAX_OF(timeout_ns / 100, MIN_OF(timeout_ns / 2, LEAST_DEADLINE_ERROR_NS));
    return clock_mono_ns() >= call->deadline_ns - MIN_OF(near_ns, MAX_DEADLINE_ERROR_NS);
}

static void on_lost(struct server_call *base)
{
    struct call *call = call_of(base);

    if (call->end_reason == FAULT_NONE)
        call->end_reason = connection_end_fault(call->connection_end);
    if (call->end_reason == FAULT_NONE)
        call->end_reason = is_near_deadline(call) ? FAULT_DEADLINE : FAULT_CANCELLED;
    if (call->port->lost)
        call->port->lost(call);
}

static void on_closed(struct server_call *base, bool ok)
{
    struct call *call = call_of(base);
    struct waiting_owner owner = owner_of(call);

    if (call->port->closed)
        call->port->closed(call, ok);
    list_remove(&call->live);
    grpc_byte_buffer_destroy(waiting_message_take(&call->deflated, &owner));
    header_charge_end(&call->headers, call->connection_end);
    h2socket_end_release(call->connection_end);
    shared_bytes_release(call->via);
    count_add(COUNT_LIVE_CALLS, -1);
    free(call);
}

/* INT64_MAX: no deadline, or one beyond the range of clock_mono_ns(). */
static int64_t as_mono_ns(gpr_timespec at)
{
    gpr_timespec mono = gpr_convert_clock_type(at, GPR_CLOCK_MONOTONIC);

    if (mono.tv_sec >= INT64_MAX / NS_PER_S)
        return INT64_MAX;
    return mono.tv_sec * NS_PER_S + mono.tv_nsec;
}

/* The core names the peer of an adopted connection "fd:N"; the table of sockets knows the peer at
 * that descriptor. */
static void name_peer(struct call *call, grpc_call *core)
{
    char *core_peer = grpc_call_get_peer(core);

    call->fd = -1;
    call->peer_key.kind = PEER_UNKNOWN;
    if (core_peer && sscanf(core_peer, "fd:%d", &call->fd) == 1)
        call->peer_key = h2socket_peer(call->fd, call->peer, sizeof(call->peer));
    else
        snprintf(call->peer, sizeof(call->peer), "%s", core_peer ? core_peer : "");
    call->connection_end = h2socket_end_retain(call->fd);
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

static bool has_too_much_metadata(const struct call *call, const struct core_call *from, struct fault *fault)
{
    uint64_t bytes = request_headers_bytes(from->details, from->metadata);
    uint64_t max_bytes = wire_thread_settings(call->thread)->max_header_bytes;
    char bound[64];

    if (bytes <= max_bytes)
        return false;
    snprintf(bound, sizeof(bound), "at most %" PRIu64 " bytes", max_bytes);
    fault_number(fault, FAULT_METADATA_TOO_LARGE, "metadata", bytes, bound);
    return true;
}

static void refuse(struct call *call, const struct fault *fault)
{
    call_finish(call, fault);
    call->port = &unserved;
}

void call_open(struct wire_thread *thread, struct list *live, const struct methods *methods,
               const struct core_call *from, bool draining)
{
    static const struct server_call_port port = {.received = on_received,
                                                 .half_closed = on_half_closed,
                                                 .sent = on_sent,
                                                 .lost = on_lost,
                                                 .closed = on_closed};
    struct call *call = calloc(1, sizeof(*call));
    struct fault fault;

    if (!call) {
        grpc_call_unref(from->core);
        return;
    }
    call->thread = thread;
    call->request = from;
    name_peer(call, from->core);
    header_charge_begin(&call->headers, call->fd, call->connection_end, from->metadata);
    const struct method *method = h2socket_mark(call->fd) == MARK_ANY_METHOD ? methods->any : methods->method;
    if (strncmp(call->peer, "unix:", 5) == 0)
        call->fd = -1;
    call->port = method ? method->port : &unserved;
    call->opened_ns = clock_mono_ns();
    call->deadline_ns = as_mono_ns(from->details->deadline);
    count_add(COUNT_LIVE_CALLS, 1);
    count_add(COUNT_CALLS, 1);
    list_append(live, &call->live);
    waiting_message_init(&call->deflated, inflate_and_hand_over);
    server_call_open(
        &call->base, wire_cq(thread), &port, from->core,
        &(struct server_call_params){.headers = response_headers(),
                                     .headers_with_answer = call->port->unary,
                                     .write_timeout_ns = wire_thread_settings(thread)->write_timeout_ns});
    call_hold(call);
    if (has_too_much_metadata(call, from, &fault) ||
        (call->port->leads_to_calls && via_read(from->metadata, &call->via, &fault)))
        refuse(call, &fault);
    else if (!method)
        refuse_unserved(call, from->details->method);
    else if (method->port->opened)
        method->port->opened(call, method->ctx);
    if (draining && call->port->draining && call_alive(call))
        call->port->draining(call);
    call->request = NULL;
    call_unhold(call);
}

void call_notify_all_draining(struct list *live)
{
    list_each(node, safe, live) {
        struct call *call = container_of(node, struct call, live);
        if (call_alive(call) && call->port->draining)
            call->port->draining(call);
    }
}

void call_abort_all_draining(struct list *live)
{
    struct fault fault;

    fault_set(&fault, FAULT_DRAINING, "", "");
    list_each(node, safe, live) {
        struct call *call = container_of(node, struct call, live);
        if (call_alive(call))
            call_abort(call, &fault);
    }
}

struct bytes call_path(const struct call *call)
{
    return slice_bytes(&call->request->details->method);
}

bool call_metadata(const struct call *call, size_t index, struct pair *pair_out)
{
    const grpc_metadata_array *metadata = call->request->metadata;

    if (index >= metadata->count)
        return false;
    *pair_out = (struct pair){slice_bytes(&metadata->metadata[index].key),
                              slice_bytes(&metadata->metadata[index].value)};
    return true;
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

struct cq_thread *call_cq(const struct call *call)
{
    return call->base.base.thread;
}

struct shared_bytes *call_via(const struct call *call)
{
    return call->via;
}

const char *call_peer(const struct call *call)
{
    return call->peer;
}

struct peer_key call_peer_key(const struct call *call)
{
    return call->peer_key;
}

int64_t call_deadline_ns(const struct call *call)
{
    return call->deadline_ns;
}

bool call_alive(const struct call *call)
{
    return server_call_alive(&call->base);
}

enum fault_reason call_end_reason(const struct call *call)
{
    return call->end_reason;
}

void call_hold(struct call *call)
{
    server_call_hold(&call->base);
}

void call_unhold(struct call *call)
{
    server_call_unhold(&call->base);
}

void call_read(struct call *call)
{
    server_call_read(&call->base);
}

bool call_send_slices(struct call *call, grpc_slice *slices, size_t slice_count)
{
    return server_call_send(&call->base, slices, slice_count);
}

bool call_send_before_more(struct call *call, grpc_slice slice)
{
    return server_call_send_before_more(&call->base, &slice, 1);
}

bool call_send(struct call *call, struct buf *bytes)
{
    grpc_slice slice = slice_of_buf(bytes);
    bool sent = call_send_slices(call, &slice, 1);

    grpc_slice_unref(slice);
    return sent;
}

size_t call_writable(const struct call *call, size_t *unread_out)
{
    return socket_writable(call->fd, unread_out);
}

void call_finish(struct call *call, const struct fault *fault)
{
    call_finish_as(call, &(struct call_status){.fault = fault});
}

void call_finish_as(struct call *call, const struct call_status *from)
{
    OWNED(buf_fini) struct buf details = {0};
    const struct fault *fault = from->fault;
    char text[600];
    grpc_metadata trailers[MAX_CALL_TRAILERS + 1];
    struct server_status status = {.code = (grpc_status_code)from->code,
                                   .text = from->text,
                                   .details = from->details,
                                   .trailers = trailers,
                                   .trailer_count = from->trailer_count};

    CHECK(from->trailer_count <= MAX_CALL_TRAILERS);
    if (!call_alive(call))
        return;
    for (size_t i = 0; i < from->trailer_count; i++)
        trailers[i] = (grpc_metadata){.key = slice_copy_of(from->trailers[i].name),
                                      .value = slice_copy_of(from->trailers[i].value)};
    if (fault && fault->reason) {
        call->end_reason = fault->reason;
        status.code = (grpc_status_code)fault_code(fault->reason);
        status.text = (struct bytes){(const uint8_t *)text, fault_message(fault, text, sizeof(text))};
        if (call_fault_details)
            call_fault_details(fault, &details);
        status.details = (struct bytes){details.data, details.size};
        if (fault->reason == FAULT_UNKNOWN_ENCODING)
            trailers[status.trailer_count++] = response_headers_encodings()[0];
    }
    server_call_finish(&call->base, &status, NULL);
    for (size_t i = 0; i < from->trailer_count; i++) {
        grpc_slice_unref(trailers[i].key);
        grpc_slice_unref(trailers[i].value);
    }
}

void call_answer(struct call *call, struct buf *bytes)
{
    grpc_slice slice = slice_of_buf(bytes);

    server_call_finish(&call->base, &(struct server_status){.code = GRPC_STATUS_OK}, &slice);
    grpc_slice_unref(slice);
}

void call_abort(struct call *call, const struct fault *fault)
{
    char text[600];

    fault_message(fault, text, sizeof(text));
    if (call_alive(call))
        call->end_reason = fault->reason;
    server_call_abort(&call->base, (grpc_status_code)fault_code(fault->reason), text);
}
