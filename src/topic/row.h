/* row.h - a row of a topic's log: the events of one commit, or a part of them.
 *
 * The data of a row is a header and the events as they came. Its numbers are varints.
 *
 *   version (1 or 2), number of runs, and for each run: size of its origin, origin, events, their
 *   bytes
 *   the events of all runs, each with its tag and length
 *
 * In a row of version 2 no event has a time at which it expires. So readers need not look into its
 * events. In one of version 1 some may have. Stores up to version 4 have no other rows.
 *
 * A *run* is events in a row of one origin: the producer that published them. What many producers
 * published in one commit is coalesced into few rows, because a small row costs as much as a large
 * one. A *piece* is what one append brings; it is never divided.
 *
 * Threads: any; values. A builder belongs to one thread at a time. */
#ifndef TRIBUTARY_TOPIC_ROW_H
#define TRIBUTARY_TOPIC_ROW_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"

/* Rows are coalesced up to this size. A larger piece is a row alone. */
#define TOPIC_ROW_BYTES (64u << 10)
/* Of a piece. The store takes larger rows for damaged. */
#define MAX_PIECE_BYTES (8u << 20)
#define MAX_PIECE_EVENTS 65536u
#define MAX_ORIGIN_BYTES 1024u

/* Events of one origin. As an input it is a piece, and as an output a run. */
struct topic_run {
    struct bytes origin;
    uint32_t count;
    struct bytes events; /* with tags and lengths */
    bool expires;        /* one of them may, at some time; as an output: one of the row's events */
};

/* What a row holds besides its data. */
struct topic_row {
    uint64_t first_seq; /* of its first event; the others follow without a hole */
    uint32_t count;
    int64_t appended_ns;   /* wall clock; it never goes back within a topic */
    uint64_t before_bytes; /* the data of all rows before it, since the topic was made */
    struct bytes data;
};

/* The hash of a row: over the topic's id, all members, and the data. So a row that stands in the
 * wrong place is found as well as one whose bytes have changed. It is XXH3 with 64 bits, and part
 * of the format of a store. It finds decay of the disk, and is no protection against somebody who
 * writes to the file. */
uint64_t topic_row_hash(uint64_t topic, const struct topic_row *row);

/* ---- writing ---- */

/* The pieces of the next row. Zeroed it is empty. The bytes of pieces stay the caller's. */
struct row_builder {
    struct topic_run *runs;
    struct bytes *pieces;
    uint32_t run_count, run_capacity, piece_count, piece_capacity;
    uint32_t events;
    size_t events_bytes, header_bytes;
    bool expires; /* one of the events may */
};

/* Frees the memory. */
void row_builder_fini(struct row_builder *builder);
/* Makes it empty, and keeps the memory. */
void row_builder_clear(struct row_builder *builder);

/* Whether a piece belongs into the row: the row is empty, or does not grow too large. */
bool row_builder_fits(const struct row_builder *builder, const struct topic_run *piece);
/* Adds a piece of at least one event. False: out of memory, and nothing changed. */
MUST_CHECK bool row_builder_add(struct row_builder *builder, const struct topic_run *piece);

/* Writes the data into an empty buffer. False: out of memory. */
MUST_CHECK bool row_builder_encode(const struct row_builder *builder, struct buf *data);

/* ---- reading ---- */

/* A walk over the runs of a row. */
struct row_walk {
    const uint8_t *header, *header_end;
    const uint8_t *events, *events_end;
    uint64_t runs; /* that are left */
    bool expires;  /* one of the events may */
};

/* Begins a walk. False: the data is no row with so many events. The events themselves are not
 * looked at: the hash covers them. */
MUST_CHECK bool row_walk_begin(struct row_walk *walk, const struct topic_row *row);
/* The next run, which points into the data. False: there is none. */
bool row_walk_next(struct row_walk *walk, struct topic_run *run);

/* Takes the first `count` events off. False: there are not so many, or they are malformed; then
 * *events is unchanged. */
MUST_CHECK bool events_skip(struct bytes *events, uint32_t count);

#endif
