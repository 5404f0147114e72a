/* stream_table.c - see stream_table.h. */
#include "h2guard/stream_table.h"

#include <stdlib.h>

#include "base/map.h"

#define MIN_SLOTS 16u

_Static_assert(sizeof(struct stream) == 20, "h2guard.h says what a slot takes");

void stream_table_init(struct stream_table *table, uint32_t max_count)
{
    *table = (struct stream_table){.max_count = max_count};
    table->factor = (uint32_t)map_hash((struct bytes){(const uint8_t *)"streams", 7}) | 1u;
}

void stream_table_fini(struct stream_table *table)
{
    free(table->slots);
    table->slots = NULL;
}

static struct stream *free_slot(struct stream_table *table, uint32_t id)
{
    uint32_t i = stream_slot(table, id);

    while (table->slots[i].id != 0)
        i = (i + 1) & table->slot_mask;
    return &table->slots[i];
}

/* Doubles the number of slots. */
static NOINLINE enum err grow(struct stream_table *table)
{
    uint32_t old_count = table->slots ? table->slot_mask + 1 : 0;
    uint32_t new_count = MAX_OF(2 * old_count, MIN_SLOTS);
    struct stream *old = table->slots;
    struct stream *slots = calloc(new_count, sizeof(*slots));

    if (!slots)
        return ERR_NO_MEMORY;
    table->slots = slots;
    table->slot_mask = new_count - 1;
    table->shift = 32 - (uint32_t)__builtin_ctz(new_count);
    for (uint32_t i = 0; i < old_count; i++)
        if (old[i].id != 0)
            *free_slot(table, old[i].id) = old[i];
    free(old);
    return ERR_OK;
}

enum err stream_table_add(struct stream_table *table, uint32_t id, struct stream **stream_out)
{
    if (table->count >= table->max_count)
        return ERR_FULL;
    if (!table->slots || 2 * (table->count + 1) > table->slot_mask + 1) {
        enum err err = grow(table);
        if (err != ERR_OK)
            return err;
    }
    struct stream *stream = free_slot(table, id);
    *stream = (struct stream){.id = id};
    table->count++;
    *stream_out = stream;
    return ERR_OK;
}

/* Moves later streams of the same run back into the gap, so that a search never meets a gap before
 * its stream. */
void stream_table_remove(struct stream_table *table, struct stream *stream)
{
    uint32_t mask = table->slot_mask;
    uint32_t gap = (uint32_t)(stream - table->slots);

    for (uint32_t i = (gap + 1) & mask; table->slots[i].id != 0; i = (i + 1) & mask) {
        uint32_t wanted = stream_slot(table, table->slots[i].id);
        if (((i - wanted) & mask) >= ((i - gap) & mask)) {
            table->slots[gap] = table->slots[i];
            gap = i;
        }
    }
    table->slots[gap].id = 0;
    table->count--;
}

size_t stream_table_memory(const struct stream_table *table)
{
    return table->slots ? ((size_t)table->slot_mask + 1) * sizeof(*table->slots) : 0;
}
