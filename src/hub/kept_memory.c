/* kept_memory.c - see kept_memory.h. */
#include "hub/kept_memory.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/budget.h"
#include "base/shared_bytes.h"
#include "event/filter.h"
#include "hub/hub_internal.h"
#include "hub/subscription_internal.h"

/* What all peers may keep. UINT64_MAX: there is no limit. */
static uint64_t limit_of_all(void)
{
    uint64_t limit = budget_limit();

    return limit > 0 ? limit / 2 : UINT64_MAX;
}

static uint64_t share(const struct hub *hub, struct peer_key peer, uint64_t limit)
{
    return limit == UINT64_MAX ? limit : peer_share(loop_settings(hub->loop), limit, peer);
}

enum fault_reason kept_memory_check(const struct hub *hub, struct peer_key peer, uint64_t more_bytes,
                                    struct fault *fault)
{
    const struct peer_count *count = peer_counts_find(&hub->peers, peer);
    uint64_t kept = count ? count->kept_bytes : 0, all = limit_of_all(), of_peer = share(hub, peer, all);
    char text[PEER_TEXT_CAPACITY], bound[128];

    if (kept + more_bytes > of_peer) {
        peer_text(peer, text, sizeof(text));
        snprintf(bound, sizeof(bound), "%s keeps %" PRIu64 " bytes, at most %" PRIu64, text, kept, of_peer);
    } else if (hub->kept_bytes + more_bytes > all) {
        snprintf(bound, sizeof(bound), "all keep %" PRIu64 " bytes, at most %" PRIu64, hub->kept_bytes, all);
    } else {
        return FAULT_NONE;
    }
    return fault_number(fault, FAULT_MEMORY_BUDGET, "selectors", more_bytes, bound);
}

static void set_kept(struct subscription *subscription, uint64_t bytes)
{
    subscription->hub->kept_bytes += bytes - subscription->kept_bytes;
    subscription->charge->kept_bytes += bytes - subscription->kept_bytes;
    subscription->kept_bytes = bytes;
}

void kept_memory_update(struct subscription *subscription)
{
    set_kept(subscription, filter_bytes(subscription->filter) + filter_bytes(subscription->spare_filter) +
                               shared_bytes_view(subscription->request).size + subscription->route_bytes);
}

bool kept_memory_add_route(struct subscription *subscription, uint64_t bytes)
{
    const struct hub *hub = subscription->hub;
    const struct peer_count *count = subscription->charge;
    uint64_t all = limit_of_all();

    if (hub->kept_bytes + bytes > all || count->kept_bytes + bytes > share(hub, count->peer, all) ||
        !budget_take(COUNT_LIVE_ROUTE_BYTES, bytes))
        return false;
    subscription->route_bytes += bytes;
    set_kept(subscription, subscription->kept_bytes + bytes);
    return true;
}

void kept_memory_remove_route(struct subscription *subscription, uint64_t bytes)
{
    budget_give(COUNT_LIVE_ROUTE_BYTES, bytes);
    subscription->route_bytes -= bytes;
    set_kept(subscription, subscription->kept_bytes - bytes);
}

void kept_memory_end(struct subscription *subscription)
{
    CHECK(subscription->route_bytes == 0);
    set_kept(subscription, 0);
}
