/* hub_life.c - the hub as a whole: making it, draining it, freeing it. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "hub/activation_internal.h"
#include "hub/hub_internal.h"
#include "hub/hub_parts.h"
#include "hub/producer_internal.h"
#include "hub/session_internal.h"
#include "hub/shedder.h"
#include "hub/transient.h"
#include "route/inlet.h"

/* The last act of a drain: the hub may be freed. */
static void report_emptied(struct ready_list *list)
{
    struct hub *hub = container_of(list, struct hub, ready);

    list->emptied = NULL;
    hub->emptied(hub->emptied_ctx);
}

/* Nothing is left to do in a hub that drains. Without subscriptions nobody is left to publish
 * for. */
static void abort_the_rest(struct ready_list *list)
{
    struct hub *hub = container_of(list, struct hub, ready);

    if (hub->ids.count > 0)
        return;
    list->emptied = report_emptied;
    sessions_abort(&hub->sessions);
    ready_run(list);
}

void hub_drain(struct hub *hub, int64_t drain_ns, void (*emptied)(void *ctx), void *ctx)
{
    int64_t deadline_ns = clock_from_now_ns(drain_ns);
    bool first = !atomic_exchange(&hub->draining, true);
    struct map_node *node = NULL;

    if (first) {
        log_write(LOG_INFO, "hub.draining", LOG_NUMBER("drain_timeout_ms", drain_ns / NS_PER_MS),
                  LOG_NUMBER("producers", hub->registry.producers.count),
                  LOG_NUMBER("subscriptions", hub->ids.count));
        hub->emptied = emptied;
        hub->emptied_ctx = ctx;
        hub->ready.emptied = abort_the_rest;
    }
    while ((node = map_next(&hub->registry.producers, node)))
        inlet_set_state(&container_of(node, struct producer, name)->inlet, INLET_CLOSED);
    /* The subscriptions pass it on to their activations. Then the sessions are drained as such. */
    ctx_drain(&hub->ctx, FAULT_DRAINING, deadline_ns);
    sessions_drain(&hub->sessions, deadline_ns);
    ready_run(&hub->ready);
}

struct status hub_new(struct loop *loop, struct hub **hub_out)
{
    struct hub *hub = calloc(1, sizeof(*hub));

    if (!hub)
        return (struct status){ERR_NO_MEMORY, 0, "allocate a hub"};
    hub->loop = loop;
    hub->transients = transients_new(hub);
    hub->shedder = shedder_new(hub);
    if (!hub->transients || !hub->shedder) {
        transients_free(hub->transients);
        shedder_free(hub->shedder);
        free(hub);
        return (struct status){ERR_NO_MEMORY, 0, "allocate a hub"};
    }
    registry_init(&hub->registry, loop);
    due_queue_init(&hub->due_queue, loop, &hub->ready, activation_due);
    hub->random_state = clock_epoch_ns();
    ready_list_init(&hub->ready);
    map_init(&hub->ids);
    list_init(&hub->subscriptions);
    list_init(&hub->sessions);
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
    shedder_free(hub->shedder);
    while ((node = map_next(&hub->registry.producers, NULL))) {
        struct producer *producer = container_of(node, struct producer, name);

        producer->kind->free(producer);
    }
    registry_fini(&hub->registry);
    due_queue_fini(&hub->due_queue);
    ctx_fini(&hub->ctx);
    map_fini(&hub->ids);
    peer_counts_fini(&hub->peers);
    transients_free(hub->transients);
    free(hub);
}
