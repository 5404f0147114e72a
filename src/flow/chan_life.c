/* chan_life.c - the life of a channel: making, freeing, and its states (see chan.h). */
#include <stdlib.h>

#include "base/counters.h"
#include "base/fsm.h"
#include "flow/chan_internal.h"
#include "flow/feed_position.h"
#include "flow/order_internal.h"

static const struct fsm machine = {
    .name = "channel",
    .states = {[CHAN_OPEN] = {"OPEN", BIT(CHAN_DRAINING) | BIT(CHAN_BROKEN) | BIT(CHAN_CLOSED)},
               [CHAN_DRAINING] = {"DRAINING", BIT(CHAN_CLOSED)},
               [CHAN_BROKEN] = {"BROKEN", BIT(CHAN_CLOSED)},
               [CHAN_CLOSED] = {"CLOSED", 0}},
};

/* Returns false where the move is not allowed; then nothing has changed. */
static bool change_state(struct chan *chan, enum chan_state state)
{
    if (!fsm_allows(&machine, chan->state, state))
        return false;
    fsm_move(&machine, chan, state);
    chan_notify_again(chan);
    return true;
}

void chan_break(struct chan *chan)
{
    change_state(chan, CHAN_BROKEN);
}

void chan_disconnect(struct chan *chan)
{
    SCRATCH struct deferred deferred;

    chan_enter(chan, &deferred);
    chan_break(chan);
    chan_leave(chan);
}

/* Drops everything that waits or is parked, for `reason`. */
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

/* DROP_OLDEST may apply at some time. */
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
    CHECK(limits->sort.duration_ns == 0 || (limits->sort.duration_ns > 0 && limits->sort.max_events > 0 &&
                                            limits->sort.max_events <= limits->max_events / 2));
    CHECK(limits->overflow > OVERFLOW_BLOCK ||
          (limits->fallback > OVERFLOW_BLOCK && limits->fallback < OVERFLOW_LATEST_PER_KEY));
}

/* Makes the parts that may fail. On failure nothing of them is left. */
static bool init_parts(struct chan *chan)
{
    if (chan->limits.overflow == OVERFLOW_LATEST_PER_KEY && !(chan->keys = keys_new()))
        return false;
    if (chan->limits.sort.duration_ns > 0 && !(chan->order = order_new()))
        goto no_order;
    if (pthread_mutex_init(&chan->lock, NULL) != 0)
        goto no_lock;
    if (pthread_cond_init(&chan->announced, NULL) == 0)
        return true;
    pthread_mutex_destroy(&chan->lock);
no_lock:
    order_free(chan->order);
no_order:
    keys_free(chan->keys);
    return false;
}

struct chan *chan_new(const struct chan_limits *limits, const struct chan_callbacks *callbacks)
{
    struct chan *chan = calloc(1, sizeof(*chan));

    check_limits(limits);
    if (!chan)
        return NULL;
    chan->limits = *limits;
    chan->callbacks = *callbacks;
    if (!init_parts(chan)) {
        free(chan);
        return NULL;
    }
    atomic_init(&chan->refs, 1);
    chan->weighs_feeds = may_trim(limits);
    chan->armed = true;
    chan->blocked_until_ns = INT64_MAX;
    chan->fallback_since_ns = INT64_MAX;
    list_init(&chan->waiting_entries);
    list_init(&chan->parked_entries);
    list_init(&chan->feeds);
    list_init(&chan->losses);
    list_init(&chan->states);
    list_init(&chan->moved);
    list_init(&chan->catches);
    feed_table_init(&chan->shared);
    feed_table_init(&chan->closing);
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
    SCRATCH struct deferred deferred;

    if (!chan || atomic_fetch_sub_explicit(&chan->refs, 1, memory_order_acq_rel) != 1)
        return;
    chan_enter(chan, &deferred);
    CHECK(chan->in_flight.events == 0);
    (void)change_state(chan, CHAN_CLOSED);
    drop_all(chan, LOSS_CONSUMER_GONE);
    list_each(node, safe, &chan->feeds)
        feed_free(chan, container_of(node, struct feed, in_chan));
    deferred.notify = false; /* the taker has let go: nobody is left to notify */
    chan_leave(chan);
    feed_table_fini(&chan->shared);
    feed_table_fini(&chan->closing);
    source_set_fini(&chan->moved_sources);
    heap_fini(&chan->heaviest);
    slabs_free(chan->slabs);
    keys_free(chan->keys);
    order_free(chan->order);
    pthread_cond_destroy(&chan->announced);
    pthread_mutex_destroy(&chan->lock);
    free(chan);
    count_add(COUNT_LIVE_CHANNELS, -1);
}

enum chan_state chan_state(struct chan *chan)
{
    SCRATCH struct deferred deferred;
    enum chan_state state;

    chan_enter(chan, &deferred);
    state = chan->state;
    chan_leave(chan);
    return state;
}

void chan_drain(struct chan *chan)
{
    SCRATCH struct deferred deferred;
    struct list *node;

    chan_enter(chan, &deferred);
    if (change_state(chan, CHAN_DRAINING)) {
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
    SCRATCH struct deferred deferred;

    chan_enter(chan, &deferred);
    if (change_state(chan, CHAN_CLOSED)) {
        chan_hold_positions(chan);
        drop_all(chan, reason);
    }
    chan_leave(chan);
}

bool chan_idle(struct chan *chan)
{
    SCRATCH struct deferred deferred;
    bool idle;

    chan_enter(chan, &deferred);
    idle = chan->waiting.events == 0 && chan->parked.events == 0 && chan->in_flight.events == 0;
    chan_leave(chan);
    return idle;
}
