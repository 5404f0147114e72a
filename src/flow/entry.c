/* entry.c - the entries of a channel, and the steps at which events are counted. */
#include <stdlib.h>

#include "base/budget.h"
#include "base/counters.h"
#include "flow/chan_internal.h"
#include "flow/order_internal.h"

static size_t slab_bytes(uint32_t count)
{
    return sizeof(struct slab) + count * sizeof(struct entry);
}

/* A slab with `count` entries. `always`: the budget does not refuse it. NULL: memory or budget is
 * used up. */
static struct slab *slab_new(uint32_t count, bool always)
{
    size_t bytes = slab_bytes(count);

    if (always)
        budget_add(COUNT_LIVE_ENTRY_BYTES, bytes);
    else if (!budget_take(COUNT_LIVE_ENTRY_BYTES, bytes))
        return NULL;
    struct slab *slab = malloc(bytes);
    if (!slab)
        budget_give(COUNT_LIVE_ENTRY_BYTES, bytes);
    else
        slab->count = count;
    return slab;
}

/* The budget does not refuse the first slab: who queues little loses nothing because of others. Nor
 * does it refuse what nobody may lose, which is bounded by pauses. */
static bool grow(struct chan *chan, bool firm)
{
    uint32_t count = chan->slabs ? SLAB_NEXT : SLAB_FIRST;
    struct slab *slab = slab_new(count, firm || !chan->slabs);

    if (!slab)
        return false;
    slab->next = chan->slabs;
    chan->slabs = slab;
    for (uint32_t i = count; i-- > 0;) {
        slab->entries[i].in_chan.next = chan->free_entries ? &chan->free_entries->in_chan : NULL;
        chan->free_entries = &slab->entries[i];
    }
    chan->entries_capacity += count;
    return true;
}

void slabs_free(struct slab *slab)
{
    while (slab) {
        struct slab *next = slab->next;

        budget_give(COUNT_LIVE_ENTRY_BYTES, slab_bytes(slab->count));
        free(slab);
        slab = next;
    }
}

static const struct chunk *last_chunk(const struct feed *feed)
{
    struct list *node = list_last(&feed->parked_entries);

    node = node ? node : list_last(&feed->waiting_entries);
    return node ? container_of(node, struct entry, in_feed)->range.chunk : NULL;
}

/* What a new entry keeps in memory: itself, and all of its chunk, however few of the events it has.
 * Entries of one chunk follow each other, and the first one counts it. */
static uint32_t pinned_by(const struct range *range)
{
    uint64_t bytes = last_chunk(range->feed) == range->chunk ? 0 : range->chunk->pinned;

    return (uint32_t)MIN_OF(bytes + sizeof(struct entry), UINT32_MAX);
}

struct entry *entry_new(struct chan *chan, const struct range *range)
{
    struct entry *entry;

    if (!chan->free_entries && !grow(chan, range->feed->firm))
        return NULL;
    entry = chan->free_entries;
    chan->free_entries =
        entry->in_chan.next ? container_of(entry->in_chan.next, struct entry, in_chan) : NULL;
    chan->entries_used++;
    chan->before_mark += range->marks != chan->marks;
    entry->range = *range;
    entry->waiter = NULL;
    entry->hash = 0;
    entry->pinned = range->feed->firm ? 0 : pinned_by(range);
    chan->sheddable += entry->pinned;
    chunk_retain(range->chunk);
    range->feed->refs++;
    return entry;
}

void entry_free(struct chan *chan, struct entry *entry)
{
    if (entry->hash != 0)
        keys_remove(chan->keys, entry);
    chan->before_mark -= entry->range.marks != chan->marks;
    chan->sheddable -= entry->pinned;
    entry->in_chan.next = chan->free_entries ? &chan->free_entries->in_chan : NULL;
    chan->free_entries = entry;
    chan->entries_used--;
}

struct range range_split(struct range *range, uint32_t count)
{
    struct range head = *range;

    head.last = head.first + count;
    range->first = head.last;
    return head;
}

uint32_t range_prefix(const struct range *range, uint64_t bytes)
{
    uint32_t low = range->first, high = range->last;

    if (range_bytes(range) <= bytes)
        return range->last - range->first;
    /* Events [first, low) fit, [first, high) do not. */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (chunk_bytes(range->chunk, range->first, middle) <= bytes)
            low = middle;
        else
            high = middle;
    }
    return low - range->first;
}

void chan_count_dropped(struct chan *chan, const struct range *range, enum loss reason)
{
    uint32_t events = range->last - range->first, bytes = range_bytes(range);

    totals_add(&chan->dropped[reason], events, bytes);
    totals_add(&range->feed->dropped, events, bytes);
    count_add(COUNT_EVENTS_DROPPED, events);
    feed_lost(chan, range, reason);
}

static void count_accepted(struct chan *chan, const struct range *range)
{
    uint32_t events = range->last - range->first, bytes = range_bytes(range);

    totals_add(&chan->accepted, events, bytes);
    totals_add(&range->feed->accepted, events, bytes);
}

