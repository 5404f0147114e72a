/* registry.c - producers by name: making them, and putting them into the map. */
#include "hub/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "route/inlet.h"

void peer_copy(char peer[PEER_CAPACITY], const char *from)
{
    size_t size = from ? strnlen(from, PEER_CAPACITY - 1) : 0;

    if (size > 0)
        memcpy(peer, from, size);
    peer[size] = '\0';
}

enum err producer_init(struct producer *producer, struct hub *hub, struct bytes name, const char *peer)
{
    const struct inlet_start start = {.name = name, .epoch = clock_epoch_ns(), .state = INLET_OPEN};

    if (inlet_init(&producer->inlet, &start) != ERR_OK)
        return ERR_NO_MEMORY;
    if (hub->history)
        inlet_keep_history(&producer->inlet);
    producer->hub = hub;
    producer->name.key = source_name(producer->inlet.source);
    list_init(&producer->newly_idle);
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

/* Makes space for one more producer in the sorted list, so that a query never needs memory. */
static bool reserve_by_name(struct hub *hub)
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
    return reserve_by_name(hub) ? FAULT_NONE : fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
}

enum err registry_add(struct producer *producer, uint32_t open_calls)
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

void registry_remove_locked(struct producer *producer)
{
    map_remove(&producer->hub->producers, &producer->name);
    producer->named = false;
    producer->hub->sorted = false;
    count_add(COUNT_LIVE_PRODUCERS, -1);
}

void registry_remove(struct producer *producer)
{
    if (!producer->named)
        return;
    pthread_mutex_lock(&producer->hub->names);
    registry_remove_locked(producer);
    pthread_mutex_unlock(&producer->hub->names);
}
