/* line_ring.c - records of a head and a line, one after the other.
 *
 * A record that does not fit between the tail and the end of the block begins at the start. The
 * bytes that are left out at the end are padding: they are in use until the head passes them.
 * Records begin at multiples of 4, so there is always space for the head that marks padding. */
#include "base/line_ring.h"

#include <stdlib.h>

/* Before each line. */
struct head {
    uint16_t size; /* of the line; at most MAX_RING_LINE */
    uint8_t level;
    uint8_t is_padding; /* nothing more comes before the end of the block */
};

static size_t record_bytes(size_t size)
{
    return (sizeof(struct head) + size + 3) & ~(size_t)3;
}

enum err line_ring_init(struct line_ring *ring, size_t capacity, size_t reserve)
{
    CHECK(capacity % 4 == 0 && capacity >= 4u * MAX_RING_LINE && reserve < capacity);
    char *block = malloc(capacity);
    if (!block)
        return ERR_NO_MEMORY;
    *ring = (struct line_ring){.block = block, .capacity = capacity, .reserve = reserve};
    return ERR_OK;
}

void line_ring_fini(struct line_ring *ring)
{
    free(ring->block);
    *ring = (struct line_ring){0};
}

static struct head head_at(const struct line_ring *ring, size_t offset)
{
    struct head head;

    memcpy(&head, ring->block + offset, sizeof(head));
    return head;
}

static void put_head(struct line_ring *ring, struct head head)
{
    memcpy(ring->block + ring->tail, &head, sizeof(head));
}

static void add_padding(struct line_ring *ring, size_t size)
{
    if (size > 0)
        put_head(ring, (struct head){.is_padding = 1});
    ring->used += size;
    ring->tail = 0;
}

bool line_ring_put(struct line_ring *ring, unsigned level, const char *line, size_t size)
{
    CHECK(size <= MAX_RING_LINE && level < LINE_LEVELS);
    const size_t limit = level >= LINE_RESERVE_LEVEL ? ring->capacity : ring->capacity - ring->reserve;
    const size_t needed = record_bytes(size);
    const bool wraps = ring->tail + needed > ring->capacity;
    const size_t padding = wraps ? ring->capacity - ring->tail : 0;

    if (ring->used + padding + needed > limit)
        return false;
    if (wraps)
        add_padding(ring, padding);
    put_head(ring, (struct head){.size = (uint16_t)size, .level = (uint8_t)level});
    memcpy(ring->block + ring->tail + sizeof(struct head), line, size);
    ring->tail += needed;
    ring->used += needed;
    ring->count++;
    return true;
}

bool line_ring_front(const struct line_ring *ring, unsigned *level_out, struct bytes *line_out)
{
    if (ring->count == 0)
        return false;
    const struct head head = head_at(ring, ring->head);
    *level_out = head.level;
    *line_out = (struct bytes){(const uint8_t *)ring->block + ring->head + sizeof(struct head), head.size};
    return true;
}

/* Lets the head pass the padding, or the end of the block. */
static void skip_padding(struct line_ring *ring)
{
    const size_t left = ring->capacity - ring->head;

    if (left > 0 && !head_at(ring, ring->head).is_padding)
        return;
    ring->used -= left;
    ring->head = 0;
}

void line_ring_pop(struct line_ring *ring)
{
    CHECK(ring->count > 0);
    const size_t freed = record_bytes(head_at(ring, ring->head).size);
    ring->head += freed;
    ring->used -= freed;
    if (--ring->count == 0)
        ring->head = ring->tail = ring->used = 0;
    else
        skip_padding(ring);
}
