/* put.c - what comes in: bounds, policies, parking and its end. */
#include "base/clock.h"
#include "flow/chan_internal.h"

/* BLOCK holds at most this much outside of the bounds. Each putter waits with one message, so only many of them at once come here. */
#define PARKED_MOST 1024
#define PARKED_BYTES_LEAST (UINT64_C(1) << 20)

void stall_begin(struct stall *stall)
{
    /* One for the putter itself, so that nobody is last before stall_end(). */
    atomic_store_explicit(&stall->waiting, 1, memory_order_relaxed);
}

enum err stall_end(struct stall *stall)
{
    return atomic_fetch_sub_explicit(&stall->waiting, 1, memory_order_acq_rel) == 1 ? ERR_OK : ERR_AGAIN;
}

/* How many events of the range fit within the bounds now. An event larger than all of them fits where nothing waits. */
static uint32_t fitting(const struct chan *chan, const struct range *range)
{
    const struct chan_limits *limits = &chan->limits;
    struct range most = *range;
    uint32_t count;

    if (chan->waiting.events >= limits->max_events)
        return 0;
    most.last = range->first + (uint32_t)MIN_OF(range->last - range->first, limits->max_events - chan->waiting.events);
    count = range_prefix(&most, limits->max_bytes > chan->waiting.bytes ? limits->max_bytes - chan->waiting.bytes : 0);
    return count == 0 && chan->waiting.events == 0 ? 1 : count;
}

static bool half_empty(const struct chan *chan)
{
    return chan->waiting.events <= chan->limits.max_events / 2 && chan->waiting.bytes <= chan->limits.max_bytes / 2;
}

/* Cuts the first `count` events off the range. */
static struct range cut(struct range *range, uint32_t count)
{
    struct range head = *range;

    head.last = head.first + count;
    range->first = head.last;
    return head;
}

/* The feed with most bytes waiting. Takes leave keys behind that are too heavy, so the first is put right until it is right. */
static struct feed *heaviest(struct chan *chan)
{
    for (;;) {
        struct feed *feed = container_of(heap_first(&chan->heaviest), struct feed, weight);

        if (feed->weight.key == -(int64_t)feed->waiting.bytes)
            return feed;
        CHECK(heap_set(&chan->heaviest, &feed->weight, -(int64_t)feed->waiting.bytes) == ERR_OK);
    }
}

/* At least the bytes of the second heaviest feed: it is a child of the first. */
static uint64_t second_bytes(const struct heap *heap)
{
    int64_t key = 0;

    for (size_t i = 1; i < heap->count && i <= 2; i++)
        key = MIN_OF(key, heap->nodes[i]->key);
    return (uint64_t)-key;
}

/* How many of the first events of the range reach `bytes`, at most all of them. */
static uint32_t reaching(const struct range *range, uint64_t bytes)
{
    uint32_t count = range->last - range->first;

    return bytes == 0 ? 0 : MIN_OF(count, range_prefix(range, bytes - 1) + 1);
}

/* DROP_OLDEST: while something is over, the heaviest feed loses from its front, until it is just below the second. So whoever floods loses
 * its own. */
static void trim(struct chan *chan, enum loss reason)
{
    const struct chan_limits *limits = &chan->limits;

    for (;;) {
        struct tally *waiting = &chan->waiting;
        uint64_t over_events = waiting->events > limits->max_events ? waiting->events - limits->max_events : 0;
        uint64_t over_bytes = waiting->events > 1 && waiting->bytes > limits->max_bytes ? waiting->bytes - limits->max_bytes : 0;
        struct feed *feed;
        struct entry *entry;
        uint64_t count;

        if (over_events == 0 && over_bytes == 0)
            return;
        feed = heaviest(chan);
        entry = container_of(list_first(&feed->waiting_entries), struct entry, in_feed);
        count = MAX_OF(over_events, reaching(&entry->range, over_bytes));
        count = MIN_OF(count, entry->range.last - entry->range.first);
        count = MIN_OF(count, waiting->events - 1);
        if (feed->waiting.bytes >= second_bytes(&chan->heaviest))
            count = MIN_OF(count, reaching(&entry->range, feed->waiting.bytes - second_bytes(&chan->heaviest) + 1));
        chan_drop(chan, entry, (uint32_t)count, reason);
    }
}

/* DROP_OLDEST, DROP_NEWEST, DISCONNECT: takes or drops the whole range. */
static void apply(struct chan *chan, enum overflow overflow, struct range range)
{
    struct range head;

    if (overflow == OVERFLOW_DROP_OLDEST) {
        chan_wait(chan, &range);
        trim(chan, chan->latched ? LOSS_BLOCK_TIMEOUT : LOSS_OVERFLOW_OLDEST);
        return;
    }
    head = cut(&range, chan->state == CHAN_OPEN ? fitting(chan, &range) : 0);
    if (head.first < head.last)
        chan_wait(chan, &head);
    if (range.first == range.last)
        return;
    chan_refuse(chan, &range, chan->latched ? LOSS_BLOCK_TIMEOUT : LOSS_OVERFLOW_NEWEST);
    if (overflow == OVERFLOW_DISCONNECT)
        chan_break(chan);
}

