/* tell.c - what the taker tells its peer beside the events (losses, positions), and the sums. */
#include <stdlib.h>

#include "flow/chan_internal.h"

static bool is_told(const struct untold *untold)
{
    return untold->count == 0 && !untold->count_unknown;
}

/* Where a loss of this reason is written down. Without memory for a second reason it is told under the first: the count is right all the
 * same. */
static struct untold *untold_of(struct feed *feed, uint32_t reason)
{
    if (feed->untold_others && !is_told(&feed->untold_others[reason]))
        return &feed->untold_others[reason];
    if (is_told(&feed->untold))
        feed->untold.reason = reason;
    if (feed->untold.reason == reason)
        return &feed->untold;
    if (!feed->untold_others)
        feed->untold_others = calloc(LOSS_COUNT, sizeof(*feed->untold_others));
    if (!feed->untold_others)
        return &feed->untold;
    feed->untold_others[reason].reason = reason;
    return &feed->untold_others[reason];
}

static void note(struct chan *chan, struct feed *feed, const struct untold *loss)
{
    struct untold *untold = untold_of(feed, loss->reason);

    if (is_told(untold) || untold->first_sequence == 0 || (loss->first_sequence > 0 && loss->first_sequence < untold->first_sequence))
        untold->first_sequence = loss->first_sequence;
    untold->last_sequence = is_told(untold) ? loss->last_sequence : MAX_OF(untold->last_sequence, loss->last_sequence);
    untold->count += loss->count;
    untold->bytes += loss->bytes;
    untold->count_unknown |= loss->count_unknown;
    if (list_empty(&feed->in_losses)) {
        list_append(&chan->losses, &feed->in_losses);
        feed->refs++;
    }
    chan_ring(chan);
}

/* A consumer that is gone is told nothing. */
void feed_lost(struct chan *chan, const struct range *range, enum loss reason)
{
    struct untold loss = {.count = range->last - range->first,
                          .bytes = range_bytes(range),
                          .first_sequence = chunk_sequence(range->chunk, range->first),
                          .last_sequence = chunk_sequence(range->chunk, range->last - 1),
                          .reason = reason};

    if (reason != LOSS_CONSUMER_GONE)
        note(chan, range->feed, &loss);
}

void feed_gap(struct chan *chan, struct feed *feed, uint64_t first, uint64_t last, bool count_unknown)
{
    struct untold loss = {.count = count_unknown ? 0 : last - first + 1,
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
    return !list_empty(&feed->waiting_entries) || !list_empty(&feed->parked_entries) || !list_empty(&feed->in_losses);
}

void feed_changed(struct chan *chan, struct feed *feed)
{
    if (feed->ended || !list_empty(&feed->in_states) || (feed->closed ? has_more(feed) : feed->state == feed->state_told))
        return;
    list_append(&chan->states, &feed->in_states);
    chan_ring(chan);
}

/* Tells one record, if there is something in it, and forgets it. */
static uint32_t tell(const struct feed *feed, struct untold *untold, void (*each)(void *ctx, const struct lost_note *note), void *ctx)
{
    struct lost_note lost = {.source = feed->source,
                             .count = untold->count,
                             .bytes = untold->bytes,
                             .first_sequence = untold->first_sequence,
                             .last_sequence = untold->last_sequence,
                             .reason = untold->reason,
                             .count_unknown = untold->count_unknown};

    if (is_told(untold))
        return 0;
    each(ctx, &lost);
    *untold = (struct untold){0};
    return 1;
}

/* The record number `at` of a feed: the first, then the others by reason. NULL: there is no such one. */
static struct untold *record(struct feed *feed, uint32_t at)
{
    if (at == 0)
        return &feed->untold;
    return feed->untold_others ? &feed->untold_others[at] : NULL;
}

uint32_t chan_losses(struct chan *chan, uint32_t most, void (*each)(void *ctx, const struct lost_note *note), void *ctx)
{
    SCRATCH struct after after;
    uint32_t told = 0;

    chan_enter(chan, &after);
    list_each(node, safe, &chan->losses) {
        struct feed *feed = container_of(node, struct feed, in_losses);
        bool left = false;

        if (told == most)
            break;
        for (uint32_t at = 0; at < LOSS_COUNT; at++) {
            if (told < most && record(feed, at))
                told += tell(feed, record(feed, at), each, ctx);
            left |= record(feed, at) && !is_told(record(feed, at));
        }
        if (left)
            break;
        list_remove(&feed->in_losses);
        feed_changed(chan, feed);
        feed_release(chan, feed);
    }
    chan_leave(chan);
    return told;
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
        const struct untold *untold = record(feed, i);

        if (untold && !is_told(untold) && untold->first_sequence > 0)
            sequence = MIN_OF(sequence, untold->first_sequence - 1);
    }
    return sequence;
}

