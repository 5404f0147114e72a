/* wildcard_sweep.h - takes subscriptions that are over out of the wildcard set, many at once.
 *
 * Taking one wildcard out touches every inlet of the set. So those that nobody needs any more wait
 * until the other tasks of the turn have run, and are taken out together.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_WILDCARD_SWEEP_H
#define TRIBUTARY_HUB_WILDCARD_SWEEP_H

#include <stdbool.h>

#include "loop/loop.h"

struct subscription;

/* The subscription's wildcard is taken out soon, and then it is put on the ready list. Until then
 * its wildcard is in the set, and its channel may get events, unless it was unsubscribed. Does
 * nothing where its wildcard is in no set, or waits already. The caller runs the ready list. */
void wildcard_sweep_add(struct subscription *subscription);

bool wildcard_sweep_step(struct slice *slice); /* of the hub */

#endif
