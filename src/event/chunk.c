/* chunk.c - chunks and their sources.
 *
 * A chunk is one allocation: the struct, its offsets, and, if it owns its bytes, the bytes behind
 * them. */
#include "event/chunk.h"

#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "base/counters.h"

struct source *source_new(struct bytes name, uint64_t epoch)
{
    struct source *source = malloc(sizeof(*source) + name.size + 1);

    if (!source)
        return NULL;
    CHECK(name.size <= UINT32_MAX);
    atomic_init(&source->refs, 1);
    source->name_size = (uint32_t)name.size;
    source->epoch = epoch;
    atomic_init(&source->routed, 0);
    if (name.size > 0)
        memcpy(source->name, name.data, name.size);
    source->name[name.size] = '\0';
    return source;
}

struct source *source_retain(struct source *source)
{
    atomic_fetch_add_explicit(&source->refs, 1, memory_order_relaxed);
    return source;
}

void source_release(struct source *source)
{
    if (source && atomic_fetch_sub_explicit(&source->refs, 1, memory_order_acq_rel) == 1)
        free(source);
}

/* Bytes inside of the chunk's own allocation are freed with it. */
static void release_nothing(struct chunk_memory *memory)
{
    (void)memory;
}

static struct chunk_memory inside_memory = {.release = release_nothing};

/* Allocates a chunk with capacity for `count` events and for `inside` bytes behind the offsets.
 * Charges the budget with all of it and with `pinned`. NULL: memory or budget is used up. */
static struct chunk *chunk_make(uint32_t count, uint32_t inside, uint64_t pinned)
{
    size_t head = sizeof(struct chunk) + ((size_t)count + 1) * sizeof(uint32_t);

    pinned += head + inside;
    if (!budget_take(COUNT_LIVE_CHUNK_BYTES, pinned))
        return NULL;
    struct chunk *chunk = malloc(head + inside);
    if (!chunk) {
        budget_give(COUNT_LIVE_CHUNK_BYTES, pinned);
        return NULL;
    }
    memset(chunk, 0, sizeof(*chunk));
    atomic_init(&chunk->refs, 1);
    chunk->count = count;
    chunk->memory = &inside_memory;
    chunk->data = (uint8_t *)chunk + head;
    chunk->pinned = pinned;
    count_add(COUNT_LIVE_CHUNKS, 1);
    return chunk;
}

enum err chunk_new(struct chunk_memory *memory, const uint8_t *at, const struct framing_scan *scan,
                   uint64_t pinned, struct chunk **chunk_out)
{
    CHECK(scan->contiguous && scan->count > 0);
    struct chunk *chunk = chunk_make(scan->count, 0, pinned);
    if (!chunk)
        return ERR_NO_MEMORY;
    chunk->memory = memory;
    chunk->data = at;
    uint32_t first = scan->offsets[0];
    for (uint32_t i = 0; i <= scan->count; i++)
        chunk->offsets[i] = scan->offsets[i] - first;
    *chunk_out = chunk;
    return ERR_OK;
}

/* Gives a part of a chunk the source and the times of the whole, and the sequence of its first
 * event. */
static void inherit(struct chunk *chunk, const struct chunk *from, uint32_t first)
{
    chunk->source = from->source ? source_retain(from->source) : NULL;
    chunk->origin = from->origin ? source_retain(from->origin) : NULL;
    chunk->first_sequence = chunk_sequence(from, first);
    chunk->observed_wall_ns = from->observed_wall_ns;
    chunk->observed_mono_ns = from->observed_mono_ns;
}

struct chunk *chunk_picked(uint32_t events, uint32_t bytes)
{
    size_t head = sizeof(struct chunk) + ((size_t)events + 1) * sizeof(uint32_t);
    uint32_t padding = (uint32_t)(-head % sizeof(uint64_t));
    uint32_t before = padding + events * (uint32_t)sizeof(uint64_t);
    struct chunk *chunk = chunk_make(events, before + bytes, 0);

    if (!chunk)
        return NULL;
    chunk->sequences = (const uint64_t *)(const void *)(chunk->data + padding);
    chunk->data += before;
    chunk->count = 0;
    chunk->offsets[0] = 0;
    return chunk;
}

/* Nothing that is read here is also written, which the compiler cannot know of the members. */
void chunk_pick_runs(struct chunk *chunk, const struct chunk *from, const struct chunk_run *runs, uint32_t at,
                     uint32_t end)
{
    const uint32_t *const from_offsets = from->offsets;
    uint64_t *const sequences = (uint64_t *)(uintptr_t)chunk->sequences;
    const uint64_t *const from_sequences = from->sequences;
    const uint64_t first_sequence = from->first_sequence;
    const uint8_t *const from_data = from->data;
    uint8_t *const data = (uint8_t *)(uintptr_t)chunk->data;
    uint32_t *const offsets = chunk->offsets;
    uint32_t count = chunk->count, offset = offsets[count];

    if (count == 0)
        inherit(chunk, from, runs[at].first);
    for (; at != end; at = runs[at].next) {
        const uint32_t first = runs[at].first, last = runs[at].last, begin = from_offsets[first];
        const uint32_t before = offset - begin; /* modulo 2^32: what an offset moves by */

        memcpy(data + offset, from_data + begin, from_offsets[last] - begin);
        uint32_t i = first;
        do {
            sequences[count++] = from_sequences ? from_sequences[i] : first_sequence + i;
            offset = from_offsets[++i] + before;
            offsets[count] = offset;
        } while (i < last);
    }
    chunk->count = count;
}

void chunk_pick(struct chunk *chunk, const struct chunk *from, uint32_t first, uint32_t last)
{
    const struct chunk_run run = {first, last, 1};

    chunk_pick_runs(chunk, from, &run, 0, 1);
}

