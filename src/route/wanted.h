/* wanted.h - the events of a chunk that a route wants.
 *
 * Threads: any, under the lock that guards the route's filter. */
#ifndef TRIBUTARY_ROUTE_WANTED_H
#define TRIBUTARY_ROUTE_WANTED_H

#include "base/base.h"
#include "base/status.h"

struct chunk;
struct route;

bool route_wants(const struct route *route, const struct chunk *chunk, uint32_t event);

/* Calls put() for the runs of events that the route wants, of those from `first` on. Each is as
 * long as it can be. Stops at what is not ERR_OK, and returns it. */
MUST_CHECK enum err route_put_wanted(struct route *route, struct chunk *chunk, uint32_t first,
                                     enum err (*put)(struct route *route, struct chunk *chunk, uint32_t first,
                                                     uint32_t last));

#endif
