/* hub_life.c - the hub as a whole: making it, draining it, freeing it. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "hub/activation_internal.h"
#include "hub/hub_internal.h"
#include "hub/registry.h"
#include "hub/session_internal.h"
#include "hub/transient.h"
#include "route/inlet.h"

void hub_keep_history(struct hub *hub)
{
    struct map_node *node = NULL;

    if (hub->history)
        return;
    hub->history = true;
    while ((node = map_next(&hub->producers, node)))
        inlet_keep_history(&container_of(node, struct producer, name)->inlet);
    /* Sessions that wait for a name are not in the map. */
    list_each(one, safe, &hub->sessions)
        inlet_keep_history(&container_of(one, struct session, link)->producer.inlet);
}

void hub_drain(struct hub *hub, int64_t drain_ns, void (*emptied)(void *ctx), void *ctx)
{
    int64_t deadline_ns = from_now(drain_ns);
    bool first = !atomic_exchange(&hub->draining, true);
    struct map_node *node = NULL;

    if (first)
        log_write(LOG_INFO, "hub.draining", LOG_NUMBER("drain_timeout_ms", drain_ns / NS_PER_MS),
                  LOG_NUMBER("producers", hub->producers.count), LOG_NUMBER("subscriptions", hub->ids.count));
    while ((node = map_next(&hub->producers, node)))
        inlet_set_state(&container_of(node, struct producer, name)->inlet, INLET_CLOSED);
    /* The subscriptions pass it on to their activations. Then the sessions are drained as such. */
    ctx_drain(&hub->ctx, FAULT_DRAINING, deadline_ns);
    sessions_drain(hub, deadline_ns);
    /* Set only now: a subscription that has ended right away must not report the hub empty while
     * its contexts are still being walked. */
    if (first) {
        hub->emptied = emptied;
        hub->emptied_ctx = ctx;
        hub_subscription_gone(hub);
    }
}

bool hub_draining(const struct hub *hub)
{
    return atomic_load(&hub->draining);
}

void hub_subscription_gone(struct hub *hub)
{
    void (*emptied)(void *ctx) = hub->emptied;

    if (!emptied || hub->ids.count > 0)
        return;
    hub->emptied = NULL;
    sessions_abort(hub);
    emptied(hub->emptied_ctx);
}

struct status hub_new(struct loop *loop, const struct hub_limits *limits, struct hub **hub_out)
{
    struct hub *hub = calloc(1, sizeof(*hub));

    if (!hub)
        return (struct status){ERR_NO_MEMORY, 0, "allocate a hub"};
    hub->loop = loop;
    hub->limits = *limits;
    hub->history = limits->history;
    CHECK(limits->transient_forget_ns >= 0);
    CHECK(pthread_mutex_init(&hub->names, NULL) == 0);
    map_init(&hub->producers);
    map_init(&hub->ids);
    list_init(&hub->subscriptions);
    list_init(&hub->sessions);
    transients_init(hub);
    hub->due_timer.fired = activations_due;
    hub->random_state = clock_epoch_ns();
    ctx_init(&hub->ctx, NULL, NULL, INT64_MAX);
    *hub_out = hub;
    return STATUS_OK;
}

void hub_free(struct hub *hub)
{
    struct map_node *node;

    if (!hub)
        return;
    CHECK(hub->ids.count == 0 && list_empty(&hub->sessions));
    timer_stop(&hub->forget);
    timer_stop(&hub->due_timer);
    while ((node = map_next(&hub->producers, NULL)))
        transient_forget(container_of(node, struct producer, name));
    ctx_fini(&hub->ctx);
    map_fini(&hub->producers);
    map_fini(&hub->ids);
    heap_fini(&hub->idle);
    heap_fini(&hub->due);
    free(hub->by_name);
    pthread_mutex_destroy(&hub->names);
    if (hub->task_posted)
        hub->freed = true;
    else
        free(hub);
}
