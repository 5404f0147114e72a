/* inlet.h - the data path of one source inside this room: numbers what comes in and walks the
 * routes.
 *
 *   producer or activation ──▶ inlet ──routes──▶ route ──feed──▶ channel
 *
 * A route is one (source, subscription) pair: the route that the inlet walks, and the loop's
 * handle to take it out again. A shared producer has one inlet with a route per subscription; an
 * activation has an inlet of its own with one route.
 *
 * Only the loop adds and removes routes, under the inlet's lock; so the loop may read the route
 * without it. Only the loop ever holds more than one inlet's lock (select.c), in the order of their
 * addresses. */
#ifndef TRIBUTARY_HUB_INLET_H
#define TRIBUTARY_HUB_INLET_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "event/matcher.h"
#include "hub/hub.h"

struct history;
struct route;
struct producer;
struct resume;

enum inlet_state {
    INLET_OPEN,
    INLET_CLOSED, /* takes nothing: the hub drains, or a session waits for its name */
    INLET_REMOVED /* takes nothing and never will: whoever publishes must find its producer again */
};

struct inlet {
    struct source *source; /* constant */

    /* Any thread, under `lock`. */
    pthread_mutex_t lock;
    enum inlet_state state;
    uint32_t route_count, route_capacity;
    uint32_t filtered_count; /* routes that do not want every event, */
    struct matcher *matcher; /* and where they sit; NULL until there is one */
    struct route **routes;   /* `first` until more than one is there */
    struct route *first[1];
    uint64_t last_sequence;
    _Atomic uint64_t routed; /* up to here everything was put; channels read it */
    struct totals published;
    int64_t last_event_wall_ns;
    struct history *history; /* NULL: none is kept */

    /* Any thread. Below zero for a moment where a stall is over before its offer has returned. */
    _Atomic int32_t blocked;
};

struct route {
    /* Constant. */
    struct chan *chan; /* the subscription's reference: it takes its routes out before it lets go */
    struct feed *feed;
    struct inlet *inlet;

    /* Under the inlet's lock. */
    const struct filter *filter;
    struct filter_part part;
    struct match_entry *entry; /* where it asks; NULL: it wants everything */
    bool placed;               /* it is in the route */
    uint32_t place;            /* in inlet->routes */
    uint64_t took;             /* the first sequence of the last chunk of which it took something */
    /* While a chunk is routed: what was picked for it, see pick.c. */
    struct route *next_picked;
    uint32_t first_run, last_run;
    bool picked;

    /* Loop only; of shared producers. */
    struct producer *producer;
    struct subscription *subscription;
    struct list link; /* in subscription->routes */
};

/* A source of this name in a new epoch, without routes. ERR_NO_MEMORY: nothing is there to be
 * ended. */
MUST_CHECK enum err inlet_init(struct inlet *inlet, struct bytes name, enum inlet_state state);
void inlet_fini(struct inlet *inlet); /* without routes */
void inlet_move(struct inlet *inlet, enum inlet_state state);

/* inlet_offer() with the inlet's lock held, which is released. `waiter` NULL: nobody waits, and
 * ERR_AGAIN does not come. */
MUST_CHECK enum err inlet_offer_locked(struct inlet *inlet, struct chunk *chunk, struct put_waiter *waiter,
                                       struct offer *offer_out);

/* Makes the route and opens its feed; it is not in the route yet. `set_paused` as in feed_open().
 *   ERR_NO_MEMORY  nothing was opened */
MUST_CHECK enum err route_init(struct route *route, struct inlet *inlet, struct chan *chan,
                               const struct filter *filter, const struct filter_part *part,
                               const struct pause_port *pause_port);

void route_fini(struct route *route); /* out of the route; the feed stays */

/* What a route needs to be asked, which route_init() makes for its first filter: *entry_out, NULL
 * where `part` leaves nothing to ask.
 *   ERR_NO_MEMORY  nothing was made */
MUST_CHECK enum err inlet_match_entry(struct inlet *inlet, struct route *route, const struct filter *filter,
                                      const struct filter_part *part, struct match_entry **entry_out);

/* What a subscription wants of the time before it joined. */
struct since {
    const struct resume *resume; /* NULL: nothing */
    uint32_t last;               /* so many matching events of the history */
};

/* Room for one more route, so that route_link() cannot fail. ERR_NO_MEMORY: nothing changed. */
MUST_CHECK enum err inlet_reserve(struct inlet *inlet);
/* out of the route, if it is there; the feed stays */
void route_leave(struct route *route);

/* The same under the inlet's lock, for who changes several inlets at one moment. */
void route_link(struct route *route);
void route_unlink(struct route *route);
/* Another filter from now on, with a seat of inlet_match_entry(). Returns the seat it had, to be
 * freed. */
struct match_entry *route_set_filter(struct route *route, const struct filter *filter,
                                     const struct filter_part *part, struct match_entry *entry);

/* ---- pick.c: what the filters want of a chunk ---- */

/* Puts to each route that asks what it wants of the chunk. Returns how many of them took something.
 * Under the inlet's lock. */
uint32_t pick_events(struct inlet *inlet, struct chunk *chunk, struct put_waiter *waiter);

/* ---- history.c: the latest chunks of a shared source, for `start.last` ---- */

struct history *history_new(void); /* NULL: out of memory */
void history_free(struct history *history);
void history_add(struct history *history, struct chunk *chunk); /* under the inlet's lock, as the next one */
/* Puts the last `max` events that the route wants. Under the inlet's lock. */
void history_put(const struct history *history, struct route *route, uint32_t max);

#endif
