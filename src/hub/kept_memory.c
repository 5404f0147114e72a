/* kept_memory.c - see kept_memory.h. */
#include "hub/kept_memory.h"

#include "base/budget.h"
#include "base/shared_bytes.h"
#include "event/filter.h"
#include "hub/called.h"
#include "hub/hub_internal.h"
#include "hub/subscription_internal.h"

/* What all peers may keep. */
#define PART_OF_BUDGET 2u

enum fault_reason kept_memory_check(const struct hub *hub, struct peer_key peer, uint64_t more_bytes,
                                    struct fault *fault)
{
    const struct kept kept =
        kept_of(peer, peer_counts_find(&hub->peers, peer), hub->kept_bytes, PART_OF_BUDGET);

    return peer_bytes_check(loop_settings(hub->loop), &kept, more_bytes, "selectors", fault);
}

static void set_kept(struct subscription *subscription, uint64_t bytes)
{
    peer_count_keep(subscription->charge, &subscription->hub->kept_bytes, &subscription->kept_bytes, bytes);
}

void kept_memory_update(struct subscription *subscription)
{
    const uint64_t of_call = subscription->called ? subscription->called->kept_bytes : 0;

    set_kept(subscription, filter_bytes(subscription->filter) + filter_bytes(subscription->spare_filter) +
                               shared_bytes_view(subscription->request).size +
                               shared_bytes_view(subscription->via).size + subscription->route_bytes +
                               of_call);
}

bool kept_memory_add_route(struct subscription *subscription, uint64_t bytes)
{
    const struct hub *hub = subscription->hub;
    const struct peer_count *count = subscription->charge;
    const struct kept kept = kept_of(count->peer, count, hub->kept_bytes, PART_OF_BUDGET);

    if (!peer_bytes_fit(loop_settings(hub->loop), &kept, bytes) ||
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
