/* bind.h - binds producers and subscriptions that want each other.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_BIND_H
#define TRIBUTARY_HUB_BIND_H

#include "hub/hub_internal.h"

struct start_point;
struct subscription;

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

#endif
