/* bind.c - binds producers and subscriptions that want each other, whichever of them came first. */
#include "hub/bind.h"

#include "hub/activation_internal.h"
#include "hub/binding.h"
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

enum err bind_pair(struct producer *producer, struct subscription *subscription,
                   const struct start_point *start_point, struct list *created)
{
    struct filter_part part = producer_part(producer, subscription->filter);
    struct activation *activation;

    if (part.answer == FILTER_NONE)
        return ERR_OK;
    if (!producer->session || producer->session->mode == SESSION_SHARED)
        return binding_open(producer, subscription, &part, start_point);
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
