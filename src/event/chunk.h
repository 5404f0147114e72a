/* chunk.h - the unit that moves through the server: the validated bytes of the events of one
 * message, or of several messages of one producer in a row. Immutable, reference-counted, with an
 * index of offsets.
 *
 * The bytes belong to a `chunk_memory`, which the room that received them provides (a slice of the
 * transport, or one malloc). So nothing is copied on the way through. The bytes that a chunk keeps
 * in memory are taken from the budget (base/budget.h) until its last reference is released. Each
 * function that makes a chunk refuses to exceed it.
 *
 * Threads: one thread fills a chunk. Once it is shared only its reference count changes, on any
 * thread. */
#ifndef TRIBUTARY_EVENT_CHUNK_H
#define TRIBUTARY_EVENT_CHUNK_H

#include <stdatomic.h>

#include "base/base.h"
#include "base/status.h"
#include "event/framing.h"

/* A producer's name in one epoch. Shared: it may outlive the producer. All but `refs` and `routed`
 * is constant. */
struct source {
    _Atomic uint32_t refs;
    uint32_t name_size;
    uint64_t epoch;
    /* Everything up to this sequence was put into every channel that wants it. Who puts stores it
     * after its puts (release). */
    _Atomic uint64_t routed;
    char name[]; /* with a closing NUL, for logs */
};

/* Copies the name. The caller owns the one reference. NULL: out of memory. */
struct source *source_new(struct bytes name, uint64_t epoch);
struct source *source_retain(struct source *source); /* any thread; cannot fail */
void source_release(struct source *source);          /* any thread; the last one frees; NULL allowed */
OWNED_BY(source_release, struct source);

static inline struct bytes source_name(const struct source *source)
{
    return (struct bytes){(const uint8_t *)source->name, source->name_size};
}

/* The memory of a chunk's bytes. The room that provides it embeds this. The last release of the
 * chunk calls release() once, on any thread. */
struct chunk_memory {
    void (*release)(struct chunk_memory *memory);
};

struct chunk {
    _Atomic uint32_t refs;
    uint32_t count; /* events; at least 1 */
    struct chunk_memory *memory;
    const uint8_t *data; /* begins with the first event's tag */
    uint64_t pinned;     /* bytes charged to the budget: those of the memory, and the chunk's own */
    /* The owner sets these once, before it shares the chunk. */
    struct source *source, *origin; /* origin: who published to a stored topic; NULL: the source */
    uint64_t first_sequence;
    const uint64_t *sequences; /* of each event, where events were left out; NULL: consecutive */
    union {
        int64_t observed_wall_ns;
        struct {
            uint32_t events, bytes;
        } capacity; /* until chunk_end() */
    };
    int64_t observed_mono_ns;
    /* count + 1 entries: event i, with its tag and length, is [offsets[i], offsets[i + 1]) of
     * `data`. */
    uint32_t offsets[];
};

/* Makes a chunk of the events that `scan` found. They must be contiguous (scan->contiguous), and
 * `at` points to the first one. The chunk takes over `memory`. `pinned` is the number of bytes that
 * the memory keeps alive. The budget is charged with them, and with the struct and its offsets.
 *   ERR_NO_MEMORY  memory or budget is used up; `memory` is still the caller's */
MUST_CHECK enum err chunk_new(struct chunk_memory *memory, const uint8_t *at, const struct framing_scan *scan,
                              uint64_t pinned, struct chunk **chunk_out);

/* Copies events [first, last) of `from` into a chunk of its own, with their sequences, source and
 * times. So a few events do not pin a large block.
 *   ERR_NO_MEMORY  nothing was made */
MUST_CHECK enum err chunk_copy(const struct chunk *from, uint32_t first, uint32_t last,
                               struct chunk **chunk_out);

/* Begins a chunk for events that are picked out of one other chunk. It has capacity for `events`
 * events (at least 1) of `bytes` bytes, and for their sequences. chunk_pick() fills it before it is
 * shared. NULL: memory or budget is used up. */
struct chunk *chunk_picked(uint32_t events, uint32_t bytes);

/* Appends a copy of events [first, last) of `from`. They must come after the events that were
 * picked before, and must fit. Source and times are those of `from`. */
void chunk_pick(struct chunk *chunk, const struct chunk *from, uint32_t first, uint32_t last);

/* A run of events, one of several in an array. */
struct chunk_run {
    uint32_t first, last; /* events [first, last) */
    uint32_t next;        /* the run behind it, by its place in the array */
};

/* chunk_pick() for the runs from `runs[at]` on, up to the one whose `next` is `end`. */
void chunk_pick_runs(struct chunk *chunk, const struct chunk *from, const struct chunk_run *runs, uint32_t at,
                     uint32_t end);

/* Copies the events of a scanned message into memory of the chunk's own, without gaps: for messages
 * that are not contiguous, and for tests.
 *   ERR_NO_MEMORY  nothing was made */
MUST_CHECK enum err chunk_of(struct bytes message, const struct framing_scan *scan, struct chunk **chunk_out);

/* Begins a chunk for several small messages in a row (a coalesced chunk), with capacity for
 * `events` events of `bytes` bytes, tags and lengths included. chunk_add() and chunk_end() fill it
 * before it is shared. An unfinished one is released like any other. NULL: memory or budget is used
 * up. */
struct chunk *chunk_begin(uint32_t events, uint32_t bytes);

/* chunk_begin() with `bytes` bytes at `data`, which `memory` keeps. The chunk takes over `memory`.
 * NULL: memory or budget is used up; `memory` is still the caller's. */
struct chunk *chunk_begin_in(struct chunk_memory *memory, const uint8_t *data, uint32_t events,
                             uint32_t bytes);

/* Appends a copy of a scanned message's events. False: they do not fit, and nothing changed. */
MUST_CHECK bool chunk_add(struct chunk *chunk, struct bytes message, const struct framing_scan *scan);

/* Finishes the chunk, which must hold an event. Capacity of which less than half is used goes back
 * to memory and budget; the caller does so with the memory that chunk_begin_in() got. Returns the
 * chunk, which may have moved. */
struct chunk *chunk_end(struct chunk *chunk);

struct chunk *chunk_retain(struct chunk *chunk); /* any thread; cannot fail */
void chunk_release(struct chunk *chunk);         /* any thread; the last one frees; NULL allowed */
OWNED_BY(chunk_release, struct chunk);

/* The size of events [first, last), tags and lengths included. */
static inline uint32_t chunk_bytes(const struct chunk *chunk, uint32_t first, uint32_t last)
{
    return chunk->offsets[last] - chunk->offsets[first];
}

/* The bytes of events [first, last), tags and lengths included. */
static inline struct bytes chunk_range(const struct chunk *chunk, uint32_t first, uint32_t last)
{
    return (struct bytes){chunk->data + chunk->offsets[first], chunk_bytes(chunk, first, last)};
}

/* The sequence of an event. */
static inline uint64_t chunk_sequence(const struct chunk *chunk, uint32_t event)
{
    return chunk->sequences ? chunk->sequences[event] : chunk->first_sequence + event;
}

#endif
