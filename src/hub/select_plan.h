/* select_plan.h - what a new filter of a subscription changes for its activations and readers,
 * before it changes.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_SELECT_PLAN_H
#define TRIBUTARY_HUB_SELECT_PLAN_H

#include <stddef.h>

#include "base/list.h"
#include "base/status.h"
#include "event/filter.h"

struct match_entry;
struct reader;
struct route;
struct subscription;

struct select_plan {
    struct route_change {
        struct route *route;
        struct filter_part part;
        struct match_entry *entry; /* the new one before the change, the old one after it */
        struct reader *reader;     /* whose route it is; NULL: an activation's */
    } * changes;                   /* of open activations and readers, by the order of their inlets */
    size_t count;
    struct list to_end; /* activations that the filter does not want, by their in_subscription */
};

/* Plans what becomes of each activation and reader that the subscription has: it is kept, or it
 * ends. Spare readers begin.
 *   ERR_NO_MEMORY  nothing has changed, and there is nothing to end */
MUST_CHECK enum err select_plan_make(struct select_plan *plan, struct subscription *subscription,
                                     const struct filter *filter);

/* Takes the locks of all readers, and of the inlets of all of them and of all open activations;
 * their routes are changed; the locks are released. */
void select_plan_lock(const struct select_plan *plan);
void select_plan_change(const struct select_plan *plan, const struct filter *filter);
void select_plan_unlock(const struct select_plan *plan);

/* Ends the activations and readers that the filter does not want, frees what the routes do not need
 * any more, and the plan. */
void select_plan_finish(struct select_plan *plan, struct subscription *subscription);

#endif
