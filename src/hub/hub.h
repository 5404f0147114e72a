/* hub.h - the hub: the one owner of producers, sessions, activations and subscriptions. It is where
 * every producer's inlet meets every consumer's channel.
 *
 * The hub's other headers: producer.h (publishing), session.h (producers that register),
 * subscription.h (consumers), hub_query.h (what is there).
 *
 * Control runs on the loop. Data does not: inlet_offer() runs on any thread, under the inlet's own
 * lock. That lock orders the sequence numbers of a source and its puts alike. The loop changes an
 * inlet's routes under the same lock. So an offer never sees a stale route, and the end of a
 * producer comes after its last chunk.
 *
 * Lock order: the registry of names, then a session, then an inlet, then a channel. */
#ifndef TRIBUTARY_HUB_HUB_H
#define TRIBUTARY_HUB_HUB_H

#include <stdbool.h>

#include "base/base.h"
#include "base/status.h"
#include "loop/loop.h"

struct hub;

/* Loop. The hub's limits are those of loop_settings(), read at each use.
 *   ERR_NO_MEMORY  *hub_out is untouched */
MUST_CHECK struct status hub_new(struct loop *loop, struct hub **hub_out);

/* Loop. Every subscription and session must have ended, and every call must have left its inlet.
 * NULL is allowed. */
void hub_free(struct hub *hub);

/* Loop. Refuses new producers, new subscriptions, and the events of shared producers. Then drains
 * every subscription, its activations with it, and every session, until `drain_ns` from now.
 *
 * When the last subscription is gone, the sessions that are left are aborted. Then `emptied` is
 * called, once, on the loop; from within hub_drain() where there is no subscription. A second drain
 * only brings the deadline nearer. */
void hub_drain(struct hub *hub, int64_t drain_ns, void (*emptied)(void *ctx), void *ctx);
bool hub_draining(const struct hub *hub); /* any thread */

#endif
