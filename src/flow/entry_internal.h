/* entry_internal.h - ranges and entries: what a channel holds, and the steps at which events are
 * counted (entry.c).
 *
 * Threads: everything here runs under the channel's lock. */
#ifndef TRIBUTARY_FLOW_ENTRY_INTERNAL_H
#define TRIBUTARY_FLOW_ENTRY_INTERNAL_H

#include "base/list.h"
#include "event/chunk.h"
#include "flow/chan_limits.h"

struct chan;
struct feed;
struct put_waiter;

/* Entries of the first slab, and of each further one. Both are small, so that a channel with little
 * traffic stays small. */
#define SLAB_FIRST 16
#define SLAB_NEXT 32

/* Events [first, last) of a chunk, put into a feed. */
struct range {
    struct chunk *chunk;
    struct feed *feed;
    uint32_t first, last;
    uint32_t marks; /* how many marks were set before it was put */
};

struct entry {
    struct list in_chan; /* a free entry uses `next` only: the next free one */
    struct list in_feed;
    struct range range; /* references to its chunk and its feed */
    union {
        struct put_waiter *waiter;  /* of a parked entry; NULL: nobody waits for it */
        struct entry *next_in_slot; /* of an entry in the table of keys */
    };
    uint32_t hash;   /* of its key; 0: it is not in the table of keys */
    uint32_t pinned; /* bytes that it keeps in memory, about; 0: it may not be shed */
};

/* Entries are allocated by the slab, so that a put seldom allocates. A slab is in the budget. */
struct slab {
    struct slab *next;
    uint32_t count;
    struct entry entries[];
};

static inline uint32_t range_bytes(const struct range *range)
{
    return chunk_bytes(range->chunk, range->first, range->last);
}

/* How many of the first events of the range take at most `bytes`. */
uint32_t range_prefix(const struct range *range, uint64_t bytes);
/* Splits off the first `count` events; *range keeps the rest. */
struct range range_split(struct range *range, uint32_t count);
/* Gives back the references to the chunk and the feed that an entry held. */
void range_release(struct chan *chan, const struct range *range);

void slabs_free(struct slab *slab); /* all that are linked; without the lock */

/* An entry that is in no list, with references to the range's chunk and feed. NULL: out of
 * memory. */
struct entry *entry_new(struct chan *chan, const struct range *range);
/* Its references become the caller's. It must be in no list. */
void entry_free(struct chan *chan, struct entry *entry);

/* ---- the steps at which events are counted ---- */

/* Accepts the range as the last that waits, whatever the bounds say. Without memory for an entry
 * the range is dropped for LOSS_BUDGET, and NULL is returned. */
struct entry *chan_enqueue(struct chan *chan, const struct range *range);
/* Accepts the range and drops it in one step. */
void chan_refuse(struct chan *chan, const struct range *range, enum loss reason);
/* Drops the first `events` of a waiting entry. With the last of them the entry is freed. */
void chan_drop(struct chan *chan, struct entry *entry, uint32_t events, enum loss reason);
/* Counts events as dropped that were accepted earlier and that the caller has taken out. */
void chan_count_dropped(struct chan *chan, const struct range *range, enum loss reason);
/* Accepts the first `count` events of a parked entry, whatever the bounds say. With the last of
 * them the entry itself moves. */
void chan_admit(struct chan *chan, struct entry *entry, uint32_t count);
/* Takes a parked entry out without counting it. Its references become the caller's. */
struct range chan_unpark(struct chan *chan, struct entry *entry);

/* A parked entry: its putter does not wait for it any more. It stays parked. */
void entry_let_go(struct chan *chan, struct entry *entry);

/* The entry is older than max_age_ns allows. */
bool chan_expired(const struct chan *chan, const struct entry *entry, int64_t now_ns);

#endif
