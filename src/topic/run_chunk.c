/* run_chunk.c - see run_chunk.h. */
#include "topic/run_chunk.h"

#include <stdlib.h>

#include "event/chunk.h"
#include "event/varint.h"

#define EVENT_TAG WIRE_TAG(1, WIRE_LEN)

/* Space for the offsets of `count` events. */
static bool reserve(struct framing_scan *scan, uint32_t count)
{
    const size_t capacity = (size_t)count + 1;
    uint32_t *offsets;

    if (capacity <= scan->capacity)
        return true;
    framing_fini(scan);
    offsets = malloc(capacity * sizeof(*offsets));
    if (!offsets)
        return false;
    scan->offsets = offsets;
    scan->capacity = capacity;
    return true;
}

/* Finds the next event, which begins at `at`. Returns where it ends; NULL: it is malformed. */
static inline const uint8_t *event_end(const uint8_t *at, const uint8_t *end)
{
    uint64_t size;
    size_t read;

    if (end - at < 2 || *at++ != EVENT_TAG)
        return NULL;
    if (LIKELY(*at < 0x80))
        return *at <= end - at - 1 ? at + 1 + *at : NULL;
    read = varint_read(at, end, &size);
    return read > 0 && size <= (size_t)(end - at) - read ? at + read + size : NULL;
}

enum err run_chunk(struct topic_run *run, uint32_t skip, size_t max_bytes, struct framing_scan *scan,
                   struct chunk **chunk_out)
{
    const uint8_t *at, *next, *end = run->events.data + run->events.size;
    struct bytes events = run->events;
    const uint32_t all = run->count - skip;
    uint32_t count;

    if (!events_skip(&events, skip))
        return ERR_INVALID;
    if (!reserve(scan, all))
        return ERR_NO_MEMORY;
    at = events.data;
    for (count = 0; count < all; count++) {
        scan->offsets[count] = (uint32_t)(at - events.data);
        next = event_end(at, end);
        if (!next)
            return ERR_INVALID;
        if (count > 0 && (size_t)(next - events.data) > max_bytes)
            break;
        at = next;
    }
    if (count == all && at != end)
        return ERR_INVALID;
    events.size = (size_t)(at - events.data);
    scan->offsets[count] = (uint32_t)events.size;
    scan->count = count;
    scan->events_bytes = (uint32_t)events.size;
    scan->contiguous = true;
    if (chunk_of(events, scan, chunk_out) != ERR_OK)
        return ERR_NO_MEMORY;
    run->events = (struct bytes){at, (size_t)(end - at)};
    run->count = all - count;
    return ERR_OK;
}
