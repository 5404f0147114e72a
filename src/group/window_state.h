/* window_state.h - what a store keeps of a window: the floor, the ranges above it, and how many
 * events were settled in which way. Inside of src/group only.
 *
 *   version (1)
 *   varints: floor, the six counts, number of ranges, and for each range: the open events before
 *   it, its events
 *   8 bytes, the lowest first: XXH3 of all that
 *
 * The hash finds decay of the disk. It is no protection against somebody who writes the bytes, so
 * everything is checked besides.
 *
 * Threads: any; values. */
#ifndef TRIBUTARY_GROUP_WINDOW_STATE_H
#define TRIBUTARY_GROUP_WINDOW_STATE_H

#include "base/buf.h"
#include "group/window.h"

/* Appends the state. Events that are COMMITTING count as dead-lettered. `counts` are those of all
 * events since the seek. Of more ranges than `max_ranges` the highest are left out, with their
 * counts: they are delivered again after a restart. The caller checks buf->broken. O(window). At
 * most 128 + 8 * max_ranges bytes. Returns the floor of the state. */
uint64_t window_state_encode(const struct window *window, const uint64_t counts[OUTCOMES],
                             uint32_t max_ranges, struct buf *buf);

/* Reads a state into a window that is empty.
 *   ERR_INVALID    it is damaged, or no state; the window is unchanged
 *   ERR_NO_MEMORY  the window is unchanged */
MUST_CHECK enum err window_state_decode(struct window *window, uint64_t counts_out[OUTCOMES],
                                        struct bytes state);

#endif
