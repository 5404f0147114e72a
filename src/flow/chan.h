/* chan.h - the channel: the bounded queue of one subscription, and the only place where data
 * crosses threads.
 *
 * Putters are producers' calls, on any thread; the taker is the consumer's own thread. An entry is
 * (chunk, first, last), so a policy can take part of a chunk. Bounds count what waits; one batch
 * may be in flight beside it. At all times, in events and in bytes,
 *
 *     accepted = delivered + dropped + queued          (queued = waiting + in flight)
 *
 * A `feed` is one source's share of a channel: its own order, its own sums and losses. Every wait
 * of a putter is bounded: a stall lasts at most `block_timeout_ns`; then the channel latches into
 * its fallback until it is half empty. Paced feeds never wait: they are asked to pause, and what
 * they may put meanwhile is bounded.
 *
 * Threads: any, under the channel's own lock, unless a function says otherwise. Callbacks are made
 * with that lock released. */
#ifndef TRIBUTARY_FLOW_CHAN_H
#define TRIBUTARY_FLOW_CHAN_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/base.h"
#include "base/status.h"
#include "event/chunk.h"
#include "event/encode.h"

/* Numbers as in the API's enum Overflow. */
enum overflow {
    OVERFLOW_BY_FEED = 0, /* paced feeds BLOCK, shared ones DROP_OLDEST */
    OVERFLOW_BLOCK = 1,
    OVERFLOW_DROP_OLDEST = 2,
    OVERFLOW_DROP_NEWEST = 3,
    OVERFLOW_DISCONNECT = 4,
    /* one waiting event for each (source, topic, key); none without a key is dropped for it */
    OVERFLOW_LATEST_PER_KEY = 5,
    OVERFLOW_COUNT
};

/* Numbers as in the API's enum LossReason. */
enum loss {
    LOSS_OVERFLOW_OLDEST = 1,
    LOSS_OVERFLOW_NEWEST = 2,
    LOSS_COALESCED = 3,
    LOSS_EXPIRED = 4,
    LOSS_BLOCK_TIMEOUT = 5,
    LOSS_DRAIN_CUT = 6,
    LOSS_BUDGET = 7,
    LOSS_RESUME_GAP = 8,
    LOSS_CONSUMER_GONE = 9,
    LOSS_COUNT = 11
};

struct chan_limits {
    uint32_t max_events; /* at least 1 */
    uint64_t max_bytes;  /* at least 1; one event over it is still taken when nothing else waits */
    int64_t max_age_ns;  /* from the chunk's observed_mono_ns; 0: no bound */
    enum overflow overflow;
    /* with BLOCK and BY_FEED, for what is held no longer: DROP_OLDEST, DROP_NEWEST or DISCONNECT */
    enum overflow fallback;
    int64_t block_timeout_ns; /* with BLOCK, for shared feeds; 0: latches at once */
};

struct chan_callbacks {
    /* Any thread; possibly under a lock of the putter's, so it may only note the fact. Called once
     * after each chan_dequeue() (and once at first), when there is something to look at: an entry,
     * a loss or a state to report. Besides, whenever a stall begins that must be timed and whenever
     * the state changes, even when it was called before: the taker may be waiting for its peer. Not
     * called from within chan_dequeue(). */
    void (*readable)(void *ctx);
    void *ctx;
};

/* A putter's wait for channels that refused part of what it offered. Embedded by the putter, which
 * must live until over() was called. Protocol: put_waiter_begin(); chan_put() to each channel;
 * put_waiter_end(). */
struct put_waiter {
    _Atomic uint32_t waiting;
    struct put_waiter *next; /* the channel's own, between lock and callback */
    /* Any thread; exactly once, when the last channel took what it had refused, where
     * put_waiter_end() says AGAIN. The stall may be gone after it. */
    void (*over)(struct put_waiter *waiter);
};

void put_waiter_begin(struct put_waiter *waiter);
/*   ERR_OK     nobody refused; over() will not be called
 *   ERR_AGAIN  over() will be called, or is being called right now */
MUST_CHECK enum err put_waiter_end(struct put_waiter *waiter);

struct chan;
struct feed;

/* NULL: out of memory */
struct chan *chan_new(const struct chan_limits *limits, const struct chan_callbacks *callbacks);
struct chan *chan_retain(struct chan *chan);
void chan_release(struct chan *chan); /* the last reference closes it and frees it and its feeds */

/* How the producer behind a *paced* feed is held back: it cannot wait in a stall, since other
 * channels' events come down the same call; it is asked to pause. */
