/* kept_memory.h - how much memory the requests and filters of a peer's subscriptions may keep.
 *
 * All peers together may have half of the budget for that and for routes (base/budget.h), so that
 * events always have the other half. One peer may have its share of this half (base/peer_share.h).
 *
 * Threads: the control thread only. */
#ifndef TRIBUTARY_HUB_KEPT_MEMORY_H
#define TRIBUTARY_HUB_KEPT_MEMORY_H

#include "base/fault.h"
#include "base/peer.h"

struct hub;
struct subscription;

/* Whether the peer may keep so many bytes more. FAULT_NONE, or FAULT_MEMORY_BUDGET with a bound
 * that names the peer, what it keeps, and its share. */
MUST_CHECK enum fault_reason kept_memory_check(struct hub *hub, struct peer_key peer, uint64_t more_bytes,
                                               struct fault *fault);

/* Charges the peer with what the subscription keeps at present. Call it when that has changed. */
void kept_memory_update(struct subscription *subscription);
/* It keeps nothing any more. Call it before its peer's count is given back. */
void kept_memory_end(struct subscription *subscription);

#endif
