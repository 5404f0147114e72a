/* keys_internal.h - the table of keys: finds the waiting event of a (feed, topic, key).
 *
 * It is a hash table of chained slots. It doubles whenever it has as many entries as slots; without
 * memory for that its chains get longer. Entries with the same hash are compared whole. What each
 * put needs is inline.
 *
 * Threads: everything here runs under the channel's lock. */
#ifndef TRIBUTARY_FLOW_KEYS_INTERNAL_H
#define TRIBUTARY_FLOW_KEYS_INTERNAL_H

#include <string.h>

#include "event/event_view.h"
#include "flow/entry_internal.h"

#define MIN_KEY_SLOTS 16u

struct keys {
    struct entry **slots; /* `first_slots`, or on the heap */
    uint32_t slot_count;  /* a power of two */
    uint32_t count;
    struct entry *first_slots[MIN_KEY_SLOTS];
};

struct keys *keys_new(void); /* NULL: out of memory */
void keys_free(struct keys *keys);
void keys_grow(struct keys *keys);                        /* doubles the table, if there is memory */
void keys_remove(struct keys *keys, struct entry *entry); /* an entry that is in the table */
/* For an empty table: gives up the memory that many entries needed. The caller frees it. Returns
 * NULL where there is none. */
void *keys_shrink(struct keys *keys);

static inline struct entry **keys_slot(const struct keys *keys, uint32_t hash)
{
    return &keys->slots[hash & (keys->slot_count - 1)];
}

/* Links an entry with a hash into its slot. */
static inline void keys_push(struct keys *keys, struct entry *entry)
{
    struct entry **slot = keys_slot(keys, entry->hash);

    entry->next_in_slot = *slot;
    *slot = entry;
}

/* Adds an entry under a hash, which is not 0. */
static inline void keys_add(struct keys *keys, struct entry *entry, uint32_t hash)
{
    if (keys->count == keys->slot_count)
        keys_grow(keys);
    entry->hash = hash;
    keys_push(keys, entry);
    keys->count++;
}

static inline bool keys_same(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* The entry of this feed, topic and key, which have this hash. NULL: there is none. */
static inline struct entry *keys_find(const struct keys *keys, const struct feed *feed,
                                      const struct event_view *view, uint32_t hash)
{
    for (struct entry *entry = *keys_slot(keys, hash); entry; entry = entry->next_in_slot) {
        const struct range *range = &entry->range;
        struct event_view other;

        if (entry->hash != hash || range->feed != feed)
            continue;
        event_view(chunk_range(range->chunk, range->first, range->last), &other);
        if (keys_same(other.topic, view->topic) && keys_same(other.key, view->key))
            return entry;
    }
    return NULL;
}

#endif
