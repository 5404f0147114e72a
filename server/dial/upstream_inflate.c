/* upstream_inflate.c - a compressed message of an upstream: it is inflated, within the bound of a
 * message, before anybody looks at it (inflate_turns.h).
 *
 * One message of a call waits at most, since the next one is not read before. Meanwhile the call is
 * pinned, so its end comes behind the message. What waits is charged (upstream_cost.h), in a copy
 * that keeps no more memory than the message has. */
#include "server/dial/upstream_inflate.h"

#include <stdio.h>

#include "grpc/inflate.h"
#include "grpc/message_flag.h"
#include "loop/loop.h"
#include "server/dial/upstream_internal.h"
#include "server/dial/upstream_refuse.h"

#include <grpc/grpc.h>

static enum fault_reason failed(enum inflate_result result, size_t max_bytes, struct fault *fault)
{
    char bound[64] = "";

    if (result == INFLATE_TOO_LARGE)
        snprintf(bound, sizeof(bound), "at most %zu bytes, decompressed", max_bytes);
    return fault_set(fault, inflate_fault(result), "message", bound);
}

/* The plain message. NULL: *fault says why not. */
static grpc_byte_buffer *inflated(const struct upstream *upstream, const grpc_byte_buffer *message,
                                  struct fault *fault)
{
    const size_t max_bytes = loop_settings(upstream->plan->loop)->framing.max_batch_bytes;
    grpc_slice slice;
    const enum inflate_result result = inflate_message(message, max_bytes, &slice);

    if (result != INFLATE_OK) {
        (void)failed(result, max_bytes, fault);
        return NULL;
    }
    grpc_byte_buffer *plain = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return plain;
}

static void inflate_now(struct upstream *upstream, const grpc_byte_buffer *message)
{
    struct fault fault;
    grpc_byte_buffer *plain = inflated(upstream, message, &fault);

    if (plain)
        upstream_handle(upstream, &plain);
    else
        upstream_refuse(upstream, &fault);
    grpc_byte_buffer_destroy(plain);
}

/* It had time at once, or has waited. */
static void on_inflate(struct inflate_work *work)
{
    struct upstream *upstream = container_of(work, struct upstream, inflating);
    grpc_byte_buffer *message = upstream->deflated;
    struct peer_charge charge = upstream->deflated_charge;

    upstream->deflated = NULL;
    upstream->deflated_charge = (struct peer_charge){.count = NULL};
    if (!has_flag(upstream, FLAG_CANCEL))
        inflate_now(upstream, message);
    grpc_byte_buffer_destroy(message);
    if (!charge.count)
        return;
    peer_charge_give_back(&upstream->plan->costs->deflated, &charge);
    call_base_unpin(&upstream->call.base);
}

/* Its turn comes later. FAULT_NONE, or MEMORY_BUDGET. */
static enum fault_reason wait(struct upstream *upstream, struct fault *fault)
{
    struct upstream_costs *costs = upstream->plan->costs;
    const grpc_byte_buffer *message = upstream->deflated;
    const uint64_t bytes = message->data.raw.slice_buffer.length + sizeof(*message);

    if (peer_charge_add(&costs->deflated, loop_settings(costs->loop), &upstream->deflated_charge,
                        upstream->payer, bytes, fault))
        return fault->reason;
    grpc_slice copy = message_copy(message);
    grpc_byte_buffer *compact =
        grpc_raw_compressed_byte_buffer_create(&copy, 1, message->data.raw.compression);
    grpc_slice_unref(copy);
    grpc_byte_buffer_destroy(upstream->deflated);
    upstream->deflated = compact;
    call_base_pin(&upstream->call.base);
    inflate_turns_add(&upstream->plan->thread->inflate_turns, &upstream->inflating);
    return FAULT_NONE;
}

void upstream_inflate(struct upstream *upstream, grpc_byte_buffer **message)
{
    struct fault fault;

    upstream->deflated = *message;
    *message = NULL;
    if (inflate_turns_run(&upstream->plan->thread->inflate_turns, &upstream->inflating) ||
        wait(upstream, &fault) == FAULT_NONE)
        return;
    grpc_byte_buffer_destroy(upstream->deflated);
    upstream->deflated = NULL;
    upstream_refuse(upstream, &fault);
}

/* The guard refuses these in plaintext (h2guard). It does not see what is inside of TLS. */
bool upstream_is_flagged(const struct upstream *upstream)
{
    const struct connections *connections = upstream->plan->connections;

    return (connections->tls || !connections->guard) && message_is_flagged(upstream->call.base.core);
}

void upstream_inflate_init(struct upstream *upstream)
{
    upstream->inflating.run = on_inflate;
    list_init(&upstream->inflating.link);
}
