/* overflow.c - what a full channel does: the bounds, the victim of DROP_OLDEST, DROP_NEWEST and
 * DISCONNECT, and events that are too old. BLOCK is in park.c, LATEST_PER_KEY in latest.c. */
#include "base/budget.h"
#include "base/clock.h"
#include "flow/chan_internal.h"

/* A channel that keeps less than this is never held for the budget. */
#define SMALL_BYTES 65536u

/* So few channels of stored topics may use half of what is left. */
#define STORED_CHANNELS 16u

/* What a channel may keep while it has events of stored topics, which wait on the disk as well. All
 * channels get the same part of what is left of half the budget. So they stay below that half
 * together, and however many there are, something is left for the next one. */
static uint64_t stored_share(void)
{
    const uint64_t half = budget_part(2), used = budget_used();

    return used < half ? (half - used) / STORED_CHANNELS : 0;
}

/* While the budget is short, a channel with BLOCK is full earlier: at a 256th of the budget. So its
 * producers wait, where those of other policies lose. */
static bool full_for_the_budget(const struct chan *chan, const struct feed *feed)
{
    if (feed->stored && feed->waiting.bytes > 0 && chan->waiting.bytes > stored_share())
        return true;
    return chan->waiting.bytes > SMALL_BYTES && chan->limits.overflow <= OVERFLOW_BLOCK &&
           budget_is_short() && chan->waiting.bytes > budget_limit() / 256;
}

uint32_t chan_fitting(const struct chan *chan, const struct range *range)
{
    const struct chan_limits *limits = &chan->limits;
    struct range max = *range;
    uint32_t count;

    if (chan->waiting.events >= limits->max_events || full_for_the_budget(chan, range->feed))
        return 0;
    max.last = range->first +
               (uint32_t)MIN_OF(range->last - range->first, limits->max_events - chan->waiting.events);
    count = range_prefix(
        &max, limits->max_bytes > chan->waiting.bytes ? limits->max_bytes - chan->waiting.bytes : 0);
    return count == 0 && chan->waiting.events == 0 ? 1 : count;
}

/* Dequeuing leaves keys behind that stand for too many bytes. So the first key is corrected until
 * it is right. */
struct feed *chan_heaviest(struct chan *chan)
{
    for (;;) {
        struct feed *feed = container_of(heap_first(&chan->heaviest), struct feed, weight);

        if (feed->weight.key == -(int64_t)feed->waiting.bytes)
            return feed;
        CHECK(heap_set(&chan->heaviest, &feed->weight, -(int64_t)feed->waiting.bytes) == ERR_OK);
    }
}

/* At least the bytes of the second heaviest feed, which is a child of the first in the heap. */
static uint64_t second_bytes(const struct heap *heap)
{
    int64_t key = 0;

    for (size_t i = 1; i < heap->count && i <= 2; i++)
        key = MIN_OF(key, heap->nodes[i]->key);
    return (uint64_t)-key;
}

/* How many of the first events of the range it takes to reach `bytes`; at most all of them. */
static uint32_t reaching(const struct range *range, uint64_t bytes)
{
    uint32_t count = range->last - range->first;

    return bytes == 0 ? 0 : MIN_OF(count, range_prefix(range, bytes - 1) + 1);
}

/* DROP_OLDEST chooses its victim here. While a bound is exceeded, the feed with most bytes waiting
 * loses its oldest events, until it is just below the second heaviest feed. So a source that floods
 * the channel loses its own events. */
bool chan_drop_oldest(struct chan *chan, enum loss reason)
{
    const struct chan_limits *limits = &chan->limits;

    for (bool trimmed = false;; trimmed = true) {
        struct totals *waiting = &chan->waiting;
        uint64_t over_events =
            waiting->events > limits->max_events ? waiting->events - limits->max_events : 0;
        uint64_t over_bytes = waiting->events > 1 && waiting->bytes > limits->max_bytes
                                  ? waiting->bytes - limits->max_bytes
                                  : 0;
        struct feed *feed;
        struct entry *entry;
        uint64_t count;

        if (over_events == 0 && over_bytes == 0)
            return trimmed;
        feed = chan_heaviest(chan);
        entry = container_of(list_first(&feed->waiting_entries), struct entry, in_feed);
        count = MAX_OF(over_events, reaching(&entry->range, over_bytes));
        count = MIN_OF(count, entry->range.last - entry->range.first);
        count = MIN_OF(count, waiting->events - 1);
        if (feed->waiting.bytes >= second_bytes(&chan->heaviest))
            count = MIN_OF(count,
                           reaching(&entry->range, feed->waiting.bytes - second_bytes(&chan->heaviest) + 1));
        chan_drop(chan, entry, (uint32_t)count, reason);
    }
}

enum loss chan_reason(enum overflow overflow)
{
    return overflow == OVERFLOW_DROP_OLDEST ? LOSS_OVERFLOW_OLDEST : LOSS_OVERFLOW_NEWEST;
}

bool chan_apply(struct chan *chan, enum overflow overflow, const struct range *range, enum loss reason,
                bool may_enqueue)
{
    struct range rest = *range, head;

    if (overflow == OVERFLOW_DROP_OLDEST) {
        (void)chan_enqueue(chan, range);
        return chan_drop_oldest(chan, reason);
    }
    head = range_split(&rest, may_enqueue && chan->state == CHAN_OPEN ? chan_fitting(chan, &rest) : 0);
    if (head.first < head.last)
        (void)chan_enqueue(chan, &head);
    if (rest.first == rest.last)
        return false;
    chan_refuse(chan, &rest, reason);
    if (overflow == OVERFLOW_DISCONNECT)
        chan_break(chan);
    return false;
}

void chan_expire(struct chan *chan)
{
    int64_t now_ns = clock_mono_ns();
    struct list *node;

    while ((node = list_first(&chan->waiting_entries))) {
        struct entry *entry = container_of(node, struct entry, in_chan);

        if (!chan_expired(chan, entry, now_ns))
            break;
        chan_drop(chan, entry, entry->range.last - entry->range.first, LOSS_EXPIRED);
    }
}
