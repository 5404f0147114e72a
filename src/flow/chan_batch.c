/* chan_batch.c - what goes out: the batch in flight. */
#include "flow/chan_batch.h"

#include <stdlib.h>

#include "flow/chan_internal.h"
#include "flow/order_internal.h"

#define FIRST_CAPACITY 16

/* An array with space for more entries is freed with its batch. */
#define MAX_KEPT_CAPACITY 64

static bool batch_grow(struct chan_batch *batch)
{
    uint32_t capacity = batch->capacity ? batch->capacity * 2 : FIRST_CAPACITY;
    struct chan_batch_entry *entries;

    if (batch->count < batch->capacity)
        return true;
    entries = realloc(batch->entries, capacity * sizeof(*entries));
    if (!entries)
        return false;
    batch->entries = entries;
    batch->capacity = capacity;
    return true;
}

/* Moves the first `count` events of the entry into the batch, which has room for them. */
static INLINE void move_to_batch(struct chan *chan, struct entry *entry, uint32_t count,
                                 struct chan_batch *batch)
{
    struct range range = entry->range;
    uint32_t bytes;

    range.last = range.first + count;
    bytes = range_bytes(&range);
    entry->range.first = range.last;
    if (entry->range.first == entry->range.last) {
        list_remove(&entry->in_chan);
        list_remove(&entry->in_feed);
        entry_free(chan, entry);
        feed_changed(chan, range.feed);
    } else {
        chunk_retain(range.chunk);
        range.feed->refs++;
    }
    totals_sub(&chan->waiting, count, bytes);
    totals_sub(&range.feed->waiting, count, bytes);
    totals_add(&chan->in_flight, count, bytes);
    totals_add(&range.feed->in_flight, count, bytes);
    if (!list_empty(&range.feed->in_losses)) {
        /* A source's loss may not be reported later than its events: move it to the front. */
        list_remove(&range.feed->in_losses);
        list_append(chan->losses.next, &range.feed->in_losses);
    }
    batch->entries[batch->count++] =
        (struct chan_batch_entry){range.chunk, range.feed, range.first, range.last};
    batch->events += count;
    batch->bytes += bytes;
}

/* How many events of the entry still fit into the batch. A batch takes its first event whatever its
 * size. */
static INLINE uint32_t count_fitting(const struct entry *entry, const struct chan_batch *batch,
                                     uint32_t max_events, uint64_t max_bytes)
{
    struct range range = entry->range;
    uint32_t count;

    if (batch->events >= max_events || batch->bytes >= max_bytes)
        return 0;
    range.last = range.first + MIN_OF(range.last - range.first, max_events - batch->events);
    count = range_prefix(&range, max_bytes - batch->bytes);
    return count == 0 && batch->events == 0 ? 1 : count;
}

/* Sorted events that are moved under one lock, because each costs a look at its time. */
#define MAX_SORTED 1024u

/* Drops an entry that is too old. False: it is not. */
static inline bool drop_expired(struct chan *chan, struct entry *entry, int64_t now_ns)
{
    if (!chan_expired(chan, entry, now_ns))
        return false;
    chan_drop(chan, entry, entry->range.last - entry->range.first, LOSS_EXPIRED);
    return true;
}

static INLINE void dequeue_oldest(struct chan *chan, struct chan_batch *batch, uint32_t max_events,
                                  uint64_t max_bytes, int64_t now_ns)
{
    struct list *node;

    while (!chan_at_mark(chan) && (node = list_first(&chan->waiting_entries))) {
        struct entry *entry = container_of(node, struct entry, in_chan);
        uint32_t count;

        if (drop_expired(chan, entry, now_ns))
            continue;
        count = count_fitting(entry, batch, max_events, max_bytes);
        if (count == 0 || !batch_grow(batch))
            break;
        move_to_batch(chan, entry, count, batch);
    }
}

/* The same in the order of times. */
static NOINLINE void dequeue_sorted(struct chan *chan, struct chan_batch *batch, uint32_t max_events,
                                    uint64_t max_bytes, int64_t now_ns)
{
    uint32_t allowed;

    max_events = MIN_OF(max_events, MAX_SORTED);
    while (!chan_at_mark(chan) && (allowed = order_allowed(chan, now_ns)) > 0) {
        struct entry *entry = order_first(chan->order);
        struct feed *feed = entry->range.feed;
        uint32_t count;

        if (drop_expired(chan, entry, now_ns))
            continue;
        count = MIN_OF(allowed, count_fitting(entry, batch, max_events, max_bytes));
        if (count == 0 || !batch_grow(batch))
            break;
        count = order_advance(chan, entry, count, now_ns);
        move_to_batch(chan, entry, count, batch);
        order_head_changed(chan, feed);
        chan->order->is_held = chan->order->count > 0;
    }
}

