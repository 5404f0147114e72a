/* kept_memory.c - see kept_memory.h. */
#include "hub/kept_memory.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/budget.h"
#include "base/peer_share.h"
#include "base/shared_bytes.h"
#include "event/filter.h"
#include "hub/hub_parts.h"
#include "hub/subscription_internal.h"
#include "loop/loop.h"

/* By all peers together, with the routes to the producers that are there. */
static uint64_t kept_by_all(void)
{
    return (uint64_t)(count_get(COUNT_LIVE_FILTER_BYTES) + count_get(COUNT_LIVE_REQUEST_BYTES) +
                      count_get(COUNT_LIVE_ROUTE_BYTES));
}

enum fault_reason kept_memory_check(struct hub *hub, struct peer_key peer, uint64_t more_bytes,
                                    struct fault *fault)
{
    const struct peer_count *count = peer_counts_find(hub_subscription_counts(hub), peer);
    uint64_t kept = count ? count->kept_bytes : 0, limit = budget_limit() / 2;
    uint64_t share = MIN_OF(peer_share(loop_settings(hub_loop(hub)), limit, peer), limit);
    char text[PEER_TEXT_CAPACITY], bound[128];

    if (limit == 0 || (kept + more_bytes <= share && kept_by_all() <= limit))
        return FAULT_NONE;
    peer_text(peer, text, sizeof(text));
    snprintf(bound, sizeof(bound), "%s keeps %" PRIu64 " bytes, at most %" PRIu64, text, kept, share);
    return fault_number(fault, FAULT_MEMORY_BUDGET, "selectors", more_bytes, bound);
}

static void set_kept(struct subscription *subscription, uint64_t bytes)
{
    subscription->charge->kept_bytes += bytes - subscription->kept_bytes;
    subscription->kept_bytes = bytes;
}

void kept_memory_update(struct subscription *subscription)
{
    set_kept(subscription,
             filter_bytes(subscription->filter) + shared_bytes_view(subscription->request).size);
}

void kept_memory_end(struct subscription *subscription)
{
    if (subscription->charge)
        set_kept(subscription, 0);
}
