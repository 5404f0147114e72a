/* chunk_part.h - chunks that have a part of the events of another one, or lose a part of theirs.
 *
 * Threads: the owner's, before the chunk is shared. */
#ifndef TRIBUTARY_EVENT_CHUNK_PART_H
#define TRIBUTARY_EVENT_CHUNK_PART_H

#include "event/chunk.h"

/* Appends a copy of events [first, last) of `from` to a chunk of chunk_begin(). They must fit.
 * chunk_end() follows the last ones. */
void chunk_append(struct chunk *chunk, const struct chunk *from, uint32_t first, uint32_t last);

/* The chunk loses its first `count` events, of which it must have more. What it keeps in memory
 * stays as it is. It must have no sequences of its own. */
void chunk_drop_first(struct chunk *chunk, uint32_t count);

#endif
