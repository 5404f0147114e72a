/* chunk_part.c - chunks that have a part of the events of another one, or lose a part of theirs. */
#include "event/chunk_part.h"

#include <string.h>

void chunk_append(struct chunk *chunk, const struct chunk *from, uint32_t first, uint32_t last)
{
    const uint32_t begin = from->offsets[first], bytes = chunk_bytes(from, first, last);
    const uint32_t offset = chunk->offsets[chunk->count];

    CHECK(last - first <= chunk->capacity.events - chunk->count && bytes <= chunk->capacity.bytes - offset);
    memcpy((uint8_t *)(uintptr_t)chunk->data + offset, from->data + begin, bytes);
    for (uint32_t i = first; i < last; i++)
        chunk->offsets[++chunk->count] = from->offsets[i + 1] - begin + offset;
}

void chunk_drop_first(struct chunk *chunk, uint32_t count)
{
    const uint32_t begin = chunk->offsets[count];

    CHECK(count < chunk->count && !chunk->sequences);
    chunk->data += begin;
    chunk->count -= count;
    for (uint32_t i = 0; i <= chunk->count; i++)
        chunk->offsets[i] = chunk->offsets[count + i] - begin;
}