void chan_refuse(struct chan *chan, const struct range *range, enum loss reason)
{
    count_accepted(chan, range);
    chan_count_dropped(chan, range, reason);
}

/* Accepts the entry as the last that waits. */
static void append_waiting(struct chan *chan, struct entry *entry)
{
    uint32_t events = entry->range.last - entry->range.first, bytes = range_bytes(&entry->range);
    struct feed *feed = entry->range.feed;

    count_accepted(chan, &entry->range);
    list_append(&chan->waiting_entries, &entry->in_chan);
    list_append(&feed->waiting_entries, &entry->in_feed);
    totals_add(&chan->waiting, events, bytes);
    totals_add(&feed->waiting, events, bytes);
    if (chan->weighs_feeds && -(int64_t)feed->waiting.bytes < feed->weight.key)
        CHECK(heap_set(&chan->heaviest, &feed->weight, -(int64_t)feed->waiting.bytes) == ERR_OK);
    if (LIKELY(!chan->order))
        chan_notify(chan);
    else
        order_enqueued(chan);
}

struct entry *chan_enqueue(struct chan *chan, const struct range *range)
{
    struct entry *entry = entry_new(chan, range);

    if (entry)
        append_waiting(chan, entry);
    else
        chan_refuse(chan, range, LOSS_BUDGET);
    return entry;
}

void chan_drop(struct chan *chan, struct entry *entry, uint32_t events, enum loss reason)
{
    struct range range = entry->range;

    range.last = range.first + events;
    entry->range.first = range.last;
    totals_sub(&chan->waiting, events, range_bytes(&range));
    totals_sub(&range.feed->waiting, events, range_bytes(&range));
    chan_count_dropped(chan, &range, reason);
    if (entry->range.first < entry->range.last) {
        if (chan->order)
            order_head_changed(chan, range.feed);
        return;
    }
    list_remove(&entry->in_chan);
    list_remove(&entry->in_feed);
    entry_free(chan, entry);
    if (chan->order)
        order_head_changed(chan, range.feed);
    feed_changed(chan, range.feed);
    range_release(chan, &range);
}

bool chan_expired(const struct chan *chan, const struct entry *entry, int64_t now_ns)
{
    return chan->limits.max_age_ns > 0 &&
           now_ns - entry->range.chunk->observed_mono_ns > chan->limits.max_age_ns;
}

static void release_waiter(struct chan *chan, struct put_waiter *waiter)
{
    if (!waiter || atomic_fetch_sub_explicit(&waiter->waiting, 1, memory_order_acq_rel) != 1)
        return;
    waiter->next = chan->deferred->over;
    chan->deferred->over = waiter;
}

static void count_unparked(struct chan *chan, const struct range *range)
{
    uint32_t events = range->last - range->first, bytes = range_bytes(range);

    totals_sub(&chan->parked, events, bytes);
    totals_sub(&range->feed->parked, events, bytes);
    if (!range->feed->pausable)
        chan->blocked_bytes -= bytes;
}

void entry_let_go(struct chan *chan, struct entry *entry)
{
    release_waiter(chan, entry->waiter);
    entry->waiter = NULL;
}

/* Takes the entry out of the parked ones and notifies its putter. The caller decides what becomes
 * of the range before it releases the lock, so the putter may go on. */
static void leave_parked(struct chan *chan, struct entry *entry)
{
    struct feed *feed = entry->range.feed;

    list_remove(&entry->in_chan);
    list_remove(&entry->in_feed);
    count_unparked(chan, &entry->range);
    if (!feed->pausable && --chan->blocked_count == 0)
        chan->blocked_until_ns = INT64_MAX;
    entry_let_go(chan, entry);
    feed_update_pause(chan, feed);
}

void chan_admit(struct chan *chan, struct entry *entry, uint32_t count)
{
    struct range head = entry->range;

    if (count == head.last - head.first) {
        leave_parked(chan, entry);
        append_waiting(chan, entry);
        return;
    }
    head = range_split(&entry->range, count);
    count_unparked(chan, &head);
    (void)chan_enqueue(chan, &head);
}

struct range chan_unpark(struct chan *chan, struct entry *entry)
{
    struct range range = entry->range;

    leave_parked(chan, entry);
    entry_free(chan, entry);
    return range;
}

/* Gives up a reference to a chunk, after the lock if that is possible. Seldom more than a few
 * chunks go at once. Beyond that it is better to release one under the lock than to keep a list
 * without a bound. */
static void release_chunk(struct chan *chan, struct chunk *chunk)
{
    if (chan->deferred->chunk_count < MAX_DEFERRED_CHUNKS)
        chan->deferred->chunks[chan->deferred->chunk_count++] = chunk;
    else
        chunk_release(chunk);
}

void range_release(struct chan *chan, const struct range *range)
{
    release_chunk(chan, range->chunk);
    feed_release(chan, range->feed);
}
