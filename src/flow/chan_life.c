/* chan_life.c - the channel's life: making and freeing it, its lock, its states. Its feeds are in
 * feed.c; putting is in put.c, taking in take.c, telling in tell.c.
 *
 *   OPEN --drain--> DRAINING --close--> CLOSED
 *     |---break---> BROKEN ----close------^
 *     `-------------close-----------------' */
#include <stdlib.h>

#include "base/counters.h"
#include "flow/chan_internal.h"

/* Above this many, entries are given back whenever none of them is in use. */
#define ENTRIES_KEPT 1024

static const unsigned allowed[CHAN_STATE_COUNT] = {
    [CHAN_OPEN] = BIT(CHAN_DRAINING) | BIT(CHAN_BROKEN) | BIT(CHAN_CLOSED),
    [CHAN_DRAINING] = BIT(CHAN_CLOSED),
    [CHAN_BROKEN] = BIT(CHAN_CLOSED),
    [CHAN_CLOSED] = 0,
};

/* False: not from here; nothing changed. */
static bool move(struct chan *chan, enum chan_state state)
{
    if (!(allowed[chan->state] & BIT(state)))
        return false;
    chan->state = state;
    chan_ring_anyway(chan);
    return true;
}

static void free_slabs(struct slab *slab)
{
    while (slab) {
        struct slab *next = slab->next;

        free(slab);
        slab = next;
    }
}

void chan_enter(struct chan *chan, struct after *after)
{
    after->over = NULL;
    after->to_announce = NULL;
    after->slabs = NULL;
    after->slots = NULL;
    after->ring = false;
    after->dead_count = 0;
    pthread_mutex_lock(&chan->lock);
    chan->after = after;
}

void chan_leave(struct chan *chan)
{
    struct after *after = chan->after;

    (void)chan_at_line(chan);
    if (chan->entries_used == 0 && chan->entries_capacity > ENTRIES_KEPT) {
        after->slabs = chan->slabs;
        chan->slabs = NULL;
        chan->free_entries = NULL;
        chan->entries_capacity = 0;
        if (chan->keys)
            after->slots = keys_shrink(chan->keys);
    }
    chan->after = NULL;
    pthread_mutex_unlock(&chan->lock);

    while (after->to_announce) {
        struct feed *feed = after->to_announce;

        after->to_announce = feed->next_to_announce;
        feed_announce(chan, feed);
    }
    while (after->over) {
        struct put_waiter *waiter = after->over;

        after->over = waiter->next;
        waiter->over(waiter); /* the stall may be gone after this */
    }
    if (after->ring)
        chan->callbacks.readable(chan->callbacks.ctx);
    for (uint32_t i = 0; i < after->dead_count; i++)
        chunk_release(after->dead[i]);
    free_slabs(after->slabs);
    free(after->slots);
}

void chan_ring_anyway(struct chan *chan)
{
    chan->after->ring = true;
}

void chan_ring(struct chan *chan)
{
    if (!chan->armed)
        return;
    chan->armed = false;
    chan->after->ring = true;
}

void chan_break(struct chan *chan)
{
    move(chan, CHAN_BROKEN);
}

/* Seldom more than a few die at once; then it is better to release under the lock than to keep a
 * list without a bound. */
void chan_bury(struct chan *chan, struct chunk *chunk)
{
    if (chan->after->dead_count < MAX_DEAD)
        chan->after->dead[chan->after->dead_count++] = chunk;
    else
        chunk_release(chunk);
}

/* Everything that waits or is parked falls, for `reason`. */
static void drop_all(struct chan *chan, enum loss reason)
{
    struct list *node;

    while ((node = list_first(&chan->waiting_entries))) {
        struct entry *entry = container_of(node, struct entry, in_chan);

        chan_drop(chan, entry, entry->range.last - entry->range.first, reason);
    }
    while ((node = list_first(&chan->parked_entries))) {
        struct range range = chan_unpark(chan, container_of(node, struct entry, in_chan));

        chan_refuse(chan, &range, reason);
        feed_changed(chan, range.feed);
        range_release(chan, &range);
    }
    chan->fallback_active = false;
}

/* Whether DROP_OLDEST may come up. */
static bool may_trim(const struct chan_limits *limits)
{
    switch (limits->overflow) {
    case OVERFLOW_BY_FEED:
    case OVERFLOW_DROP_OLDEST:
    case OVERFLOW_LATEST_PER_KEY:
        return true;
    case OVERFLOW_BLOCK:
        return limits->fallback == OVERFLOW_DROP_OLDEST;
    case OVERFLOW_DROP_NEWEST:
    case OVERFLOW_DISCONNECT:
    case OVERFLOW_COUNT:
        break;
    }
    return false;
}

