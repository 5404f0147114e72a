/* hub_parts.c - the parts of a hub. */
#include "hub/hub_parts.h"

#include "hub/hub_internal.h"

struct loop *hub_loop(struct hub *hub)
{
    return hub->loop;
}

struct ready_list *hub_ready(struct hub *hub)
{
    return &hub->ready;
}

struct registry *hub_registry(struct hub *hub)
{
    return &hub->registry;
}

struct transients *hub_transients(struct hub *hub)
{
    return hub->transients;
}

struct retry_queue *hub_retries(struct hub *hub)
{
    return &hub->retries;
}

struct list *hub_sessions(struct hub *hub)
{
    return &hub->sessions;
}

struct list *hub_subscription_list(struct hub *hub)
{
    return &hub->subscriptions;
}

bool hub_draining(const struct hub *hub)
{
    return atomic_load(&hub->draining);
}