enum err chunk_copy(const struct chunk *from, uint32_t first, uint32_t last, struct chunk **chunk_out)
{
    uint32_t bytes = chunk_bytes(from, first, last);

    CHECK(first < last && last <= from->count);
    struct chunk *chunk = from->sequences && last - first > 1 ? chunk_picked(last - first, bytes)
                                                              : chunk_make(last - first, bytes, 0);
    if (!chunk)
        return ERR_NO_MEMORY;
    if (chunk->sequences) {
        chunk_pick(chunk, from, first, last);
    } else {
        for (uint32_t i = 0; i <= last - first; i++)
            chunk->offsets[i] = from->offsets[first + i] - from->offsets[first];
        memcpy((uint8_t *)chunk->data, from->data + from->offsets[first], bytes);
        inherit(chunk, from, first);
    }
    *chunk_out = chunk;
    return ERR_OK;
}

/* Copies the events of the message, which must fit. */
static void append(struct chunk *chunk, struct bytes message, const struct framing_scan *scan)
{
    uint32_t offset = chunk->offsets[chunk->count];

    if (scan->contiguous)
        memcpy((uint8_t *)chunk->data + offset, message.data + scan->offsets[0], scan->events_bytes);
    for (uint32_t i = 0; i < scan->count; i++) {
        uint32_t end = scan->contiguous ? scan->offsets[i + 1] : scan->ends[i];
        uint32_t size = end - scan->offsets[i];
        if (!scan->contiguous)
            memcpy((uint8_t *)chunk->data + offset, message.data + scan->offsets[i], size);
        offset += size;
        chunk->offsets[++chunk->count] = offset;
    }
}

enum err chunk_of(struct bytes message, const struct framing_scan *scan, struct chunk **chunk_out)
{
    struct chunk *chunk = chunk_make(scan->count, scan->events_bytes, 0);

    CHECK(scan->count > 0);
    if (!chunk)
        return ERR_NO_MEMORY;
    chunk->count = 0;
    chunk->offsets[0] = 0;
    append(chunk, message, scan);
    *chunk_out = chunk;
    return ERR_OK;
}

static void begin(struct chunk *chunk, uint32_t events, uint32_t bytes)
{
    chunk->capacity.events = events;
    chunk->capacity.bytes = bytes;
    chunk->count = 0;
    chunk->offsets[0] = 0;
}

struct chunk *chunk_begin(uint32_t events, uint32_t bytes)
{
    struct chunk *chunk = chunk_make(events, bytes, 0);

    if (chunk)
        begin(chunk, events, bytes);
    return chunk;
}

struct chunk *chunk_begin_in(struct chunk_memory *memory, const uint8_t *data, uint32_t events,
                             uint32_t bytes)
{
    struct chunk *chunk = chunk_make(events, 0, bytes);

    if (!chunk)
        return NULL;
    begin(chunk, events, bytes);
    chunk->memory = memory;
    chunk->data = data;
    return chunk;
}

bool chunk_add(struct chunk *chunk, struct bytes message, const struct framing_scan *scan)
{
    if (scan->count > chunk->capacity.events - chunk->count ||
        scan->events_bytes > chunk->capacity.bytes - chunk->offsets[chunk->count])
        return false;
    append(chunk, message, scan);
    return true;
}

/* A block that is made smaller in place leaves a rest behind it that is too small for the next such
 * block. With many small chunks that live long, memory would be full of such rests. So what fills
 * less than half of its block moves into one of its own size, and the block is freed whole. */
static struct chunk *move_out(struct chunk *chunk, uint32_t inside)
{
    const size_t head = sizeof(*chunk) + ((size_t)chunk->count + 1) * sizeof(uint32_t);
    struct chunk *moved = malloc(head + inside);

    if (!moved)
        return NULL;
    memcpy(moved, chunk, head);
    if (inside > 0) {
        memcpy((uint8_t *)moved + head, chunk->data, inside);
        moved->data = (const uint8_t *)moved + head;
    }
    free(chunk);
    return moved;
}

struct chunk *chunk_end(struct chunk *chunk)
{
    const bool is_inside = chunk->memory == &inside_memory;
    const uint32_t used = chunk->offsets[chunk->count], unused = chunk->capacity.bytes - used;
    const uint32_t unused_events = chunk->capacity.events - chunk->count;
    const bool few_bytes = used < unused, few_events = chunk->count < unused_events;
    uint64_t back = few_bytes ? unused : 0;

    CHECK(chunk->count > 0);
    chunk->observed_wall_ns = 0;
    if (is_inside ? few_bytes : few_events) {
        struct chunk *moved = move_out(chunk, is_inside ? used : 0);
        if (!moved)
            return chunk;
        chunk = moved;
        back += unused_events * sizeof(uint32_t);
    }
    chunk->pinned -= back;
    budget_give(COUNT_LIVE_CHUNK_BYTES, back);
    return chunk;
}

struct chunk *chunk_retain(struct chunk *chunk)
{
    atomic_fetch_add_explicit(&chunk->refs, 1, memory_order_relaxed);
    return chunk;
}

void chunk_release(struct chunk *chunk)
{
    if (!chunk || atomic_fetch_sub_explicit(&chunk->refs, 1, memory_order_acq_rel) != 1)
        return;
    budget_give(COUNT_LIVE_CHUNK_BYTES, chunk->pinned);
    count_add(COUNT_LIVE_CHUNKS, -1);
    source_release(chunk->source);
    source_release(chunk->origin);
    chunk->memory->release(chunk->memory);
    free(chunk);
}
