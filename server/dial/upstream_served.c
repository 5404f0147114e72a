/* upstream_served.c - an upstream call that answers a call of a client by the method that the
 * client has called (docs/fan-in.md). The bytes of its messages go through as they are: the event
 * of a message is these bytes, and nothing else.
 *
 * DESIGN. Nothing may be lost on the way, because the method's protocol cannot say so. While the
 * consumer's channel is full, this call is not read. One message may have come already then: it is
 * held until the pause is over. */
#include "server/dial/upstream_served.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "grpc/slice_memory.h"
#include "grpc/slices.h"
#include "loop/loop.h"
#include "server/dial/metadata_names.h"
#include "server/dial/upstream_internal.h"
#include "server/dial/upstream_offer.h"
#include "server/dial/upstream_refuse.h"

/* A message that is smaller is copied, so that it does not keep alive a read buffer of the core. */
#define KEEP_FROM_BYTES (64u * 1024u)
/* A message of the client that is smaller is copied for each upstream. */
#define SHARE_FROM_BYTES 4096u

static void wake(struct served_link *link)
{
    upstream_post_flags(container_of(link, struct upstream, served));
}

void upstream_served_init(struct upstream *upstream, struct called *called)
{
    list_init(&upstream->served.link);
    upstream->served.wake = wake;
    served_link_join(&upstream->served, served_call_of(called));
}

static const struct called *called_of(const struct upstream *upstream)
{
    return served_call_called(upstream->served.call);
}

/* ---- what is sent ---- */

void upstream_served_open(const struct upstream *upstream, struct client_call_opening *opening)
{
    opening->method = (const char *)called_of(upstream)->method.data;
    opening->deadline_ns = upstream->deadline_ns;
}

static void release(void *shared)
{
    shared_bytes_release(shared);
}

/* All upstreams send the same memory. */
static grpc_slice slice_of_shared(struct shared_bytes *shared)
{
    const struct bytes bytes = shared_bytes_view(shared);

    if (bytes.size < SHARE_FROM_BYTES)
        return slice_copy_of(bytes);
    return grpc_slice_new_with_user_data((void *)(uintptr_t)bytes.data, bytes.size, release,
                                         shared_bytes_retain(shared));
}

void upstream_served_send_next(struct upstream *upstream)
{
    struct shared_bytes *later = NULL;

    if (upstream->call.base.sending || upstream->call.state != CLIENT_CALL_OPEN || upstream->half_closed)
        return;
    if (upstream->next_request > 0 && !(later = served_link_next(&upstream->served))) {
        if (served_link_is_done(&upstream->served)) {
            upstream->half_closed = true;
            client_call_half_close(&upstream->call);
        }
        return;
    }
    grpc_slice message = slice_of_shared(later ? later : upstream->request);
    shared_bytes_release(later);
    upstream->next_request++;
    upstream->sends_since_ns = cq_now_ns(cq_of(upstream));
    client_call_send(&upstream->call, message);
    grpc_slice_unref(message);
    if (upstream->accepted)
        upstream_set_timer(upstream);
}

/* ---- what is received ---- */

static enum fault_reason no_memory(struct fault *fault)
{
    return fault_number(fault, FAULT_MEMORY_BUDGET, "message", budget_used(), "bytes wait already");
}

static struct chunk_memory *keep(const grpc_byte_buffer *message, struct bytes *bytes_out)
{
    const grpc_slice_buffer *from = &message->data.raw.slice_buffer;

    if (from->count != 1 || from->length < KEEP_FROM_BYTES)
        return slice_memory_after(text_bytes(""), message, bytes_out);
    struct chunk_memory *memory = slice_memory_new(grpc_slice_ref(from->slices[0]));
    if (!memory)
        grpc_slice_unref(from->slices[0]);
    *bytes_out = slice_bytes(&from->slices[0]);
    return memory;
}

static enum fault_reason chunk_of_message(const struct upstream *upstream, const grpc_byte_buffer *message,
                                          struct chunk **chunk_out, struct fault *fault)
{
    const uint32_t max_bytes = loop_settings(upstream->plan->loop)->framing.max_event_bytes;
    const size_t size = message->data.raw.slice_buffer.length;
    uint32_t offsets[2] = {0, (uint32_t)size};
    const struct framing_scan scan = {
        .offsets = offsets, .count = 1, .events_bytes = (uint32_t)size, .contiguous = true};
    struct bytes bytes;
    char bound[64];

    if (size > max_bytes) {
        snprintf(bound, sizeof(bound), "at most %u bytes", max_bytes);
        return fault_number(fault, FAULT_EVENT_TOO_LARGE, "message", size, bound);
    }
    struct chunk_memory *memory = keep(message, &bytes);
    if (!memory)
        return no_memory(fault);
    if (chunk_new(memory, bytes.data, &scan, size, chunk_out) == ERR_OK)
        return FAULT_NONE;
    memory->release(memory);
    return no_memory(fault);
}

static void offer(struct upstream *upstream, struct chunk *chunk)
{
    upstream_offer(upstream, chunk);
    chunk_release(chunk);
}

/* FAULT_NONE: *chunk_out is a reference of the caller's. */
static enum fault_reason accept(struct upstream *upstream, const grpc_byte_buffer *message,
                                struct chunk **chunk_out, struct fault *fault)
{
    if (called_of(upstream)->first_ok && upstream->held)
        return fault_set(fault, FAULT_NOT_UNARY, "message", "one");
    return chunk_of_message(upstream, message, chunk_out, fault);
}

