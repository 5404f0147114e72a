/* chan_report.c - what the taker reports beside the events: losses, positions, states and marks. */
#include "flow/chan_report.h"

#include <stdlib.h>

#include "flow/chan_internal.h"
#include "flow/feed.h"

static bool is_empty(const struct unreported *unreported)
{
    return unreported->count == 0 && !unreported->count_unknown;
}

/* The record for losses of this reason. Without memory for a second record they go under the first
 * reason: then the reason is wrong and the count is right. */
static struct unreported *record_for(struct feed *feed, uint32_t reason)
{
    if (feed->unreported_others && !is_empty(&feed->unreported_others[reason]))
        return &feed->unreported_others[reason];
    if (is_empty(&feed->unreported))
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

static void add_loss(struct chan *chan, struct feed *feed, const struct unreported *loss)
{
    struct unreported *unreported = record_for(feed, loss->reason);

    if (is_empty(unreported) || unreported->first_sequence == 0 ||
        (loss->first_sequence > 0 && loss->first_sequence < unreported->first_sequence))
        unreported->first_sequence = loss->first_sequence;
    unreported->last_sequence =
        is_empty(unreported) ? loss->last_sequence : MAX_OF(unreported->last_sequence, loss->last_sequence);
    unreported->count += loss->count;
    unreported->bytes += loss->bytes;
    unreported->count_unknown |= loss->count_unknown;
    if (list_empty(&feed->in_losses)) {
        list_append(&chan->losses, &feed->in_losses);
        feed->refs++;
    }
    chan_notify(chan);
}

/* CONSUMER_GONE is not reported: there is nobody to report it to. */
void feed_lost(struct chan *chan, const struct range *range, enum loss reason)
{
    struct unreported loss = {.count = range->last - range->first,
                              .bytes = range_bytes(range),
                              .first_sequence = chunk_sequence(range->chunk, range->first),
                              .last_sequence = chunk_sequence(range->chunk, range->last - 1),
                              .reason = reason};

    if (reason != LOSS_CONSUMER_GONE)
        add_loss(chan, range->feed, &loss);
}

void feed_gap(struct chan *chan, struct feed *feed, uint64_t first, uint64_t last, bool count_unknown)
{
    struct unreported loss = {.count = count_unknown ? 0 : last - first + 1,
                              .first_sequence = first,
                              .last_sequence = last,
                              .reason = LOSS_RESUME_GAP,
                              .count_unknown = count_unknown};
    SCRATCH struct deferred deferred;

    chan_enter(chan, &deferred);
    add_loss(chan, feed, &loss);
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
    chan_notify(chan);
}

/* Reports one record, unless it is empty, and clears it. Returns how many were reported. */
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

    if (is_empty(unreported))
        return 0;
    each(ctx, &lost);
    *unreported = (struct unreported){0};
    return 1;
}

/* Record number `at` of a feed: 0 is the first reason, the others go by reason. NULL: there is
 * none. */
static struct unreported *record(struct feed *feed, uint32_t at)
{
    if (at == 0)
        return &feed->unreported;
    return feed->unreported_others ? &feed->unreported_others[at] : NULL;
}

uint32_t chan_losses(struct chan *chan, uint32_t max, void (*each)(void *ctx, const struct lost_note *note),
                     void *ctx)
{
    SCRATCH struct deferred deferred;
    uint32_t reported = 0;

    chan_enter(chan, &deferred);
    list_each(node, safe, &chan->losses) {
        struct feed *feed = container_of(node, struct feed, in_losses);
        bool left = false;

        if (reported == max)
            break;
        for (uint32_t at = 0; at < LOSS_COUNT; at++) {
            if (reported < max && record(feed, at))
                reported += report(feed, record(feed, at), each, ctx);
            left |= record(feed, at) && !is_empty(record(feed, at));
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

/* Everything of the source up to here was dequeued, filtered out, or reported as lost. */
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

        if (unreported && !is_empty(unreported) && unreported->first_sequence > 0)
            sequence = MIN_OF(sequence, unreported->first_sequence - 1);
    }
    return sequence;
}

uint32_t chan_positions(struct chan *chan, bool all, uint32_t max,
                        void (*each)(void *ctx, const struct source *source, uint64_t sequence), void *ctx)
{
    struct list *head = &chan->feeds;
    SCRATCH struct deferred deferred;
    uint32_t reported = 0;

    chan_enter(chan, &deferred);
    list_each(node, safe, head) {
        struct feed *feed = container_of(node, struct feed, in_chan);
        uint64_t sequence = MAX_OF(position(feed), feed->reported);

        if (sequence == 0 || (!all && sequence == feed->reported))
            continue;
        if (reported == max) {
            /* Next time the walk begins here. */
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
    SCRATCH struct deferred deferred;
    uint32_t reported = 0;

    chan_enter(chan, &deferred);
    list_each(node, safe, &chan->states) {
        struct feed *feed = container_of(node, struct feed, in_states);

        if (reported == max)
            break;
        list_remove(&feed->in_states);
        if (feed->closed && has_more(feed))
            continue; /* it comes back when that is gone */
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

bool chan_at_mark(struct chan *chan)
{
    if (chan->mark > 0 && chan->before_mark == 0) {
        chan->marked = chan->mark;
        chan->mark = 0;
        chan->at_mark = true;
        chan_notify(chan);
    }
    return chan->at_mark;
}

void chan_mark(struct chan *chan, uint32_t mark)
{
    SCRATCH struct deferred deferred;

    CHECK(mark > 0);
    chan_enter(chan, &deferred);
    chan->marks++;
    chan->before_mark = chan->entries_used;
    chan->mark = mark;
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
