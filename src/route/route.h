/* route.h - the making of routes, and their place in an inlet.
 *
 * Threads: the control thread only. */
#ifndef TRIBUTARY_ROUTE_ROUTE_H
#define TRIBUTARY_ROUTE_ROUTE_H

#include "base/status.h"
#include "route/data_path.h"

struct pause_port;
struct resume;

/* Where a new route starts: what it wants of the time before it was linked. */
struct start_point {
    struct resume *resume; /* NULL: nothing is resumed */
    uint32_t last;         /* this many matching events of the history */
    uint32_t stored_start; /* of stored topics: enum stored_start, and its value */
    uint64_t stored_value;
};

/* Makes a route, which is not in the inlet yet. With `pause_port` (as for feed_open()) it opens a
 * feed of its own: a shared one where set_paused is NULL. Without, the channel makes one when it
 * needs it (flow/shared_feed.h).
 *   ERR_NO_MEMORY  nothing was opened */
MUST_CHECK enum err route_init(struct route *route, struct inlet *inlet, struct chan *chan,
                               const struct filter *filter, const struct filter_part *part,
                               const struct pause_port *pause_port);

/* The route must be out of the inlet. Its feed stays. */
void route_fini(struct route *route);

/* The match entry that a route needs for a filter; route_init() makes it for the first one.
 * *entry_out is NULL where `part` leaves nothing to ask of events.
 *   ERR_NO_MEMORY  nothing was made */
MUST_CHECK enum err route_entry_new(struct inlet *inlet, struct route *route, const struct filter *filter,
                                    const struct filter_part *part, struct match_entry **entry_out);

/* Reports the state of the source to the channel, before a route without a feed is linked for the
 * first time. */
void route_begin(struct route *route);

/* The same later, where the state has changed since. Does nothing for a route with a feed. */
void route_report(struct route *route);

/* Take the route in and out; the feed stays, and its position with it (route->keeps). The caller
 * holds the inlet's lock. Before route_link() there must be space (inlet_reserve()). route_unlink()
 * does nothing where the route is out. */
void route_link(struct route *route);
void route_unlink(struct route *route);

/* What the route takes over from is gone: it is no longer `second`. The caller holds the inlet's
 * lock. */
void route_set_first(struct route *route);

/* Takes out a linked route without a feed, where something else takes over from it under the same
 * lock (wildcard_take_over()), or puts in its place already (chan_change_over()). The shared feed
 * of the source, if there is one, goes on. What is still to be reported to the route is reported
 * now. */
void route_hand_over(struct route *route);

/* route_begin() and route_link() for a caller that does not hold the lock. What `start_point` asks
 * of the time before comes first; NULL: nothing is asked. From now on the route gets what is
 * published. */
void route_enter(struct route *route, const struct start_point *start_point);

/* route_unlink() for a caller that does not hold the lock. Once it has returned, no offer puts
 * through this route any more. */
void route_leave(struct route *route);

/* Gives the route another filter, with an entry of route_entry_new(). The caller holds the inlet's
 * lock. Returns the entry that it had, to be freed. */
struct match_entry *route_set_filter(struct route *route, const struct filter *filter,
                                     const struct filter_part *part, struct match_entry *entry);

#endif
