/* chan_internal.h - the channel as the files of this room see it.
 *
 * DESIGN
 * Two queues. `waiting_entries` is within the bounds. `parked_entries` is what BLOCK keeps outside
 * of them. An entry is in one of the two, and in the same one of its feed, so the oldest entry of a
 * feed is found as fast as the oldest of all. While anything is parked, everything that BLOCK
 * applies to is parked behind it. So the waiting events of a feed are always older than its parked
 * ones.
 *
 * Counting. Events are counted when they take one of these steps, and nowhere else:
 *
 *     chan_enqueue(), chan_admit()        accepted, waiting
 *     chan_refuse(), refuse_without_feed() accepted, dropped
 *     chan_drop()                         waiting -> dropped
 *     chan_dequeue()                      waiting -> in flight
 *     chan_delivered(), chan_lost()       in flight -> delivered, dropped
 *
 * Parked events are in no total of the equation until they are admitted or refused.
 *
 * Shared feeds. What they have parked is timed together, from the first parked entry until none is
 * left. After block_timeout_ns the fallback becomes active, and all of these entries fall to it.
 *
 * Pausable feeds. What they have parked is not timed, and an active fallback does not move it. The
 * producer is asked to pause, and each feed may park a bounded amount.
 *
 * Admitting. Both kinds are admitted in their order once the channel is down at its low watermark.
 * A channel that drops events of shared feeds may never get there, and the parked events of
 * pausable feeds would starve. So they get half of the space that dequeuing makes, where
 * DROP_OLDEST trims (chan_admit_share()). With another fallback they get the space that is free,
 * before a new range of a shared feed uses it.
 *
 * Pausing. A producer is asked to pause while anything of its feed is parked. One thread at a time
 * asks it. A thread that finds that the producer must be asked, and that no other thread is
 * `announcing`, calls set_paused() after it has left the lock, again and again until the producer
 * knows the present state. So the calls alternate, and feed_close() can wait for one of them.
 *
 * Marks. Each entry knows how many marks were set before it. `before_mark` counts the entries from
 * before the latest mark; the mark is passed when there is none.
 *
 * Deferred work. Callbacks and the freeing of memory wait in `struct deferred` until chan_leave().
 *
 * Files are layers, and call lower ones only: keys.c, source_set.c, order.c; feed_table.c,
 * feed_pause.c, feed_report.c, feed_position.c; entry.c; chan_lock.c; feed.c, chan_life.c,
 * chan_report.c, chan_stats.c, feed_catch.c; shared_feed.c, overflow.c; latest.c, park.c; put.c,
 * chan_batch.c, shed.c.
 *
 * Threads: all runs between chan_enter() and chan_leave(), where it does not say otherwise. */
#ifndef TRIBUTARY_FLOW_CHAN_INTERNAL_H
#define TRIBUTARY_FLOW_CHAN_INTERNAL_H

#include <pthread.h>

#include "base/heap.h"
#include "base/list.h"
#include "flow/chan.h"
#include "flow/entry_internal.h"
#include "flow/feed_internal.h"
#include "flow/feed_table.h"
#include "flow/keys_internal.h"
#include "flow/pausable_feed.h"
#include "flow/policy_internal.h"
#include "flow/put_waiter.h"
#include "flow/totals.h"

#define MAX_DEFERRED_CHUNKS 32

/* What chan_leave() does once the lock is released. */
struct deferred {
    struct put_waiter *over; /* waiters to notify */
    struct feed *to_announce;
    struct slab *slabs; /* to free, like `slots` */
    void *slots;
    bool notify; /* call readable() */
    uint32_t chunk_count;
    struct chunk *chunks[MAX_DEFERRED_CHUNKS]; /* to release */
};

struct chan {
    _Atomic uint32_t refs, catch_count; /* how many feeds are in `catches` */
    /* Constant. */
    struct chan_limits limits;
    struct chan_callbacks callbacks;
    bool weighs_feeds; /* DROP_OLDEST may apply: feeds are in `heaviest` */

    /* Under the lock. */
    pthread_mutex_t lock;
    struct deferred *deferred; /* of the thread that holds the lock */
    enum chan_state state;
    uint32_t generation;   /* of the shared routes that put: chan_change_over() */
    bool refuses_wildcard; /* and what is put as a wildcard is refused */
    bool armed;            /* readable() was not called since the last chan_dequeue() or chan_rearm() */
    bool fallback_active;
    int64_t fallback_since_ns; /* see chan_fallback_since() */
    int64_t blocked_until_ns;  /* INT64_MAX: no shared feed has anything parked */
    struct list waiting_entries, parked_entries;
    uint32_t blocked_count; /* parked entries of shared feeds */
    uint64_t blocked_bytes; /* of these entries */
    struct totals accepted, delivered, waiting, in_flight, parked, dropped[LOSS_COUNT];
    uint64_t sheddable; /* what entries that chan_shed() may drop keep in memory */
    struct list feeds, losses, states, moved, catches;
    struct feed_table shared, closing; /* shared feeds; closed feeds whose end is not reported */
    struct source_set moved_sources;   /* without a feed, and their position is to be reported */
    uint32_t shared_states, gaps;      /* shared feeds in `states`; resume gaps so far */
    uint64_t ended_sources;            /* shared sources that ended: see struct chan_stats */
    bool resync;                       /* RESYNC is to be reported in place of their states */
    struct unreported unattributed;    /* losses for which there was no memory for a feed */
    pthread_cond_t announced;          /* a silenced feed is no longer `announcing` */
    struct keys *keys;                 /* with LATEST_PER_KEY */
    struct order *order;               /* where events are sorted */
    /* What chan_admit_share() may still admit: half of the bytes that were dequeued while something
     * was parked, less the bytes that it has admitted. */
    uint64_t share_bytes;
    /* Feeds by minus their waiting bytes. A key may be too low, until chan_heaviest() looks. */
    struct heap heaviest;
    struct entry *free_entries;
    struct slab *slabs;
    uint32_t entries_used, entries_capacity;
    uint32_t largest_batch; /* in entries, since the last chan_positions() */
    bool small_batches;     /* until then all fitted the first slab */
    uint32_t marks;         /* how many were set */
    uint32_t before_mark;   /* entries from before the latest mark */
    uint32_t mark;          /* the latest, until it is passed; 0: none */
    uint32_t marked;        /* a mark that was passed, until it is reported; 0: none */
    bool at_mark;           /* a mark was passed, and no batch has ended for it yet */
};

/* Calls readable(), also where it was called: the taker may be waiting for its peer. */
static inline void chan_notify_again(struct chan *chan)
{
    chan->deferred->notify = true;
}

/* Calls readable(), once until the taker comes. */
static inline void chan_notify(struct chan *chan)
{
    if (!chan->armed)
        return;
    chan->armed = false;
    chan_notify_again(chan);
}

/* ---- chan_lock.c, chan_life.c ---- */
void chan_enter(struct chan *chan, struct deferred *deferred); /* locks */
void chan_leave(struct chan *chan);                            /* unlocks, then does what was deferred */

/* Checks the latest mark. True while one was passed and no batch has ended for it. */
bool chan_at_mark(struct chan *chan);
void chan_break(struct chan *chan); /* OPEN -> BROKEN; nothing in another state */

#endif
