/* upstream_message.c - what an upstream sends, as chunks.
 *
 * Any bytes become the data of one event: a head is written in front of them, in one piece of
 * memory. Of an EventBatch the events of all runs become one chunk: one run is scanned once and
 * copied once, several are scanned twice. */
#include "server/dial/upstream_message.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/budget.h"
#include "event/chunk.h"
#include "event/field_reader.h"
#include "event/field_write.h"
#include "grpc/slice_memory.h"
#include "grpc/slices.h"
#include "loop/loop.h"
#include "proto/field_numbers.h"
#include "server/dial/message_fields.h"
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

static enum fault_reason raw_chunk(const struct upstream_plan *plan, const grpc_byte_buffer *message,
                                   struct chunk **chunk_out, struct fault *fault)
{
    const struct framing_limits *limits = &loop_settings(plan->loop)->framing;
    const size_t size = message->data.raw.slice_buffer.length;
    SCRATCH struct message_fields fields;
    OWNED(buf_fini) struct buf head = {0};
    struct framing_scan *scan = &plan->thread->scan;
    struct bytes bytes;

    message_fields_read(plan, message, &fields);
    const struct bytes key = {(const uint8_t *)fields.key, fields.key_size};
    const size_t inner = field_size_bytes(PB_EVENT_CONTENT_TYPE, plan->content_type.size) +
                         field_size_bytes(PB_EVENT_KEY, key.size) +
                         field_size_fixed64(PB_EVENT_TIME_UNIX_NANO, fields.time_unix_ns) +
                         field_size_bytes(PB_EVENT_DATA, size);
    if (inner > limits->max_event_bytes)
        return too_large(fault, size, limits->max_event_bytes - (inner - size));
    field_head(&head, PB_RUN_EVENTS, inner);
    field_bytes(&head, PB_EVENT_KEY, key);
    field_bytes(&head, PB_EVENT_CONTENT_TYPE, plan->content_type);
    field_fixed64(&head, PB_EVENT_TIME_UNIX_NANO, fields.time_unix_ns);
    if (size > 0)
        field_head(&head, PB_EVENT_DATA, size);
    if (head.broken)
        return no_memory(fault);
    struct chunk_memory *memory = slice_memory_after((struct bytes){head.data, head.size}, message, &bytes);
    if (!memory)
        return no_memory(fault);
    enum fault_reason reason = framing_scan(scan, bytes, limits, fault);
    if (!reason && chunk_new(memory, bytes.data, scan, bytes.size, chunk_out) != ERR_OK)
        reason = no_memory(fault);
    if (reason)
        memory->release(memory);
    return reason;
}

/* ---- EventBatch ---- */

/* Calls `each` for each run of the batch until it returns a fault. */
static enum fault_reason each_run(struct bytes batch,
                                  enum fault_reason (*each)(void *ctx, struct bytes run, struct fault *fault),
                                  void *ctx, struct fault *fault)
{
    struct field_reader reader = field_reader_of(batch);

    while (reader.next < reader.end) {
        struct field field = {0};

        if (!field_next(&reader, &field))
            return fault_set(fault, FAULT_MALFORMED, "message", "an EventBatch");
        if (field.number != PB_EVENT_BATCH_RUNS)
            continue;
        if (field.type != WIRE_LEN)
            return fault_set(fault, FAULT_WRONG_WIRE_TYPE, "message.runs", "");
        enum fault_reason reason = each(ctx, field.bytes, fault);
        if (reason)
            return reason;
    }
    return FAULT_NONE;
}

struct runs {
    const struct upstream_plan *plan;
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
    if (runs->events > 0 && chunk_of_run(run, &runs->plan->thread->scan, copy, chunk_out) != ERR_OK)
        return no_memory(fault);
    return FAULT_NONE;
}

/* `copy`: the batch is in it. NULL: it is elsewhere, and must be copied. */
static enum fault_reason batch_chunk(const struct upstream_plan *plan, struct bytes batch,
                                     const grpc_slice *copy, struct chunk **chunk_out, struct fault *fault)
{
    const uint64_t max_bytes = loop_settings(plan->loop)->framing.max_batch_bytes;
    struct runs runs = {.plan = plan};
    struct bytes run;

    if (batch.size > max_bytes)
        return too_large(fault, batch.size, max_bytes);
    if (is_single_run(batch, &run))
        return single_chunk(&runs, run, copy, chunk_out, fault);
    if (each_run(batch, measure_run, &runs, fault))
        return fault->reason;
    if (runs.events == 0)
        return FAULT_NONE;
    runs.chunk = chunk_begin((uint32_t)runs.events, (uint32_t)runs.bytes);
    if (!runs.chunk)
        return no_memory(fault);
    if (each_run(batch, add_run, &runs, fault)) {
        chunk_release(runs.chunk);
        return fault->reason;
    }
    *chunk_out = chunk_end(runs.chunk);
    return FAULT_NONE;
}

enum fault_reason upstream_message(const struct upstream_plan *plan, grpc_byte_buffer *message,
                                   struct chunk **chunk_out, struct fault *fault)
{
    grpc_slice copy;
    bool is_copy;

    *chunk_out = NULL;
    if (!plan->event_batch)
        return raw_chunk(plan, message, chunk_out, fault);
    const struct bytes batch = message_whole(message, &copy, &is_copy);
    enum fault_reason reason = batch_chunk(plan, batch, is_copy ? &copy : NULL, chunk_out, fault);
    if (is_copy)
        grpc_slice_unref(copy);
    return reason;
}
