/* bind.c - binds producers and subscriptions that want each other, whichever of them came first.
 * How the two are bound is the producer's kind's to know. */
#include "hub/bind.h"

#include "hub/hub_parts.h"
#include "hub/producer_internal.h"
#include "hub/rebind.h"
#include "hub/registry.h"
#include "hub/subscription_internal.h"
#include "route/wildcard.h"

enum err bind_pair(struct producer *producer, struct subscription *subscription,
                   const struct start_point *start_point, struct list *created)
{
    struct filter_part part;

    if (producer->kind->wildcards && subscription->wildcard.in_set)
        return ERR_OK; /* the wildcard set has bound them */
    part = producer_part(producer, subscription->filter);
    if (part.answer == FILTER_NONE)
        return ERR_OK;
    return producer->kind->bind(producer, subscription, &part, start_point, created);
}

void bind_subscriptions(struct producer *producer, struct list *created)
{
    if (producer->kind->wildcards) {
        wildcard_set_add_inlet(hub_wildcards(producer->hub), &producer->inlet);
        loop_slice_later(hub_loop(producer->hub), hub_report(producer->hub));
    }
    producer->bound = ++producer->registry->bound;
    sorted_each(node, hub_subscriptions_by_id(producer->hub))
    {
        struct subscription *subscription = container_of(node, struct subscription, by_id);

        if (subscription->ctx.state != CTX_LIVE || subscription->binds_later)
            continue;
        /* Who wants the producer pays for it, not the producer. */
        if (bind_pair(producer, subscription, subscription->start_point, created) != ERR_OK)
            ctx_cancel(&subscription->ctx, FAULT_MEMORY_BUDGET);
        else
            rebind_producer(producer, subscription);
    }
}
