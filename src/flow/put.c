/* put.c - how events enter a channel: chan_put() admits them, or applies the overflow policy
 * (overflow.c, park.c, latest.c). */
#include "base/counters.h"
#include "flow/puts_for.h"

static enum overflow policy(const struct chan *chan, const struct feed *feed)
{
    if (chan->limits.overflow != OVERFLOW_BY_FEED)
        return chan->limits.overflow;
    return feed->pausable ? OVERFLOW_BLOCK : OVERFLOW_DROP_OLDEST;
}

static enum err accept(struct chan *chan, const struct range *range, struct put_waiter *waiter)
{
    enum overflow overflow = policy(chan, range->feed);

    if (overflow == OVERFLOW_BLOCK)
        return range->feed->pausable ? chan_block_pausable(chan, *range)
                                     : chan_block_shared(chan, *range, waiter);
    if (overflow == OVERFLOW_LATEST_PER_KEY)
        chan_put_latest(chan, range);
    else if (chan_apply(chan, overflow, range, chan_reason(overflow), true))
        chan_admit_share(chan, chan_reason(overflow));
    return ERR_OK;
}

/* There is no memory for a feed. */
static void refuse_without_feed(struct chan *chan, const struct range *range)
{
    const struct unreported loss = {
        .count = range->last - range->first, .bytes = range_bytes(range), .reason = LOSS_BUDGET};

    totals_add(&chan->accepted, loss.count, loss.bytes);
    totals_add(&chan->dropped[LOSS_BUDGET], loss.count, loss.bytes);
    count_add(COUNT_EVENTS_DROPPED, (int64_t)loss.count);
    chan_add_unattributed(chan, &loss);
}

/* The feed is held, because a policy may drop the last of its entries. */
static INLINE enum err put(struct chan *chan, struct range *range, struct put_waiter *waiter)
{
    struct feed *feed = range->feed;
    enum err err;

    CHECK(!feed->pausable || !waiter);
    if (chan->limits.max_age_ns > 0) {
        chan_expire(chan);
        chan_update(chan);
    }
    range->marks = chan->marks;
    feed->routed = MAX_OF(feed->routed, chunk_sequence(range->chunk, range->last - 1));
    if (list_empty(&feed->in_moved))
        feed_touch(chan, feed);
    err = accept(chan, range, waiter);
    if (chan->fallback_active || !list_empty(&chan->parked_entries))
        chan_update(chan);
    return err;
}

/* Nearly always the opener and an entry are left. */
static inline void release_hold(struct chan *chan, struct feed *feed)
{
    if (feed->refs > 2)
        feed->refs--;
    else
        feed_release(chan, feed);
}

/* Under the channel's lock. `range->feed` NULL: the shared feed of the chunk's source. */
static INLINE enum err put_in(struct chan *chan, struct range *range, struct put_waiter *waiter)
{
    enum err err;

    if (chan->state != CHAN_OPEN)
        return ERR_CLOSED;
    if (!range->feed && !(range->feed = shared_feed(chan, range->chunk->source))) {
        refuse_without_feed(chan, range);
        return ERR_OK;
    }
    range->feed->refs++;
    err = put(chan, range, waiter);
    release_hold(chan, range->feed);
    return err;
}

enum err chan_put(struct chan *chan, struct feed *feed, struct chunk *chunk, uint32_t first, uint32_t last,
                  struct put_waiter *waiter)
{
    struct range range = {chunk, feed, first, last, 0};
    SCRATCH struct deferred deferred;
    enum err err;

    CHECK(first < last && last <= chunk->count);
    chan_enter(chan, &deferred);
    err = put_in(chan, &range, waiter);
    chan_leave(chan);
    return err;
}

/* The first event that was not put yet. Where two routes of one source put the same chunk, and the
 * channel changes over in between, the first one has put some of it. Its put has not returned to
 * the source yet, so the feed is still there (feed_put_goes_on()). */
static NOINLINE uint32_t first_new(const struct feed *feed, const struct chunk *chunk, uint32_t first,
                                   uint32_t last)
{
    while (first < last && chunk_sequence(chunk, first) <= feed->routed)
        first++;
    return first;
}

enum err chan_put_shared(struct chan *chan, uint32_t generation, struct chunk *chunk, uint32_t first,
                         uint32_t last, struct put_waiter *waiter)
{
    struct range range = {chunk, NULL, first, last, 0};
    SCRATCH struct deferred deferred;
    enum err err = ERR_CLOSED;

    CHECK(first < last && last <= chunk->count);
    chan_enter(chan, &deferred);
    if (LIKELY(chan_puts_for(chan, generation))) {
        range.feed = feed_table_find(&chan->shared, chunk->source);
        /* Sequences rise by 1 at least. */
        if (generation != GENERATION_WILDCARD && range.feed &&
            !LIKELY(range.feed->routed < chunk->first_sequence + first))
            range.first = first_new(range.feed, chunk, first, last);
        if (LIKELY(range.first < last))
            err = put_in(chan, &range, waiter);
    }
    chan_leave(chan);
    return err;
}
