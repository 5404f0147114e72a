/* data_path.h - the data path of one source: its inlet and its routes.
 *
 *   source ──▶ inlet ──▶ route ──feed──▶ channel
 *
 * A route is one (source, channel) pair. The inlet walks its routes with each chunk; the control
 * thread uses the route to take it out again. A source that many consumers share has one inlet with
 * a route per consumer. A source of one consumer has an inlet with one route. Consumers that want
 * everything of every source have no routes (wildcard.h).
 *
 * Inlets and routes are embedded in objects of the room above. This header is for that room and for
 * the files of this one. Who only publishes needs offer.h.
 *
 * Threads: one thread, the *control thread*, adds and removes routes, under the
 * inlet's lock; so it may read them without it. Only that thread ever holds the locks of more than
 * one inlet. */
#ifndef TRIBUTARY_ROUTE_DATA_PATH_H
#define TRIBUTARY_ROUTE_DATA_PATH_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "event/chunk.h"
#include "event/matcher.h"
#include "flow/source_state.h"
#include "flow/totals.h"

struct chan;
struct feed;
struct history;
struct route;
struct wildcard;
struct wildcard_entry;
struct wildcard_set;

/*   OPEN <--> CLOSED, and each of them --> REMOVED */
enum inlet_state {
    INLET_OPEN,
    INLET_CLOSED, /* accepts nothing for now */
    INLET_REMOVED /* accepts nothing, and never will: a caller must find its source again */
};

/* What is still to be reported to the channels of an inlet, in portions: the state of its source,
 * or that it ended. See inlet_report.c. The control thread changes it under the set's lock. */
struct inlet_report {
    struct list link;            /* in set->reports; in no list: nothing is to be reported */
    uint32_t next, count, again; /* which wildcards of the set's list are due */
    uint32_t routes;             /* so many of inlet->routes are due */
    bool routes_again;           /* afterwards all are */
    bool ended;                  /* `end` is to be reported, to wildcards only */
    struct source_state end;     /* its message is the caller's */
};

struct inlet {
    struct source *source; /* constant */

    /* Any thread, under `lock`. */
    pthread_mutex_t lock;
    enum inlet_state state;
    uint32_t route_count, route_capacity;
    uint32_t filtered_count; /* routes that want some events only */
    uint32_t second_count;   /* routes that put after the others: route->second */
    struct matcher *matcher; /* their match entries; NULL until there is one */
    struct route **routes;   /* `first`, until there is more than one */
    struct route *first[1];
    /* The wildcards that get its events (wildcard.h): the first so many of the set's list. */
    const struct wildcard_entry *wildcards;
    uint32_t wildcard_count;
    uint64_t last_sequence;
    /* Of a source that another server has numbered (relay.h). */
    bool unplaced;      /* where it stands is not known yet */
    bool uncounted;     /* its sequences have holes that nobody has counted */
    uint64_t placed_at; /* where it stood when that became known: what was before was not seen here */
    struct totals lost; /* what that server has reported as lost, where it gave a count */
    struct totals published;
    int64_t last_event_wall_ns;
    struct history *history; /* NULL: none is kept */
    /* What is offered next does not follow on what was offered before. Called before the first put.
     * NULL: nobody needs to know. */
    void (*on_hole)(struct inlet *inlet);
    /* What a channel that joins hears of the source. */
    struct source_state source_state; /* its message is the next */
    char *source_message;             /* NULL: none */
    uint32_t source_version;          /* how often the state has changed */

    /* Any thread. Offers that are blocked. It is below zero for a moment where a put waiter is
     * notified before its offer has returned. */
    _Atomic int32_t blocked;

    /* The wildcard set to report to when the source publishes for the first time; NULL: none. Under
     * `lock`. */
    struct wildcard_set *silent_in;
    struct inlet *next_published; /* in set->newly_published */
    struct list in_published;     /* in set->published, under the set's lock */
    struct list in_set;           /* in set->inlets of its wildcard set, under the set's lock */
    uint64_t out_of_set;          /* set->removals when it was taken out; 0: it was not */
    struct inlet_report report;
};

/* A place in the list of a wildcard set. */
struct wildcard_entry {
    struct chan *chan;
    struct wildcard *wildcard;
};

struct route {
    /* Constant. */
    struct chan *chan; /* the owner's reference: it lets go after the route is out */
    struct feed *feed; /* of an activation; NULL: the shared feed of the source */
    struct inlet *inlet;
    uint32_t generation; /* without a feed of its own: for chan_put_shared() */
    /* With a feed: puts in place of chan_put(), under the inlet's lock. Whoever sets it says what
     * the feed follows. NULL: chan_put() does. */
    enum err (*put)(struct route *route, struct chunk *chunk, uint32_t first, uint32_t last);

    uint32_t reported_version; /* inlet->source_version that the channel has heard of; control thread */

    /* Under the inlet's lock. */
    const struct filter *filter;
    struct filter_part part;
    struct match_entry *entry; /* in inlet->matcher; NULL: the route wants everything */
    bool linked;               /* the inlet has it */
    /* It takes over from another route or a wildcard of the same channel when that changes over
     * (chan_change_over()). Until the other one is gone it puts each chunk after that one. So one
     * of the two puts, whenever the channel changes. */
    bool second;
    bool keeps;          /* it was taken out, and its channel has a feed that keeps the position */
    uint32_t index;      /* in inlet->routes */
    uint64_t last_taken; /* the first sequence of the last chunk of which it took something */
    /* While a chunk is routed: what was picked for this route and those like it (match_chunk.c). */
    struct route *next_picked;
    uint32_t first_run, last_run;
    bool picked;
};

/* How many channels get events of the inlet. */
static inline uint32_t inlet_subscriptions(const struct inlet *inlet)
{
    return inlet->route_count - inlet->second_count + inlet->wildcard_count;
}

#endif
