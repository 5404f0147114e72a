/* batch.c - lays out a batch as slices. Small entries are copied into one staging slice, large ones
 * are referenced. There are two passes: the first counts bytes and slices, the second writes. */
#include "server/wire/batch.h"

#include <stdlib.h>
#include <string.h>

#include "event/encode.h"
#include "flow/chan_batch.h"
#include "grpc/slice_memory.h"
#include "server/wire/message.h"

/* Below this size, copying an entry is cheaper than referencing it. */
#define COPY_BELOW_BYTES 1024

/* Notes about hundreds of producers need a large buffer once. The buffer of each consumer keeps no
 * more than this between messages. */
#define KEPT_NOTES_BYTES 256

/* Entries [begin, end) of a batch that become one run. */
struct run {
    uint32_t begin, end;
    struct run_head head;
};

struct layout {
    grpc_slice staging;
    size_t staged;  /* bytes of `staging` that were written */
    size_t flushed; /* bytes of `staging` that stand in `slices` already */
    grpc_slice *slices;
    size_t count;
};

static uint64_t first_sequence(const struct chan_batch_entry *entry)
{
    return chunk_sequence(entry->chunk, entry->first);
}

static bool same_origin(const struct source *one, const struct source *other)
{
    return one == other || (one && other && bytes_same(source_name(one), source_name(other)));
}

/* Whether `entry` belongs to the run of `before`. A run from which a filter left events out lists
 * its sequences and ends with its chunk. A new origin begins a new run. */
static bool follows(const struct chan_batch_entry *before, const struct chan_batch_entry *entry)
{
    return entry->chunk->source == before->chunk->source && !before->chunk->sequences &&
           !entry->chunk->sequences &&
           first_sequence(entry) == before->chunk->first_sequence + before->last &&
           same_origin(entry->chunk->origin, before->chunk->origin);
}

static uint32_t entry_bytes(const struct chan_batch_entry *entry)
{
    return chunk_bytes(entry->chunk, entry->first, entry->last);
}

/* The run that begins at entry `begin`. */
static struct run run_at(const struct chan_batch *batch, uint32_t begin)
{
    const struct chan_batch_entry *first = &batch->entries[begin];
    struct run run = {.begin = begin, .end = begin};

    run.head = (struct run_head){.source = first->chunk->source,
                                 .origin = first->chunk->origin,
                                 .first_sequence = first_sequence(first),
                                 .observed_wall_ns = first->chunk->observed_wall_ns};
    if (first->chunk->sequences) {
        run.head.sequences = first->chunk->sequences + first->first;
        run.head.count = first->last - first->first;
    }
    do {
        run.head.events_bytes += entry_bytes(&batch->entries[run.end]);
        run.end++;
    } while (run.end < batch->count && follows(&batch->entries[run.end - 1], &batch->entries[run.end]));
    return run;
}

static bool by_reference(const struct chan_batch_entry *entry, grpc_slice *slice_out)
{
    return entry_bytes(entry) >= COPY_BELOW_BYTES && slice_memory_slice(entry->chunk->memory, slice_out);
}

static size_t staging_size(const struct chan_batch *batch, size_t notes_size, size_t *slices_out)
{
    size_t size = notes_size;
    size_t slices = 1;
    grpc_slice unused;

    for (uint32_t i = 0; i < batch->count;) {
        struct run run = run_at(batch, i);
        size += run_head_size(&run.head);
        for (; i < run.end; i++) {
            if (by_reference(&batch->entries[i], &unused))
                slices += 2; /* the reference, and the staging after it */
            else
                size += entry_bytes(&batch->entries[i]);
        }
    }
    *slices_out = slices;
    return size;
}

static void stage(struct layout *layout, const void *bytes, size_t size)
{
    if (size > 0)
        memcpy(GRPC_SLICE_START_PTR(layout->staging) + layout->staged, bytes, size);
    layout->staged += size;
}

/* The bytes that were staged since the last flush become a slice. */
static void flush(struct layout *layout)
{
    if (layout->staged > layout->flushed)
        layout->slices[layout->count++] = grpc_slice_sub(layout->staging, layout->flushed, layout->staged);
    layout->flushed = layout->staged;
}

static void add_reference(struct layout *layout, const struct chan_batch_entry *entry, grpc_slice memory)
{
    struct bytes range = chunk_range(entry->chunk, entry->first, entry->last);
    size_t begin = (size_t)(range.data - GRPC_SLICE_START_PTR(memory));

    flush(layout);
    layout->slices[layout->count++] = grpc_slice_sub(memory, begin, begin + range.size);
}

static void write_run(struct layout *layout, const struct chan_batch *batch, const struct run *run)
{
    grpc_slice memory;

    layout->staged += run_head_write(&run->head, GRPC_SLICE_START_PTR(layout->staging) + layout->staged);
    for (uint32_t i = run->begin; i < run->end; i++) {
        const struct chan_batch_entry *entry = &batch->entries[i];
        struct bytes range = chunk_range(entry->chunk, entry->first, entry->last);
        if (by_reference(entry, &memory))
            add_reference(layout, entry, memory);
        else
            stage(layout, range.data, range.size);
    }
}

bool batch_send(struct call *call, struct buf *notes, const struct chan_batch *batch)
{
    size_t max_slices;
    size_t size = staging_size(batch, notes->size, &max_slices);
    struct layout layout = {.slices = malloc((max_slices + 1) * sizeof(grpc_slice))};

    if (!layout.slices || notes->broken) {
        free(layout.slices);
        return false;
    }
    layout.staging = grpc_slice_malloc_large(size);
    stage(&layout, notes->data, notes->size);
    buf_rest(notes, KEPT_NOTES_BYTES);
    for (uint32_t i = 0; i < batch->count;) {
        struct run run = run_at(batch, i);
        write_run(&layout, batch, &run);
        i = run.end;
    }
    flush(&layout);
    bool sent = call_send_slices(call, layout.slices, layout.count);
    for (size_t i = 0; i < layout.count; i++)
        grpc_slice_unref(layout.slices[i]);
    grpc_slice_unref(layout.staging);
    free(layout.slices);
    return sent;
}
