/* kept_memory.h - how much memory a peer's subscriptions may keep: their requests, their filters,
 * and their routes to producers. While a select is under way these are the routes of two filters.
 *
 * All peers together may have half of the budget for that (base/budget.h), so that events always
 * have the other half. One peer may have its share of this half (base/peer_share.h).
 *
 * Threads: the control thread only. */
#ifndef TRIBUTARY_HUB_KEPT_MEMORY_H
#define TRIBUTARY_HUB_KEPT_MEMORY_H

#include <stdbool.h>

#include "base/fault.h"
#include "base/peer.h"

struct hub;
struct subscription;

/* Whether the peer may keep so many bytes more. FAULT_NONE, or FAULT_MEMORY_BUDGET with a bound
 * that names the peer, or all peers, what is kept, and the share or limit. */
MUST_CHECK enum fault_reason kept_memory_check(const struct hub *hub, struct peer_key peer,
                                               uint64_t more_bytes, struct fault *fault);

/* Charges the peer with the subscription's request and filters. Call it when they have changed. */
void kept_memory_update(struct subscription *subscription);

/* Charges the budget and the subscription's peer with a route. False: one of them has no space. */
MUST_CHECK bool kept_memory_add_route(struct subscription *subscription, uint64_t bytes);
void kept_memory_remove_route(struct subscription *subscription, uint64_t bytes);

/* It keeps nothing any more: it has no routes. Call it before its peer's count is given back. */
void kept_memory_end(struct subscription *subscription);

#endif
