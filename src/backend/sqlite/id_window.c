/* id_window.c - the ids of a topic's latest events, in memory: a ring, and a hash table with linear
 * probing over its places. */
#include "backend/sqlite/id_window.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 1024u

void id_window_fini(struct id_window *window)
{
    free(window->entries);
    free(window->slots);
    *window = (struct id_window){.first = window->first, .next = window->first, .kept_next = window->first};
}

static uint32_t slot_mask(const struct id_window *window)
{
    return 2 * window->capacity - 1;
}

/* The slot that has the hash, or the empty one where it would be. */
static uint32_t find_slot(const struct id_window *window, uint64_t hash)
{
    uint32_t slot = (uint32_t)hash & slot_mask(window);

    while (window->slots[slot] != 0 && window->entries[window->slots[slot] - 1].hash != hash)
        slot = (slot + 1) & slot_mask(window);
    return slot;
}

bool id_window_has(const struct id_window *window, uint64_t hash)
{
    return window->capacity > 0 && window->slots[find_slot(window, hash)] != 0;
}

static void put(struct id_window *window, uint64_t number, const struct id_entry *entry)
{
    const uint32_t place = (uint32_t)(number & (window->capacity - 1));

    window->entries[place] = *entry;
    window->slots[find_slot(window, entry->hash)] = place + 1;
}

static bool grow(struct id_window *window)
{
    struct id_window larger = *window;

    larger.capacity = window->capacity > 0 ? 2 * window->capacity : FIRST_CAPACITY;
    larger.entries = calloc(larger.capacity, sizeof(*larger.entries));
    larger.slots = calloc(2 * (size_t)larger.capacity, sizeof(*larger.slots));
    if (!larger.entries || !larger.slots) {
        free(larger.entries);
        free(larger.slots);
        return false;
    }
    for (uint64_t number = window->first; number < window->next; number++)
        put(&larger, number, id_window_at(window, number));
    free(window->entries);
    free(window->slots);
    *window = larger;
    return true;
}

bool id_window_add(struct id_window *window, uint64_t hash, int64_t at_ns)
{
    if (id_window_count(window) >= window->capacity && !grow(window))
        return false;
    put(window, window->next++, &(struct id_entry){hash, at_ns});
    return true;
}

/* Empties a slot. Those behind it move up, if they may. */
static void remove_slot(struct id_window *window, uint32_t slot)
{
    const uint32_t mask = slot_mask(window);
    uint32_t hole = slot;

    for (uint32_t next = (slot + 1) & mask; window->slots[next] != 0; next = (next + 1) & mask) {
        const uint32_t home = (uint32_t)window->entries[window->slots[next] - 1].hash & mask;

        if (((next - home) & mask) < ((next - hole) & mask))
            continue; /* its home is behind the hole */
        window->slots[hole] = window->slots[next];
        hole = next;
    }
    window->slots[hole] = 0;
}

void id_window_drop_first(struct id_window *window)
{
    CHECK(window->first < window->next);
    remove_slot(window, find_slot(window, id_window_at(window, window->first)->hash));
    window->first++;
    if (window->first == window->next && window->capacity > FIRST_CAPACITY)
        id_window_fini(window);
}

void id_window_keep(struct id_window *window)
{
    window->kept_next = window->next;
}

void id_window_undo(struct id_window *window)
{
    while (window->next > MAX_OF(window->kept_next, window->first)) {
        window->next--;
        remove_slot(window, find_slot(window, id_window_at(window, window->next)->hash));
    }
}
