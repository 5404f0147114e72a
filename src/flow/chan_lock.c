/* chan_lock.c - entering and leaving a channel: its lock, its latest mark, which may be passed
 * meanwhile, and the work that is deferred until the lock is released. */
#include <stdlib.h>

#include "base/budget.h"
#include "flow/chan_internal.h"

/* When more entries than this were allocated, they are freed as soon as none is in use. All but the
 * first slab's are freed where the batches of late were small, and while the budget is short. */
#define ENTRIES_KEPT 256

void chan_enter(struct chan *chan, struct deferred *deferred)
{
    deferred->over = NULL;
    deferred->to_announce = NULL;
    deferred->slabs = NULL;
    deferred->slots = NULL;
    deferred->notify = false;
    deferred->chunk_count = 0;
    pthread_mutex_lock(&chan->lock);
    chan->deferred = deferred;
}

bool chan_at_mark(struct chan *chan)
{
    if (chan->mark > 0 && chan->before_mark == 0) {
        chan->marked = chan->mark;
        chan->mark = 0;
        chan->at_mark = true;
        chan_notify(chan);
    }
    return chan->at_mark;
}

void chan_leave(struct chan *chan)
{
    struct deferred *deferred = chan->deferred;

    (void)chan_at_mark(chan);
    if (chan->entries_used == 0 && chan->entries_capacity > SLAB_FIRST &&
        (chan->entries_capacity > ENTRIES_KEPT || chan->small_batches || budget_is_short())) {
        deferred->slabs = chan->slabs;
        chan->slabs = NULL;
        chan->free_entries = NULL;
        chan->entries_capacity = 0;
        if (chan->keys)
            deferred->slots = keys_shrink(chan->keys);
    }
    chan->deferred = NULL;
    pthread_mutex_unlock(&chan->lock);

    while (deferred->to_announce) {
        struct feed *feed = deferred->to_announce;

        deferred->to_announce = pausable_feed(feed)->next_to_announce;
        feed_announce(chan, feed);
    }
    while (deferred->over) {
        struct put_waiter *waiter = deferred->over;

        deferred->over = waiter->next;
        waiter->over(waiter); /* the waiter may be gone after this */
    }
    if (deferred->notify)
        chan->callbacks.readable(chan->callbacks.ctx);
    for (uint32_t i = 0; i < deferred->chunk_count; i++)
        chunk_release(deferred->chunks[i]);
    if (deferred->slabs)
        slabs_free(deferred->slabs);
    free(deferred->slots);
}
