/* hub_matches.c - the producers of one subscription. */
#include "hub/hub_matches.h"

#include "flow/chan_stats.h"
#include "hub/activation_internal.h"
#include "hub/binding.h"
#include "hub/hub_internal.h"
#include "hub/hub_query.h"
#include "hub/producer_internal.h"
#include "hub/reader.h"
#include "hub/session_internal.h"
#include "hub/shared_call.h"
#include "hub/subscription_internal.h"

/* Channels that hub_blocking() looks into. */
#define MAX_BLOCKING 128u

struct walk {
    uint32_t left;
    void (*each)(void *ctx, const struct match_view *view);
    void *ctx;
};

static void read_inlet(struct inlet *inlet, struct match_view *view)
{
    view->code = inlet->source_state.code; /* only the loop changes it */
    view->message = inlet->source_state.message;
    pthread_mutex_lock(&inlet->lock);
    view->published = inlet->published.events;
    view->last_event_wall_ns = inlet->last_event_wall_ns;
    pthread_mutex_unlock(&inlet->lock);
}

static enum producer_state state_of(const struct activation *activation)
{
    if (activation->shared_call)
        return (enum producer_state)activation->shared_call->numbered.inlet.source_state.state;
    switch (activation->state) {
    case ACTIVATION_STARTING:
        return PRODUCER_CONNECTING;
    case ACTIVATION_ACTIVE:
        return activation->session->endpoint.is_endpoint && !activation->upstream_active ? PRODUCER_CONNECTING
                                                                                         : PRODUCER_ACTIVE;
    case ACTIVATION_STOPPING:
        return PRODUCER_DRAINING;
    case ACTIVATION_RETRYING:
        return PRODUCER_UNAVAILABLE;
    case ACTIVATION_ENDED:
        break;
    }
    return PRODUCER_ENDED;
}

static void look_at_member(const struct activation *activation, struct match_view *view)
{
    const struct inlet *inlet = activation->route.inlet;
    const int32_t blocked = atomic_load_explicit(&inlet->blocked, memory_order_relaxed);

    view->is_member = true;
    view->inlet = activation->route.inlet;
    view->number = activation->shared_call->numbered.number;
    view->blocked_calls = blocked > 0 ? (uint32_t)blocked : 0;
}

static void show_activation(struct walk *walk, struct activation *activation)
{
    struct session *session = activation->session;
    struct match_view view = {.name = source_name(session->producer.inlet.source),
                              .is_endpoint = session->endpoint.is_endpoint,
                              .retries = !activation->shared_call,
                              .state = state_of(activation),
                              .retry_at_ns = INT64_MAX};

    if (activation->open) {
        view.looks_into_events = activation->route.part.answer == FILTER_BY_EVENT;
        view.paused = atomic_load_explicit(&activation->paused, memory_order_relaxed);
        read_inlet(activation->route.inlet, &view);
        if (activation->shared_call)
            look_at_member(activation, &view);
    }
    view.waits = activation->state == ACTIVATION_RETRYING;
    if (view.waits && heap_holds(&activation->due))
        view.retry_at_ns = activation->due.key;
    view.port = session->port;
    view.port_ctx = view.is_endpoint && !session->unregistered ? session->port_ctx : NULL;
    walk->each(walk->ctx, &view);
    walk->left--;
}

static void show_shared(struct walk *walk, struct producer *producer, bool looks_into_events)
{
    const int32_t blocked = atomic_load_explicit(&producer->inlet.blocked, memory_order_relaxed);
    struct producer_view all = {.blocked_calls = blocked > 0 ? (uint32_t)blocked : 0};
    struct match_view view = {.name = source_name(producer->inlet.source),
                              .inlet = &producer->inlet,
                              .looks_into_events = looks_into_events,
                              .blocked_calls = all.blocked_calls,
                              .retry_at_ns = INT64_MAX};

    producer->kind->query(producer, &all);
    read_inlet(&producer->inlet, &view);
    view.state = (enum producer_state)producer->kind->state(producer, &all);
    view.is_endpoint = all.is_endpoint;
    view.port = all.port;
    view.port_ctx = all.is_endpoint ? all.port_ctx : NULL;
    walk->each(walk->ctx, &view);
    walk->left--;
}

