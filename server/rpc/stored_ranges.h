/* stored_ranges.h - what was stored since the last answer: the latest range of each topic. For the
 * files of this room.
 *
 * Threads: one at a time. */
#ifndef TRIBUTARY_SERVER_RPC_STORED_RANGES_H
#define TRIBUTARY_SERVER_RPC_STORED_RANGES_H

#include <stdint.h>

#include "base/buf.h"

struct stored_batch;
struct stored_range;

#define MAX_STORED_RANGES 64u

/* All zero it is empty. */
struct stored_ranges {
    struct stored_range *ranges;
    uint32_t count, capacity;
};

void stored_ranges_fini(struct stored_ranges *ranges);

/* Notes what the batch has stored. A range that goes on where the last one of its topic ended makes
 * that longer, else it takes its place. Beyond 64 topics, or without memory, a range is left out:
 * it informs, and what was confirmed is said elsewhere. */
void stored_ranges_note(struct stored_ranges *ranges, const struct stored_batch *batch);

/* Appends them as fields `field` of a message, and forgets them. */
void stored_ranges_write(struct stored_ranges *ranges, uint32_t field, struct buf *message);

#endif
