/* latest.c - LATEST_PER_KEY: keeps one waiting event for each (feed, topic, key).
 *
 * Each event is an entry of its own. Those with a key are in the table of keys
 * (keys_internal.h). */
#include "base/map.h"
#include "flow/chan_internal.h"

/* An event is copied where its chunk pins more than this many times the event's size. The other
 * events of the chunk may be long gone while this one waits. */
#define COPY_PINNED_TIMES 4u

/* Never 0. The hash depends on a secret of the process, as that of a map does, so nobody can choose
 * keys that collide. */
static uint32_t hash_of(const struct feed *feed, const struct event_view *view)
{
    const uint64_t secret[2] = {map_hash(view->topic), (uintptr_t)feed};
    uint32_t hash = (uint32_t)siphash13(secret, view->key);

    return hash ? hash : 1;
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
        struct entry *entry, *older;
        struct event_view view;
        uint32_t hash = 0;

        event_view(chunk_range(one.chunk, one.first, one.last), &view);
        if (view.key.size > 0) {
            hash = hash_of(one.feed, &view);
            older = keys_find(chan->keys, one.feed, &view, hash);
            if (older)
                chan_drop(chan, older, 1, LOSS_COALESCED);
        }
        entry = enqueue_one(chan, one);
        if (entry && hash != 0)
            keys_add(chan->keys, entry, hash);
        (void)chan_drop_oldest(chan, LOSS_OVERFLOW_OLDEST);
    }
}
