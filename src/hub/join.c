/* join.c - who wants whom: producers and subscriptions find each other, whichever of them came first. */
#include <stdlib.h>

#include "base/counters.h"
#include "hub/session.h"

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

struct outlet *outlet_new(struct producer *producer, struct subscription *subscription, const struct filter_part *part)
{
    struct outlet *outlet = calloc(1, sizeof(*outlet));

    if (!outlet || inlet_reserve(&producer->inlet) != ERR_OK || outlet_init(outlet, &producer->inlet, subscription, part, NULL) != ERR_OK) {
        free(outlet);
        return NULL;
    }
    outlet->producer = producer;
    return outlet;
}

void outlet_attach(struct outlet *outlet)
{
    list_append(&outlet->subscription->outlets, &outlet->link);
    outlet->subscription->outlet_count++;
    count_add(COUNT_LIVE_OUTLETS, 1);
}

static enum err outlet_open(struct producer *producer, struct subscription *subscription, const struct filter_part *part,
                            const struct since *since)
{
    struct outlet *outlet = outlet_new(producer, subscription, part);

    if (!outlet)
        return ERR_NO_MEMORY;
    outlet_enter(outlet, since);
    outlet_attach(outlet);
    return ERR_OK;
}

enum err join(struct producer *producer, struct subscription *subscription, const struct since *since, struct list *made)
{
    struct filter_part part = producer_part(producer, subscription->filter);
    struct activation *activation;

    if (part.answer == FILTER_NONE)
        return ERR_OK;
    if (!producer->session || producer->session->mode == SESSION_SHARED)
        return outlet_open(producer, subscription, &part, since);
    activation = activation_new(producer->session, subscription, &part, since);
    if (!activation)
        return ERR_NO_MEMORY;
    list_append(made, &activation->in_subscription);
    return ERR_OK;
}

enum err join_subscriptions(struct producer *producer, struct list *made)
{
    list_each(node, safe, &producer->hub->subscriptions) {
        struct subscription *subscription = container_of(node, struct subscription, link);

        if (subscription->ctx.state == CTX_LIVE && join(producer, subscription, NULL, made) != ERR_OK)
            return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

enum err join_producers(struct subscription *subscription, const struct since *since, struct list *made)
{
    struct map_node *node = NULL;

    while ((node = map_next(&subscription->hub->producers, node))) {
        struct producer *producer = container_of(node, struct producer, name);

        if (producer_joinable(producer) && join(producer, subscription, since, made) != ERR_OK)
            return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

/* Out of the route and out of its subscription. */
static void detach(struct outlet *outlet)
{
    outlet_leave(outlet);
    list_remove(&outlet->link);
    outlet->subscription->outlet_count--;
    count_add(COUNT_LIVE_OUTLETS, -1);
}

void outlet_close(struct outlet *outlet, uint32_t state, uint32_t code, const char *message)
{
    detach(outlet);
    feed_close(outlet->chan, outlet->feed, state, code, message);
    outlet_fini(outlet);
    free(outlet);
}

void outlets_close(struct producer *producer, uint32_t state, uint32_t code, const char *message)
{
    struct inlet *inlet = &producer->inlet;

    while (inlet->outlet_count > 0)
        outlet_close(inlet->outlets[inlet->outlet_count - 1], state, code, message);
}

void outlets_detach(struct subscription *subscription)
{
    struct list *node;

    while ((node = list_first(&subscription->outlets))) {
        struct outlet *outlet = container_of(node, struct outlet, link);

        detach(outlet);
        outlet_fini(outlet);
        free(outlet);
    }
}
