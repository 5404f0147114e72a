/* order_internal.h - sorting by time: which feed's oldest waiting event goes next, and when. For
 * the files of this room. docs/order.md has the rules.
 *
 * DESIGN. The waiting events of a feed are in order already, so this is a merge: a heap of the
 * feeds in which something waits, by the time of their oldest event. An event costs one look at its
 * time and one step in the heap. Nothing is kept for a single event: held events wait in the
 * channel as others do, within its bounds, and every policy sees them.
 *
 * Events go while the event that waits for longest has been here for `duration_ns`: the earliest
 * first, until that one is gone. So nothing that is held could have gone before what has gone.
 *
 * The time of an event is at most half of the window ahead of the moment when it came; otherwise
 * it counts as that moment. So `sent_ns` stays half of the window behind the clock, and a producer
 * with a wrong clock makes no event of another producer late, unless that took half of the window
 * to get here. Only a full window can.
 *
 * Threads: everything here runs under the channel's lock. */
#ifndef TRIBUTARY_FLOW_ORDER_INTERNAL_H
#define TRIBUTARY_FLOW_ORDER_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

struct chan;
struct entry;
struct feed;

/* A feed, and the oldest event that waits in it. Events from before a mark go first. Of equal times
 * the event that came first goes first. */
struct order_node {
    uint32_t marks;
    int64_t time_ns, came_ns;
    struct feed *feed;
};

struct order {
    struct order_node *nodes; /* a binary heap: the next one is first */
    uint32_t count, capacity;
    uint32_t feeds;      /* of the channel: there is capacity for them all */
    int64_t next_ns;     /* after order_advance(): of the event behind; INT64_MIN: not known */
    int64_t sent_ns;     /* the latest time of what has gone; INT64_MIN: nothing has */
    uint64_t late_count; /* events that went after one with a later time */
    uint64_t full_count; /* events that went before their time, because the window was full */
    /* With LATEST_PER_KEY, where what is held may be replaced for ever by what came later. */
    bool is_held;          /* something was, since all that was held has gone */
    int64_t held_since_ns; /* since then; or since it was all let go */
    uint32_t let_go;       /* so many go, whatever their time is */
};

struct order *order_new(void);        /* NULL: out of memory */
void order_free(struct order *order); /* NULL is allowed */

/* One more feed, and one less, which is taken out. Both do nothing where `order` is NULL. False: no
 * memory for it. */
MUST_CHECK bool order_add_feed(struct order *order);
void order_remove_feed(struct order *order, struct feed *feed);

/* An entry was appended to those that wait. Calls readable() where the taker must look. */
void order_enqueued(struct chan *chan);
/* Events of this feed that waited are gone, and its oldest one may be another. */
void order_head_changed(struct chan *chan, struct feed *feed);

/* The entry with the next event; NULL: nothing waits. */
struct entry *order_first(const struct order *order);
/* How many events may go now. 0: none. It may be more than wait. */
uint32_t order_allowed(const struct chan *chan, int64_t now_ns);
/* When some may go without another call: clock_mono_ns(). 0: now. INT64_MAX: nothing waits. */
int64_t order_due_at(const struct chan *chan);

/* How many of the first `max` events of order_first() go before those of other feeds; at least 1.
 * Counts them as gone. The caller moves them, and then calls order_head_changed(). */
uint32_t order_advance(struct chan *chan, const struct entry *entry, uint32_t max, int64_t now_ns);

#endif
