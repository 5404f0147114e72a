/* chan_internal.h - what the files of the channel share.
 *
 * DESIGN
 * Two FIFOs: `waiting` (within the bounds) and `parked` (what BLOCK holds outside of them). An entry stands in one of them, and in the same
 * one of its feed, so the oldest of a feed is found as fast as the oldest of all. While anything is parked, everything that comes is parked
 * behind it, so a feed's waiting events are always older than its parked ones.
 *
 * Events are counted when they cross a line, and only there: chan_wait() accepts and queues, chan_refuse() accepts and drops, chan_drop()
 * drops what was queued, chan_take() and its ends move between waiting, flight and delivered. Parked ranges are in no sum until they cross.
 *
 * What must not happen under the lock (callbacks, releasing memory) is put down in `struct after` and done by chan_leave().
 *
 * Threads: everything here is called between chan_enter() and chan_leave(), unless it says otherwise. */
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
    struct range range;  /* holds its chunk and its feed */
    struct stall *stall; /* parked only: who is told when it is let in; NULL: nobody */
};

/* Entries are made by the slab, so that a put seldom allocates. */
struct slab {
    struct slab *next;
    struct entry entries[];
};

/* Losses of one reason that were not told yet; nothing where count is 0 and not unknown. */
struct untold {
    uint64_t count, bytes, first_sequence, last_sequence;
    uint32_t reason;
    bool count_unknown;
};

struct feed {
    /* Never changes. */
    struct chan *chan;
    struct source *source;
    /* Under the channel's lock. `routed` is written by the putter alone, who may therefore read it without. */
    uint32_t refs; /* the opener, each entry, each entry in flight, losses to tell */
    uint64_t routed;
    uint64_t told; /* the last position told */
    struct heap_node weight;
    struct list in_chan;
    struct list in_losses; /* has something untold */
    struct list in_moved;  /* its position may have moved */
    struct list in_states; /* its state changed; once it is closed: nothing but that is left to tell */
    uint32_t state, state_told;
    bool closed, ended; /* ended: the last state was told, the opener's reference is gone */
    uint32_t code;      /* with `message`: the cause of the end */
    char *message;      /* NULL: none */
    struct feed_pace pace;
    bool paced;
    struct list waiting_entries, parked_entries;
    struct tally accepted, delivered, dropped, waiting, flying;
    struct untold untold;         /* the first reason that came up; nearly always the only one */
    struct untold *untold_others; /* by reason; NULL until a second one comes up */
};

#define DEAD_MOST 32

/* What is done once the lock is released. */
struct after {
    struct stall *over;
    struct slab *slabs;
    bool ring;
    uint32_t dead_count;
    struct chunk *dead[DEAD_MOST];
};

struct chan {
    _Atomic uint32_t refs;
    /* Never changes. */
    struct chan_limits limits;
    struct chan_watch watch;
    bool weighs; /* DROP_OLDEST may come up: feeds stand in `heaviest` */
    /* Under the lock. */
    pthread_mutex_t lock;
    struct after *after; /* of who holds the lock */
    enum chan_state state;
    bool armed;   /* readable() was not called since the last take */
    bool latched; /* with BLOCK: the fallback rules */
    int64_t stall_until_ns;
    struct list waiting_entries, parked_entries;
    uint32_t parked_count;
    struct tally accepted, delivered, waiting, flying, parked;
    struct tally dropped[LOSS_COUNT];
    struct list feeds, losses, moved, states;
    struct heap heaviest; /* keys are minus the bytes that wait, or lower: they are put right when they come first */
    struct entry *free_entries;
    struct slab *slabs;
    uint32_t entries_used, entries_room;
    uint32_t line;   /* how many lines were drawn */
    uint32_t older;  /* entries from before the last line */
    uint32_t mark;   /* of the last line, until it is passed; 0: none */
    uint32_t marked; /* of a line that was passed, until that is told; 0: none */
};

static inline void tally_add(struct tally *tally, uint64_t events, uint64_t bytes)
{
    tally->events += events;
    tally->bytes += bytes;
}

static inline void tally_sub(struct tally *tally, uint64_t events, uint64_t bytes)
{
    tally->events -= events;
    tally->bytes -= bytes;
}

static inline uint32_t range_bytes(const struct range *range)
{
    return chunk_bytes(range->chunk, range->first, range->last);
}

/* life.c */
void chan_enter(struct chan *chan, struct after *after); /* locks */
void chan_leave(struct chan *chan);                      /* unlocks, and does what was put down */
void chan_ring(struct chan *chan);                       /* there is something to look at */
void chan_ring_anyway(struct chan *chan);                /* even where the taker was told already: it may be waiting for its peer */
void chan_break(struct chan *chan);                      /* OPEN -> BROKEN */
void chan_bury(struct chan *chan, struct chunk *chunk);  /* gives up a reference */
void feed_release(struct chan *chan, struct feed *feed); /* the last one frees it */

/* entry.c: see there for the sums. */
struct entry *entry_new(struct chan *chan); /* NULL: out of memory */
void entry_free(struct chan *chan, struct entry *entry);
uint32_t range_prefix(const struct range *range, uint64_t bytes); /* how many of its first events take at most `bytes` */
void chan_count_dropped(struct chan *chan, const struct range *range, enum loss reason);
void chan_wait(struct chan *chan, const struct range *range);
void chan_refuse(struct chan *chan, const struct range *range, enum loss reason);
void chan_drop(struct chan *chan, struct entry *entry, uint32_t events, enum loss reason);
bool chan_expired(const struct chan *chan, const struct entry *entry, int64_t now_ns);
struct range chan_unpark(struct chan *chan, struct entry *entry);
void range_release(struct chan *chan, const struct range *range);

/* put.c */
void chan_settle(struct chan *chan); /* after anything left: where half is empty, unlatches and lets parked ranges in */

/* tell.c */
void feed_lost(struct chan *chan, const struct range *range, enum loss reason);
void feed_moved(struct chan *chan, struct feed *feed);
void feed_changed(struct chan *chan, struct feed *feed); /* its state, or what a closed feed still had to give */
bool chan_line_passed(struct chan *chan);                /* there is a mark to tell */

#endif
