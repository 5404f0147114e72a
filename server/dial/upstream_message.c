/* upstream_message.c - what an upstream sends, as chunks.
 *
 * Any bytes become the data of one event: a head is written in front of them, in one piece of
 * memory. Of an EventBatch the events of all runs become one chunk: one run is scanned once and
 * copied once, several are scanned twice. Small messages may be coalesced: then the events of
 * several of them are copied into one chunk. */
#include "server/dial/upstream_message.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/budget.h"
#include "event/chunk.h"
#include "event/field_reader.h"
#include "event/field_write.h"
#include "grpc/coalesce.h"
#include "grpc/slice_memory.h"
#include "grpc/slices.h"
#include "loop/loop.h"
#include "proto/field_numbers.h"
#include "server/dial/message_fields.h"
#include "server/dial/upstream_losses.h"
#include "server/dial/upstream_plan.h"

static enum fault_reason no_memory(struct fault *fault)
{
    return fault_number(fault, FAULT_MEMORY_BUDGET, "message", budget_used(), "bytes wait already");
}

static enum fault_reason too_large(struct fault *fault, size_t size, uint64_t max)
{
    char bound[64];

    snprintf(bound, sizeof(bound), "at most %llu bytes", (unsigned long long)max);
    return fault_number(fault, FAULT_EVENT_TOO_LARGE, "message", size, bound);
}

/* ---- any bytes ---- */

/* What stands in front of the bytes. */
static enum fault_reason write_head(const struct upstream_plan *plan, const grpc_byte_buffer *message,
                                    struct buf *head, struct fault *fault)
{
    const uint64_t max_bytes = loop_settings(plan->loop)->framing.max_event_bytes;
    const size_t size = message->data.raw.slice_buffer.length;
    SCRATCH struct message_fields fields;

    message_fields_read(plan, message, &fields);
    const struct bytes key = {(const uint8_t *)fields.key, fields.key_size};
    const size_t inner = field_size_bytes(PB_EVENT_CONTENT_TYPE, plan->content_type.size) +
                         field_size_bytes(PB_EVENT_KEY, key.size) +
                         field_size_fixed64(PB_EVENT_TIME_UNIX_NANO, fields.time_unix_ns) +
                         field_size_bytes(PB_EVENT_DATA, size);
    if (inner > max_bytes)
        return too_large(fault, size, max_bytes - (inner - size));
    buf_clear(head);
    field_head(head, PB_RUN_EVENTS, inner);
    field_bytes(head, PB_EVENT_KEY, key);
    field_bytes(head, PB_EVENT_CONTENT_TYPE, plan->content_type);
    field_fixed64(head, PB_EVENT_TIME_UNIX_NANO, fields.time_unix_ns);
    if (size > 0)
        field_head(head, PB_EVENT_DATA, size);
    return head->broken ? no_memory(fault) : FAULT_NONE;
}

/* `run` is a head with a small message behind it. */
static enum fault_reason small_raw_chunk(const struct upstream_plan *plan, struct bytes run,
                                         struct chunk **coalesced, struct chunk **chunk_out,
                                         struct fault *fault)
{
    struct framing_scan *scan = &plan->thread->scan;

    if (framing_scan(scan, run, &loop_settings(plan->loop)->framing, fault))
        return fault->reason;
    if (coalesce(coalesced, run, scan))
        return FAULT_NONE;
    return chunk_of(run, scan, chunk_out) == ERR_OK ? FAULT_NONE : no_memory(fault);
}

static enum fault_reason raw_chunk(const struct upstream_plan *plan, const grpc_byte_buffer *message,
                                   struct chunk **coalesced, struct chunk **chunk_out, struct fault *fault)
{
    struct framing_scan *scan = &plan->thread->scan;
    struct buf *scratch = &plan->thread->scratch;
    struct bytes bytes;

    if (write_head(plan, message, scratch, fault))
        return fault->reason;
    if (coalesced && scratch->size + message->data.raw.slice_buffer.length < COALESCE_BELOW_BYTES) {
        message_append(message, scratch);
        return scratch->broken ? no_memory(fault)
                               : small_raw_chunk(plan, (struct bytes){scratch->data, scratch->size},
                                                 coalesced, chunk_out, fault);
    }
    struct chunk_memory *memory =
        slice_memory_after((struct bytes){scratch->data, scratch->size}, message, &bytes);
    if (!memory)
        return no_memory(fault);
    enum fault_reason reason = framing_scan(scan, bytes, &loop_settings(plan->loop)->framing, fault);
    if (!reason && chunk_new(memory, bytes.data, scan, bytes.size, chunk_out) != ERR_OK)
        reason = no_memory(fault);
    if (reason)
        memory->release(memory);
    return reason;
}

/* ---- EventBatch ---- */

struct parts {
    uint32_t number; /* their field's */
    const char *name;
    enum fault_reason (*each)(void *ctx, struct bytes part, struct fault *fault);
    void *ctx;
};

/* Calls `each` for each of these parts of the batch until it returns a fault. */
static enum fault_reason each_part(struct bytes batch, const struct parts *parts, struct fault *fault)
{
    struct field_reader reader = field_reader_of(batch);

    while (reader.next < reader.end) {
        struct field field = {0};

        if (!field_next(&reader, &field))
            return fault_set(fault, FAULT_MALFORMED, "message", "an EventBatch");
        if (field.number != parts->number)
            continue;
        if (field.type != WIRE_LEN)
            return fault_set(fault, FAULT_WRONG_WIRE_TYPE, parts->name, "");
        enum fault_reason reason = parts->each(parts->ctx, field.bytes, fault);
        if (reason)
            return reason;
    }
    return FAULT_NONE;
}

