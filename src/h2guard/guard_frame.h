/* guard_frame.h - what a frame from the peer means.
 *
 * Threads: as the guard. */
#ifndef TRIBUTARY_H2GUARD_GUARD_FRAME_H
#define TRIBUTARY_H2GUARD_GUARD_FRAME_H

#include "h2guard/guard_internal.h"

/* The header of a frame from the peer is complete: guard->in.frame. Sets the payload's kind. */
void guard_frame_begins(struct h2guard *guard);

/* The first byte of a padded frame: the length of its padding. */
void guard_frame_padding(struct h2guard *guard, uint8_t padding);

/* Bytes of a HEADERS or CONTINUATION frame, without its padding. */
void guard_frame_block(struct h2guard *guard, const uint8_t *data, size_t size);

/* All of its payload has passed. */
void guard_frame_ends(struct h2guard *guard);

#endif
