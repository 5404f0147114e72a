/* select.c - a new filter for a live subscription. rebind.c has the design. */
#include "base/peer_share.h"
#include "event/filter.h"
#include "hub/filter_charge.h"
#include "hub/hub_parts.h"
#include "hub/kept_memory.h"
#include "hub/ready.h"
#include "hub/rebind.h"
#include "hub/subscription.h"
#include "hub/subscription_internal.h"

/* Whether the subscription may have this filter now. */
static enum fault_reason may_select(const struct subscription *subscription, const struct filter *filter,
                                    uint32_t *cost_out, struct fault *fault)
{
    if (subscription->unsubscribed || subscription->ctx.state != CTX_LIVE)
        return fault_set(fault, FAULT_DRAINING, "select", "the stream is ending");
    if (filter_charge_check(subscription, filter, cost_out, fault) == FAULT_NONE &&
        kept_memory_check(subscription->hub, subscription->charge->peer, filter_bytes(filter), fault) ==
            FAULT_NONE)
        return FAULT_NONE;
    fault_within(fault, "select.");
    return fault->reason;
}

uint32_t hub_select(struct subscription *subscription, struct filter *filter, struct fault *fault)
{
    struct rebind_params params = {
        .filter = filter, .revision = subscription->revision + 1, .at_once = !subscription->port->selected};
    struct ready_list *list = hub_ready(subscription->hub);

    CHECK(!subscription->walk);
    if (may_select(subscription, filter, &params.cost, fault) != FAULT_NONE)
        return 0;
    if (rebind_begin(subscription, &params) != ERR_OK) {
        fault_set(fault, FAULT_MEMORY_BUDGET, "select", NULL);
        return 0;
    }
    if (!params.at_once)
        return params.revision;
    if (subscription->selected_reason != FAULT_NONE) {
        fault_set(fault, subscription->selected_reason, "select", NULL);
        params.revision = 0;
    }
    ready_run(list);
    return params.revision;
}
