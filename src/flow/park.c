/* park.c - BLOCK: who is held back, for how long, and how they are let in. The design is in
 * chan_internal.h. */
#include "base/clock.h"
#include "flow/chan_internal.h"

/* Shared feeds may park so much together. Each putter waits with one message, so only many of them
 * at once come here. */
#define MAX_PARKED 1024
#define MIN_PARKED_BYTES (UINT64_C(1) << 20)

void put_waiter_begin(struct put_waiter *waiter)
{
    /* One for the putter itself, so that nobody is last before put_waiter_end(). */
    atomic_store_explicit(&waiter->waiting, 1, memory_order_relaxed);
}

enum err put_waiter_end(struct put_waiter *waiter)
{
    return atomic_fetch_sub_explicit(&waiter->waiting, 1, memory_order_acq_rel) == 1 ? ERR_OK : ERR_AGAIN;
}

static struct entry *first_parked(const struct chan *chan)
{
    struct list *node = list_first(&chan->parked_entries);

    return node ? container_of(node, struct entry, in_chan) : NULL;
}

static bool at_low_watermark(const struct chan *chan)
{
    return chan->waiting.events <= chan->limits.max_events / 2 &&
           chan->waiting.bytes <= chan->limits.max_bytes / 2;
}

/* As much of a parked entry as there is room for. Returns true when nothing of it stays outside. */
static bool let_in(struct chan *chan, struct entry *entry)
{
    for (;;) {
        uint32_t all = entry->range.last - entry->range.first, count = chan_fitting(chan, &entry->range);

        if (count > 0)
            chan_admit(chan, entry, count);
        if (count == 0 || count == all)
            return count == all;
    }
}

/* The same, for all of them in their order. */
static bool let_all_in(struct chan *chan)
{
    struct entry *entry;

    while ((entry = first_parked(chan)))
        if (!let_in(chan, entry))
            return false;
    return true;
}

void chan_update(struct chan *chan)
{
    if (!at_low_watermark(chan))
        return;
    chan->fallback_active = false;
    (void)let_all_in(chan);
}

/* Where DROP_OLDEST trims, the channel stays full, and half may never be empty: whoever is parked
 * would starve. So who is parked first is let in, and the heaviest loses as much. But no more than
 * half of what is taken, or those who are dropped from would starve: what they put never lives to
 * be the oldest while there is always something older. And no more than half of what the feed
 * weighs less than the heaviest, or it would be the next to lose. An event that is heavier than
 * that waits until half is empty. */
void chan_share(struct chan *chan, enum loss reason)
{
    struct entry *entry;

    while ((entry = first_parked(chan))) {
        const struct feed *feed = entry->range.feed;
        uint64_t max =
            MIN_OF(chan->due_bytes, (chan_heaviest(chan)->waiting.bytes - feed->waiting.bytes) / 2);
        uint32_t count = range_prefix(&entry->range, max);

        if (!feed->pausable || count == 0)
            return;
        chan->due_bytes -= chunk_bytes(entry->range.chunk, entry->range.first, entry->range.first + count);
        chan_admit(chan, entry, count);
        (void)chan_trim(chan, reason);
    }
}

/* The fallback takes over for shared feeds: whoever of them is parked goes first. Paced ones stay,
 * or use the room there is in their turn. */
static void activate_fallback(struct chan *chan)
{
    bool drops_oldest = chan->limits.fallback == OVERFLOW_DROP_OLDEST, free = true, trimmed = false;

    chan->fallback_active = true;
    list_each(node, safe, &chan->parked_entries) {
        struct entry *entry = container_of(node, struct entry, in_chan);
        struct range range;

        if (entry->range.feed->pausable) {
            free = free && !drops_oldest && let_in(chan, entry);
            continue;
        }
        range = chan_unpark(chan, entry);
        trimmed |= chan_apply(chan, chan->limits.fallback, &range, LOSS_BLOCK_TIMEOUT, free);
        range_release(chan, &range);
    }
    if (trimmed)
        chan_share(chan, LOSS_BLOCK_TIMEOUT);
}

static int64_t later(int64_t now_ns, int64_t by_ns)
{
    return by_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + by_ns;
}

static void stalled_more(struct chan *chan, const struct range *range)
{
    chan->blocked_bytes += range_bytes(range);
    if (chan->blocked_count++ > 0)
        return;
    /* The taker must time it, even while its peer does not read. */
    chan->blocked_until_ns = later(clock_mono_ns(), chan->limits.block_timeout_ns);
    chan_ring_anyway(chan);
}

/* ERR_AGAIN; or ERR_OK where there is no memory for it, and it fell. */
static enum err park(struct chan *chan, const struct range *range, struct put_waiter *waiter)
{
    struct entry *entry = entry_new(chan, range);
    struct feed *feed = range->feed;

