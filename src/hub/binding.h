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
    struct list link; /* in subscription->bindings */
};

/* Frees a binding that was never entered, and closes its feed. */
void binding_discard(struct binding *binding);
void binding_attach(struct binding *binding); /* adds it to its subscription's */

/* What every kind of shared producer has as its bind() and reselect() (producer_internal.h). */
MUST_CHECK enum err binding_bind(struct producer *producer, struct subscription *subscription,
                                 const struct filter_part *part, const struct start_point *start_point,
                                 struct list *created);
MUST_CHECK enum err binding_reselect(struct producer *producer, struct subscription *subscription,
                                     const struct filter_part *part, const struct filter *old,
                                     struct select_plan *plan);

/* Takes the binding out everywhere, closes its feed (feed_close()) and frees it. */
void binding_close(struct binding *binding, uint32_t state, uint32_t code, const char *message);
/* binding_close() for every binding of a producer, now. Where it had its bindings for a while use
 * bindings_end() (bindings_end.h). */
void bindings_close(struct producer *producer, uint32_t state, uint32_t code, const char *message);

/* Takes all bindings of a subscription out and frees them. The feeds stay with the channel, in the
 * state they are in. Where that takes longer than this turn has time for, the rest follows in
 * slices: until then binding_count is not 0, and afterwards the subscription is put on the ready
 * list. */
void bindings_detach(struct subscription *subscription);
/* The same, now, for a subscription that nobody knows. */
void bindings_detach_now(struct subscription *subscription);
bool bindings_detach_step(struct slice *slice); /* of subscription->detach */

#endif
