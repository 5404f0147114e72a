/* producer.h - producers as callers see them: finding one, publishing to it, removing it.
 *
 * A call finds or opens the inlet of a producer, offers chunks to it (route/offer.h), and leaves it
 * at its end. The inlet is closed (ERR_CLOSED) while the hub drains. It is removed (ERR_NOT_FOUND)
 * where the producer was removed, or a session has its name now: then the call leaves it, finds or
 * opens it again, and offers the same chunk. The producer comes back in a new epoch, or the call is
 * refused with NAME_TAKEN. */
#ifndef TRIBUTARY_HUB_PRODUCER_H
#define TRIBUTARY_HUB_PRODUCER_H

#include <stdint.h>

#include "base/base.h"
#include "base/fault.h"
#include "base/peer.h"
#include "base/status.h"

struct hub;
struct inlet;
struct producer_view;
struct removal;

/* Any thread. Returns the inlet of the transient producer of this name and counts a call on it:
 * inlet_leave() must follow. NULL: there is none; call hub_inlet_open() on the loop. */
struct inlet *hub_inlet_find(struct hub *hub, struct bytes name, const char *peer);

/* Loop. Finds the transient producer, or makes it, and counts a call on it. `name` must have passed
 * name_check(). `peer` is copied and may be NULL. A producer that is made is charged to `peer_key`
 * until it is removed or forgotten, whoever publishes to it later.
 *
 * FAULT_NONE: inlet_leave() must follow. NAME_TAKEN (a session has the name), TOO_MANY_PRODUCERS,
 * PEER_PRODUCERS, MEMORY_BUDGET, DRAINING: nothing was made, and *inlet_out is untouched. */
MUST_CHECK enum fault_reason hub_inlet_open(struct hub *hub, struct bytes name, const char *peer,
                                            struct peer_key peer_key, struct inlet **inlet_out,
                                            struct fault *fault);

/* Any thread. The call that found or opened the inlet has ended. */
void inlet_leave(struct inlet *inlet);

/* Loop. Removes a producer of any kind. Its name is free at once, and a session that waits for the
 * name is removed too. A session ends within `drain_ns`, then it is aborted (0: at once). A
 * transient producer goes at once, and comes back with its next batch.
 *
 * FAULT_NONE: `each` was called with what the producer was. PRODUCER_NOT_FOUND, PRODUCER_STAYS (a
 * stored topic): nothing has changed. */
MUST_CHECK enum fault_reason hub_remove(struct hub *hub, struct bytes name, int64_t drain_ns,
                                        void (*each)(void *ctx, const struct producer_view *view), void *ctx,
                                        struct fault *fault);

/* Loop. Right before hub_remove() of the same name: asks for a report of what becomes of its calls
 * (hub/removal.h). `removal` is zeroed but for over.run. Where the producer is known,
 * removal->is_begun is set, and removal->over is posted to the loop when the producer is gone. */
void hub_report_removal(struct hub *hub, struct bytes name, struct removal *removal);

#endif
