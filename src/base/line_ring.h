/* line_ring.h - a bounded queue of complete lines, in one block of memory.
 *
 * The bytes of a line lie in one piece, so that a reader may write them from where they are. Lines
 * of the levels from LINE_RESERVE_LEVEL on may use all of the block, the others leave a reserve.
 * An empty ring begins again at the start of its block: what is seldom full touches little memory.
 *
 * Threads: one, or the caller's lock. What line_ring_front() showed stays in its place until
 * line_ring_pop(), so it may be read without the lock. */
#ifndef TRIBUTARY_BASE_LINE_RING_H
#define TRIBUTARY_BASE_LINE_RING_H

#include "base/base.h"
#include "base/status.h"

/* Levels are 0 to LINE_LEVELS - 1; a higher one matters more. */
#define LINE_LEVELS 4u
#define LINE_RESERVE_LEVEL 2u
#define MAX_RING_LINE 4096u

struct line_ring {
    char *block;
    size_t capacity; /* bytes of the block */
    size_t reserve;
    size_t used; /* bytes, with heads and padding */
    size_t head; /* offset of the oldest line */
    size_t tail; /* offset of the place for the next line */
    size_t count;
};

/* `capacity` is a multiple of 4, and at least 4 * MAX_RING_LINE; `reserve` is less than
 * `capacity`.
 *   ERR_NO_MEMORY  the ring is unchanged */
MUST_CHECK enum err line_ring_init(struct line_ring *ring, size_t capacity, size_t reserve);
void line_ring_fini(struct line_ring *ring);

/* Appends a copy of a line of at most MAX_RING_LINE. False: there is no space for it. */
MUST_CHECK bool line_ring_put(struct line_ring *ring, unsigned level, const char *line, size_t size);

/* Shows the oldest line. False: the ring is empty, and the results are unchanged. */
MUST_CHECK bool line_ring_front(const struct line_ring *ring, unsigned *level_out, struct bytes *line_out);

/* Removes the oldest line. The ring must not be empty. */
void line_ring_pop(struct line_ring *ring);

#endif
