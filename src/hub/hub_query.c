/* hub_query.c - what is there, a page at a time. */
#include "hub/hub_query.h"

#include <stdlib.h>
#include <string.h>

#include "hub/hub_internal.h"
#include "hub/producer_internal.h"
#include "hub/subscription_internal.h"

/* Compares all bytes. A name comes before another one that begins with it. */
static int compare(struct bytes a, struct bytes b)
{
    size_t size = MIN_OF(a.size, b.size);
    int order = size > 0 ? memcmp(a.data, b.data, size) : 0;

    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_producers(const void *a, const void *b)
{
    return compare((*(struct producer *const *)a)->name.key, (*(struct producer *const *)b)->name.key);
}

static void sort(struct registry *registry)
{
    struct map_node *node = NULL;
    size_t count = 0;

    if (registry->sorted || registry->producers.count == 0)
        return;
    while ((node = map_next(&registry->producers, node)))
        registry->by_name[count++] = container_of(node, struct producer, name);
    qsort(registry->by_name, count, sizeof(struct producer *), compare_producers);
    registry->sorted = true;
}

/* The index of the first producer whose name comes after `name`. */
static size_t first_after(const struct registry *registry, struct bytes name)
{
    size_t low = 0, high = registry->producers.count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare(registry->by_name[middle]->name.key, name) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

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
    view.subscriptions = inlet->route_count;
    view.last_event_wall_ns = inlet->last_event_wall_ns;
    pthread_mutex_unlock(&inlet->lock);

    producer->kind->query(producer, &view);
    view.state = (enum producer_state)producer->kind->state(producer, &view);
    each(ctx, &view);
}

bool hub_producers(struct hub *hub, struct bytes pattern, struct bytes after, uint32_t max,
                   void (*each)(void *ctx, const struct producer_view *view), void *ctx)
{
    struct registry *registry = &hub->registry;
    SCRATCH uint64_t masks[MAX_GLOB_MASKS];
    const struct glob glob = glob_compile(pattern, masks);
    uint32_t shown = 0;

    sort(registry);
    for (size_t at = first_after(registry, after); at < registry->producers.count; at++) {
        struct producer *producer = registry->by_name[at];

        if (!glob_matches(&glob, producer->name.key))
            continue;
        if (shown == max)
            return true;
        show_producer(producer, each, ctx);
        shown++;
    }
    return false;
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
                                     .producers_matched =
                                         subscription->binding_count + subscription->activation_count,
                                     .draining = subscription->closing_called};

    each(ctx, &view);
}

bool hub_subscriptions(struct hub *hub, struct bytes after, uint32_t max,
                       void (*each)(void *ctx, const struct subscription_view *view), void *ctx)
{
    uint32_t shown = 0;

    list_each(node, safe, &hub->subscriptions) {
        struct subscription *subscription = container_of(node, struct subscription, link);

        if (compare(subscription->id.key, after) <= 0)
            continue;
        if (shown == max)
            return true;
        show_subscription(subscription, each, ctx);
        shown++;
    }
    return false;
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
