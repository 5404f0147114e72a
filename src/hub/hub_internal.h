/* hub_internal.h - what the files of this room share: who holds what, under which lock.
 *
 *   hub ──names──▶ inlet ──outlets──▶ outlet ◀──outlets── subscription ◀──order, ids── hub
 *
 * An outlet is one (producer, subscription) pair: the route that the inlet walks, and the loop's handle to take it out again. An inlet
 * lives until it is forgotten, which needs that no call is open on it; so whoever has a call counted may use it without a lock on the
 * names. */
#ifndef TRIBUTARY_HUB_HUB_INTERNAL_H
#define TRIBUTARY_HUB_HUB_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "hub/hub.h"

#define PEER_ROOM 96u /* with the closing NUL; a longer address is cut */

struct hub {
    struct loop *loop;
    struct hub_limits limits;
    atomic_bool draining; /* written by the loop */

    /* The loop changes the map under `names` and may walk it without; others look under `names`. */
    pthread_mutex_t names;
    struct map inlets;

    /* Any thread, under `names`. */
    struct list left; /* inlets without a call that the loop does not watch yet */
    bool task_posted;

    /* Loop only. */
    struct task task; /* takes over `left` */
    bool freed;       /* hub_free() found the task posted: the task frees the rest */
    struct heap idle; /* inlets to look at, by when the earliest moment to forget them comes */
    struct timer forget;
    struct inlet **by_name; /* room for every inlet; in order where `sorted` */
    size_t by_name_room;
    bool sorted;
    struct ctx ctx;
    struct list subscriptions; /* in the order of their beginning, which is that of their ids */
    struct map ids;
    void (*emptied)(void *ctx);
    void *emptied_ctx;
};

struct inlet {
    struct hub *hub;
    struct source *source;
    struct map_node name; /* the loop's, under the hub's `names` */

    /* Any thread, under the hub's `names`. */
    uint32_t open_calls;
    bool watched;     /* in hub->idle or hub->left */
    int64_t left_ns;  /* when the last call ended */
    struct list left; /* in hub->left */
    char peer[PEER_ROOM];

    /* Any thread, under `lock`. */
    pthread_mutex_t lock;
    bool closed; /* the hub drains */
    uint64_t last_sequence;
    struct outlet **outlets;
    uint32_t outlet_count, outlet_room;
    uint32_t asking; /* outlets that look at each event */
    struct tally published;
    int64_t last_event_wall_ns;

    /* Any thread. Below zero for a moment where a stall is over before its offer has returned. */
    _Atomic int32_t blocked;

    /* Loop only. */
    struct heap_node idle;
};

struct outlet {
    /* Constant, but for the place. */
    struct chan *chan; /* the subscription's reference: it takes its outlets out before it lets go */
    struct feed *feed;
    const struct filter *filter;
    struct filter_part part;

    /* Under the inlet's lock. */
    uint32_t place;                /* in inlet->outlets */
    uint32_t run_first, run_after; /* while a chunk is routed: the run that may still grow; empty where they are equal */
    bool took;                     /* while a chunk is routed: something was put */

    /* Loop only. */
    struct inlet *inlet;
    struct subscription *subscription;
    struct list link; /* in subscription->outlets */
};

/* The loop only. */
struct subscription {
    struct hub *hub;
    struct ctx ctx;
    struct list link;   /* in hub->subscriptions */
    struct map_node id; /* in hub->ids */
    struct filter *filter;
    struct chan *chan;
    struct chan_limits limits;
    const struct subscription_port *port;
    void *port_ctx;
    struct list outlets;
    uint32_t outlet_count;
    struct timer deadline;
    bool draining;        /* the port was told */
    enum closing closing; /* why; 0: not so far */
    struct fault fault;   /* what a hard end will say, where more than its reason is known */
    int64_t started_wall_ns;
    char id_text[32];
    char peer[PEER_ROOM];
    size_t name_size;
    uint8_t name[];
};

/* ---- resume.c: an earlier stream's positions, by name ---- */

struct resume;

/* NULL: out of memory. Points into the wish. */
struct resume *resume_new(const struct resume_point *points, size_t count, bool whole);
void resume_free(struct resume *resume); /* NULL allowed */
OWNED_BY(resume_free, struct resume);
/* Tells what this subscription missed of a source that it joins now, whose last event so far was `last_sequence`. Under the inlet's lock.
 */
void resume_joined(const struct resume *resume, const struct outlet *outlet, struct source *source, uint64_t last_sequence);
/* Tells of sources that the earlier stream knew, this one would match, and the hub no longer knows.
 *   ERR_NO_MEMORY  not all of them were told */
MUST_CHECK enum err resume_gone(const struct resume *resume, const struct subscription *subscription);

/* ---- inlet.c ---- */

/* A new inlet with no call, not yet in the map. NULL: out of memory. */
struct inlet *inlet_new(struct hub *hub, struct bytes name);
void inlet_free(struct inlet *inlet);  /* without outlets */
void inlet_close(struct inlet *inlet); /* offers are refused from now on */

/* Joins a producer and a subscription that wants it; `resume` NULL: live.
 *   ERR_NO_MEMORY  nothing changed */
MUST_CHECK enum err outlet_open(struct inlet *inlet, struct subscription *subscription, const struct filter_part *part,
                                const struct resume *resume);
void outlet_detach(struct outlet *outlet); /* takes it out of the route; the feed stays with the channel, in the state it is in */
void outlet_remove(struct outlet *outlet); /* the same for a producer that is gone: the feed ends as REMOVED */

/* ---- subscription.c ---- */

/* Joins a new producer and every subscription that wants it.
 *   ERR_NO_MEMORY  some were joined: the caller takes them out again */
MUST_CHECK enum err subscriptions_join(struct hub *hub, struct inlet *inlet);

/* NULL: *fault says SUBSCRIPTION_NOT_FOUND. */
struct subscription *subscription_find(struct hub *hub, struct bytes id, struct fault *fault);

/* ---- registry.c ---- */

void hub_subscription_gone(struct hub *hub); /* a subscription was freed; the hub may be freed by this: last line of the caller */

void peer_copy(char peer[PEER_ROOM], const char *from); /* NULL is empty */

#endif
