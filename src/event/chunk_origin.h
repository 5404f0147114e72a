/* chunk_origin.h - who published the events of a chunk.
 *
 * Threads: any. */
#ifndef TRIBUTARY_EVENT_CHUNK_ORIGIN_H
#define TRIBUTARY_EVENT_CHUNK_ORIGIN_H

#include <stdbool.h>

#include "event/chunk.h"

/* The name of the producer: the origin, where the source is a stored topic, or else the source.
 * Empty: the chunk has neither yet. It is valid as long as the chunk. */
static inline struct bytes chunk_origin(const struct chunk *chunk)
{
    const struct source *source = chunk->origin ? chunk->origin : chunk->source;

    return source ? source_name(source) : (struct bytes){NULL, 0};
}

/* Gives the chunk, which is not shared yet and has none, an origin, which is retained. The memory
 * of the origin is charged to the chunk. False: the budget is used up, and nothing changed. */
MUST_CHECK bool chunk_set_origin(struct chunk *chunk, struct source *origin);

#endif
