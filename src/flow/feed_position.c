/* feed_position.c - see feed_position.h. */
#include "flow/feed_position.h"

#include "flow/chan_internal.h"
#include "flow/feed.h"

static uint64_t before(struct list *node)
{
    const struct range *range = &container_of(node, struct entry, in_feed)->range;

    return chunk_sequence(range->chunk, range->first) - 1;
}

/* Before the oldest event that the feed has. */
static uint64_t before_events(struct feed *feed)
{
    struct list *oldest = list_first(&feed->waiting_entries);

    if (!oldest)
        oldest = list_first(&feed->parked_entries);
    return oldest ? before(oldest) : feed_routed(feed);
}

bool feed_is_unplaced(struct feed *feed)
{
    return feed->stored && pausable_feed(feed)->unplaced;
}

static void set_unplaced(struct chan *chan, struct feed *feed, bool unplaced)
{
    SCRATCH struct deferred deferred;

    CHECK(feed->stored);
    chan_enter(chan, &deferred);
    pausable_feed(feed)->unplaced = unplaced;
    chan_leave(chan);
}

void feed_unplaced(struct chan *chan, struct feed *feed)
{
    set_unplaced(chan, feed, true);
}

void feed_placed(struct chan *chan, struct feed *feed)
{
    set_unplaced(chan, feed, false);
}

static uint64_t own_position(struct feed *feed)
{
    uint64_t sequence = before_events(feed);

    if (feed->stored)
        sequence = MIN_OF(sequence, pausable_feed(feed)->held_at);
    for (uint32_t i = 0; i < UNREPORTED_SLOTS && !list_empty(&feed->in_losses); i++) {
        const struct unreported *unreported = feed_record(feed, i);

        if (unreported && !unreported_empty(unreported) && unreported->first_sequence > 0)
            sequence = MIN_OF(sequence, unreported->first_sequence - 1);
    }
    return sequence;
}

static struct feed *first_closed(const struct chan *chan, const struct source *source)
{
    return chan->closing.count > 0 ? feed_table_find(&chan->closing, source) : NULL;
}

uint64_t feed_earlier_position(const struct chan *chan, const struct source *source)
{
    uint64_t sequence = UINT64_MAX;

    for (struct feed *feed = first_closed(chan, source); feed; feed = feed->next_in_table)
        if (feed->source == source && feed_has_more(feed))
            sequence = MIN_OF(sequence, own_position(feed));
    return sequence;
}

uint64_t feed_position(const struct chan *chan, struct feed *feed)
{
    if (feed_is_unplaced(feed))
        return 0;
    return MIN_OF(own_position(feed), feed_earlier_position(chan, feed->source));
}

void chan_hold_positions(struct chan *chan)
{
    list_each(node, safe, &chan->feeds) {
        struct feed *feed = container_of(node, struct feed, in_chan);
        uint64_t sequence;

        if (!feed->stored)
            continue;
        sequence = before_events(feed);
        for (struct feed *closed = first_closed(chan, feed->source); closed; closed = closed->next_in_table)
            if (closed->source == feed->source && feed_has_more(closed))
                sequence = MIN_OF(sequence, before_events(closed));
        pausable_feed(feed)->held_at = MIN_OF(pausable_feed(feed)->held_at, sequence);
    }
}
