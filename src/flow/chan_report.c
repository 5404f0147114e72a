/* chan_report.c - what the taker reports beside the events: losses, positions, states and marks.
 * feed_report.c keeps the losses and the states, feed_position.c knows the positions. */
#include "flow/chan_report.h"

#include "flow/chan_internal.h"
#include "flow/feed_position.h"
#include "flow/producer_state.h"

/* Reports one record, unless it is empty, and clears it. `feed` NULL: it is of no source. Returns
 * how many were reported. */
static uint32_t report(const struct feed *feed, struct unreported *unreported,
                       void (*each)(void *ctx, const struct lost_note *note), void *ctx)
{
    struct lost_note lost = {.source = feed ? feed->source : NULL,
                             .count = unreported->count,
                             .bytes = unreported->bytes,
                             .first_sequence = unreported->first_sequence,
                             .last_sequence = unreported->last_sequence,
                             .reason = unreported->reason,
                             .count_unknown = unreported->count_unknown,
                             .upstream = unreported->upstream};

    if (unreported_empty(unreported))
        return 0;
    each(ctx, &lost);
    *unreported = (struct unreported){0};
    return 1;
}

uint32_t chan_losses(struct chan *chan, uint32_t max, void (*each)(void *ctx, const struct lost_note *note),
                     void *ctx)
{
    SCRATCH struct deferred deferred;
    uint32_t reported;

    chan_enter(chan, &deferred);
    reported = max > 0 ? report(NULL, &chan->unattributed, each, ctx) : 0;
    list_each(node, safe, &chan->losses) {
        struct feed *feed = container_of(node, struct feed, in_losses);
        bool left = false;

        if (reported == max)
            break;
        for (uint32_t at = 0; at < UNREPORTED_SLOTS; at++) {
            if (reported < max && feed_record(feed, at))
                reported += report(feed, feed_record(feed, at), each, ctx);
            left |= feed_record(feed, at) && !unreported_empty(feed_record(feed, at));
        }
        if (left)
            break;
        list_remove(&feed->in_losses);
        feed_changed(chan, feed);
        feed_release(chan, feed);
    }
    chan_leave(chan);
    return reported;
}

/* The position may still move without another put, or only the feed knows it. */
static bool goes_on(const struct chan *chan, const struct feed *feed)
{
    return feed_has_more(feed) || (feed->follows && !feed->shared) || feed_put_goes_on(feed) ||
           feed_earlier_position(chan, feed->source) < UINT64_MAX;
}

/* Of the sources that have no feed any more. Returns how many. */
static uint32_t report_moved_sources(struct chan *chan, uint32_t max,
                                     void (*each)(void *ctx, const struct source *source, uint64_t sequence),
                                     void *ctx)
{
    uint32_t reported = 0;

    while (reported < max) {
        OWNED(source_release) struct source *source = source_set_take(&chan->moved_sources);

        if (!source)
            break;
        each(ctx, source, atomic_load_explicit(&source->routed, memory_order_acquire));
        reported++;
    }
    return reported;
}

/* Of the feeds. Returns how many. */
static uint32_t report_moved_feeds(struct chan *chan, uint32_t max,
                                   void (*each)(void *ctx, const struct source *source, uint64_t sequence),
                                   void *ctx)
{
    struct list *head = &chan->moved;
    uint32_t reported = 0;

    list_each(node, safe, head) {
        struct feed *feed = container_of(node, struct feed, in_moved);
        uint64_t sequence = feed_position(chan, feed);

        if (sequence > feed->reported && reported == max) {
            /* Next time the walk begins here. */
            list_remove(head);
            list_append(node, head);
            break;
        }
        if (sequence > feed->reported) {
            feed->reported = sequence;
            each(ctx, feed->source, sequence);
            reported++;
        }
        if (goes_on(chan, feed))
            continue;
        list_remove(node);
        feed_give_back_if_idle(chan, feed);
    }
    return reported;
}

/* Where there are more than `max`, feeds and sources without a feed get half of it each. */
uint32_t chan_positions(struct chan *chan, uint32_t max,
                        void (*each)(void *ctx, const struct source *source, uint64_t sequence), void *ctx)
{
    SCRATCH struct deferred deferred;
    uint32_t reported;

    chan_enter(chan, &deferred);
    reported = report_moved_feeds(chan, max - MIN_OF(max / 2, chan->moved_sources.count), each, ctx);
    reported += report_moved_sources(chan, max - reported, each, ctx);
    chan->small_batches = chan->largest_batch <= SLAB_FIRST;
    chan->largest_batch = 0;
    chan_leave(chan);
    return reported;
}

