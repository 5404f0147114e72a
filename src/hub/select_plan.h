/* select_plan.h - what a new filter of a subscription changes, before it changes.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_SELECT_PLAN_H
#define TRIBUTARY_HUB_SELECT_PLAN_H

#include <stddef.h>

#include "base/list.h"
#include "base/status.h"
#include "event/filter.h"

struct binding;
struct match_entry;
struct route;

struct route_change {
    struct route *route;
    struct binding *binding; /* whose route it is; NULL: an activation's */
    struct filter_part part;
    struct match_entry *entry; /* KEEP: the new one before the change, the old one after it */
    enum { KEEP, TAKE_OUT, PUT_IN } action;
};

struct select_plan {
    struct route_change *changes;
    size_t count;
    struct list created; /* activations to begin, by their in_subscription */
    struct list to_end;  /* activations to end */
};

/* Space for `max` changes, and no change. ERR_NO_MEMORY: there is nothing to end. */
MUST_CHECK enum err select_plan_init(struct select_plan *plan, size_t max);
void select_plan_fini(struct select_plan *plan);

/* The route of a new binding is to be put in. */
void select_plan_put_in(struct select_plan *plan, struct route *route, struct binding *binding,
                        const struct filter_part *part);

/* A route that is there gets another filter, or is taken out where `part` leaves nothing. `binding`
 * as in struct route_change.
 *   ERR_NO_MEMORY  nothing was added */
MUST_CHECK enum err select_plan_keep(struct select_plan *plan, struct route *route, struct binding *binding,
                                     const struct filter *filter, const struct filter_part *part);

#endif
