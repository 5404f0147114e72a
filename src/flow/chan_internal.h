/* chan_internal.h - what the files of the channel share.
 *
 * DESIGN Two FIFOs: `waiting` (within the bounds) and `parked` (what BLOCK holds outside of them).
 * An entry stands in one of them, and in the same one of its feed, so the oldest of a feed is found
 * as fast as the oldest of all. While anything is parked, whatever BLOCK rules is parked behind it,
 * so a feed's waiting events are always older than its parked ones.
 *
 * Events are counted when they cross a line, and only there: chan_wait() and chan_admit() accept
 * and queue, chan_refuse() accepts and drops, chan_drop() drops what was queued, chan_dequeue() and
 * its ends move between waiting, flight and delivered. Parked ranges are in no sum until they
 * cross.
 *
 * What is parked of shared feeds is timed together: a stall begins with the first and ends with the
 * last of them, and if it lasts too long they all fall to the fallback (the channel latches). What
 * is parked of paced feeds is not timed and not moved by a latch; instead its producer is asked to
 * pause, and what it may have parked is bounded for each feed. Both are let in, in their order,
 * when half is empty. While shared feeds are dropped from, the channel may never be half empty. So
 * that neither kind starves the other, paced ranges get half of the room that takes make where
 * DROP_OLDEST trims (chan_share), and whatever room there is before another range of a
 * fallback_active feed uses it.
 *
 * A producer is asked to pause while anything of its feed is parked. One thread at a time asks: who
 * finds that something is to be said, and that nobody is saying it (`announcing`), says it once it
 * left the lock, and looks again until there is nothing more to say. So the calls alternate, and
 * feed_close() can wait for the one that is being made.
 *
 * A line (chan_mark) is a number that entries bear from then on; `older` counts the entries that
 * bear another one.
 *
 * What must not happen under the lock (callbacks, releasing memory) is put down in `struct after`
 * and done by chan_leave().
 *
 * Threads: everything here is called between chan_enter() and chan_leave(), unless it says
 * otherwise. */
#ifndef TRIBUTARY_FLOW_CHAN_INTERNAL_H
#define TRIBUTARY_FLOW_CHAN_INTERNAL_H

#include <pthread.h>

#include "base/heap.h"
#include "base/list.h"
#include "flow/chan.h"

struct range {
    struct chunk *chunk;
    struct feed *feed;
    uint32_t first, last;
    uint32_t line; /* the number of the line that it came after */
};

struct entry {
    struct list in_chan; /* while it is free: `next` alone, the next free one */
    struct list in_feed;
    struct range range; /* holds its chunk and its feed */
    union {
        struct put_waiter *waiter; /* parked: who is told when it is let in; NULL: nobody */
        struct entry *next_alike;  /* under a key: the next one in its slot */
    };
    uint32_t hash; /* under a key: of it; 0: stands under none */
};

/* Entries are made by the slab, so that a put seldom allocates. */
struct slab {
    struct slab *next;
    struct entry entries[];
};

/* Losses of one reason that were not told yet; nothing where count is 0 and not unknown. */
struct unreported {
    uint64_t count, bytes, first_sequence, last_sequence;
    uint32_t reason;
    bool count_unknown;
};

struct feed {
    /* Never changes. */
    struct chan *chan;
    struct source *source;
    struct pause_port pause_port;
    bool pausable;
    /* Under the channel's lock. */
    uint32_t refs;   /* the opener, each entry, each entry in flight, losses to tell */
    uint64_t routed; /* up to here everything was put or filtered out, */
    /* and up to what stands there, as its putter says; NULL: it says nothing */
    const _Atomic uint64_t *follows;
    uint64_t reported; /* the last position told */
    struct heap_node weight;
    struct list in_chan;
    struct list in_losses; /* has something untold */
    struct list in_states; /* its state changed; once it is closed: nothing but that is left to tell */
    uint32_t state, reported_state;
    bool closed, ended; /* ended: the last state was told, the opener's reference is gone */
    uint32_t code;      /* with `message`: the cause of the end */
    char *message;      /* NULL: none */
    struct list waiting_entries, parked_entries;
    struct totals accepted, delivered, dropped, waiting, in_flight, parked;
    struct totals max_parked; /* paced: what opened the pause, and the reserve */
    bool paused;              /* the last that was said to the producer */
    bool announcing;          /* a thread is saying it, or will once it left the lock */
    bool silenced;            /* nothing more may be said */
    struct feed *next_to_announce;
    struct unreported unreported;         /* the first reason that came up; nearly always the only one */
    struct unreported *unreported_others; /* by reason; NULL until a second one comes up */
};

#define MAX_DEAD 32

/* What is done once the lock is released. */
struct after {
    struct put_waiter *over;
    struct feed *to_announce;
    struct slab *slabs;
    void *slots;
    bool ring;
    uint32_t dead_count;
    struct chunk *dead[MAX_DEAD];
};

