/* registry.c - producers by name. */
#include "hub/registry.h"

#include <stdio.h>

#include "base/counters.h"
#include "hub/producer_internal.h"
#include "loop/loop.h"
#include "route/inlet.h"

/* What labels and topics of all producers may take. */
#define PART_OF_BUDGET 8u

static struct bytes name_of(const struct sorted_node *node)
{
    return container_of(node, struct producer, by_name)->name.key;
}

void registry_init(struct registry *registry, const struct loop *loop)
{
    CHECK(pthread_mutex_init(&registry->lock, NULL) == 0);
    map_init(&registry->producers);
    sorted_init(&registry->by_name, name_of);
    registry->loop = loop;
    registry->peers = (struct peer_counts){0};
    registry->history = false;
}

void registry_fini(struct registry *registry)
{
    CHECK(registry->producers.count == 0);
    map_fini(&registry->producers);
    peer_counts_fini(&registry->peers);
    pthread_mutex_destroy(&registry->lock);
}

struct producer *registry_find(struct registry *registry, struct bytes name)
{
    struct map_node *node = map_find(&registry->producers, name);

    return node ? container_of(node, struct producer, name) : NULL;
}

struct producer *registry_after(const struct registry *registry, struct bytes name)
{
    struct sorted_node *node = sorted_after(&registry->by_name, name);

    return node ? container_of(node, struct producer, by_name) : NULL;
}

struct producer *registry_next(struct producer *producer)
{
    struct sorted_node *node = sorted_next(&producer->by_name);

    return node ? container_of(node, struct producer, by_name) : NULL;
}

static bool has_charge_of(const struct producer *holder, struct peer_key peer)
{
    return holder && holder->charge && peer_same(holder->charge->peer, peer);
}

enum fault_reason registry_reserve(struct registry *registry, struct peer_key peer,
                                   const struct producer *holder, struct fault *fault)
{
    const struct settings *settings = loop_settings(registry->loop);

    if (!has_charge_of(holder, peer) && peer_share_check(&registry->peers, settings, settings->max_producers,
                                                         peer, FAULT_PEER_PRODUCERS, fault) != FAULT_NONE)
        return fault->reason;
    return holder ? FAULT_NONE : registry_reserve_name(registry, fault);
}

enum fault_reason registry_reserve_name(struct registry *registry, struct fault *fault)
{
    uint32_t max = loop_settings(registry->loop)->max_producers;
    char bound[32];
    enum err err;

    if (registry->producers.count >= max) {
        snprintf(bound, sizeof(bound), "at most %u", max);
        return fault_set(fault, FAULT_TOO_MANY_PRODUCERS, NULL, bound);
    }
    pthread_mutex_lock(&registry->lock);
    err = map_reserve(&registry->producers);
    pthread_mutex_unlock(&registry->lock);
    if (err != ERR_OK)
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    return FAULT_NONE;
}

enum fault_reason registry_check_bytes(const struct registry *registry, struct peer_key peer,
                                       const struct producer *holder, uint64_t bytes, struct fault *fault)
{
    struct kept kept =
        kept_of(peer, peer_counts_find(&registry->peers, peer), registry->kept_bytes, PART_OF_BUDGET);

    if (has_charge_of(holder, peer))
        kept.of_peer -= holder->charged_bytes;
    if (holder)
        kept.of_all -= holder->charged_bytes;
    return peer_bytes_check(loop_settings(registry->loop), &kept, bytes, "hello", fault);
}

static void keep_bytes(struct producer *producer, uint64_t bytes)
{
    peer_count_keep(producer->charge, &producer->registry->kept_bytes, &producer->charged_bytes, bytes);
}

enum err registry_charge(struct producer *producer, struct peer_key peer, uint64_t bytes)
{
    producer->charge = peer_counts_add(&producer->registry->peers, peer);
    if (!producer->charge)
        return ERR_NO_MEMORY;
    keep_bytes(producer, bytes);
    return ERR_OK;
}

void registry_discharge(struct producer *producer)
{
    if (!producer->charge)
        return;
    keep_bytes(producer, 0);
    peer_counts_remove(&producer->registry->peers, producer->charge);
    producer->charge = NULL;
}

enum err registry_add(struct producer *producer)
{
    struct registry *registry = producer->registry;
    enum err err;

    if (registry_keeps_history(registry))
        inlet_keep_history(&producer->inlet, NULL);
    pthread_mutex_lock(&registry->lock);
    err = map_add(&registry->producers, &producer->name);
    pthread_mutex_unlock(&registry->lock);
    if (err != ERR_OK)
        return err;
    producer->named = true;
    sorted_add(&registry->by_name, &producer->by_name);
    registry->unshared += !producer->kind->wildcards;
    registry->has_topics = registry->has_topics || producer->name.key.data[0] == '@';
    count_add(COUNT_LIVE_PRODUCERS, 1);
    return ERR_OK;
}

void registry_remove_locked(struct producer *producer)
{
    registry_discharge(producer);
    map_remove(&producer->registry->producers, &producer->name);
    producer->named = false;
    sorted_remove(&producer->registry->by_name, &producer->by_name);
    producer->registry->unshared -= !producer->kind->wildcards;
    count_add(COUNT_LIVE_PRODUCERS, -1);
}

void registry_remove(struct producer *producer)
{
    if (!producer->named) {
        registry_discharge(producer); /* it had waited for its name */
        return;
    }
    pthread_mutex_lock(&producer->registry->lock);
    registry_remove_locked(producer);
    pthread_mutex_unlock(&producer->registry->lock);
}

void registry_keep_history(struct registry *registry)
{
    registry->history = true;
}

bool registry_keeps_history(const struct registry *registry)
{
    return registry->history || loop_settings(registry->loop)->history;
}
