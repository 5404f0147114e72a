/* park.c - BLOCK: what is parked, for how long, and how it is admitted. See the design in
 * chan_internal.h. */
#include "base/clock.h"
#include "flow/chan_internal.h"
#include "flow/feed.h"
#include "flow/shared_feed.h"

/* The bounds of what shared feeds may have parked together. Each putter waits with one message, so
 * only a great many putters get here. The bound in bytes is this one or max_bytes, whichever is
 * larger. */
#define MAX_PARKED 1024
#define MIN_PARKED_BYTES (UINT64_C(1) << 20)

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

/* Admits as much of a parked entry as fits. Returns true when nothing of it stays parked. */
static bool admit_fitting(struct chan *chan, struct entry *entry)
{
    for (;;) {
        uint32_t all = entry->range.last - entry->range.first, count = chan_fitting(chan, &entry->range);

        if (count > 0)
            chan_admit(chan, entry, count);
        if (count == 0 || count == all)
            return count == all;
    }
}

/* Admits as much as fits of all parked entries, in their order. Returns true when none is left. */
static bool admit_all_fitting(struct chan *chan)
{
    struct entry *entry;

    while ((entry = first_parked(chan)))
        if (!admit_fitting(chan, entry))
            return false;
    return true;
}

void chan_update(struct chan *chan)
{
    if (!at_low_watermark(chan))
        return;
    chan->fallback_active = false;
    (void)admit_all_fitting(chan);
}

/* Where DROP_OLDEST trims, the channel stays full and may never get down to its low watermark. Then
 * the parked events of pausable feeds would starve. So the first parked entry is admitted, and the
 * heaviest feed loses as much.
 *
 * Two bounds hold. First, at most half of what is dequeued is admitted this way. With more, the
 * feeds that lose events would starve: their events would never become the oldest, because older
 * ones would always be admitted. Second, at most half of the difference between the heaviest
 * feed and this one is admitted. With more, this feed would be the next to lose events. An event
 * that is larger than a bound waits for the low watermark. */
void chan_admit_share(struct chan *chan, enum loss reason)
{
    struct entry *entry;

    while ((entry = first_parked(chan))) {
        const struct feed *feed = entry->range.feed;
        uint64_t max =
            MIN_OF(chan->share_bytes, (chan_heaviest(chan)->waiting.bytes - feed->waiting.bytes) / 2);
        uint32_t count = range_prefix(&entry->range, max);

        if (!feed->pausable || count == 0)
            return;
        chan->share_bytes -= chunk_bytes(entry->range.chunk, entry->range.first, entry->range.first + count);
        chan_admit(chan, entry, count);
        (void)chan_drop_oldest(chan, reason);
    }
}

/* The fallback takes over for shared feeds: everything that they have parked falls to it. Entries
 * of pausable feeds stay parked, or are admitted in their turn where there is space. */
static void activate_fallback(struct chan *chan)
{
    bool drops_oldest = chan->limits.fallback == OVERFLOW_DROP_OLDEST, may_enqueue = true, trimmed = false;

    chan->fallback_active = true;
    if (chan->fallback_since_ns == INT64_MAX && chan->limits.block_timeout_ns > 0)
        chan->fallback_since_ns = clock_mono_ns();
    list_each(node, safe, &chan->parked_entries) {
        struct entry *entry = container_of(node, struct entry, in_chan);
        struct range range;

        if (entry->range.feed->pausable) {
            may_enqueue = may_enqueue && !drops_oldest && admit_fitting(chan, entry);
            continue;
        }
        range = chan_unpark(chan, entry);
        trimmed |= chan_apply(chan, chan->limits.fallback, &range, LOSS_BLOCK_TIMEOUT, may_enqueue);
        range_release(chan, &range);
    }
    if (trimmed)
        chan_admit_share(chan, LOSS_BLOCK_TIMEOUT);
}

static void count_blocked(struct chan *chan, const struct range *range)
{
    chan->blocked_bytes += range_bytes(range);
    if (chan->blocked_count++ > 0)
        return;
    /* The taker must time the wait, even while its peer does not read. */
    chan->blocked_until_ns = clock_add_ns(clock_mono_ns(), chan->limits.block_timeout_ns);
    chan_notify_again(chan);
}

/* ERR_AGAIN: parked. ERR_OK: there was no memory for an entry, and the range was dropped. */
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
        count_blocked(chan, range);
    return ERR_AGAIN;
}

/* Enqueues what fits, unless something is parked: that comes first. Returns true when nothing of
 * the range is left. */
static bool enqueue_fitting(struct chan *chan, struct range *range)
{
    struct range head = range_split(range, list_empty(&chan->parked_entries) ? chan_fitting(chan, range) : 0);

    if (head.first < head.last)
        (void)chan_enqueue(chan, &head);
    return range->first == range->last;
}

static bool parked_full(const struct chan *chan, const struct range *range)
{
    return chan->blocked_count >= MAX_PARKED ||
           chan->blocked_bytes + range_bytes(range) > MAX_OF(chan->limits.max_bytes, MIN_PARKED_BYTES);
}

