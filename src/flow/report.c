/* tell.c - what the taker tells its peer beside the events (losses, positions), and the sums. */
#include <stdlib.h>

#include "flow/chan_internal.h"

static bool is_reported(const struct unreported *unreported)
{
    return unreported->count == 0 && !unreported->count_unknown;
}

/* Where a loss of this reason is written down. Without memory for a second reason it is told under
 * the first: the count is right all the same. */
static struct unreported *unreported_of(struct feed *feed, uint32_t reason)
{
    if (feed->unreported_others && !is_reported(&feed->unreported_others[reason]))
        return &feed->unreported_others[reason];
    if (is_reported(&feed->unreported))
        feed->unreported.reason = reason;
    if (feed->unreported.reason == reason)
        return &feed->unreported;
    if (!feed->unreported_others)
        feed->unreported_others = calloc(LOSS_COUNT, sizeof(*feed->unreported_others));
    if (!feed->unreported_others)
        return &feed->unreported;
    feed->unreported_others[reason].reason = reason;
    return &feed->unreported_others[reason];
}

static void note(struct chan *chan, struct feed *feed, const struct unreported *loss)
{
    struct unreported *unreported = unreported_of(feed, loss->reason);

    if (is_reported(unreported) || unreported->first_sequence == 0 ||
        (loss->first_sequence > 0 && loss->first_sequence < unreported->first_sequence))
        unreported->first_sequence = loss->first_sequence;
    unreported->last_sequence = is_reported(unreported)
                                    ? loss->last_sequence
                                    : MAX_OF(unreported->last_sequence, loss->last_sequence);
    unreported->count += loss->count;
    unreported->bytes += loss->bytes;
    unreported->count_unknown |= loss->count_unknown;
    if (list_empty(&feed->in_losses)) {
        list_append(&chan->losses, &feed->in_losses);
        feed->refs++;
    }
    chan_ring(chan);
}

/* A consumer that is gone is told nothing. */
void feed_lost(struct chan *chan, const struct range *range, enum loss reason)
{
    struct unreported loss = {.count = range->last - range->first,
                              .bytes = range_bytes(range),
                              .first_sequence = chunk_sequence(range->chunk, range->first),
                              .last_sequence = chunk_sequence(range->chunk, range->last - 1),
                              .reason = reason};

    if (reason != LOSS_CONSUMER_GONE)
        note(chan, range->feed, &loss);
}

void feed_gap(struct chan *chan, struct feed *feed, uint64_t first, uint64_t last, bool count_unknown)
{
    struct unreported loss = {.count = count_unknown ? 0 : last - first + 1,
                              .first_sequence = first,
                              .last_sequence = last,
                              .reason = LOSS_RESUME_GAP,
                              .count_unknown = count_unknown};
    SCRATCH struct after after;

    chan_enter(chan, &after);
    note(chan, feed, &loss);
    chan_leave(chan);
}

static bool has_more(const struct feed *feed)
{
    return !list_empty(&feed->waiting_entries) || !list_empty(&feed->parked_entries) ||
           !list_empty(&feed->in_losses);
}

void feed_changed(struct chan *chan, struct feed *feed)
{
    if (feed->ended || !list_empty(&feed->in_states) ||
        (feed->closed ? has_more(feed) : feed->state == feed->reported_state))
        return;
    list_append(&chan->states, &feed->in_states);
    chan_ring(chan);
}

/* Tells one record, if there is something in it, and forgets it. */
static uint32_t report(const struct feed *feed, struct unreported *unreported,
                       void (*each)(void *ctx, const struct lost_note *note), void *ctx)
{
    struct lost_note lost = {.source = feed->source,
                             .count = unreported->count,
                             .bytes = unreported->bytes,
                             .first_sequence = unreported->first_sequence,
                             .last_sequence = unreported->last_sequence,
                             .reason = unreported->reason,
                             .count_unknown = unreported->count_unknown};

    if (is_reported(unreported))
        return 0;
    each(ctx, &lost);
    *unreported = (struct unreported){0};
    return 1;
}

/* The record number `at` of a feed: the first, then the others by reason. NULL: there is no such
 * one. */
static struct unreported *record(struct feed *feed, uint32_t at)
{
    if (at == 0)
        return &feed->unreported;
    return feed->unreported_others ? &feed->unreported_others[at] : NULL;
}

