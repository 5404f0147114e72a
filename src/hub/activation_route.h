/* activation_route.h - the way of an activation's events: its inlet and its route.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_ACTIVATION_ROUTE_H
#define TRIBUTARY_HUB_ACTIVATION_ROUTE_H

#include "base/status.h"
#include "hub/activation_internal.h"

/* Opens an inlet in a new epoch, with a route to the subscription's channel. ERR_NO_MEMORY: nothing
 * was opened. */
MUST_CHECK enum err activation_open_route(struct activation *activation, const struct filter *filter,
                                          const struct filter_part *part,
                                          const struct start_point *start_point);

/* Nothing that comes from the producer reaches the consumer any more, and the producer is not asked
 * to pause: takes the activation out of its session's table, and waits for an offer or a
 * set_paused() that still runs. Does nothing the second time. */
void activation_take_out(struct activation *activation);

/* Closes the feed and frees inlet and route. No offer may find the activation: it is out of the
 * table, or never was there. Does nothing where they are not open. */
void activation_close_route(struct activation *activation, const struct ending *ending);

#endif