/* After a refusal the call is cancelled, but perhaps it has ended with OK already: then nothing
 * more is offered, and it counts as failed. */
void upstream_served_message(struct upstream *upstream, const grpc_byte_buffer *message)
{
    struct chunk *chunk = NULL;
    struct fault fault;

    if (upstream->refused)
        return;
    if (accept(upstream, message, &chunk, &fault)) {
        upstream_refuse(upstream, &fault);
    } else if (called_of(upstream)->first_ok || has_flag(upstream, FLAG_PAUSE)) {
        upstream->held = chunk;
    } else {
        offer(upstream, chunk);
    }
}

static void offer_held(struct upstream *upstream)
{
    struct chunk *chunk = upstream->held;

    upstream->held = NULL;
    offer(upstream, chunk);
}

/* The answer of a unary method is held until the status has come, and that comes last. */
bool upstream_served_waits(const struct upstream *upstream)
{
    return upstream->held && !called_of(upstream)->first_ok;
}

void upstream_served_resume(struct upstream *upstream)
{
    if (!upstream_served_waits(upstream))
        return;
    if (has_flag(upstream, FLAG_CANCEL)) {
        chunk_release(upstream->held);
        upstream->held = NULL;
    } else if (!has_flag(upstream, FLAG_PAUSE)) {
        offer_held(upstream);
    }
}

/* ---- the end ---- */

static void add_trailers(const struct upstream_plan *plan, const grpc_metadata_array *from,
                         struct served_end *end, size_t *bytes)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct bytes key = slice_bytes(&from->metadata[i].key);
        const struct bytes value = slice_bytes(&from->metadata[i].value);

        if (!metadata_may_pass(key, value) ||
            !metadata_names_have(plan->answer_names, plan->answer_name_count, key))
            continue;
        *bytes += key.size + value.size;
        if (*bytes > MAX_SERVED_TRAILER_BYTES)
            return;
        served_end_add_trailer(end, &(struct pair){key, value});
    }
}

static struct bytes details_of(const grpc_metadata_array *trailers)
{
    static const char key[] = "grpc-status-details-bin";

    for (size_t i = 0; i < trailers->count; i++) {
        const struct bytes value = slice_bytes(&trailers->metadata[i].value);

        if (grpc_slice_str_cmp(trailers->metadata[i].key, key) != 0 || value.size > MAX_SERVED_DETAILS_BYTES)
            continue;
        uint8_t *copy = malloc(value.size + 1);
        if (copy)
            memcpy(copy, value.data, value.size);
        return (struct bytes){copy, copy ? value.size : 0};
    }
    return (struct bytes){NULL, 0};
}

/* The end is kept until the client's call has read it. It takes over what the call was charged, but
 * for what the call alone has kept. */
static void report(struct upstream *upstream, const struct client_call_end *from)
{
    const char *name = upstream->plan->name;
    struct served_end *end = NULL;
    size_t bytes = 0;

    if (!upstream_is_stopped(upstream))
        end = calloc(1, sizeof(*end) + strlen(name) + 1);
    if (!end)
        return; /* it counts as failed */
    list_init(&end->link);
    strcpy(end->name, name);
    end->costs = upstream->plan->costs;
    end->cost = upstream->cost;
    upstream->cost = (struct upstream_cost){.bytes = 0};
    end->code = upstream->end.code;
    memcpy(end->message, upstream->end.message, sizeof(end->message));
    end->details = from ? details_of(from->trailers) : (struct bytes){NULL, 0};
    if (from) {
        add_trailers(upstream->plan, from->headers, end, &bytes);
        add_trailers(upstream->plan, from->trailers, end, &bytes);
    }
    upstream_cost_reduce(end->costs, &end->cost, sizeof(*end) + strlen(name) + 1 + end->details.size + bytes);
    served_link_report(&upstream->served, end);
}

/* The call has ended with OK, but not all of it could be offered. */
static void fail(struct upstream *upstream, enum fault_reason reason)
{
    upstream->end.code = (uint32_t)upstream_refusal_code(reason);
    peer_words_copy(upstream->end.message, text_bytes(fault_text(reason)));
}

/* The answer of a unary method counts where the call has ended with OK, and no other one has. */
static void end_unary(struct upstream *upstream)
{
    const bool is_ok = upstream->end.code == CODE_OK;

    if (is_ok && !upstream->held) {
        fail(upstream, FAULT_NOT_UNARY);
    } else if (!is_ok || !served_link_claim(&upstream->served)) {
        chunk_release(upstream->held);
        upstream->held = NULL;
    }
}

/* A message that is too large for the core: it ends the call itself. */
static bool is_too_large(const struct upstream *upstream)
{
    return upstream->end.code == CODE_RESOURCE_EXHAUSTED &&
           bytes_begin_with(text_bytes(upstream->end.message),
                            text_bytes("Received message larger than max"));
}

bool upstream_served_ended(struct upstream *upstream, const struct client_call_end *end)
{
    if (is_too_large(upstream))
        upstream->refused = FAULT_EVENT_TOO_LARGE;
    if (called_of(upstream)->first_ok)
        end_unary(upstream);
    report(upstream, end);
    served_link_leave(&upstream->served);
    if (called_of(upstream)->first_ok && upstream->held)
        offer_held(upstream);
    upstream_served_resume(upstream);
    return !upstream->held;
}
