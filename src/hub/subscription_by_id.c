/* subscription_by_id.c - subscriptions by their ids: in order, one by its id, and what an operator
 * or another call does to it. */
#include <stdlib.h>

#include "base/clock.h"
#include "event/text.h"
#include "hub/hub_internal.h"
#include "hub/subscription.h"
#include "hub/subscription_internal.h"

static struct bytes id_of(const struct sorted_node *node)
{
    return container_of(node, struct subscription, by_id)->id.key;
}

void subscriptions_init(struct sorted *subscriptions)
{
    sorted_init(subscriptions, id_of);
}

struct subscription *subscription_after(struct hub *hub, struct bytes id)
{
    struct sorted_node *node = sorted_after(&hub->subscriptions, id);

    return node ? container_of(node, struct subscription, by_id) : NULL;
}

struct subscription *subscription_find(struct hub *hub, struct bytes id, struct fault *fault)
{
    struct map_node *node = map_find(&hub->ids, id);

    if (node)
        return container_of(node, struct subscription, id);
    fault_bytes(fault, FAULT_SUBSCRIPTION_NOT_FOUND, "subscription_id", id, NULL);
    return NULL;
}

enum fault_reason hub_finish(struct hub *hub, struct bytes id, enum closing reason, int64_t drain_ns,
                             struct fault *fault)
{
    struct subscription *subscription = subscription_find(hub, id, fault);

    if (!subscription)
        return FAULT_SUBSCRIPTION_NOT_FOUND;
    if (subscription->closing == 0)
        subscription->closing = reason;
    ctx_drain(&subscription->ctx, reason == CLOSING_DISCONNECTED ? FAULT_KICKED : FAULT_FINISHED,
              clock_from_now_ns(drain_ns));
    ready_run(&hub->ready);
    return FAULT_NONE;
}

enum fault_reason hub_disconnect(struct hub *hub, struct bytes id, struct bytes reason, struct fault *fault)
{
    struct subscription *subscription = subscription_find(hub, id, fault);
    char quoted[sizeof(fault->bound)] = "";

    if (!subscription)
        return FAULT_SUBSCRIPTION_NOT_FOUND;
    if (reason.size > 0)
        quote_bytes(reason, reason.size, quoted, sizeof(quoted));
    if (subscription->ctx.state == CTX_CANCELLED)
        return FAULT_NONE;
    /* Without memory the consumer hears the reason alone. */
    subscription->fault = malloc(sizeof(*subscription->fault));
    if (subscription->fault)
        fault_set(subscription->fault, FAULT_KICKED, NULL, quoted);
    ctx_cancel(&subscription->ctx, FAULT_KICKED);
    ready_run(&hub->ready);
    return FAULT_NONE;
}
