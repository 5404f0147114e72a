/* batch.c - lays a batch out as slices: what is small in one staging block, what is large by
 * reference. Two passes: the first counts, the second writes. */
#include "server/wire/batch.h"

#include <stdlib.h>
#include <string.h>

#include "event/encode.h"
#include "server/wire/message.h"

/* Events of an entry below this are cheaper copied than referenced. */
#define COPY_BELOW_BYTES 1024

/* What is told of hundreds of producers at once takes room that each consumer would keep for the
 * next time. */
#define NOTES_KEPT_BYTES 256

/* Entries [begin, end) of a take that become one run. */
struct run {
    uint32_t begin, end;
    struct run_head head;
};

struct layout {
    grpc_slice staging;
    size_t staged; /* bytes of `staging` written */
    size_t cut;    /* bytes of it that stand in `slices` already */
    grpc_slice *slices;
    size_t count;
};

static uint64_t first_sequence(const struct chan_batch_entry *entry)
{
    return chunk_sequence(entry->chunk, entry->first);
}

/* Whether both are one run. Where a filter left events out, the run lists its sequences, and ends
 * with its chunk. */
static bool follows(const struct chan_batch_entry *before, const struct chan_batch_entry *entry)
{
    return entry->chunk->source == before->chunk->source && !before->chunk->sequences &&
           !entry->chunk->sequences && first_sequence(entry) == before->chunk->first_sequence + before->last;
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
    return entry_bytes(entry) >= COPY_BELOW_BYTES && wire_memory_slice(entry->chunk->memory, slice_out);
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

/* What was staged since the last cut becomes a slice. */
static void cut(struct layout *layout)
{
    if (layout->staged > layout->cut)
        layout->slices[layout->count++] = grpc_slice_sub(layout->staging, layout->cut, layout->staged);
    layout->cut = layout->staged;
}

static void refer(struct layout *layout, const struct chan_batch_entry *entry, grpc_slice memory)
{
    struct bytes range = chunk_range(entry->chunk, entry->first, entry->last);
    size_t begin = (size_t)(range.data - GRPC_SLICE_START_PTR(memory));

    cut(layout);
    layout->slices[layout->count++] = grpc_slice_sub(memory, begin, begin + range.size);
}

static void lay_run(struct layout *layout, const struct chan_batch *batch, const struct run *run)
{
    grpc_slice memory;

    layout->staged += run_head_write(&run->head, GRPC_SLICE_START_PTR(layout->staging) + layout->staged);
    for (uint32_t i = run->begin; i < run->end; i++) {
        const struct chan_batch_entry *entry = &batch->entries[i];
        struct bytes range = chunk_range(entry->chunk, entry->first, entry->last);
        if (by_reference(entry, &memory))
            refer(layout, entry, memory);
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
    buf_rest(notes, NOTES_KEPT_BYTES);
    for (uint32_t i = 0; i < batch->count;) {
        struct run run = run_at(batch, i);
        lay_run(&layout, batch, &run);
        i = run.end;
    }
    cut(&layout);
    bool sent = call_send_slices(call, layout.slices, layout.count);
    for (size_t i = 0; i < layout.count; i++)
        grpc_slice_unref(layout.slices[i]);
    grpc_slice_unref(layout.staging);
    free(layout.slices);
    return sent;
}
