/* inlet_internal.h - the data path of one source inside this room: inlets and routes.
 *
 *   producer or activation ──▶ inlet ──▶ route ──feed──▶ channel
 *
 * A route is one (source, subscription) pair. The inlet walks its routes with each chunk; the loop
 * uses the route to take it out again. A shared producer has one inlet with a route per
 * subscription. An activation has an inlet of its own, with one route.
 *
 * Only the loop adds and removes routes, under the inlet's lock; so the loop may read them without
 * it. Only the loop ever holds the locks of more than one inlet (select.c), and it takes them in
 * the order of their addresses. */
#ifndef TRIBUTARY_HUB_INLET_INTERNAL_H
#define TRIBUTARY_HUB_INLET_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/status.h"
#include "event/chunk.h"
#include "event/matcher.h"
#include "flow/totals.h"

struct chan;
struct feed;
struct history;
struct offer;
struct producer;
struct put_waiter;
struct route;
struct subscription;

/*   OPEN <--> CLOSED, and each of them --> REMOVED */
enum inlet_state {
    INLET_OPEN,
    INLET_CLOSED, /* accepts nothing: the hub drains, or a session waits for its name */
    INLET_REMOVED /* accepts nothing, and never will: a caller must find its producer again */
};

struct inlet {
    struct source *source; /* constant */

    /* Any thread, under `lock`. */
    pthread_mutex_t lock;
    enum inlet_state state;
    uint32_t route_count, route_capacity;
    uint32_t filtered_count; /* routes that want some events only */
    struct matcher *matcher; /* their match entries; NULL until there is one */
    struct route **routes;   /* `first`, until there is more than one */
    struct route *first[1];
    uint64_t last_sequence;
    _Atomic uint64_t routed; /* everything up to here was put; feeds read it (feed_follow()) */
    struct totals published;
    int64_t last_event_wall_ns;
    struct history *history; /* NULL: none is kept */

    /* Any thread. Offers that are blocked. It is below zero for a moment where a put waiter is
     * notified before its offer has returned. */
    _Atomic int32_t blocked;
};

struct route {
    /* Constant. */
    struct chan *chan; /* the subscription's reference: it lets go after its routes are out */
    struct feed *feed;
    struct inlet *inlet;

    /* Under the inlet's lock. */
    const struct filter *filter;
    struct filter_part part;
    struct match_entry *entry; /* in inlet->matcher; NULL: the route wants everything */
    bool linked;               /* the inlet has it */
    uint32_t index;            /* in inlet->routes */
    uint64_t last_taken;       /* the first sequence of the last chunk of which it took something */
    /* While a chunk is routed: what was picked for this route (match_chunk.c). */
    struct route *next_picked;
    uint32_t first_run, last_run;
    bool picked;

    /* Loop only. Routes of shared producers. */
    struct producer *producer;
    struct subscription *subscription;
    struct list link; /* in subscription->routes */
};

/* An inlet for a source of this name in a new epoch, without routes. ERR_NO_MEMORY: there is
 * nothing to end. */
MUST_CHECK enum err inlet_init(struct inlet *inlet, struct bytes name, enum inlet_state state);
void inlet_fini(struct inlet *inlet); /* it must have no routes */

/* Sets the state. A removed inlet stays removed; nothing happens to an inlet that has the state. */
void inlet_set_state(struct inlet *inlet, enum inlet_state state);

/* inlet_offer() for a caller that holds the inlet's lock; it is released. With `waiter` NULL nobody
 * waits, and ERR_AGAIN does not come. */
MUST_CHECK enum err inlet_offer_locked(struct inlet *inlet, struct chunk *chunk, struct put_waiter *waiter,
                                       struct offer *offer_out);

/* Loop. Makes space for one more route, so that route_link() cannot fail. ERR_NO_MEMORY: nothing
 * has changed. */
MUST_CHECK enum err inlet_reserve(struct inlet *inlet);

#endif