struct chan {
    _Atomic uint32_t refs;
    /* Never changes. */
    struct chan_limits limits;
    struct chan_callbacks callbacks;
    bool weighs; /* DROP_OLDEST may come up: feeds stand in `heaviest` */
    /* Under the lock. */
    pthread_mutex_t lock;
    struct after *after; /* of who holds the lock */
    enum chan_state state;
    bool armed;               /* readable() was not called since the last take */
    bool fallback_active;     /* with BLOCK: the fallback rules */
    int64_t blocked_until_ns; /* INT64_MAX: no shared feed has anything parked */
    struct list waiting_entries, parked_entries;
    uint32_t blocked_count; /* parked entries of shared feeds, */
    uint64_t blocked_bytes; /* and their bytes */
    struct totals accepted, delivered, waiting, in_flight, parked;
    struct totals dropped[LOSS_COUNT];
    struct list feeds, losses, states;
    pthread_cond_t announced; /* a muted feed is not announcing any more */
    struct keys *keys;        /* with LATEST_PER_KEY */
    /* half of what was taken while somebody was parked, less what was let in for it: see
       chan_share() */
    uint64_t due_bytes;
    /* keys are minus the bytes that wait, or lower: they are put right when they come first */
    struct heap heaviest;
    struct entry *free_entries;
    struct slab *slabs;
    uint32_t entries_used, entries_capacity;
    uint32_t line;   /* how many lines were drawn */
    uint32_t older;  /* entries from before the last line */
    uint32_t mark;   /* of the last line, until it is passed; 0: none */
    uint32_t marked; /* of a line that was passed, until that is told; 0: none */
    bool at_line;    /* it was passed, and no take has ended for it yet */
};

static inline void totals_add(struct totals *totals, uint64_t events, uint64_t bytes)
{
    totals->events += events;
    totals->bytes += bytes;
}

static inline void totals_sub(struct totals *totals, uint64_t events, uint64_t bytes)
{
    totals->events -= events;
    totals->bytes -= bytes;
}

static inline uint32_t range_bytes(const struct range *range)
{
    return chunk_bytes(range->chunk, range->first, range->last);
}

/* chan_life.c */
void chan_enter(struct chan *chan, struct after *after); /* locks */
void chan_leave(struct chan *chan);                      /* unlocks, and does what was put down */
void chan_ring(struct chan *chan);                       /* there is something to look at */
/* even where the taker was told already: it may be waiting for its peer */
void chan_ring_anyway(struct chan *chan);
void chan_break(struct chan *chan);                     /* OPEN -> BROKEN */
void chan_bury(struct chan *chan, struct chunk *chunk); /* gives up a reference */

/* feed.c */
void feed_free(struct chan *chan, struct feed *feed);
void feed_release(struct chan *chan, struct feed *feed);      /* the last one frees it */
void feed_update_pause(struct chan *chan, struct feed *feed); /* after what it has parked changed */
/* without the lock; the feed may be gone after it */
void feed_announce(struct chan *chan, struct feed *feed);

/* Everything up to here was put or filtered out. What the putter says was put before it said so;
 * since puts take the lock, whoever holds it and reads this has seen them. */
static inline uint64_t feed_routed(const struct feed *feed)
{
    return feed->follows ? MAX_OF(feed->routed, atomic_load_explicit(feed->follows, memory_order_acquire))
                         : feed->routed;
}

/* entry.c: see there for the sums. */
struct entry *entry_new(struct chan *chan, const struct range *range); /* NULL: out of memory */
void entry_free(struct chan *chan, struct entry *entry);
/* how many of its first events take at most `bytes` */
uint32_t range_prefix(const struct range *range, uint64_t bytes);
struct range range_split(struct range *range, uint32_t count);
void chan_count_dropped(struct chan *chan, const struct range *range, enum loss reason);
struct entry *chan_wait(struct chan *chan, const struct range *range);
void chan_refuse(struct chan *chan, const struct range *range, enum loss reason);
void chan_drop(struct chan *chan, struct entry *entry, uint32_t events, enum loss reason);
bool chan_expired(const struct chan *chan, const struct entry *entry, int64_t now_ns);
void chan_admit(struct chan *chan, struct entry *entry, uint32_t count);
struct range chan_unpark(struct chan *chan, struct entry *entry);
void range_release(struct chan *chan, const struct range *range);

/* put.c */
uint32_t chan_fitting(const struct chan *chan, const struct range *range);
struct feed *chan_heaviest(struct chan *chan);
bool chan_trim(struct chan *chan, enum loss reason);
bool chan_apply(struct chan *chan, enum overflow overflow, const struct range *range, enum loss reason,
                bool free);
enum loss chan_reason(enum overflow overflow);
void chan_expire(struct chan *chan);

/* park.c */
enum err chan_block(struct chan *chan, struct range range, struct put_waiter *waiter);
enum err chan_hold(struct chan *chan, struct range range);
void chan_share(struct chan *chan, enum loss reason);
/* after anything left: where half is empty, unlatches and lets parked ranges in */
void chan_update(struct chan *chan);

/* keys.c */
struct keys *keys_new(void); /* NULL: out of memory */
void keys_free(struct keys *keys);
void keys_remove(struct keys *keys, struct entry *entry); /* it stands under a key */
/* nothing stands under any: gives back what a flood took, to be freed; or NULL */
void *keys_shrink(struct keys *keys);
void chan_put_latest(struct chan *chan, const struct range *range);

/* tell.c */
void feed_lost(struct chan *chan, const struct range *range, enum loss reason);
/* its state, or what a closed feed still had to give */
void feed_changed(struct chan *chan, struct feed *feed);
/* a line was passed for which no take has ended yet */
bool chan_at_line(struct chan *chan);

#endif
