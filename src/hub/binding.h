/* binding.h - bindings: the routes of shared producers.
 *
 * A binding is one (shared producer, subscription) pair.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_BINDING_H
#define TRIBUTARY_HUB_BINDING_H

#include "base/list.h"
#include "route/route.h"

struct producer;
struct select_plan;
struct subscription;

struct binding {
    struct route route; /* of the producer's inlet */
    struct producer *producer;
    struct subscription *subscription;
    struct list link; /* in subscription->bindings */
};

/* A binding that is in no list yet, with space for its route in the inlet. NULL: out of memory. */
struct binding *binding_new(struct producer *producer, struct subscription *subscription,
                            const struct filter_part *part);
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
/* binding_close() for every binding of a producer. */
void bindings_close(struct producer *producer, uint32_t state, uint32_t code, const char *message);
/* Takes all bindings of a subscription out and frees them. The feeds stay with the channel, in the
 * state they are in. */
void bindings_detach(struct subscription *subscription);

#endif