bool chan_dequeue(struct chan *chan, struct chan_batch *batch, uint32_t max_events, uint64_t max_bytes,
                  int64_t now_ns)
{
    SCRATCH struct deferred deferred;
    bool more;

    CHECK(batch->count == 0 && max_events > 0 && max_bytes > 0);
    chan_enter(chan, &deferred);
    if (LIKELY(!chan->order))
        dequeue_oldest(chan, batch, max_events, max_bytes, now_ns);
    else
        dequeue_sorted(chan, batch, max_events, max_bytes, now_ns);
    chan->share_bytes = list_empty(&chan->parked_entries)
                            ? 0
                            : MIN_OF(chan->share_bytes + batch->bytes / 2, chan->limits.max_bytes);
    if (chan->fallback_active || !list_empty(&chan->parked_entries))
        chan_update(chan);
    if (batch->count > 0 && chan->fallback_since_ns != INT64_MAX)
        chan->fallback_since_ns = chan->fallback_active ? now_ns : INT64_MAX;
    chan->largest_batch = MAX_OF(chan->largest_batch, batch->count);
    more = chan->waiting.events > 0 || chan_at_mark(chan);
    if (more && chan->order)
        more = order_allowed(chan, now_ns) > 0 || chan_at_mark(chan);
    chan->at_mark = false;
    chan->armed = true;
    deferred.notify = false; /* the taker is looking right now */
    chan_leave(chan);
    return more;
}

int64_t chan_due_at(struct chan *chan)
{
    SCRATCH struct deferred deferred;
    int64_t due_ns;

    chan_enter(chan, &deferred);
    due_ns = chan_at_mark(chan) ? 0 : order_due_at(chan);
    chan_leave(chan);
    return due_ns;
}

/* The entry that chan_dequeue() gives first. NULL: nothing waits. */
static const struct entry *next_entry(const struct chan *chan)
{
    struct list *node = list_first(&chan->waiting_entries);

    if (chan->order)
        return order_first(chan->order);
    return node ? container_of(node, struct entry, in_chan) : NULL;
}

uint32_t chan_next_bytes(struct chan *chan)
{
    SCRATCH struct deferred deferred;
    const struct entry *next;
    uint32_t bytes = 0;

    chan_enter(chan, &deferred);
    if (chan->limits.max_age_ns > 0) {
        chan_expire(chan);
        chan_update(chan);
    }
    if ((next = next_entry(chan)))
        bytes = chunk_bytes(next->range.chunk, next->range.first, next->range.first + 1);
    chan_leave(chan);
    return bytes;
}

/* Completes the batch. `reason` 0: it was delivered. */
static void complete(struct chan *chan, struct chan_batch *batch, enum loss reason)
{
    SCRATCH struct deferred deferred;

    chan_enter(chan, &deferred);
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct chan_batch_entry *entry = &batch->entries[i];
        struct range range = {entry->chunk, entry->feed, entry->first, entry->last, 0};
        uint32_t events = range.last - range.first, bytes = range_bytes(&range);

        totals_sub(&chan->in_flight, events, bytes);
        totals_sub(&range.feed->in_flight, events, bytes);
        if (reason == 0) {
            totals_add(&chan->delivered, events, bytes);
            totals_add(&range.feed->delivered, events, bytes);
        } else {
            chan_count_dropped(chan, &range, reason);
        }
        feed_release(chan, range.feed);
    }
    chan_leave(chan);
    for (uint32_t i = 0; i < batch->count; i++)
        chunk_release(batch->entries[i].chunk);
    if (batch->capacity > MAX_KEPT_CAPACITY) {
        free(batch->entries);
        batch->entries = NULL;
        batch->capacity = 0;
    }
    batch->count = 0;
    batch->events = 0;
    batch->bytes = 0;
}

void chan_delivered(struct chan *chan, struct chan_batch *batch)
{
    complete(chan, batch, (enum loss)0);
}

void chan_lost(struct chan *chan, struct chan_batch *batch, enum loss reason)
{
    CHECK(reason > 0 && reason < LOSS_COUNT);
    complete(chan, batch, reason);
}

void chan_batch_fini(struct chan_batch *batch)
{
    CHECK(batch->count == 0);
    free(batch->entries);
    *batch = (struct chan_batch){0};
}

bool chan_batch_ready(struct chan *chan, uint32_t batch_events, uint64_t batch_bytes)
{
    const struct chan_limits *limits = &chan->limits;
    const struct totals *waiting = &chan->waiting;
    SCRATCH struct deferred deferred;
    bool ready;

    chan_enter(chan, &deferred);
    ready = waiting->events > 0 && (waiting->events >= MIN_OF(batch_events, limits->max_events / 4) ||
                                    waiting->bytes >= MIN_OF(batch_bytes, limits->max_bytes / 4));
    chan_leave(chan);
    return ready;
}

void chan_rearm(struct chan *chan)
{
    pthread_mutex_lock(&chan->lock);
    chan->armed = true;
    pthread_mutex_unlock(&chan->lock);
}
