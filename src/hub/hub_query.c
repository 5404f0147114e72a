/* hub_query.c - what is there, a page at a time. */
#include "hub/hub_query.h"

#include "hub/hub_internal.h"
#include "hub/producer_internal.h"
#include "hub/subscription_internal.h"

/* Producers that one call looks at. */
#define STEP_PRODUCERS 16u

static void show_producer(struct producer *producer,
                          void (*each)(void *ctx, const struct producer_view *view), void *ctx)
{
    struct inlet *inlet = &producer->inlet;
    int32_t blocked = atomic_load_explicit(&inlet->blocked, memory_order_relaxed);
    struct producer_view view = {.name = producer->name.key,
                                 .epoch = inlet->source->epoch,
                                 .blocked_calls = blocked > 0 ? (uint32_t)blocked : 0};
    char peer[PEER_CAPACITY];

    pthread_mutex_lock(&producer->registry->lock);
    peer_copy(peer, producer->peer);
    pthread_mutex_unlock(&producer->registry->lock);
    view.peer = peer;

    pthread_mutex_lock(&inlet->lock);
    view.last_sequence = inlet->last_sequence;
    view.published = inlet->published;
    view.lost_upstream = inlet->lost;
    view.subscriptions = inlet_subscriptions(inlet);
    view.last_event_wall_ns = inlet->last_event_wall_ns;
    pthread_mutex_unlock(&inlet->lock);

    producer->kind->query(producer, &view);
    view.state = (enum producer_state)producer->kind->state(producer, &view);
    each(ctx, &view);
}

bool hub_producers(struct hub *hub, struct hub_list *list,
                   void (*each)(void *ctx, const struct producer_view *view), void *ctx)
{
    SCRATCH uint64_t masks[MAX_GLOB_MASKS];
    const struct glob glob = glob_compile(list->pattern, masks);
    struct producer *producer = registry_after(&hub->registry, walk_name_get(&list->after));

    for (unsigned i = 0; producer && i < STEP_PRODUCERS; i++) {
        struct producer *next = registry_next(producer);

        if (glob_matches(&glob, producer->name.key)) {
            list->more = list->left == 0;
            if (list->more)
                return false;
            list->left--;
            show_producer(producer, each, ctx);
        }
        walk_name_set(&list->after, producer->name.key);
        producer = next;
    }
    return producer;
}

enum fault_reason hub_producer(struct hub *hub, struct bytes name,
                               void (*each)(void *ctx, const struct producer_view *view), void *ctx,
                               struct fault *fault)
{
    struct producer *producer = registry_find(&hub->registry, name);

    if (!producer)
        return fault_bytes(fault, FAULT_PRODUCER_NOT_FOUND, "name", name, NULL);
    show_producer(producer, each, ctx);
    return FAULT_NONE;
}

static void show_subscription(const struct subscription *subscription,
                              void (*each)(void *ctx, const struct subscription_view *view), void *ctx)
{
    struct subscription_view view = {.id = subscription->id_text,
                                     .name = subscription->name,
                                     .peer = subscription->peer,
                                     .started_wall_ns = subscription->started_wall_ns,
                                     .limits = &subscription->limits,
                                     .port = subscription->port,
                                     .ctx = subscription->port_ctx,
                                     .chan = subscription->chan,
                                     .producers_matched = subscription_producers(subscription),
                                     .draining = subscription->closing_called,
                                     .is_added = subscription->is_added,
                                     .binding = subscription->walk || subscription->rebind,
                                     .deadline_ns = subscription->ctx.deadline_ns};

    each(ctx, &view);
}

bool hub_subscriptions(struct hub *hub, struct hub_list *list,
                       void (*each)(void *ctx, const struct subscription_view *view), void *ctx)
{
    struct subscription *subscription = subscription_after(hub, walk_name_get(&list->after));

    list->more = subscription && list->left == 0;
    if (!subscription || list->more)
        return false;
    list->left--;
    walk_name_set(&list->after, subscription->id.key);
    show_subscription(subscription, each, ctx);
    return true;
}

enum fault_reason hub_subscription(struct hub *hub, struct bytes id,
                                   void (*each)(void *ctx, const struct subscription_view *view), void *ctx,
                                   struct fault *fault)
{
    struct subscription *subscription = subscription_find(hub, id, fault);

    if (!subscription)
        return FAULT_SUBSCRIPTION_NOT_FOUND;
    show_subscription(subscription, each, ctx);
    return FAULT_NONE;
}