static void check_limits(const struct chan_limits *limits)
{
    CHECK(limits->max_events > 0 && limits->max_bytes > 0 && limits->max_age_ns >= 0 &&
          limits->block_timeout_ns >= 0);
    CHECK(limits->overflow < OVERFLOW_COUNT);
    CHECK(limits->overflow > OVERFLOW_BLOCK ||
          (limits->fallback > OVERFLOW_BLOCK && limits->fallback < OVERFLOW_LATEST_PER_KEY));
}

/* What may fail; then nothing of it is left. */
static bool equip(struct chan *chan)
{
    if (chan->limits.overflow == OVERFLOW_LATEST_PER_KEY && !(chan->keys = keys_new()))
        return false;
    if (pthread_mutex_init(&chan->lock, NULL) != 0) {
        keys_free(chan->keys);
        return false;
    }
    if (pthread_cond_init(&chan->announced, NULL) != 0) {
        pthread_mutex_destroy(&chan->lock);
        keys_free(chan->keys);
        return false;
    }
    return true;
}

struct chan *chan_new(const struct chan_limits *limits, const struct chan_callbacks *callbacks)
{
    struct chan *chan = calloc(1, sizeof(*chan));

    check_limits(limits);
    if (!chan)
        return NULL;
    chan->limits = *limits;
    chan->callbacks = *callbacks;
    if (!equip(chan)) {
        free(chan);
        return NULL;
    }
    atomic_init(&chan->refs, 1);
    chan->weighs = may_trim(limits);
    chan->armed = true;
    chan->blocked_until_ns = INT64_MAX;
    list_init(&chan->waiting_entries);
    list_init(&chan->parked_entries);
    list_init(&chan->feeds);
    list_init(&chan->losses);
    list_init(&chan->states);
    count_add(COUNT_LIVE_CHANNELS, 1);
    return chan;
}

struct chan *chan_retain(struct chan *chan)
{
    atomic_fetch_add_explicit(&chan->refs, 1, memory_order_relaxed);
    return chan;
}

void chan_release(struct chan *chan)
{
    SCRATCH struct after after;

    if (!chan || atomic_fetch_sub_explicit(&chan->refs, 1, memory_order_acq_rel) != 1)
        return;
    chan_enter(chan, &after);
    CHECK(chan->in_flight.events == 0);
    (void)move(chan, CHAN_CLOSED);
    drop_all(chan, LOSS_CONSUMER_GONE);
    list_each(node, safe, &chan->feeds)
        feed_free(chan, container_of(node, struct feed, in_chan));
    after.ring = false; /* the taker let go: nobody is there to look */
    chan_leave(chan);
    heap_fini(&chan->heaviest);
    free_slabs(chan->slabs);
    keys_free(chan->keys);
    pthread_cond_destroy(&chan->announced);
    pthread_mutex_destroy(&chan->lock);
    free(chan);
    count_add(COUNT_LIVE_CHANNELS, -1);
}

enum chan_state chan_state(struct chan *chan)
{
    SCRATCH struct after after;
    enum chan_state state;

    chan_enter(chan, &after);
    state = chan->state;
    chan_leave(chan);
    return state;
}

void chan_drain(struct chan *chan)
{
    SCRATCH struct after after;
    struct list *node;

    chan_enter(chan, &after);
    if (move(chan, CHAN_DRAINING)) {
        while ((node = list_first(&chan->parked_entries))) {
            struct entry *entry = container_of(node, struct entry, in_chan);

            chan_admit(chan, entry, entry->range.last - entry->range.first);
        }
        chan->fallback_active = false;
    }
    chan_leave(chan);
}

void chan_close(struct chan *chan, enum loss reason)
{
    SCRATCH struct after after;

    chan_enter(chan, &after);
    if (move(chan, CHAN_CLOSED))
        drop_all(chan, reason);
    chan_leave(chan);
}

bool chan_idle(struct chan *chan)
{
    SCRATCH struct after after;
    bool idle;

    chan_enter(chan, &after);
    idle = chan->waiting.events == 0 && chan->parked.events == 0 && chan->in_flight.events == 0;
    chan_leave(chan);
    return idle;
}
