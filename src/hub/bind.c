/* bind.c - binds producers and subscriptions that want each other, whichever of them came first. */
#include "hub/bind.h"

#include <stdlib.h>

#include "base/counters.h"
#include "flow/feed.h"
#include "hub/activation_internal.h"
#include "hub/history.h"
#include "hub/resume.h"
#include "hub/route.h"
#include "hub/session_internal.h"
#include "hub/subscription_internal.h"

struct filter_part producer_part(const struct producer *producer, const struct filter *filter)
{
    const struct session *session = producer->session;

    return filter_producer(filter, source_name(producer->inlet.source), session ? session->labels : NULL,
                           session ? session->label_count : 0);
}

bool producer_joinable(const struct producer *producer)
{
    return !producer->session || producer->session->state == SESSION_LIVE;
}

void route_enter(struct route *route, const struct start_point *start_point)
{
    struct inlet *inlet = route->inlet;

    /* Under the same lock as the puts, so that what was missed ends exactly where the first put
     * begins. */
    pthread_mutex_lock(&inlet->lock);
    if (start_point && start_point->resume)
        resume_gap_report(start_point->resume, route, inlet->source, inlet->last_sequence);
    if (start_point && inlet->history)
        history_put(inlet->history, route, start_point->last);
    route_link(route);
    pthread_mutex_unlock(&inlet->lock);
}

struct route *route_new(struct producer *producer, struct subscription *subscription,
                        const struct filter_part *part)
{
    struct route *route = calloc(1, sizeof(*route));

    if (!route || inlet_reserve(&producer->inlet) != ERR_OK ||
        route_init(route, &producer->inlet, subscription->chan, subscription->filter, part, NULL) != ERR_OK) {
        free(route);
        return NULL;
    }
    route->producer = producer;
    route->subscription = subscription;
    return route;
}

void route_attach(struct route *route)
{
    list_append(&route->subscription->routes, &route->link);
    route->subscription->route_count++;
    count_add(COUNT_LIVE_ROUTES, 1);
}

static enum err route_open(struct producer *producer, struct subscription *subscription,
                           const struct filter_part *part, const struct start_point *start_point)
{
    struct route *route = route_new(producer, subscription, part);

    if (!route)
        return ERR_NO_MEMORY;
    route_enter(route, start_point);
    route_attach(route);
    return ERR_OK;
}

enum err bind_pair(struct producer *producer, struct subscription *subscription,
                   const struct start_point *start_point, struct list *created)
{
    struct filter_part part = producer_part(producer, subscription->filter);
    struct activation *activation;

    if (part.answer == FILTER_NONE)
        return ERR_OK;
    if (!producer->session || producer->session->mode == SESSION_SHARED)
        return route_open(producer, subscription, &part, start_point);
    activation = activation_new(producer->session, subscription, &part, start_point);
    if (!activation)
        return ERR_NO_MEMORY;
    list_append(created, &activation->in_subscription);
    return ERR_OK;
}

enum err bind_subscriptions(struct producer *producer, struct list *created)
{
    list_each(node, safe, &producer->hub->subscriptions) {
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

    while ((node = map_next(&subscription->hub->producers, node))) {
        struct producer *producer = container_of(node, struct producer, name);

        if (producer_joinable(producer) && bind_pair(producer, subscription, start_point, created) != ERR_OK)
            return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

/* Takes the route out of its inlet and out of its subscription. */
static void detach(struct route *route)
{
    route_leave(route);
    list_remove(&route->link);
    route->subscription->route_count--;
    count_add(COUNT_LIVE_ROUTES, -1);
}

void route_close(struct route *route, uint32_t state, uint32_t code, const char *message)
{
    detach(route);
    feed_close(route->chan, route->feed, state, code, message);
    route_fini(route);
    free(route);
}

void routes_close(struct producer *producer, uint32_t state, uint32_t code, const char *message)
{
    struct inlet *inlet = &producer->inlet;

    while (inlet->route_count > 0)
        route_close(inlet->routes[inlet->route_count - 1], state, code, message);
}

void routes_detach(struct subscription *subscription)
{
    struct list *node;

    while ((node = list_first(&subscription->routes))) {
        struct route *route = container_of(node, struct route, link);

        detach(route);
        route_fini(route);
        free(route);
    }
}
