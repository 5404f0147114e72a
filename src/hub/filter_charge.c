/* filter_charge.c - charges subscriptions for their filters. */
#include "hub/filter_charge.h"

#include <inttypes.h>
#include <stdio.h>

#include "event/matcher.h"
#include "hub/hub_internal.h"
#include "hub/subscription_internal.h"

enum fault_reason filter_charge_check(const struct subscription *subscription, const struct filter *filter,
                                      uint32_t *cost_out, struct fault *fault)
{
    const struct settings *settings = loop_settings(subscription->hub->loop);
    const struct peer_count *peer = subscription->charge;
    const uint32_t max = settings->max_total_filter_cost;
    const uint64_t share = peer_share(settings, max, peer->peer);
    const uint32_t cost = match_entry_cost(filter, subscription->hub->registry.has_topics);
    const uint32_t now = subscription->filter_cost;
    const uint64_t others_of_peer = peer->cost - now, others = subscription->hub->filter_cost - now;
    char text[PEER_TEXT_CAPACITY], bound[96];

    if (cost > now && others_of_peer + cost > share) {
        peer_text(peer->peer, text, sizeof(text));
        snprintf(bound, sizeof(bound), "%s has %" PRIu64 ", at most %" PRIu64 " of %u", text, others_of_peer,
                 share, max);
        return fault_number(fault, FAULT_PEER_FILTER_COST, "selectors", cost, bound);
    }
    if (cost > now && others + cost > max) {
        snprintf(bound, sizeof(bound), "all others have %" PRIu64 ", at most %u", others, max);
        return fault_number(fault, FAULT_TOTAL_FILTER_COST, "selectors", cost, bound);
    }
    *cost_out = cost;
    return FAULT_NONE;
}

void filter_charge_set(struct subscription *subscription, uint32_t cost)
{
    subscription->hub->filter_cost += (uint64_t)cost - subscription->filter_cost;
    subscription->charge->cost += (uint64_t)cost - subscription->filter_cost;
    subscription->filter_cost = cost;
}