    if (!entry) {
        chan_refuse(chan, range, LOSS_BUDGET);
        return ERR_OK;
    }
    entry->waiter = waiter;
    if (waiter)
        atomic_fetch_add_explicit(&waiter->waiting, 1, memory_order_relaxed);
    list_append(&chan->parked_entries, &entry->in_chan);
    list_append(&feed->parked_entries, &entry->in_feed);
    totals_add(&chan->parked, range->last - range->first, range_bytes(range));
    totals_add(&feed->parked, range->last - range->first, range_bytes(range));
    if (feed->pausable)
        feed_update_pause(chan, feed);
    else
        stalled_more(chan, range);
    return ERR_AGAIN;
}

/* Takes what there is room for, unless that would overtake somebody who is parked. Returns true
 * when that was all. */
static bool take_fitting(struct chan *chan, struct range *range)
{
    struct range head = range_split(range, list_empty(&chan->parked_entries) ? chan_fitting(chan, range) : 0);

    if (head.first < head.last)
        (void)chan_wait(chan, &head);
    return range->first == range->last;
}

static bool waiters_full(const struct chan *chan, const struct range *range)
{
    return chan->blocked_count >= MAX_PARKED ||
           chan->blocked_bytes + range_bytes(range) > MAX_OF(chan->limits.max_bytes, MIN_PARKED_BYTES);
}

/* BLOCK and a shared feed. */
enum err chan_block(struct chan *chan, struct range range, struct put_waiter *waiter)
{
    bool free;

    if (!chan->fallback_active) {
        if (take_fitting(chan, &range))
            return ERR_OK;
        if (chan->limits.block_timeout_ns > 0 && !waiters_full(chan, &range))
            return park(chan, &range, waiter);
        activate_fallback(chan);
    }
    free = chan->limits.fallback != OVERFLOW_DROP_OLDEST && let_all_in(chan);
    if (chan_apply(chan, chan->limits.fallback, &range, LOSS_BLOCK_TIMEOUT, free))
        chan_share(chan, LOSS_BLOCK_TIMEOUT);
    return ERR_OK;
}

/* What opens the pause is parked, however much it is: its producer was not asked yet. */
static bool within_reserve(struct feed *feed, const struct range *range)
{
    uint32_t events = range->last - range->first, bytes = range_bytes(range);

    if (feed->parked.events == 0)
        feed->max_parked =
            (struct totals){events + FEED_RESERVE_EVENTS, (uint64_t)bytes + FEED_RESERVE_BYTES};
    return feed->parked.events + events <= feed->max_parked.events &&
           feed->parked.bytes + bytes <= feed->max_parked.bytes;
}

/* What the feed has parked up to `last`, which is one of them, falls to the fallback. Returns true
 * when that trimmed. */
static bool spill_up_to(struct chan *chan, struct feed *feed, const struct entry *last, enum loss reason)
{
    bool free = chan->parked.events == feed->parked.events, trimmed = false, more = true;

    while (more) {
        struct entry *entry = container_of(list_first(&feed->parked_entries), struct entry, in_feed);
        struct range range;

        more = entry != last;
        range = chan_unpark(chan, entry);
        trimmed |= chan_apply(chan, chan->limits.fallback, &range, reason, free);
        range_release(chan, &range);
    }
    return trimmed;
}

/* Everything that the feed has parked, then the range, falls to the fallback. */
static void spill(struct chan *chan, const struct range *range)
{
    enum loss reason = chan_reason(chan->limits.fallback);
    struct feed *feed = range->feed;
    bool free = chan->parked.events == feed->parked.events, trimmed = false;

    if (!list_empty(&feed->parked_entries))
        trimmed =
            spill_up_to(chan, feed, container_of(feed->parked_entries.prev, struct entry, in_feed), reason);
    trimmed |= chan_apply(chan, chan->limits.fallback, range, reason, free);
    if (trimmed)
        chan_share(chan, reason);
}

/* BLOCK and a paced feed. */
enum err chan_hold(struct chan *chan, struct range range)
{
    if (take_fitting(chan, &range))
        return ERR_OK;
    if (within_reserve(range.feed, &range))
        return park(chan, &range, NULL);
    spill(chan, &range);
    return ERR_OK;
}

void chan_give_up(struct chan *chan, struct feed *feed, const struct put_waiter *waiter)
{
    const struct entry *last = NULL;
    SCRATCH struct after after;

    chan_enter(chan, &after);
    list_each(node, safe, &feed->parked_entries) {
        const struct entry *entry = container_of(node, struct entry, in_feed);

        if (entry->waiter == waiter)
            last = entry;
    }
    if (last && spill_up_to(chan, feed, last, LOSS_BLOCK_TIMEOUT))
        chan_share(chan, LOSS_BLOCK_TIMEOUT);
    chan_leave(chan);
}

int64_t chan_blocked_until(struct chan *chan)
{
    SCRATCH struct after after;
    int64_t until_ns;

    chan_enter(chan, &after);
    until_ns = chan->blocked_until_ns;
    chan_leave(chan);
    return until_ns;
}

void chan_tick(struct chan *chan, int64_t now_ns)
{
    SCRATCH struct after after;

    chan_enter(chan, &after);
    if (chan->blocked_count > 0 && now_ns >= chan->blocked_until_ns) {
        activate_fallback(chan);
        chan_update(chan);
    }
    chan_leave(chan);
}