struct runs {
    const struct upstream_plan *plan;
    struct chunk **coalesced; /* NULL: nothing is coalesced */
    struct upstream_losses *losses;
    uint64_t events, bytes;
    struct chunk *chunk;
};

static enum fault_reason scan_run(struct runs *runs, struct bytes run, struct fault *fault)
{
    const struct framing_limits *limits = &loop_settings(runs->plan->loop)->framing;

    return framing_scan(&runs->plan->thread->scan, run, limits, fault);
}

static enum fault_reason measure_run(void *ctx, struct bytes run, struct fault *fault)
{
    struct runs *runs = ctx;
    const uint32_t max_events = loop_settings(runs->plan->loop)->framing.max_batch_events;
    const struct framing_scan *scan = &runs->plan->thread->scan;

    if (scan_run(runs, run, fault))
        return fault->reason;
    runs->events += scan->count;
    runs->bytes += scan->events_bytes;
    if (runs->events > max_events)
        return fault_number(fault, FAULT_TOO_MANY_EVENTS, "message.runs", runs->events, "of a batch");
    return FAULT_NONE;
}

static enum fault_reason add_run(void *ctx, struct bytes run, struct fault *fault)
{
    struct runs *runs = ctx;

    if (scan_run(runs, run, fault))
        return fault->reason;
    if (runs->plan->thread->scan.count > 0)
        CHECK(chunk_add(runs->chunk, run, &runs->plan->thread->scan)); /* it was measured */
    return FAULT_NONE;
}

static enum fault_reason add_loss(void *ctx, struct bytes lost, struct fault *fault)
{
    return upstream_losses_add(ctx, lost, fault);
}

/* A message with nothing but one run, as most are. */
static bool is_single_run(struct bytes batch, struct bytes *run_out)
{
    struct field_reader reader = field_reader_of(batch);
    struct field field = {0};

    if (!field_next(&reader, &field) || field.number != PB_EVENT_BATCH_RUNS || field.type != WIRE_LEN)
        return false;
    *run_out = field.bytes;
    return reader.next == reader.end;
}

/* What was copied into one piece stays there; a message that came in one piece is copied here. */
static enum err chunk_of_run(struct bytes run, const struct framing_scan *scan, const grpc_slice *copy,
                             struct chunk **chunk_out)
{
    if (!copy || !scan->contiguous)
        return chunk_of(run, scan, chunk_out);
    struct chunk_memory *memory = slice_memory_new(grpc_slice_ref(*copy));

    if (!memory) {
        grpc_slice_unref(*copy);
        return ERR_NO_MEMORY;
    }
    const enum err err =
        chunk_new(memory, run.data + scan->offsets[0], scan, GRPC_SLICE_LENGTH(*copy), chunk_out);

    if (err != ERR_OK)
        memory->release(memory);
    return err;
}

static enum fault_reason single_chunk(struct runs *runs, struct bytes run, const grpc_slice *copy,
                                      struct chunk **chunk_out, struct fault *fault)
{
    if (measure_run(runs, run, fault))
        return fault->reason;
    if (runs->coalesced && coalesce(runs->coalesced, run, &runs->plan->thread->scan))
        return FAULT_NONE;
    if (runs->events > 0 && chunk_of_run(run, &runs->plan->thread->scan, copy, chunk_out) != ERR_OK)
        return no_memory(fault);
    return FAULT_NONE;
}

/* `copy`: the batch is in it. NULL: it is elsewhere, and must be copied. */
static enum fault_reason batch_chunk(struct runs *runs, struct bytes batch, const grpc_slice *copy,
                                     struct chunk **chunk_out, struct fault *fault)
{
    const uint64_t max_bytes = loop_settings(runs->plan->loop)->framing.max_batch_bytes;
    const struct parts losses = {PB_EVENT_BATCH_LOST, "message.lost", add_loss, runs->losses};
    struct parts parts = {PB_EVENT_BATCH_RUNS, "message.runs", measure_run, runs};
    struct bytes run;

    if (batch.size > max_bytes)
        return too_large(fault, batch.size, max_bytes);
    if (is_single_run(batch, &run))
        return single_chunk(runs, run, copy, chunk_out, fault);
    if (each_part(batch, &losses, fault) || each_part(batch, &parts, fault))
        return fault->reason;
    if (runs->events == 0)
        return FAULT_NONE;
    runs->chunk = chunk_begin((uint32_t)runs->events, (uint32_t)runs->bytes);
    if (!runs->chunk)
        return no_memory(fault);
    parts.each = add_run;
    if (each_part(batch, &parts, fault)) {
        chunk_release(runs->chunk);
        return fault->reason;
    }
    *chunk_out = chunk_end(runs->chunk);
    return FAULT_NONE;
}

enum fault_reason upstream_message(const struct upstream_plan *plan, grpc_byte_buffer *message,
                                   struct chunk **coalesced, struct chunk **chunk_out,
                                   struct upstream_losses *losses_out, struct fault *fault)
{
    struct runs runs = {.plan = plan, .coalesced = coalesced, .losses = losses_out};
    grpc_slice copy;
    bool is_copy;

    *chunk_out = NULL;
    upstream_losses_init(losses_out);
    if (!plan->event_batch)
        return raw_chunk(plan, message, coalesced, chunk_out, fault);
    const struct bytes batch = message_whole(message, &copy, &is_copy);
    enum fault_reason reason = batch_chunk(&runs, batch, is_copy ? &copy : NULL, chunk_out, fault);
    if (is_copy)
        grpc_slice_unref(copy);
    return reason;
}
