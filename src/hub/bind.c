/* bind.c - binds producers and subscriptions that want each other, whichever of them came first.
 * How the two are bound is the producer's kind's to know. */
#include "hub/bind.h"

#include "hub/hub_parts.h"
#include "hub/producer_internal.h"
#include "hub/registry.h"
#include "hub/subscription_internal.h"

static enum err bind_pair(struct producer *producer, struct subscription *subscription,
                          const struct start_point *start_point, struct list *created)
{
    struct filter_part part = producer_part(producer, subscription->filter);

    if (part.answer == FILTER_NONE)
        return ERR_OK;
    return producer->kind->bind(producer, subscription, &part, start_point, created);
}

enum err bind_subscriptions(struct producer *producer, struct list *created)
{
    list_each(node, safe, hub_subscription_list(producer->hub)) {
        struct subscription *subscription = container_of(node, struct subscription, link);

        if (subscription->ctx.state == CTX_LIVE && bind_pair(producer, subscription, NULL, created) != ERR_OK)
            return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

enum err bind_producers(struct subscription *subscription, const struct start_point *start_point,
                        struct list *created)
{
    struct map_node *node = NULL;

    while ((node = map_next(&hub_registry(subscription->hub)->producers, node))) {
        struct producer *producer = container_of(node, struct producer, name);

        if (producer->kind->joinable(producer) &&
            bind_pair(producer, subscription, start_point, created) != ERR_OK)
            return ERR_NO_MEMORY;
    }
    return ERR_OK;
}