/* The fallback takes over: whoever is parked goes first. */
static void latch(struct chan *chan)
{
    struct list *node;

    chan->latched = true;
    while ((node = list_first(&chan->parked_entries))) {
        struct range range = chan_unpark(chan, container_of(node, struct entry, in_chan));

        apply(chan, chan->limits.fallback, range);
        range_release(chan, &range);
    }
}

void chan_settle(struct chan *chan)
{
    struct list *node;

    if (!half_empty(chan))
        return;
    chan->latched = false;
    while ((node = list_first(&chan->parked_entries))) {
        struct entry *entry = container_of(node, struct entry, in_chan);
        uint32_t count = fitting(chan, &entry->range);
        struct range range;

        if (count == 0)
            return;
        if (count == entry->range.last - entry->range.first) {
            range = chan_unpark(chan, entry);
            chan_wait(chan, &range);
            range_release(chan, &range);
        } else {
            range = cut(&entry->range, count);
            tally_sub(&chan->parked, count, range_bytes(&range));
            chan_wait(chan, &range);
        }
    }
}

static bool parking_full(const struct chan *chan, const struct range *range)
{
    return chan->parked_count >= PARKED_MOST ||
           chan->parked.bytes + range_bytes(range) > MAX_OF(chan->limits.max_bytes, PARKED_BYTES_LEAST);
}

static int64_t later(int64_t now_ns, int64_t by_ns)
{
    return by_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + by_ns;
}

/* False: there is no memory for it, and it fell. */
static bool park(struct chan *chan, const struct range *range, struct stall *stall)
{
    struct entry *entry = entry_new(chan);

    if (!entry) {
        chan_refuse(chan, range, LOSS_BUDGET);
        return false;
    }
    entry->range = *range;
    entry->stall = stall;
    chan->older += range->line != chan->line;
    chunk_retain(range->chunk);
    range->feed->refs++;
    list_append(&chan->parked_entries, &entry->in_chan);
    list_append(&range->feed->parked_entries, &entry->in_feed);
    tally_add(&chan->parked, range->last - range->first, range_bytes(range));
    if (stall)
        atomic_fetch_add_explicit(&stall->waiting, 1, memory_order_relaxed);
    if (chan->parked_count++ == 0) {
        /* The taker must time it, even while its peer does not read. */
        chan->stall_until_ns = later(clock_mono_ns(), chan->limits.block_timeout_ns);
        chan_ring_anyway(chan);
    }
    return true;
}

static enum err block(struct chan *chan, struct range range, struct stall *stall)
{
    if (!chan->latched) {
        /* Nobody overtakes who is parked. */
        struct range head = cut(&range, chan->parked_count == 0 ? fitting(chan, &range) : 0);

        if (head.first < head.last)
            chan_wait(chan, &head);
        if (range.first == range.last)
            return ERR_OK;
        if (chan->limits.block_timeout_ns > 0 && !parking_full(chan, &range))
            return park(chan, &range, stall) ? ERR_AGAIN : ERR_OK;
        latch(chan);
    }
    apply(chan, chan->limits.fallback, range);
    chan_settle(chan);
    return ERR_OK;
}

static void expire(struct chan *chan)
{
    int64_t now_ns = clock_mono_ns();
    struct list *node;

    while ((node = list_first(&chan->waiting_entries))) {
        struct entry *entry = container_of(node, struct entry, in_chan);

        if (!chan_expired(chan, entry, now_ns))
            break;
        chan_drop(chan, entry, entry->range.last - entry->range.first, LOSS_EXPIRED);
    }
    chan_settle(chan);
}

enum err chan_put(struct chan *chan, struct feed *feed, struct chunk *chunk, uint32_t first, uint32_t last, struct stall *stall)
{
    struct range range = {chunk, feed, first, last, 0};
    struct after after;
    enum err err = ERR_OK;

    CHECK(first < last && last <= chunk->count);
    chan_enter(chan, &after);
    if (chan->state != CHAN_OPEN) {
        chan_leave(chan);
        return ERR_CLOSED;
    }
    range.line = chan->line;
    if (chan->limits.max_age_ns > 0)
        expire(chan);
    feed->routed = MAX_OF(feed->routed, chunk->first_sequence + last - 1);
    feed_moved(chan, feed);
    if (chan->limits.overflow == OVERFLOW_BLOCK || (chan->limits.overflow == OVERFLOW_BY_FEED && feed->paced))
        err = block(chan, range, stall);
    else
        apply(chan, chan->limits.overflow == OVERFLOW_BY_FEED ? OVERFLOW_DROP_OLDEST : chan->limits.overflow, range);
    chan_leave(chan);
    return err;
}

int64_t chan_stall_until(struct chan *chan)
{
    struct after after;
    int64_t until_ns;

    chan_enter(chan, &after);
    until_ns = chan->stall_until_ns;
    chan_leave(chan);
    return until_ns;
}

void chan_tick(struct chan *chan, int64_t now_ns)
{
    struct after after;

    chan_enter(chan, &after);
    if (chan->parked_count > 0 && now_ns >= chan->stall_until_ns) {
        latch(chan);
        chan_settle(chan);
    }
    chan_leave(chan);
}
