/* subscription_ends.h - how the activations of a subscription end with it: some in each step.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_SUBSCRIPTION_ENDS_H
#define TRIBUTARY_HUB_SUBSCRIPTION_ENDS_H

#include <stdbool.h>

struct subscription;

/* All activations of a subscription that was unsubscribed, or whose deadline has passed, are to
 * end. The ends of the first ones are requested now. Where more are left, the subscription is on
 * the ready list, and subscription_end_some() is to be called when it is its turn. */
void subscription_end_activations(struct subscription *subscription);

/* Requests the ends of some. Returns whether more are left. */
bool subscription_end_some(struct subscription *subscription);

#endif