enum err chan_block_shared(struct chan *chan, struct range range, struct put_waiter *waiter)
{
    bool may_enqueue;

    if (!chan->fallback_active) {
        if (enqueue_fitting(chan, &range))
            return ERR_OK;
        if (chan->limits.block_timeout_ns > 0 && !parked_full(chan, &range))
            return park(chan, &range, waiter);
        activate_fallback(chan);
    }
    may_enqueue = chan->limits.fallback != OVERFLOW_DROP_OLDEST && admit_all_fitting(chan);
    if (chan_apply(chan, chan->limits.fallback, &range, LOSS_BLOCK_TIMEOUT, may_enqueue))
        chan_admit_share(chan, LOSS_BLOCK_TIMEOUT);
    return ERR_OK;
}

/* What opens the pause is parked, however large it is, because its producer was not asked to pause
 * yet. */
static bool within_reserve(struct feed *feed, const struct range *range)
{
    uint32_t events = range->last - range->first, bytes = range_bytes(range);
    struct totals *max = &pausable_feed(feed)->max_parked;

    if (feed->parked.events == 0)
        *max = (struct totals){events + FEED_RESERVE_EVENTS, (uint64_t)bytes + FEED_RESERVE_BYTES};
    return feed->parked.events + events <= max->events && feed->parked.bytes + bytes <= max->bytes;
}

/* What the feed has parked, up to and with `last`, falls to the fallback. Returns true when
 * DROP_OLDEST had to trim. */
static bool spill_up_to(struct chan *chan, struct feed *feed, const struct entry *last, enum loss reason)
{
    bool may_enqueue = chan->parked.events == feed->parked.events, trimmed = false, more = true;

    while (more) {
        struct entry *entry = container_of(list_first(&feed->parked_entries), struct entry, in_feed);
        struct range range;

        more = entry != last;
        range = chan_unpark(chan, entry);
        trimmed |= chan_apply(chan, chan->limits.fallback, &range, reason, may_enqueue);
        range_release(chan, &range);
    }
    return trimmed;
}

/* Everything that the feed has parked, and then the range, falls to the fallback. */
static void spill(struct chan *chan, const struct range *range)
{
    enum loss reason = chan_reason(chan->limits.fallback);
    struct feed *feed = range->feed;
    bool may_enqueue = chan->parked.events == feed->parked.events, trimmed = false;

    if (!list_empty(&feed->parked_entries))
        trimmed =
            spill_up_to(chan, feed, container_of(feed->parked_entries.prev, struct entry, in_feed), reason);
    trimmed |= chan_apply(chan, chan->limits.fallback, range, reason, may_enqueue);
    if (trimmed)
        chan_admit_share(chan, reason);
}

enum err chan_block_pausable(struct chan *chan, struct range range)
{
    if (enqueue_fitting(chan, &range))
        return ERR_OK;
    if (within_reserve(range.feed, &range))
        return park(chan, &range, NULL);
    spill(chan, &range);
    return ERR_OK;
}

/* What the waiter has parked in the feed, and what was parked before it, falls to the fallback. */
static void give_up(struct chan *chan, struct feed *feed, const struct put_waiter *waiter)
{
    const struct entry *last = NULL;

    list_each(node, safe, &feed->parked_entries) {
        const struct entry *entry = container_of(node, struct entry, in_feed);

        if (entry->waiter == waiter)
            last = entry;
    }
    feed->refs++;
    if (last && spill_up_to(chan, feed, last, LOSS_BLOCK_TIMEOUT))
        chan_admit_share(chan, LOSS_BLOCK_TIMEOUT);
    feed_release(chan, feed);
}

void chan_give_up(struct chan *chan, struct feed *feed, const struct put_waiter *waiter)
{
    SCRATCH struct deferred deferred;

    chan_enter(chan, &deferred);
    give_up(chan, feed, waiter);
    chan_leave(chan);
}

void shared_give_up(struct chan *chan, struct source *source, const struct put_waiter *waiter)
{
    SCRATCH struct deferred deferred;
    struct feed *feed;

    chan_enter(chan, &deferred);
    feed = feed_table_find(&chan->shared, source);
    if (feed)
        give_up(chan, feed, waiter);
    chan_leave(chan);
}

int64_t chan_blocked_until(struct chan *chan)
{
    SCRATCH struct deferred deferred;
    int64_t until_ns;

    chan_enter(chan, &deferred);
    until_ns = chan->blocked_until_ns;
    chan_leave(chan);
    return until_ns;
}

int64_t chan_fallback_since(struct chan *chan)
{
    SCRATCH struct deferred deferred;
    int64_t since_ns;

    chan_enter(chan, &deferred);
    since_ns = chan->state == CHAN_OPEN ? chan->fallback_since_ns : INT64_MAX;
    chan_leave(chan);
    return since_ns;
}

void chan_tick(struct chan *chan, int64_t now_ns)
{
    SCRATCH struct deferred deferred;

    chan_enter(chan, &deferred);
    if (chan->blocked_count > 0 && now_ns >= chan->blocked_until_ns) {
        activate_fallback(chan);
        chan_update(chan);
    }
    chan_leave(chan);
}
