/* route_put.h - puts events through a route.
 *
 * Threads: any, under the inlet's lock. */
#ifndef TRIBUTARY_ROUTE_ROUTE_PUT_H
#define TRIBUTARY_ROUTE_ROUTE_PUT_H

#include "flow/chan.h"
#include "route/data_path.h"

/* chan_put() into the route's feed, or chan_put_shared() where it has none, unless the route has a
 * put() of its own. */
MUST_CHECK static inline enum err route_put(struct route *route, struct chunk *chunk, uint32_t first,
                                            uint32_t last, struct put_waiter *waiter)
{
    if (!route->feed)
        return chan_put_shared(route->chan, route->generation, chunk, first, last, waiter);
    if (route->put)
        return route->put(route, chunk, first, last);
    return chan_put(route->chan, route->feed, chunk, first, last, waiter);
}

#endif
