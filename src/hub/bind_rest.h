/* bind_rest.h - binds a new producer and every live subscription that wants it.
 *
 * A producer that begins with an activation for each of many consumers gets them in slices: the
 * first ones at once, the others while it lives already. The walk goes by the ids of the
 * subscriptions, and remembers the last one.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_BIND_REST_H
#define TRIBUTARY_HUB_BIND_REST_H

#include <stdbool.h>

#include "base/list.h"

struct producer;

/* Binds the producer and each subscription that wants it, but for those whose walk will do so, or
 * has done so (bind_walk.h). Where a select is under way it is bound for the filter before and for
 * the next one (rebind.h). Activations are only created: they are appended to `created`, and
 * activations_begin() starts them. A subscription for which there is no memory ends: MEMORY_BUDGET.
 * The caller runs the ready list.
 *
 * `in_slices`: only the first ones are bound; bind_rest_begin() is to follow when the producer
 * lives. */
void bind_subscriptions(struct producer *producer, struct list *created, bool in_slices);

/* Binds the others, and begins their activations. The producer is in the registry. Does nothing
 * where all are bound. */
void bind_rest_begin(struct producer *producer);

/* Binds no more. */
void bind_rest_stop(struct producer *producer);

#endif
