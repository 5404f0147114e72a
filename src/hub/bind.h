/* bind.h - binds producers and subscriptions that want each other.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_BIND_H
#define TRIBUTARY_HUB_BIND_H

#include "hub/hub_internal.h"

struct resume;

/* Where a new subscription starts: what it wants of the time before it was bound. */
struct start_point {
    const struct resume *resume; /* NULL: nothing is resumed */
    uint32_t last;               /* this many matching events of the history */
};

/* What a filter leaves to ask of this producer's events. */
struct filter_part producer_part(const struct producer *producer, const struct filter *filter);
bool producer_joinable(const struct producer *producer); /* it may get new consumers */

/* Binds a producer and a subscription, if the subscription wants it. An activation is only created:
 * it is appended to `created`, and activations_begin() starts it.
 *   ERR_NO_MEMORY  nothing has changed */
MUST_CHECK enum err bind_pair(struct producer *producer, struct subscription *subscription,
                              const struct start_point *start_point, struct list *created);

/* Binds a new producer and every subscription that wants it.
 *   ERR_NO_MEMORY  some were bound; the caller takes them out again */
MUST_CHECK enum err bind_subscriptions(struct producer *producer, struct list *created);

/* Binds a new subscription and every producer that it wants.
 *   ERR_NO_MEMORY  some were bound; the caller takes them out again */
MUST_CHECK enum err bind_producers(struct subscription *subscription, const struct start_point *start_point,
                                   struct list *created);

/* Takes a route into its inlet, after inlet_reserve(). What `start_point` asks of the time before
 * comes first; NULL: nothing is asked. From now on the route gets what is published. */
void route_enter(struct route *route, const struct start_point *start_point);

/* ---- routes of shared producers ---- */

/* A route that is in no list yet, with space for it in the inlet. NULL: out of memory. */
struct route *route_new(struct producer *producer, struct subscription *subscription,
                        const struct filter_part *part);
void route_attach(struct route *route); /* adds it to its subscription's */

/* Takes the route out everywhere, closes its feed (feed_close()) and frees it. */
void route_close(struct route *route, uint32_t state, uint32_t code, const char *message);
/* route_close() for every route of a producer. */
void routes_close(struct producer *producer, uint32_t state, uint32_t code, const char *message);
/* Takes all routes of a subscription out and frees them. The feeds stay with the channel, in the
 * state they are in. */
void routes_detach(struct subscription *subscription);

#endif
