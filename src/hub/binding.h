/* binding.h - bindings: the routes of shared producers.
 *
 * A binding is one (shared producer, subscription) pair.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_BINDING_H
#define TRIBUTARY_HUB_BINDING_H

#include <stdbool.h>

#include "base/list.h"
#include "route/route.h"

struct producer;
struct select_plan;
struct slice;
struct subscription;

struct binding {
    struct route route; /* of the producer's inlet */
    struct producer *producer;
    struct subscription *subscription;
    struct list link;  /* in subscription->bindings */
    size_t kept_bytes; /* that it is charged with (kept_memory.h) */
    /* What was routed of its source when that was looked at last: see hub_filtered_positions().
     * Under the lock of the hub's wildcard set. */
    uint64_t reported;
};

/* Frees a binding that is in no list, and whose route is not linked. */
void binding_discard(struct binding *binding);
/* Adds it to its subscription's. The caller holds the lock of the hub's wildcard set. Where the
 * source may have events already, it has held it since before the route was linked: so
 * hub_positions() has every source that the channel gets. */
void binding_attach(struct binding *binding);

/* What every kind of shared producer has as its bind() and reselect() (producer_internal.h). */
MUST_CHECK enum err binding_bind(struct producer *producer, struct subscription *subscription,
                                 const struct filter_part *part, const struct start_point *start_point,
                                 struct list *created);
MUST_CHECK enum err binding_reselect(struct producer *producer, struct subscription *subscription,
                                     const struct filter_part *part, const struct filter *old,
                                     struct select_plan *plan);

/* Takes the binding out everywhere, reports the last state of its source (shared_end()) and frees
 * it. */
void binding_close(struct binding *binding, uint32_t state, uint32_t code, const char *message);
/* binding_close() for every binding of a producer, and the same for its wildcards, now. Where it
 * had its bindings for a while use bindings_end() (bindings_end.h). */
void bindings_close(struct producer *producer, uint32_t state, uint32_t code, const char *message);

/* Takes a subscription out of the wildcard set, and all its bindings out, and frees them. The feeds
 * stay with the channel, in the state they are in. With subscription->keeps_positions the positions
 * of sources without a feed go to subscription->left_positions. Where that takes longer than this
 * turn has time for, the rest follows in slices: until then binding_count is not 0. A wildcard that
 * reports no positions any more goes later, with others (wildcard_sweep.h): until then it is in the
 * set. Afterwards the subscription is put on the ready list. */
void bindings_detach(struct subscription *subscription);
/* The same, now, for a subscription that nobody knows. */
void bindings_detach_now(struct subscription *subscription);
bool bindings_detach_step(struct slice *slice); /* of subscription->detach */

/* Gives a subscription that is a wildcard a binding to each producer in place of it. It misses
 * nothing and gets nothing twice.
 *   ERR_NO_MEMORY  nothing has changed */
MUST_CHECK enum err bindings_replace_wildcard(struct subscription *subscription);

/* Makes a live subscription that wants everything a wildcard in place of its bindings. It misses
 * nothing and gets nothing twice. Does nothing where it wants less, is a wildcard already, or
 * memory runs out: bindings do the same, and take more memory. */
void bindings_become_wildcard(struct subscription *subscription);

#endif