static void walk_wildcard(struct walk *walk, struct hub *hub)
{
    struct producer *producer = registry_after(&hub->registry, (struct bytes){0});

    for (unsigned i = 0; producer && walk->left > 0 && i < MAX_MATCHES; i++) {
        if (producer->kind->wildcards)
            show_shared(walk, producer, false);
        producer = registry_next(producer);
    }
}

static void walk_bindings(struct walk *walk, const struct subscription *subscription)
{
    list_each(node, safe, &subscription->bindings) {
        const struct binding *binding = container_of(node, struct binding, link);

        if (walk->left == 0)
            return;
        show_shared(walk, binding->producer, binding->route.part.answer == FILTER_BY_EVENT);
    }
}

/* What a topic keeps waits for no consumer, so it blocks nobody: there is no inlet to share. */
static void show_reader(struct walk *walk, const struct reader *reader)
{
    struct producer *producer = reader->producer;
    struct producer_view all = {.blocked_calls = 0};
    struct match_view view = {.name = source_name(producer->inlet.source),
                              .looks_into_events = reader->route.part.answer == FILTER_BY_EVENT,
                              .paused = reader->kind->is_paused(reader),
                              .retry_at_ns = INT64_MAX};

    producer->kind->query(producer, &all);
    read_inlet(&producer->inlet, &view);
    view.state = (enum producer_state)producer->kind->state(producer, &all);
    walk->each(walk->ctx, &view);
    walk->left--;
}

static void walk_readers(struct walk *walk, const struct subscription *subscription)
{
    list_each(node, safe, &subscription->readers) {
        if (walk->left == 0)
            return;
        show_reader(walk, container_of(node, struct reader, in_subscription));
    }
}

enum fault_reason hub_matches(struct hub *hub, struct bytes id,
                              void (*each)(void *ctx, const struct match_view *view), void *ctx,
                              struct fault *fault)
{
    const struct subscription *subscription = subscription_find(hub, id, fault);
    struct walk walk = {MAX_MATCHES, each, ctx};

    if (!subscription)
        return FAULT_SUBSCRIPTION_NOT_FOUND;
    list_each(node, safe, &subscription->activations) {
        if (walk.left == 0)
            return FAULT_NONE;
        show_activation(&walk, container_of(node, struct activation, in_subscription));
    }
    walk_readers(&walk, subscription);
    if (subscription->wildcard.in_set)
        walk_wildcard(&walk, hub);
    else
        walk_bindings(&walk, subscription);
    return FAULT_NONE;
}

/* The loop alone changes the routes and the wildcards of an inlet, so it reads them without its
 * lock. Routes of a shared call are those of activations, those of shared producers are of
 * bindings, and wildcards are those of subscriptions. */
const char *hub_blocking(const struct match_view *view, const struct chan *except)
{
    const struct inlet *inlet = view->inlet;
    uint32_t left = MAX_BLOCKING;

    for (uint32_t i = 0; inlet && i < inlet->route_count && left > 0; i++, left--) {
        struct route *route = inlet->routes[i];

        if (route->chan == except || !chan_blocks(route->chan, route->feed, inlet->source))
            continue;
        return view->is_member ? container_of(route, struct activation, route)->subscription->id_text
                               : container_of(route, struct binding, route)->subscription->id_text;
    }
    for (uint32_t i = 0; inlet && i < inlet->wildcard_count && left > 0; i++, left--) {
        const struct wildcard_entry *entry = &inlet->wildcards[i];

        if (entry->chan != except && chan_blocks(entry->chan, NULL, inlet->source))
            return container_of(entry->wildcard, struct subscription, wildcard)->id_text;
    }
    return NULL;
}
