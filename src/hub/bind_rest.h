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

/* bind_subscription() (bind.h) for each one. `in_slices`: only the first ones are bound;
 * bind_rest_begin() is to follow when the producer lives. */
void bind_subscriptions(struct producer *producer, struct list *created, bool in_slices);

/* Binds the others, and begins their activations. The producer is in the registry. Does nothing
 * where all are bound. */
void bind_rest_begin(struct producer *producer);

/* Binds no more. */
void bind_rest_stop(struct producer *producer);

#endif
