/* registry.c - the registry: who is known by which name, how many may be, and how it all drains. */
#include "hub/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"

void peer_copy(char peer[PEER_CAPACITY], const char *from)
{
    size_t size = from ? strnlen(from, PEER_CAPACITY - 1) : 0;

    if (size > 0)
        memcpy(peer, from, size);
    peer[size] = '\0';
}

/* ---- producers: their making, their names, their end ---- */

enum err producer_init(struct producer *producer, struct hub *hub, struct bytes name, const char *peer)
{
    if (inlet_init(&producer->inlet, name, INLET_OPEN) != ERR_OK)
        return ERR_NO_MEMORY;
    if (hub->history)
        producer->inlet.history = history_new(); /* without memory there is none */
    producer->hub = hub;
    producer->name.key = source_name(producer->inlet.source);
    list_init(&producer->left);
    peer_copy(producer->peer, peer);
    return ERR_OK;
}

void producer_fini(struct producer *producer)
{
    CHECK(!producer->named && !heap_holds(&producer->idle));
    inlet_fini(&producer->inlet);
}

struct producer *producer_find(struct hub *hub, struct bytes name)
{
    struct map_node *node = map_find(&hub->producers, name);

    return node ? container_of(node, struct producer, name) : NULL;
}

/* Room for one more producer in the sorted list, so that looking never needs memory. */
static bool room_by_name(struct hub *hub)
{
    size_t capacity = MAX_OF(hub->by_name_capacity * 2, 64u);
    struct producer **by_name;

    if (hub->producers.count < hub->by_name_capacity)
        return true;
    by_name = reallocarray(hub->by_name, capacity, sizeof(struct producer *));
    if (!by_name)
        return false;
    hub->by_name = by_name;
    hub->by_name_capacity = capacity;
    return true;
}

enum fault_reason registry_reserve(struct hub *hub, struct fault *fault)
{
    char bound[32];

    if (hub->producers.count >= hub->limits.max_producers) {
        snprintf(bound, sizeof(bound), "at most %u", hub->limits.max_producers);
        return fault_set(fault, FAULT_TOO_MANY_PRODUCERS, NULL, bound);
    }
    return room_by_name(hub) ? FAULT_NONE : fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
}

enum err producer_publish(struct producer *producer, uint32_t open_calls)
{
    struct hub *hub = producer->hub;
    enum err err;

    pthread_mutex_lock(&hub->names);
    err = map_add(&hub->producers, &producer->name);
    if (err == ERR_OK)
        producer->open_calls = open_calls;
    pthread_mutex_unlock(&hub->names);
    if (err != ERR_OK)
        return err;
    producer->named = true;
    hub->sorted = false;
    count_add(COUNT_LIVE_PRODUCERS, 1);
    return ERR_OK;
}

/* Under `names`. */
void producer_unpublish_locked(struct producer *producer)
{
    map_remove(&producer->hub->producers, &producer->name);
    producer->named = false;
    producer->hub->sorted = false;
    count_add(COUNT_LIVE_PRODUCERS, -1);
}

void producer_unpublish(struct producer *producer)
{
    if (!producer->named)
        return;
    pthread_mutex_lock(&producer->hub->names);
    producer_unpublish_locked(producer);
    pthread_mutex_unlock(&producer->hub->names);
}

enum fault_reason hub_remove(struct hub *hub, struct bytes name, int64_t drain_ns,
                             void (*each)(void *ctx, const struct producer_view *view), void *ctx,
                             struct fault *fault)
{
    enum fault_reason reason = hub_producer(hub, name, each, ctx, fault);
    struct producer *producer = producer_find(hub, name);

    if (reason != FAULT_NONE)
        return reason;
    if (producer->session)
        session_remove(producer->session, drain_ns);
    else
        transient_remove(producer, "REMOVED");
    return FAULT_NONE;
}

static void keep(struct inlet *inlet)
{
    pthread_mutex_lock(&inlet->lock);
    if (!inlet->history)
        inlet->history = history_new();
    pthread_mutex_unlock(&inlet->lock);
}

void history_begin(struct hub *hub)
{
    struct map_node *node = NULL;

    if (hub->history)
        return;
    hub->history = true;
    while ((node = map_next(&hub->producers, node)))
        keep(&container_of(node, struct producer, name)->inlet);
    /* Those that wait for a name are not in the map. */
    list_each(one, safe, &hub->sessions)
        keep(&container_of(one, struct session, link)->producer.inlet);
}

/* ---- the whole ---- */

void hub_drain(struct hub *hub, int64_t drain_ns, void (*emptied)(void *ctx), void *ctx)
{
    int64_t deadline_ns = from_now(drain_ns);
    bool first = !atomic_exchange(&hub->draining, true);
    struct map_node *node = NULL;

    if (first)
        log_write(LOG_INFO, "hub.draining", LOG_NUMBER("drain_ms", drain_ns / NS_PER_MS),
                  LOG_NUMBER("producers", hub->producers.count), LOG_NUMBER("subscriptions", hub->ids.count));
    while ((node = map_next(&hub->producers, node)))
        inlet_move(&container_of(node, struct producer, name)->inlet, INLET_CLOSED);
    /* The activations hear of it through their subscriptions, and then their sessions as such. */
    ctx_drain(&hub->ctx, FAULT_DRAINING, deadline_ns);
    sessions_drain(hub, deadline_ns);
    /* Set only now: a subscription that ended right away must not report the hub empty while its
     * tree is still being walked. */
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
    hub->dice = clock_epoch_ns();
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