uint32_t chan_losses(struct chan *chan, uint32_t max, void (*each)(void *ctx, const struct lost_note *note),
                     void *ctx)
{
    SCRATCH struct after after;
    uint32_t reported = 0;

    chan_enter(chan, &after);
    list_each(node, safe, &chan->losses) {
        struct feed *feed = container_of(node, struct feed, in_losses);
        bool left = false;

        if (reported == max)
            break;
        for (uint32_t at = 0; at < LOSS_COUNT; at++) {
            if (reported < max && record(feed, at))
                reported += report(feed, record(feed, at), each, ctx);
            left |= record(feed, at) && !is_reported(record(feed, at));
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

static uint64_t before(struct list *node)
{
    const struct range *range = &container_of(node, struct entry, in_feed)->range;

    return chunk_sequence(range->chunk, range->first) - 1;
}

/* Up to where everything was taken, filtered out or told as lost. */
static uint64_t position(struct feed *feed)
{
    struct list *oldest = list_first(&feed->waiting_entries);
    uint64_t sequence = feed_routed(feed);

    if (!oldest)
        oldest = list_first(&feed->parked_entries);
    if (oldest)
        sequence = before(oldest);
    for (uint32_t i = 0; i < LOSS_COUNT && !list_empty(&feed->in_losses); i++) {
        const struct unreported *unreported = record(feed, i);

        if (unreported && !is_reported(unreported) && unreported->first_sequence > 0)
            sequence = MIN_OF(sequence, unreported->first_sequence - 1);
    }
    return sequence;
}

uint32_t chan_positions(struct chan *chan, bool all, uint32_t max,
                        void (*each)(void *ctx, const struct source *source, uint64_t sequence), void *ctx)
{
    struct list *head = &chan->feeds;
    SCRATCH struct after after;
    uint32_t reported = 0;

    chan_enter(chan, &after);
    list_each(node, safe, head) {
        struct feed *feed = container_of(node, struct feed, in_chan);
        uint64_t sequence = MAX_OF(position(feed), feed->reported);

        if (sequence == 0 || (!all && sequence == feed->reported))
            continue;
        if (reported == max) {
            /* The ring begins here next time. */
            list_remove(head);
            list_append(node, head);
            break;
        }
        feed->reported = sequence;
        each(ctx, feed->source, sequence);
        reported++;
    }
    chan_leave(chan);
    return reported;
}

uint32_t chan_states(struct chan *chan, uint32_t max,
                     void (*each)(void *ctx, const struct feed_change *change), void *ctx)
{
    SCRATCH struct after after;
    uint32_t reported = 0;

    chan_enter(chan, &after);
    list_each(node, safe, &chan->states) {
        struct feed *feed = container_of(node, struct feed, in_states);

        if (reported == max)
            break;
        list_remove(&feed->in_states);
        if (feed->closed && has_more(feed))
            continue; /* it comes again when that is gone */
        if (feed->state != feed->reported_state) {
            feed->reported_state = feed->state;
            if (each)
                each(ctx, &(struct feed_change){feed->source, feed->state, feed->code,
                                                feed->message ? feed->message : ""});
            reported++;
        }
        if (feed->closed) {
            feed->ended = true;
            feed_release(chan, feed);
        }
    }
    chan_leave(chan);
    return reported;
}

/* Looks whether the present line is passed. True while a mark is there for which no take has ended
 * yet. */
bool chan_at_line(struct chan *chan)
{
    if (chan->mark > 0 && chan->older == 0) {
        chan->marked = chan->mark;
        chan->mark = 0;
        chan->at_line = true;
        chan_ring(chan);
    }
    return chan->at_line;
}

void chan_mark(struct chan *chan, uint32_t mark)
{
    SCRATCH struct after after;

    CHECK(mark > 0);
    chan_enter(chan, &after);
    chan->line++;
    chan->older = chan->entries_used;
    chan->mark = mark;
    chan_leave(chan);
}

uint32_t chan_marked(struct chan *chan)
{
    SCRATCH struct after after;
    uint32_t marked;

    chan_enter(chan, &after);
    marked = chan->marked;
    chan->marked = 0;
    chan->at_line = false;
    chan_leave(chan);
    return marked;
}

struct totals chan_dropped(const struct chan_stats *stats)
{
    struct totals dropped = {0};

    for (int i = 0; i < LOSS_COUNT; i++)
        totals_add(&dropped, stats->dropped[i].events, stats->dropped[i].bytes);
    return dropped;
}

static struct totals both(struct totals a, struct totals b)
{
    return (struct totals){a.events + b.events, a.bytes + b.bytes};
}

void chan_stats(struct chan *chan, struct chan_stats *stats_out)
{
    SCRATCH struct after after;

    chan_enter(chan, &after);
    stats_out->accepted = chan->accepted;
    stats_out->delivered = chan->delivered;
    stats_out->queued = both(chan->waiting, chan->in_flight);
    for (int i = 0; i < LOSS_COUNT; i++)
        stats_out->dropped[i] = chan->dropped[i];
    stats_out->blocked = chan->blocked_count > 0;
    stats_out->fallback_active = chan->fallback_active;
    chan_leave(chan);
}

void chan_feeds(struct chan *chan, uint32_t max, void (*each)(void *ctx, const struct feed_stats *stats),
                void *ctx)
{
    SCRATCH struct after after;

    chan_enter(chan, &after);
    list_each(node, safe, &chan->feeds) {
        struct feed *feed = container_of(node, struct feed, in_chan);
        struct feed_stats stats = {.source = feed->source,
                                   .accepted = feed->accepted,
                                   .delivered = feed->delivered,
                                   .dropped = feed->dropped,
                                   .queued = both(feed->waiting, feed->in_flight)};

        if (max-- == 0)
            break;
        each(ctx, &stats);
    }
    chan_leave(chan);
}
