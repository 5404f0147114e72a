/* feed_internal.h - a feed as the files of this room see it.
 *
 * Threads: everything here runs under the channel's lock. */
#ifndef TRIBUTARY_FLOW_FEED_INTERNAL_H
#define TRIBUTARY_FLOW_FEED_INTERNAL_H

#include <stdatomic.h>

#include "base/heap.h"
#include "base/list.h"
#include "event/chunk.h"
#include "flow/chan_limits.h"
#include "flow/chan_port.h"
#include "flow/totals.h"
#include "flow/unreported.h"

struct chan;
struct range;
struct source_loss;

#define FEED_STATE_NONE UINT32_MAX /* no state was reported yet */

struct feed {
    /* Constant. */
    struct chan *chan;
    struct source *source;
    bool pausable; /* it is the `feed` of a struct pausable_feed (pausable_feed.h) */
    bool firm;     /* its events are not shed: BLOCK promises an activation that its producer only pauses */
    bool shared;   /* the channel has made it: see shared_feed.h */
    bool stored;   /* of a stored topic: its events can be read again */

    /* Under the channel's lock. */
    uint32_t refs;   /* the opener, each entry, each entry in flight, unreported losses */
    uint64_t routed; /* everything up to this sequence was put or filtered out */
    /* Where the putter writes a later such sequence. NULL: it writes none. */
    const _Atomic uint64_t *follows;
    uint64_t reported;       /* the position that was reported last */
    struct heap_node weight; /* in chan->heaviest */
    struct list in_chan;
    struct list in_losses;      /* it has unreported losses */
    struct list in_states;      /* its state changed. A closed feed: nothing else is left to report */
    struct list in_moved;       /* its position may have moved since it was reported */
    struct feed *next_in_table; /* in its slot of chan->shared or chan->closing */
    uint32_t state, reported_state;
    bool closed;   /* feed_close() was called */
    bool ended;    /* its last state was reported; the opener's reference is gone */
    uint32_t code; /* with `message`: the cause of `state` */
    char *message; /* NULL: none */
    struct list waiting_entries, parked_entries;
    struct totals accepted, delivered, dropped, waiting, in_flight, parked;

    /* Losses, under the channel's lock. */
    struct unreported unreported;         /* the first reason; it is nearly always the only one */
    struct unreported *unreported_others; /* by reason; NULL until a second reason comes up */

    /* Pausable feeds, under the channel's lock. */
    bool paused;     /* what the producer was asked for last */
    bool announcing; /* a thread calls set_paused(), or will once it has left the lock */
    bool silenced;   /* no call may begin any more */

    uint32_t in_order; /* its place in chan->order, from 1; 0: it is not there */
};

/* Everything of the source up to this sequence was put or filtered out. The putter stores
 * *follows after its puts. A put takes the lock, so a thread that holds the lock and reads a
 * sequence here has seen the puts up to it. */
static inline uint64_t feed_routed(const struct feed *feed)
{
    return feed->follows ? MAX_OF(feed->routed, atomic_load_explicit(feed->follows, memory_order_acquire))
                         : feed->routed;
}

/* The putter has not stored yet what it put: *follows is behind the position. */
static inline bool feed_put_goes_on(const struct feed *feed)
{
    return feed->follows && feed->routed > atomic_load_explicit(feed->follows, memory_order_acquire);
}

/* ---- feed.c ---- */

/* A feed of no channel, in the state ACTIVE, which counts as reported. NULL: out of memory. */
struct feed *feed_new(bool pausable);
/* Adds it to the channel, which owns it then. `feed` NULL: that feed_new() has failed. Returns NULL
 * when memory runs out; then the feed is freed. */
struct feed *feed_add(struct chan *chan, struct feed *feed, struct source *source);
/* Nobody waits for what the feed has parked any more. */
void feed_let_go(struct chan *chan, struct feed *feed);
struct unreported feed_gap_loss(uint64_t first, uint64_t last, bool count_unknown);
struct unreported feed_source_loss(const struct source_loss *loss);
/* Takes `message` over; NULL: none. */
void feed_set_state(struct feed *feed, uint32_t state, uint32_t code, char *message);
/* Closes the feed, and takes `message` over. The feed may be gone afterwards. */
void feed_end(struct chan *chan, struct feed *feed, uint32_t state, uint32_t code, char *message);

/* ---- shared_feed.c ---- */

/* The shared feed of the source, which is made where there is none. NULL: out of memory. */
struct feed *shared_feed(struct chan *chan, struct source *source);

/* ---- feed_report.c ---- */
size_t feed_bytes(const struct feed *feed); /* its memory, in the budget */
void feed_free(struct chan *chan, struct feed *feed);
/* The last reference frees it. A shared feed that is idle then is given back. */
void feed_release(struct chan *chan, struct feed *feed);
/* The last state of a closed feed is reported. The feed may be gone afterwards. */
void feed_ended(struct chan *chan, struct feed *feed);
/* Gives a shared feed back if there is nothing to keep for its source. */
void feed_give_back_if_idle(struct chan *chan, struct feed *feed);

/* The position of the feed may move from now on: chan_positions() looks at it. */
void feed_touch(struct chan *chan, struct feed *feed);

/* Reports RESYNC in place of the states of all shared feeds. */
void chan_resync(struct chan *chan);

/* Adds a loss for which there is no feed. */
void chan_add_unattributed(struct chan *chan, const struct unreported *loss);

/* Adds to the losses that are to be reported. */
void feed_add_loss(struct chan *chan, struct feed *feed, const struct unreported *loss);

/* The range was lost: reports it later. CONSUMER_GONE is not reported. */
void feed_lost(struct chan *chan, const struct range *range, enum loss reason);

/* The feed has more to give than its state: events that wait or are parked, or losses. A closed
 * feed ends only when it has none. */
bool feed_has_more(const struct feed *feed);

/* Puts a feed that is not on the list of states to report there, if it has one to report. */
void feed_report_state(struct chan *chan, struct feed *feed);

/* The feed's state has changed, or something that a closed feed still had to give is gone. Nearly
 * every call finds nothing to report. */
static inline void feed_changed(struct chan *chan, struct feed *feed)
{
    if (list_empty(&feed->in_states) && (feed->closed || feed->state != feed->reported_state))
        feed_report_state(chan, feed);
}

#endif
