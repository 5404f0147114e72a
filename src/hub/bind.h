/* bind.h - binds producers and subscriptions that want each other.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_BIND_H
#define TRIBUTARY_HUB_BIND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/status.h"

struct producer;
struct start_point;
struct subscription;

/* Binds the two where the subscription wants the producer. Activations are only created: they are
 * appended to `created`, and activations_begin() starts them. Which producers a new subscription is
 * bound to: bind_walk.h. `start_point` NULL: live. */
MUST_CHECK enum err bind_pair(struct producer *producer, struct subscription *subscription,
                              const struct start_point *start_point, struct list *created);

/* Whether an activation of the two that has ended with this code may be started again. Where the
 * subscription ends with its activations, an end is final, but for calls whose rules let the
 * producer join again (called.h). */
bool bind_may_retry(const struct producer *producer, const struct subscription *subscription, uint32_t code);

#endif
