/* chunk.h - the unit that moves: the validated bytes of the events of one message, or of several in
 * a row from one producer: immutable, reference-counted, with an index of offsets.
 *
 * The bytes belong to a `chunk_memory`, which whoever received them provides (a slice of the
 * transport, or one malloc), so nothing is copied on the way through. What a chunk pins is charged
 * to the process's budget until its last reference goes.
 *
 * Threads: a chunk is filled in by one thread; once shared it only changes its reference count. */
#ifndef TRIBUTARY_EVENT_CHUNK_H
#define TRIBUTARY_EVENT_CHUNK_H

#include <stdatomic.h>

#include "base/base.h"
#include "base/status.h"
#include "event/framing.h"

/* A producer's name in one epoch. Immutable and shared: it outlives the producer while anything
 * still speaks of it. */
struct source {
    _Atomic uint32_t refs;
    uint32_t name_size;
    uint64_t epoch;
    char name[]; /* closed by a NUL, for logs */
};

struct source *source_new(struct bytes name, uint64_t epoch); /* NULL: out of memory */
struct source *source_retain(struct source *source);
void source_release(struct source *source);
OWNED_BY(source_release, struct source);

static inline struct bytes source_name(const struct source *source)
{
    return (struct bytes){(const uint8_t *)source->name, source->name_size};
}

/* What holds a chunk's bytes. Embedded by the room that provides it; released once, by the last
 * reference to the chunk, on any thread. */
struct chunk_memory {
    void (*release)(struct chunk_memory *memory);
};

struct chunk {
    _Atomic uint32_t refs;
    uint32_t count; /* events; at least 1 */
    struct chunk_memory *memory;
    const uint8_t *data; /* the first event's tag */
    uint64_t pinned;     /* bytes charged to the budget: the memory's, and the chunk's own */
    /* Set once, before the chunk is shared. */
    struct source *source;
    uint64_t first_sequence;
    /* where events were left out: of each that is there; NULL: they follow each other */
    const uint64_t *sequences;
    int64_t observed_wall_ns;
    int64_t observed_mono_ns;
    /* count + 1, from `at`: event i is [offsets[i], offsets[i + 1]), tag and length included */
    uint32_t offsets[];
};

/* Takes over `memory`, whose events begin at `at` and lie in one piece, as `scan` found them
 * (scan->contiguous). `pinned`: bytes that the memory keeps alive; the chunk's own struct and
 * offsets are charged on top.
 *
 *   ERR_NO_MEMORY  memory, or the budget, is used up; `memory` stays with the caller */
MUST_CHECK enum err chunk_new(struct chunk_memory *memory, const uint8_t *at, const struct framing_scan *scan,
                              uint64_t pinned, struct chunk **chunk_out);

/* Copies events [first, last) of `from` into a chunk of their own, so that a few events do not pin
 * a large block. Sequences, source and times go with them.
 *
 *   ERR_NO_MEMORY  nothing was made */
MUST_CHECK enum err chunk_copy(const struct chunk *from, uint32_t first, uint32_t last,
                               struct chunk **chunk_out);

/* For events out of one chunk, with their sequences: a chunk with room for `events` of them (at
 * least 1) in `bytes` bytes, which chunk_pick() fills before it is shared. NULL: memory, or the
 * budget, is used up. */
struct chunk *chunk_picked(uint32_t events, uint32_t bytes);
/* Copies events [first, last) of `from` behind those that are there; they come later in it, and
 * there is room. */
void chunk_pick(struct chunk *chunk, const struct chunk *from, uint32_t first, uint32_t last);

/* Copies the events of a scanned message into memory of the chunk's own, closing the gaps: for
 * messages that are not contiguous, and for tests.
 *
 *   ERR_NO_MEMORY  nothing was made */
MUST_CHECK enum err chunk_of(struct bytes message, const struct framing_scan *scan, struct chunk **chunk_out);

/* For several small messages in a row: a chunk with room for `events` events in `bytes` bytes, tags
 * and lengths included, that is filled before it is shared. NULL: memory, or the budget, is used
 * up. An unfinished one can be released like any other. */
struct chunk *chunk_begin(uint32_t events, uint32_t bytes);
/* Copies the events of a scanned message behind those that are there. False where they do not fit:
 * then nothing changed. */
MUST_CHECK bool chunk_add(struct chunk *chunk, struct bytes message, const struct framing_scan *scan);
/* Gives back the room that was not used. There must be an event in it. Returns the chunk, which may
 * have moved. */
struct chunk *chunk_end(struct chunk *chunk);

struct chunk *chunk_retain(struct chunk *chunk); /* any thread; cannot fail */
void chunk_release(struct chunk *chunk);         /* any thread; the last one frees; NULL allowed */
OWNED_BY(chunk_release, struct chunk);

/* Bytes of events [first, last), tags and lengths included. */
static inline uint32_t chunk_bytes(const struct chunk *chunk, uint32_t first, uint32_t last)
{
    return chunk->offsets[last] - chunk->offsets[first];
}

static inline struct bytes chunk_range(const struct chunk *chunk, uint32_t first, uint32_t last)
{
    return (struct bytes){chunk->data + chunk->offsets[first], chunk_bytes(chunk, first, last)};
}

static inline uint64_t chunk_sequence(const struct chunk *chunk, uint32_t event)
{
    return chunk->sequences != NULL ? chunk->sequences[event] : chunk->first_sequence + event;
}

/* The process's budget for what chunks pin. 0: no limit. chunk_new() and its kin refuse beyond
 * it. */
void chunk_budget_set(uint64_t limit_bytes);
uint64_t chunk_budget_limit(void);
uint64_t chunk_budget_used(void);

#endif
