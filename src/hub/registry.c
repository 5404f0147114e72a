/* registry.c - producers by name: making them, and putting them into the map. */
#include "hub/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "hub/producer_internal.h"
#include "loop/loop.h"
#include "route/inlet.h"

void peer_copy(char peer[PEER_CAPACITY], const char *from)
{
    size_t size = from ? strnlen(from, PEER_CAPACITY - 1) : 0;

    if (size > 0)
        memcpy(peer, from, size);
    peer[size] = '\0';
}

enum err producer_init(struct producer *producer, const struct producer_kind *kind, struct hub *hub,
                       struct registry *registry, const struct inlet_start *start, const char *peer)
{
    if (inlet_init(&producer->inlet, start) != ERR_OK)
        return ERR_NO_MEMORY;
    producer->kind = kind;
    producer->hub = hub;
    producer->registry = registry;
    producer->name.key = source_name(producer->inlet.source);
    peer_copy(producer->peer, peer);
    return ERR_OK;
}

void producer_fini(struct producer *producer)
{
    CHECK(!producer->named);
    inlet_fini(&producer->inlet);
}

struct filter_part producer_part(const struct producer *producer, const struct filter *filter)
{
    return filter_producer(filter, source_name(producer->inlet.source), producer->labels,
                           producer->label_count);
}

void registry_init(struct registry *registry, const struct loop *loop)
{
    CHECK(pthread_mutex_init(&registry->lock, NULL) == 0);
    map_init(&registry->producers);
    registry->loop = loop;
    registry->history = false;
}

void registry_fini(struct registry *registry)
{
    CHECK(registry->producers.count == 0);
    map_fini(&registry->producers);
    free(registry->by_name);
    pthread_mutex_destroy(&registry->lock);
}

struct producer *registry_find(struct registry *registry, struct bytes name)
{
    struct map_node *node = map_find(&registry->producers, name);

    return node ? container_of(node, struct producer, name) : NULL;
}

/* Makes space for one more producer in the sorted list, so that a query never needs memory. */
static bool reserve_by_name(struct registry *registry)
{
    size_t capacity = MAX_OF(registry->by_name_capacity * 2, 64u);
    struct producer **by_name;

    if (registry->producers.count < registry->by_name_capacity)
        return true;
    by_name = reallocarray(registry->by_name, capacity, sizeof(struct producer *));
    if (!by_name)
        return false;
    registry->by_name = by_name;
    registry->by_name_capacity = capacity;
    return true;
}

enum fault_reason registry_reserve(struct registry *registry, struct fault *fault)
{
    uint32_t max = loop_settings(registry->loop)->max_producers;
    char bound[32];

    if (registry->producers.count >= max) {
        snprintf(bound, sizeof(bound), "at most %u", max);
        return fault_set(fault, FAULT_TOO_MANY_PRODUCERS, NULL, bound);
    }
    return reserve_by_name(registry) ? FAULT_NONE : fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
}

enum err registry_add(struct producer *producer)
{
    struct registry *registry = producer->registry;
    enum err err;

    if (registry->history || loop_settings(registry->loop)->history)
        inlet_keep_history(&producer->inlet);
    pthread_mutex_lock(&registry->lock);
    err = map_add(&registry->producers, &producer->name);
    pthread_mutex_unlock(&registry->lock);
    if (err != ERR_OK)
        return err;
    producer->named = true;
    registry->sorted = false;
    count_add(COUNT_LIVE_PRODUCERS, 1);
    return ERR_OK;
}

void registry_remove_locked(struct producer *producer)
{
    map_remove(&producer->registry->producers, &producer->name);
    producer->named = false;
    producer->registry->sorted = false;
    count_add(COUNT_LIVE_PRODUCERS, -1);
}

void registry_remove(struct producer *producer)
{
    if (!producer->named)
        return;
    pthread_mutex_lock(&producer->registry->lock);
    registry_remove_locked(producer);
    pthread_mutex_unlock(&producer->registry->lock);
}

void registry_keep_history(struct registry *registry)
{
    struct map_node *node = NULL;

    if (registry->history)
        return;
    registry->history = true;
    while ((node = map_next(&registry->producers, node)))
        inlet_keep_history(&container_of(node, struct producer, name)->inlet);
}