struct pause_port {
    /* True: part of what was put is parked (BLOCK), send no more. False: nothing is parked any
     * more. Any thread, one call at a time, alternating, with no lock of the channel held. It may
     * only note the fact, and take no lock under which the channel is called. None begins after
     * chan_close(); none goes on once feed_close() returned, which waits for the one that is being
     * made. */
    void (*set_paused)(void *ctx, bool pause);
    void *ctx;
};

/* What a paced feed may still put after it was asked to pause, behind what opened the pause. Beyond
 * it, what it has parked and what comes fall to the fallback, for the fallback's own reasons. */
#define FEED_RESERVE_EVENTS 1024u
#define FEED_RESERVE_BYTES (256u * 1024u)

/* Opens the share of one source; retains it. The caller must hold the channel, and may not use the
 * feed after feed_close(). NULL: out of memory. `set_paused` NULL: a shared feed, whose putters
 * wait in stalls (timed by block_timeout_ns). Otherwise it is copied: chan_put() is given no stall,
 * and what a BLOCK refuses is parked untimed, within the reserve; a latch of the channel does not
 * touch it.
 *
 * A feed carries the source's latest state (numbers as in the API's enum ProducerState) to the
 * consumer: chan_states() tells each change once, latest only. feed_close() sets the state
 * (REMOVED, ENDED) and the cause (`code` 0: none; `message` is copied, cut at 256 bytes, NULL
 * allowed) that are told after the feed's last entry was taken and its losses told; then the feed
 * is freed. What is parked of it stays and is let in as room comes. */
struct feed *feed_open(struct chan *chan, struct source *source, uint32_t state,
                       const struct pause_port *pause_port);
void feed_state(struct chan *chan, struct feed *feed, uint32_t state);
void feed_close(struct chan *chan, struct feed *feed, uint32_t state, uint32_t code, const char *message);

/* Draws a line behind everything that was put so far. chan_marked() returns the `mark` (above 0) of
 * the latest line once nothing from before it waits or is parked, and forgets it; 0: none. A later
 * line replaces one that was not passed yet. Call chan_marked() before chan_dequeue() and tell it
 * in the same batch: a take ends at a line that is passed, and the next one gives nothing where a
 * line was passed since chan_marked(), so the mark stands behind the last that came before the line
 * and before the first that came after it. (Where shared feeds do not wait for paced ones that are
 * parked, some of what they put after the line may come before it.) */
void chan_mark(struct chan *chan, uint32_t mark);
uint32_t chan_marked(struct chan *chan); /* taker only */

/* Offers events [first, last) of `chunk`, first < last; retains the chunk for what it keeps. Puts
 * to one feed come one after another.
 *   ERR_OK      taken, in part or in whole dropped by the policy: all of it is accounted for
 *   ERR_AGAIN   part of it waits outside (BLOCK) and is taken later, or falls to the fallback, without further calls; `waiter` is told,
 * or set_paused() was asked for a pause
 *   ERR_CLOSED  drained, closed, or broken by DISCONNECT: nothing was taken or counted (the put that breaks a channel counts as OK)
 * `waiter` may be NULL where nobody needs to know. */
MUST_CHECK enum err chan_put(struct chan *chan, struct feed *feed, struct chunk *chunk, uint32_t first,
                             uint32_t last, struct put_waiter *waiter);

/* The putter waits no longer: what this stall has parked here falls to the fallback
 * (BLOCK_TIMEOUT), and before it what the feed parked earlier. Any thread; nothing where it has
 * nothing here. stall->over() follows as ever. */
void chan_give_up(struct chan *chan, struct feed *feed, const struct put_waiter *waiter);

/* From now on everything of the feed up to *routed was put, or filtered out before: whoever puts
 * writes it (release) after the puts. So a feed for which nothing is left to put costs its putter
 * nothing. It is read until another one, or NULL, is given: then what it said last holds. The
 * putter's order. */
void feed_follow(struct feed *feed, const _Atomic uint64_t *routed);

/* Accounts for events that this consumer missed before it came (a resume gap): reported, never part
 * of the sums. */
void feed_gap(struct chan *chan, struct feed *feed, uint64_t first, uint64_t last, bool count_unknown);

/* The batch in flight. Zeroed at first; belongs to the taker; its array is reused. */
struct chan_batch {
    struct chan_batch_entry {
        struct chunk *chunk; /* a reference */
        struct feed *feed;
        uint32_t first, last;
    } * entries;
    uint32_t count, capacity;
    uint32_t events;
    uint64_t bytes;
};

