/* keys.c - the table of keys: its life, and what few puts need. keys_internal.h has the rest. */
#include <stdlib.h>
#include <string.h>

#include "flow/chan_internal.h"

struct keys *keys_new(void)
{
    struct keys *keys = calloc(1, sizeof(*keys));

    if (!keys)
        return NULL;
    keys->slots = keys->first_slots;
    keys->slot_count = MIN_KEY_SLOTS;
    return keys;
}

void keys_grow(struct keys *keys)
{
    struct entry **slots = calloc((size_t)keys->slot_count * 2, sizeof(struct entry *));
    struct entry **old = keys->slots, *next;
    uint32_t old_count = keys->slot_count;

    if (!slots)
        return;
    keys->slots = slots;
    keys->slot_count = old_count * 2;
    for (uint32_t i = 0; i < old_count; i++)
        for (struct entry *entry = old[i]; entry; entry = next) {
            next = entry->next_in_slot;
            keys_push(keys, entry);
        }
    if (old != keys->first_slots)
        free(old);
}

void keys_remove(struct keys *keys, struct entry *entry)
{
    struct entry **link = keys_slot(keys, entry->hash);

    while (*link != entry) {
        CHECK(*link);
        link = &(*link)->next_in_slot;
    }
    *link = entry->next_in_slot;
    entry->hash = 0;
    keys->count--;
}

void *keys_shrink(struct keys *keys)
{
    struct entry **slots = keys->slots;

    CHECK(keys->count == 0);
    if (slots == keys->first_slots)
        return NULL;
    memset(keys->first_slots, 0, sizeof(keys->first_slots));
    keys->slots = keys->first_slots;
    keys->slot_count = MIN_KEY_SLOTS;
    return slots;
}

void keys_free(struct keys *keys)
{
    if (!keys)
        return;
    free(keys_shrink(keys));
    free(keys);
}
