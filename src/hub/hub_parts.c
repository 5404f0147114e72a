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

struct wildcard_set *hub_wildcards(struct hub *hub)
{
    return &hub->wildcards;
}

struct slice *hub_report(struct hub *hub)
{
    return &hub->report;
}

struct transients *hub_transients(struct hub *hub)
{
    return hub->transients;
}

struct change_log *hub_change_log(struct hub *hub)
{
    return hub->change_log;
}

struct due_queue *hub_due_queue(struct hub *hub)
{
    return &hub->due_queue;
}

uint64_t *hub_random_state(struct hub *hub)
{
    return &hub->random_state;
}

struct list *hub_sessions(struct hub *hub)
{
    return &hub->sessions;
}

struct sorted *hub_subscriptions_by_id(struct hub *hub)
{
    return &hub->subscriptions;
}

bool hub_draining(const struct hub *hub)
{
    return atomic_load(&hub->draining);
}