/* Moves what waits, oldest first, into an empty *take: at most `max_events` and `max_bytes` (a
 * single larger event goes alone). Drops what is too old. Taker only. Returns true when more waits,
 * or a mark. Memory that runs out leaves the take shorter. */
bool chan_dequeue(struct chan *chan, struct chan_batch *batch, uint32_t max_events, uint64_t max_bytes,
                  int64_t now_ns);

/* In place of a take, where nothing may be taken: readable() is called again for what comes next.
 * Taker only. */
void chan_pass(struct chan *chan);

/* The size of the event that chan_dequeue() would take first; 0: nothing waits. Drops what is too
 * old. Taker only. */
uint32_t chan_next_bytes(struct chan *chan);

/* Ends the flight: delivered, or dropped for `reason`. Empties *take, releases its chunks. Taker
 * only. */
void chan_delivered(struct chan *chan, struct chan_batch *batch);
void chan_lost(struct chan *chan, struct chan_batch *batch, enum loss reason);
void chan_batch_fini(struct chan_batch *batch); /* frees the array of an empty take */

/* Calls `each` for every loss not yet told, at most `max`, and forgets them. Call it after
 * chan_dequeue() and send it in the same batch: then a source's loss never comes later than its
 * next event. Taker only; `each` runs under the lock and may only write it down. Returns how
 * many. */
uint32_t chan_losses(struct chan *chan, uint32_t max, void (*each)(void *ctx, const struct lost_note *note),
                     void *ctx);

/* Calls `each` for feeds whose position moved since it was last told (all: for every feed with a
 * position), at most `max`. A position says: everything up to here was taken, filtered out or
 * reported lost. Feeds that were left out for `max` come next time. Taker only; under the lock. */
uint32_t chan_positions(struct chan *chan, bool all, uint32_t max,
                        void (*each)(void *ctx, const struct source *source, uint64_t sequence), void *ctx);

/* Calls `each` (NULL: nobody wants to know) for feeds whose state changed since it was told, at
 * most `max`; a closed feed that is empty and has no loss left to tell is freed afterwards. Call it
 * after chan_losses() and send it in the same batch. A feed's first state counts as a change. Taker
 * only; under the lock. */
struct feed_change {
    const struct source *source; /* as all of it: valid during the call */
    uint32_t state, code;
    const char *message; /* never NULL */
};
uint32_t chan_states(struct chan *chan, uint32_t max,
                     void (*each)(void *ctx, const struct feed_change *change), void *ctx);

/* When the present stall latches, clock_mono_ns(); INT64_MAX: no stall. chan_tick() latches it when
 * `now_ns` is past that. Taker only. */
int64_t chan_blocked_until(struct chan *chan);
void chan_tick(struct chan *chan, int64_t now_ns);

/* OPEN -> DRAINING -> CLOSED, OPEN -> BROKEN -> CLOSED; never back. Draining and broken channels
 * still give what waits. chan_drain() lets in what was parked, whatever the bounds say.
 * chan_close() drops what waits and what was parked, for `reason`; what is in flight stays the
 * taker's. Both end all stalls. */
enum chan_state { CHAN_OPEN, CHAN_DRAINING, CHAN_BROKEN, CHAN_CLOSED, CHAN_STATE_COUNT };
enum chan_state chan_state(struct chan *chan);
void chan_drain(struct chan *chan);
void chan_close(struct chan *chan, enum loss reason);
bool chan_idle(struct chan *chan); /* nothing waits, is parked, or is in flight */

/* True when waiting longer would cost: a whole batch waits, or a quarter of what the channel may
 * hold. */
bool chan_presses(struct chan *chan, uint32_t batch_events, uint64_t batch_bytes);

struct totals {
    uint64_t events, bytes;
};
struct chan_stats {
    struct totals accepted, delivered, queued;
    struct totals dropped[LOSS_COUNT]; /* by reason */
    bool blocked;                      /* a shared feed has something parked */
    bool fallback_active;
};
struct totals chan_dropped(const struct chan_stats *stats); /* all reasons together */
void chan_stats(struct chan *chan, struct chan_stats *stats_out);

struct feed_stats {
    const struct source *source; /* valid during the call */
    struct totals accepted, delivered, dropped, queued;
};
/* At most `max` feeds; `each` runs under the lock and may only write it down. */
void chan_feeds(struct chan *chan, uint32_t max, void (*each)(void *ctx, const struct feed_stats *stats),
                void *ctx);

#endif
