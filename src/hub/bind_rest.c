/* bind_rest.c - see bind_rest.h. */
#include "hub/bind_rest.h"

#include <stdlib.h>

#include "hub/activation_internal.h"
#include "hub/bind.h"
#include "hub/bind_due.h"
#include "hub/hub_parts.h"
#include "hub/rebind.h"
#include "hub/registry.h"
#include "route/wildcard.h"

/* Subscriptions that are bound at once, where the others are bound in slices; those of one step. */
#define FIRST_SUBSCRIPTIONS 64u
#define STEP_SUBSCRIPTIONS 8u

/* Where a select is under way it is bound for the filter before and for the next one. */
static void bind_subscription(struct producer *producer, struct subscription *subscription,
                              struct list *created)
{
    if (!bind_is_due(producer, subscription))
        return;
    /* Who wants the producer pays for it, not the producer. */
    if (bind_pair(producer, subscription, subscription->start_point, created) != ERR_OK)
        ctx_cancel(&subscription->ctx, FAULT_MEMORY_BUDGET);
    else
        rebind_producer(producer, subscription);
}

/* Returns whether more are left. */
static bool bind_some(struct bind_rest *rest, struct list *created)
{
    struct subscription *subscription = subscription_after(rest->producer->hub, walk_name_get(&rest->after));
    uint32_t left = STEP_SUBSCRIPTIONS;

    while (subscription && left > 0) {
        struct sorted_node *next = sorted_next(&subscription->by_id);

        bind_subscription(rest->producer, subscription, created);
        if (--left == 0)
            walk_name_set(&rest->after, subscription->id.key);
        subscription = next ? container_of(next, struct subscription, by_id) : NULL;
    }
    return subscription;
}

static bool step(struct slice *slice)
{
    struct bind_rest *rest = container_of(slice, struct bind_rest, slice);
    struct ready_list *list = hub_ready(rest->producer->hub);
    struct list created;
    bool more;

    list_init(&created);
    rest->stepping = true;
    more = bind_some(rest, &created);
    if (!more)
        rest->producer->bind_rest = NULL; /* a select that a port begins must not wait for this */
    activations_begin(&created);
    ready_run(list); /* it may stop this */
    rest->stepping = false;
    if (more && !rest->stopped)
        return true;
    free(rest);
    return false;
}

/* The subscriptions behind this id are still to be bound. False: out of memory. */
static bool keep_rest(struct producer *producer, struct bytes after)
{
    struct bind_rest *rest = calloc(1, sizeof(*rest));

    if (!rest)
        return false;
    slice_init(&rest->slice, step);
    rest->producer = producer;
    walk_name_set(&rest->after, after);
    producer->bind_rest = rest;
    return true;
}

void bind_subscriptions(struct producer *producer, struct list *created, bool in_slices)
{
    uint32_t left = in_slices ? FIRST_SUBSCRIPTIONS : UINT32_MAX;

    if (producer->kind->wildcards) {
        wildcard_set_add_inlet(hub_wildcards(producer->hub), &producer->inlet);
        loop_slice_later(hub_loop(producer->hub), hub_report(producer->hub));
    }
    producer->bound = ++producer->registry->bound;
    sorted_each(node, hub_subscriptions_by_id(producer->hub))
    {
        struct subscription *subscription = container_of(node, struct subscription, by_id);

        bind_subscription(producer, subscription, created);
        if (--left == 0 && keep_rest(producer, subscription->id.key))
            return;
    }
}

void bind_rest_begin(struct producer *producer)
{
    if (producer->bind_rest)
        loop_slice_later(hub_loop(producer->hub), &producer->bind_rest->slice);
}

void bind_rest_stop(struct producer *producer)
{
    struct bind_rest *rest = producer->bind_rest;

    if (!rest)
        return;
    slice_stop(&rest->slice);
    producer->bind_rest = NULL; /* which may be freed before the step is over */
    rest->stopped = true;
    if (!rest->stepping)
        free(rest);
}
