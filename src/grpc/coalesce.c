/* coalesce.c - small messages in a row as one chunk. */
#include "grpc/coalesce.h"

#include "grpc/slice_memory.h"

enum { SMALL_MESSAGE_BELOW_BYTES = 4096 };
enum { MAX_SMALL_EVENTS = 128, MAX_SMALL_BYTES = 16 << 10 };
enum { MAX_EVENTS = 1024, MAX_BYTES = 64 << 10 };

_Static_assert((uint32_t)MAX_SMALL_BYTES != (uint32_t)MAX_BYTES, "coalesce_end() sees which of them it is");

/* A chunk that has space for the message. NULL: memory or budget is used up. */
static struct chunk *begin(struct bytes message, const struct framing_scan *scan)
{
    const uint8_t *data;

    if (message.size < SMALL_MESSAGE_BELOW_BYTES && scan->count <= MAX_SMALL_EVENTS)
        return chunk_begin(MAX_SMALL_EVENTS, MAX_SMALL_BYTES);
    struct chunk_memory *memory = slice_memory_begin(MAX_BYTES, &data);
    if (!memory)
        return NULL;
    struct chunk *chunk = chunk_begin_in(memory, data, MAX_EVENTS, MAX_BYTES);
    if (!chunk)
        memory->release(memory);
    return chunk;
}

bool coalesce(struct chunk **chunk, struct bytes message, const struct framing_scan *scan)
{
    if (message.size >= COALESCE_BELOW_BYTES || scan->count == 0 || scan->count > MAX_EVENTS)
        return false;
    if (!*chunk)
        *chunk = begin(message, scan);
    /* A new chunk has room for any such message, so it is never left empty. */
    return *chunk && chunk_add(*chunk, message, scan);
}

struct chunk *coalesce_end(struct chunk **chunk)
{
    const uint32_t capacity = (*chunk)->capacity.bytes;
    struct chunk *ended = chunk_end(*chunk);

    *chunk = NULL;
    if (capacity == MAX_BYTES)
        ended->memory =
            slice_memory_end(ended->memory, chunk_bytes(ended, 0, ended->count), capacity, &ended->data);
    return ended;
}