/* A put takes the lock before it stores what was routed. So where there is no feed, everything up
 * to the sequence that is read here was dealt with. */
static void give_idle(const struct chan *chan, const struct chan_sources *sources,
                      bool (*each)(void *ctx, const struct source *source, uint64_t sequence), void *ctx)
{
    const struct source *source;
    bool more = true;
    uint64_t sequence;

    while (more && sources->next(sources->ctx, &source, &sequence))
        if (sequence > 0 && !feed_table_find(&chan->shared, source) &&
            feed_earlier_position(chan, source) == UINT64_MAX)
            more = each(ctx, source, sequence);
}

bool chan_all_positions(struct chan *chan, const struct chan_sources *sources,
                        bool (*each)(void *ctx, const struct source *source, uint64_t sequence), void *ctx)
{
    SCRATCH struct deferred deferred;
    bool more = true, are_known = true;

    chan_enter(chan, &deferred);
    list_each(node, safe, &chan->feeds) {
        struct feed *feed = container_of(node, struct feed, in_chan);
        uint64_t sequence = MAX_OF(feed_position(chan, feed), feed->reported);

        are_known = !feed_is_unplaced(feed);
        if (sequence > 0)
            more = each(ctx, feed->source, sequence);
        if (!more || !are_known)
            break;
    }
    if (more && are_known && sources)
        give_idle(chan, sources, each, ctx);
    chan_leave(chan);
    return are_known;
}

void chan_idle_positions(struct chan *chan, const struct chan_sources *sources,
                         bool (*each)(void *ctx, const struct source *source, uint64_t sequence), void *ctx)
{
    SCRATCH struct deferred deferred;

    chan_enter(chan, &deferred);
    give_idle(chan, sources, each, ctx);
    chan_leave(chan);
}

uint32_t chan_states(struct chan *chan, uint32_t max,
                     void (*each)(void *ctx, const struct feed_change *change), void *ctx)
{
    SCRATCH struct deferred deferred;
    uint32_t reported = 0;

    chan_enter(chan, &deferred);
    if (chan->resync && max > 0) {
        chan->resync = false;
        if (each)
            each(ctx, &(struct feed_change){NULL, PRODUCER_RESYNC, 0, ""});
        reported++;
    }
    list_each(node, safe, &chan->states) {
        struct feed *feed = container_of(node, struct feed, in_states);

        if (reported == max)
            break;
        list_remove(&feed->in_states);
        chan->shared_states -= feed->shared;
        if (feed->closed && feed_has_more(feed))
            continue; /* it comes back when that is gone */
        if (feed->state != feed->reported_state) {
            feed->reported_state = feed->state;
            if (each)
                each(ctx, &(struct feed_change){feed->source, feed->state, feed->code,
                                                feed->message ? feed->message : ""});
            reported++;
        }
        if (feed->closed)
            feed_ended(chan, feed);
        else
            feed_give_back_if_idle(chan, feed);
    }
    chan_leave(chan);
    return reported;
}

/* Under the channel's lock. */
static void set_mark(struct chan *chan, uint32_t mark)
{
    chan->marks++;
    chan->before_mark = chan->entries_used;
    chan->mark = mark;
    if (chan->order && chan->waiting.events > 0)
        chan_notify(chan); /* what is held goes at once */
}

void chan_mark(struct chan *chan, uint32_t mark)
{
    SCRATCH struct deferred deferred;

    CHECK(mark > 0);
    chan_enter(chan, &deferred);
    set_mark(chan, mark);
    chan_leave(chan);
}

void chan_change_over(struct chan *chan, uint32_t generation, bool wildcard, uint32_t mark)
{
    SCRATCH struct deferred deferred;

    chan_enter(chan, &deferred);
    chan->generation = generation;
    chan->refuses_wildcard = !wildcard;
    if (mark > 0)
        set_mark(chan, mark);
    chan_leave(chan);
}

uint32_t chan_marked(struct chan *chan)
{
    SCRATCH struct deferred deferred;
    uint32_t marked;

    chan_enter(chan, &deferred);
    marked = chan->marked;
    chan->marked = 0;
    chan->at_mark = false;
    chan_leave(chan);
    return marked;
}
