/* put.c - how events enter a channel: chan_put() admits them, or applies the overflow policy
 * (overflow.c, park.c, latest.c). */
#include "flow/chan_internal.h"

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

enum err chan_put(struct chan *chan, struct feed *feed, struct chunk *chunk, uint32_t first, uint32_t last,
                  struct put_waiter *waiter)
{
    struct range range = {chunk, feed, first, last, 0};
    SCRATCH struct deferred deferred;
    enum err err;

    CHECK(first < last && last <= chunk->count);
    CHECK(!feed->pausable || !waiter);
    chan_enter(chan, &deferred);
    if (chan->state != CHAN_OPEN) {
        chan_leave(chan);
        return ERR_CLOSED;
    }
    if (chan->limits.max_age_ns > 0) {
        chan_expire(chan);
        chan_update(chan);
    }
    range.marks = chan->marks;
    feed->routed = MAX_OF(feed->routed, chunk_sequence(chunk, last - 1));
    err = accept(chan, &range, waiter);
    if (chan->fallback_active || !list_empty(&chan->parked_entries))
        chan_update(chan);
    chan_leave(chan);
    return err;
}