uint32_t chan_positions(struct chan *chan, bool all, uint32_t most, void (*each)(void *ctx, const struct source *source, uint64_t sequence),
                        void *ctx)
{
    struct list *head = &chan->feeds;
    SCRATCH struct after after;
    uint32_t told = 0;

    chan_enter(chan, &after);
    list_each(node, safe, head) {
        struct feed *feed = container_of(node, struct feed, in_chan);
        uint64_t sequence = MAX_OF(position(feed), feed->told);

        if (sequence == 0 || (!all && sequence == feed->told))
            continue;
        if (told == most) {
            /* The ring begins here next time. */
            list_remove(head);
            list_append(node, head);
            break;
        }
        feed->told = sequence;
        each(ctx, feed->source, sequence);
        told++;
    }
    chan_leave(chan);
    return told;
}

uint32_t chan_states(struct chan *chan, uint32_t most, void (*each)(void *ctx, const struct feed_change *change), void *ctx)
{
    SCRATCH struct after after;
    uint32_t told = 0;

    chan_enter(chan, &after);
    list_each(node, safe, &chan->states) {
        struct feed *feed = container_of(node, struct feed, in_states);

        if (told == most)
            break;
        list_remove(&feed->in_states);
        if (feed->closed && has_more(feed))
            continue; /* it comes again when that is gone */
        if (feed->state != feed->state_told) {
            feed->state_told = feed->state;
            if (each)
                each(ctx, &(struct feed_change){feed->source, feed->state, feed->code, feed->message ? feed->message : ""});
            told++;
        }
        if (feed->closed) {
            feed->ended = true;
            feed_release(chan, feed);
        }
    }
    chan_leave(chan);
    return told;
}

/* Looks whether the present line is passed. True while a mark is there for which no take has ended yet. */
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

struct tally chan_dropped(const struct chan_sums *sums)
{
    struct tally dropped = {0};

    for (int i = 0; i < LOSS_COUNT; i++)
        tally_add(&dropped, sums->dropped[i].events, sums->dropped[i].bytes);
    return dropped;
}

static struct tally both(struct tally a, struct tally b)
{
    return (struct tally){a.events + b.events, a.bytes + b.bytes};
}

void chan_sums(struct chan *chan, struct chan_sums *sums_out)
{
    SCRATCH struct after after;

    chan_enter(chan, &after);
    sums_out->accepted = chan->accepted;
    sums_out->delivered = chan->delivered;
    sums_out->queued = both(chan->waiting, chan->flying);
    for (int i = 0; i < LOSS_COUNT; i++)
        sums_out->dropped[i] = chan->dropped[i];
    sums_out->stalled = chan->stalled_count > 0;
    sums_out->latched = chan->latched;
    chan_leave(chan);
}

void chan_feeds(struct chan *chan, uint32_t most, void (*each)(void *ctx, const struct feed_sums *sums), void *ctx)
{
    SCRATCH struct after after;

    chan_enter(chan, &after);
    list_each(node, safe, &chan->feeds) {
        struct feed *feed = container_of(node, struct feed, in_chan);
        struct feed_sums sums = {.source = feed->source,
                                 .accepted = feed->accepted,
                                 .delivered = feed->delivered,
                                 .dropped = feed->dropped,
                                 .queued = both(feed->waiting, feed->flying)};

        if (most-- == 0)
            break;
        each(ctx, &sums);
    }
    chan_leave(chan);
}
