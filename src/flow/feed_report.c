/* feed_report.c - what is to be reported of a feed: its losses and its state. These keep the feed
 * alive, so the release of its last reference is here too. chan_report.c reports them. */
#include <stdlib.h>

#include "base/budget.h"
#include "flow/chan_internal.h"
#include "flow/order_internal.h"
#include "flow/shared_feed.h"

size_t feed_bytes(const struct feed *feed)
{
    return feed->pausable ? sizeof(struct pausable_feed) : sizeof(struct feed);
}

void feed_free(struct chan *chan, struct feed *feed)
{
    list_remove(&feed->in_chan);
    list_remove(&feed->in_losses);
    list_remove(&feed->in_states);
    list_remove(&feed->in_moved);
    feed_forget_catch(chan, feed);
    heap_remove(&chan->heaviest, &feed->weight);
    order_remove_feed(chan->order, feed);
    source_release(feed->source);
    free(feed->unreported_others);
    free(feed->message);
    budget_free(COUNT_LIVE_FEED_BYTES, feed, feed_bytes(feed));
}

/* So many shared feeds stay until their position was reported, because a put into a feed that is
 * there costs least. */
#define KEPT_SHARED_FEEDS 4u

/* The source takes the feed's place until its position is reported. False: the feed must stay,
 * because only it knows the position, or because memory ran out. */
static bool leave_source(struct chan *chan, struct feed *feed)
{
    if (chan->shared.count <= KEPT_SHARED_FEEDS || feed_put_goes_on(feed) ||
        (chan->closing.count > 0 && feed_table_find(&chan->closing, feed->source)))
        return false;
    return source_set_add(&chan->moved_sources, feed->source);
}

/* Entries, batches in flight and unreported losses hold references. A feed that follows its source
 * no more keeps the position for ever. */
void feed_give_back_if_idle(struct chan *chan, struct feed *feed)
{
    if (!feed->shared || feed->refs > 1 || feed->closed || !feed->follows || !list_empty(&feed->in_states))
        return;
    if (!list_empty(&feed->in_moved) && !leave_source(chan, feed))
        return;
    feed_table_remove(&chan->shared, feed);
    feed_free(chan, feed);
}

void feed_release(struct chan *chan, struct feed *feed)
{
    CHECK(feed->refs > 0);
    if (--feed->refs == 0)
        feed_free(chan, feed);
    else
        feed_give_back_if_idle(chan, feed);
}

void feed_touch(struct chan *chan, struct feed *feed)
{
    if (list_empty(&feed->in_moved))
        list_append(&chan->moved, &feed->in_moved);
}

/* The record for losses like this one. Without memory for a second record they go under the first
 * reason: then the reason is wrong and the count is right. */
static struct unreported *record_for(struct feed *feed, const struct unreported *loss)
{
    const uint32_t slot = unreported_slot(loss);

    if (feed->unreported_others && !unreported_empty(&feed->unreported_others[slot]))
        return &feed->unreported_others[slot];
    if (unreported_empty(&feed->unreported))
        unreported_begin(&feed->unreported, loss);
    if (unreported_slot(&feed->unreported) == slot)
        return &feed->unreported;
    if (!feed->unreported_others)
        feed->unreported_others = calloc(UNREPORTED_SLOTS, sizeof(*feed->unreported_others));
    if (!feed->unreported_others)
        return &feed->unreported;
    unreported_begin(&feed->unreported_others[slot], loss);
    return &feed->unreported_others[slot];
}

void feed_add_loss(struct chan *chan, struct feed *feed, const struct unreported *loss)
{
    struct unreported *unreported = record_for(feed, loss);

    if (unreported_empty(unreported) || unreported->first_sequence == 0 ||
        (loss->first_sequence > 0 && loss->first_sequence < unreported->first_sequence))
        unreported->first_sequence = loss->first_sequence;
    unreported->last_sequence = unreported_empty(unreported)
                                    ? loss->last_sequence
                                    : MAX_OF(unreported->last_sequence, loss->last_sequence);
    unreported->count += loss->count;
    unreported->bytes += loss->bytes;
    unreported->count_unknown |= loss->count_unknown;
    feed_touch(chan, feed);
    if (list_empty(&feed->in_losses)) {
        list_append(&chan->losses, &feed->in_losses);
        feed->refs++;
    }
    chan_notify(chan);
}

/* Losses of two reasons go under the first one: then the reason is wrong and the count is right. */
void chan_add_unattributed(struct chan *chan, const struct unreported *loss)
{
    struct unreported *all = &chan->unattributed;

    if (unreported_empty(all))
        unreported_begin(all, loss);
    all->count += loss->count;
    all->bytes += loss->bytes;
    all->count_unknown |= loss->count_unknown;
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
        feed_add_loss(chan, range->feed, &loss);
}

bool feed_has_more(const struct feed *feed)
{
    return !list_empty(&feed->waiting_entries) || !list_empty(&feed->parked_entries) ||
           !list_empty(&feed->in_losses);
}

void feed_ended(struct chan *chan, struct feed *feed)
{
    feed->ended = true;
    feed_table_remove(&chan->closing, feed);
    chan->ended_sources += feed->shared;
    feed_release(chan, feed);
}

/* The state counts as reported: RESYNC stands for it. Afterwards the feed may be gone. */
static void fold_state(struct chan *chan, struct feed *feed)
{
    if (feed->closed && feed_has_more(feed))
        return; /* it comes back when that is gone */
    feed->reported_state = feed->state;
    if (feed->closed)
        feed_ended(chan, feed);
    else
        feed_give_back_if_idle(chan, feed);
}

void chan_resync(struct chan *chan)
{
    chan->resync = true;
    list_each(node, safe, &chan->states) {
        struct feed *feed = container_of(node, struct feed, in_states);

        if (!feed->shared)
            continue;
        list_remove(node);
        fold_state(chan, feed);
    }
    chan->shared_states = 0;
    chan_notify(chan);
}

void feed_report_state(struct chan *chan, struct feed *feed)
{
    if (feed->ended || (feed->closed && feed_has_more(feed)))
        return;
    if (feed->shared && !chan->resync && chan->shared_states == MAX_SHARED_STATES)
        chan_resync(chan);
    if (feed->shared && chan->resync) {
        fold_state(chan, feed);
        return;
    }
    list_append(&chan->states, &feed->in_states);
    chan->shared_states += feed->shared;
    chan_notify(chan);
}
