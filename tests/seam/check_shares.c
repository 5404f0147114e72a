/* check_shares.c - see check_shares.h. */
#include "seam/check_shares.h"

#include "event/matcher.h"
#include "hub/hub_internal.h"
#include "hub/session_internal.h"
#include "hub/subscription_internal.h"

/* The filters cost together what the hub, and what each peer, is charged. */
static void check_filter_costs(const struct hub *hub)
{
    struct map_node *node = NULL;
    uint64_t of_peers = 0, of_subscriptions = 0;

    while ((node = map_next(&hub->peers.peers, node)))
        of_peers += container_of(node, struct peer_count, node)->cost;
    while ((node = map_next(&hub->ids, node))) {
        const struct subscription *subscription = container_of(node, struct subscription, id);

        CHECK(subscription->filter_cost == match_entry_cost(subscription->filter, false) ||
              (hub->registry.has_topics &&
               subscription->filter_cost == match_entry_cost(subscription->filter, true)));
        of_subscriptions += subscription->filter_cost;
    }
    CHECK(of_peers == hub->filter_cost && of_subscriptions == hub->filter_cost);
}

/* The sum of all counts, each of which is within its share. */
static uint64_t checked_sum(const struct hub *hub, const struct peer_counts *counts, uint32_t limit)
{
    struct map_node *node = NULL;
    uint64_t sum = 0;

    while ((node = map_next(&counts->peers, node))) {
        const struct peer_count *count = container_of(node, struct peer_count, node);

        CHECK(count->count > 0 && count->count <= peer_share(loop_settings(hub->loop), limit, count->peer));
        sum += count->count;
    }
    return sum;
}

static uint64_t charged_names(struct hub *hub)
{
    struct map_node *node = NULL;
    uint64_t charged = 0;

    while ((node = map_next(&hub->registry.producers, node))) {
        const struct producer *producer = container_of(node, struct producer, name);
        bool may_be_free =
            producer->kind->name_rule == NAME_HANDED_OVER && session_of(producer)->state == SESSION_CLOSING;

        CHECK(producer->charge || may_be_free);
        charged += producer->charge ? 1 : 0;
    }
    return charged;
}

/* Of sessions that are in no map. */
static uint64_t charged_waiting(struct hub *hub)
{
    uint64_t charged = 0;

    list_each(node, safe, &hub->sessions) {
        const struct session *session = container_of(node, struct session, link);

        if (session->producer.named)
            continue;
        CHECK(!session->producer.charge == (session->state != SESSION_WAITING));
        if (session->state == SESSION_WAITING)
            CHECK(!session->predecessor->producer.charge);
        charged += session->producer.charge ? 1 : 0;
    }
    return charged;
}

void check_shares(struct hub *hub)
{
    const struct settings *settings = loop_settings(hub->loop);

    check_filter_costs(hub);
    CHECK(checked_sum(hub, &hub->peers, settings->max_subscriptions) == hub->ids.count);
    CHECK(checked_sum(hub, &hub->registry.peers, settings->max_producers) ==
          charged_names(hub) + charged_waiting(hub));
}
