/* bind_due.h - who is still to bind a producer and a subscription: the producer's walk
 * (bind_rest.h), or the subscription's (bind_walk.h).
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_BIND_DUE_H
#define TRIBUTARY_HUB_BIND_DUE_H

#include "hub/producer_internal.h"
#include "hub/subscription_internal.h"
#include "hub/walk_name.h"

/* A producer that goes on binding subscriptions. */
struct bind_rest {
    struct slice slice;
    struct producer *producer;
    bool stepping, stopped; /* a step that is being taken frees it when it was stopped */
    struct walk_name after; /* the id of the last subscription */
};

/* Whether the subscription is live, and its own walk neither has bound the producer nor will. */
static inline bool bind_is_due(const struct producer *producer, const struct subscription *subscription)
{
    return subscription->ctx.state == CTX_LIVE && !subscription->binds_later &&
           producer->bound > subscription->bound_until;
}

/* Whether the producer's walk has still to come to the subscription. */
static inline bool bind_awaits(const struct producer *producer, const struct subscription *subscription)
{
    const struct bind_rest *rest = producer->bind_rest;

    return rest && bind_is_due(producer, subscription) &&
           bytes_compare(subscription->id.key, walk_name_get(&rest->after)) > 0;
}

#endif
