/* keys.c - LATEST_PER_KEY: keeps one waiting event for each (feed, topic, key).
 *
 * Each event is an entry of its own. Entries with a key are in a hash table of chained slots. The
 * table doubles whenever it has as many entries as slots; without memory for that its chains get
 * longer. Entries with the same hash are compared whole. */
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "event/event_view.h"
#include "flow/chan_internal.h"

#define MIN_SLOTS 16u

/* An event is copied where its chunk pins more than this many times the event's size. The other
 * events of the chunk may be long gone while this one waits. */
#define COPY_PINNED_TIMES 4u

struct keys {
    struct entry **slots; /* `first_slots`, or on the heap */
    uint32_t slot_count;  /* a power of two */
    uint32_t count;
    struct entry *first_slots[MIN_SLOTS];
};

struct keys *keys_new(void)
{
    struct keys *keys = calloc(1, sizeof(*keys));

    if (!keys)
        return NULL;
    keys->slots = keys->first_slots;
    keys->slot_count = MIN_SLOTS;
    return keys;
}

static struct entry **slot_of(const struct keys *keys, uint32_t hash)
{
    return &keys->slots[hash & (keys->slot_count - 1)];
}

static void push(struct keys *keys, struct entry *entry)
{
    struct entry **slot = slot_of(keys, entry->hash);

    entry->next_in_slot = *slot;
    *slot = entry;
}

static void grow(struct keys *keys)
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
            push(keys, entry);
        }
    if (old != keys->first_slots)
        free(old);
}

static void add(struct keys *keys, struct entry *entry, uint32_t hash)
{
    if (keys->count == keys->slot_count)
        grow(keys);
    entry->hash = hash;
    push(keys, entry);
    keys->count++;
}

void keys_remove(struct keys *keys, struct entry *entry)
{
    struct entry **link = slot_of(keys, entry->hash);

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
    keys->slot_count = MIN_SLOTS;
    return slots;
}

void keys_free(struct keys *keys)
{
    if (!keys)
        return;
    free(keys_shrink(keys));
    free(keys);
}

/* Never 0. The hash depends on a secret of the process, as that of a map does, so nobody can choose
 * keys that collide. */
static uint32_t hash_of(const struct feed *feed, const struct event_view *view)
{
    const uint64_t secret[2] = {map_hash(view->topic), (uintptr_t)feed};
    uint32_t hash = (uint32_t)siphash13(secret, view->key);

    return hash ? hash : 1;
}

static bool same(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static struct entry *find(const struct keys *keys, const struct feed *feed, const struct event_view *view,
                          uint32_t hash)
{
    for (struct entry *entry = *slot_of(keys, hash); entry; entry = entry->next_in_slot) {
        const struct range *range = &entry->range;
        struct event_view other;

        if (entry->hash != hash || range->feed != feed)
            continue;
        event_view(chunk_range(range->chunk, range->first, range->last), &other);
        if (same(other.topic, view->topic) && same(other.key, view->key))
            return entry;
    }
    return NULL;
}

/* Enqueues one event, or a copy of it. Without memory for a copy it enqueues a reference, which
 * only pins more. */
static struct entry *enqueue_one(struct chan *chan, struct range one)
{
    uint64_t size = range_bytes(&one) + sizeof(struct chunk);
    struct chunk *copy = NULL;
    struct entry *entry;

    if (one.chunk->pinned > size * COPY_PINNED_TIMES &&
        chunk_copy(one.chunk, one.first, one.last, &copy) == ERR_OK) {
        one.chunk = copy;
        one.first = 0;
        one.last = 1;
    }
    entry = chan_enqueue(chan, &one);
    chunk_release(copy);
    return entry;
}

/* Goes event by event: drops the older event of the same key and enqueues the new one as the last.
 * Where distinct keys alone exceed the bounds, it trims like DROP_OLDEST. */
void chan_put_latest(struct chan *chan, const struct range *range)
{
    for (uint32_t at = range->first; at < range->last; at++) {
        struct range one = {range->chunk, range->feed, at, at + 1, range->marks};
        struct entry *entry, *before_mark;
        struct event_view view;
        uint32_t hash = 0;

        event_view(chunk_range(one.chunk, one.first, one.last), &view);
        if (view.key.size > 0) {
            hash = hash_of(one.feed, &view);
            before_mark = find(chan->keys, one.feed, &view, hash);
            if (before_mark)
                chan_drop(chan, before_mark, 1, LOSS_COALESCED);
        }
        entry = enqueue_one(chan, one);
        if (entry && hash != 0)
            add(chan->keys, entry, hash);
        (void)chan_drop_oldest(chan, LOSS_OVERFLOW_OLDEST);
    }
}
