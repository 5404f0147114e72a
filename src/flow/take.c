/* take.c - what goes out: the batch in flight, and how its flight ends. */
#include <stdlib.h>

#include "flow/chan_internal.h"

#define TAKE_FIRST 16

static bool take_grows(struct take *take)
{
    uint32_t room = take->room ? take->room * 2 : TAKE_FIRST;
    struct take_entry *entries;

    if (take->count < take->room)
        return true;
    entries = realloc(take->entries, room * sizeof(*entries));
    if (!entries)
        return false;
    take->entries = entries;
    take->room = room;
    return true;
}

/* Moves the first `count` events of the entry into the batch, which has room for them. */
static void board(struct chan *chan, struct entry *entry, uint32_t count, struct take *take)
{
    struct range range = entry->range;
    uint32_t bytes;

    range.last = range.first + count;
    bytes = range_bytes(&range);
    entry->range.first = range.last;
    if (entry->range.first == entry->range.last) {
        list_remove(&entry->in_chan);
        list_remove(&entry->in_feed);
        entry_free(chan, entry);
        feed_changed(chan, range.feed);
    } else {
        chunk_retain(range.chunk);
        range.feed->refs++;
    }
    tally_sub(&chan->waiting, count, bytes);
    tally_sub(&range.feed->waiting, count, bytes);
    tally_add(&chan->flying, count, bytes);
    tally_add(&range.feed->flying, count, bytes);
    if (!list_empty(&range.feed->in_losses)) {
        /* Its loss may not come later than its events: to the front. */
        list_remove(&range.feed->in_losses);
        list_append(chan->losses.next, &range.feed->in_losses);
    }
    take->entries[take->count++] = (struct take_entry){range.chunk, range.feed, range.first, range.last};
    take->events += count;
    take->bytes += bytes;
}

/* How many events of the entry the batch still takes. */
static uint32_t boarding(const struct entry *entry, const struct take *take, uint32_t most_events, uint64_t most_bytes)
{
    struct range range = entry->range;
    uint32_t count;

    if (take->events >= most_events || take->bytes >= most_bytes)
        return 0;
    range.last = range.first + MIN_OF(range.last - range.first, most_events - take->events);
    count = range_prefix(&range, most_bytes - take->bytes);
    return count == 0 && take->events == 0 ? 1 : count;
}

bool chan_take(struct chan *chan, struct take *take, uint32_t most_events, uint64_t most_bytes, int64_t now_ns)
{
    SCRATCH struct after after;
    struct list *node;
    bool more;

    CHECK(take->count == 0 && most_events > 0 && most_bytes > 0);
    chan_enter(chan, &after);
    while (!chan_at_line(chan) && (node = list_first(&chan->waiting_entries))) {
        struct entry *entry = container_of(node, struct entry, in_chan);
        uint32_t count;

        if (chan_expired(chan, entry, now_ns)) {
            chan_drop(chan, entry, entry->range.last - entry->range.first, LOSS_EXPIRED);
            continue;
        }
        count = boarding(entry, take, most_events, most_bytes);
        if (count == 0 || !take_grows(take))
            break;
        board(chan, entry, count, take);
    }
    chan->due_bytes = list_empty(&chan->parked_entries) ? 0 : MIN_OF(chan->due_bytes + take->bytes / 2, chan->limits.max_bytes);
    if (chan->latched || !list_empty(&chan->parked_entries))
        chan_settle(chan);
    more = chan->waiting.events > 0 || chan_at_line(chan);
    chan->at_line = false;
    chan->armed = true;
    after.ring = false; /* the taker is looking right now */
    chan_leave(chan);
    return more;
}

uint32_t chan_next_bytes(struct chan *chan)
{
    SCRATCH struct after after;
    struct list *node;
    uint32_t bytes = 0;

    chan_enter(chan, &after);
    if (chan->limits.max_age_ns > 0)
        chan_expire(chan);
    if ((node = list_first(&chan->waiting_entries))) {
        const struct range *range = &container_of(node, struct entry, in_chan)->range;

        bytes = chunk_bytes(range->chunk, range->first, range->first + 1);
    }
    chan_leave(chan);
    return bytes;
}

/* Takes the batch apart. `reason` 0: it was delivered. */
static void land(struct chan *chan, struct take *take, enum loss reason)
{
    SCRATCH struct after after;

    chan_enter(chan, &after);
    for (uint32_t i = 0; i < take->count; i++) {
        const struct take_entry *entry = &take->entries[i];
        struct range range = {entry->chunk, entry->feed, entry->first, entry->last, 0};
        uint32_t events = range.last - range.first, bytes = range_bytes(&range);

        tally_sub(&chan->flying, events, bytes);
        tally_sub(&range.feed->flying, events, bytes);
        if (reason == 0) {
            tally_add(&chan->delivered, events, bytes);
            tally_add(&range.feed->delivered, events, bytes);
        } else {
            chan_count_dropped(chan, &range, reason);
        }
        feed_release(chan, range.feed);
    }
    chan_leave(chan);
    for (uint32_t i = 0; i < take->count; i++)
        chunk_release(take->entries[i].chunk);
    take->count = 0;
    take->events = 0;
    take->bytes = 0;
}

void chan_delivered(struct chan *chan, struct take *take)
{
    land(chan, take, (enum loss)0);
}

void chan_lost(struct chan *chan, struct take *take, enum loss reason)
{
    CHECK(reason > 0 && reason < LOSS_COUNT);
    land(chan, take, reason);
}

void take_fini(struct take *take)
{
    CHECK(take->count == 0);
    free(take->entries);
    *take = (struct take){0};
}

bool chan_presses(struct chan *chan, uint32_t batch_events, uint64_t batch_bytes)
{
    const struct chan_limits *limits = &chan->limits;
    const struct tally *waiting = &chan->waiting;
    SCRATCH struct after after;
    bool presses;

    chan_enter(chan, &after);
    presses = waiting->events > 0 && (waiting->events >= MIN_OF(batch_events, limits->max_events / 4) ||
                                      waiting->bytes >= MIN_OF(batch_bytes, limits->max_bytes / 4));
    chan_leave(chan);
    return presses;
}

void chan_pass(struct chan *chan)
{
    pthread_mutex_lock(&chan->lock);
    chan->armed = true;
    pthread_mutex_unlock(&chan->lock);
}
