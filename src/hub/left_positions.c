/* left_positions.c - see left_positions.h. */
#include "hub/left_positions.h"

#include <stdlib.h>

#include "base/budget.h"
#include "event/chunk.h"

#define FIRST_CAPACITY 8u

static bool reserve(struct left_positions *positions)
{
    uint32_t capacity = positions->capacity ? positions->capacity * 2 : FIRST_CAPACITY;
    uint64_t more_bytes = (capacity - positions->capacity) * sizeof(struct left_position);
    struct left_position *list;

    if (positions->count < positions->capacity)
        return true;
    if (positions->count >= MAX_LEFT_POSITIONS || !budget_take(COUNT_LIVE_POSITION_BYTES, more_bytes))
        return false;
    list = reallocarray(positions->list, capacity, sizeof(*list));
    if (!list) {
        budget_give(COUNT_LIVE_POSITION_BYTES, more_bytes);
        return false;
    }
    positions->list = list;
    positions->capacity = capacity;
    return true;
}

void left_positions_add(struct left_positions *positions, struct source *source)
{
    uint64_t sequence = atomic_load_explicit(&source->routed, memory_order_acquire);

    if (sequence == 0)
        return;
    if (reserve(positions))
        positions->list[positions->count++] = (struct left_position){source_retain(source), sequence};
    else
        positions->left_out++;
}

void left_positions_fini(struct left_positions *positions)
{
    for (uint32_t i = 0; i < positions->count; i++)
        source_release(positions->list[i].source);
    free(positions->list);
    budget_give(COUNT_LIVE_POSITION_BYTES, positions->capacity * sizeof(*positions->list));
    *positions = (struct left_positions){0};
}
