/* chunk_origin.c - who published the events of a chunk. */
#include "event/chunk_origin.h"

#include "base/budget.h"

bool chunk_set_origin(struct chunk *chunk, struct source *origin)
{
    const size_t bytes = sizeof(*origin) + origin->name_size + 1;

    CHECK(!chunk->origin);
    if (!budget_take(COUNT_LIVE_CHUNK_BYTES, bytes))
        return false;
    chunk->pinned += bytes;
    chunk->origin = source_retain(origin);
    return true;
}
