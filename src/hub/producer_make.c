/* producer_make.c - what the producers of all kinds have in common. */
#include <string.h>

#include "hub/producer_internal.h"
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
    list_init(&producer->readers);
    producer->kind = kind;
    producer->hub = hub;
    producer->registry = registry;
    producer->name.key = source_name(producer->inlet.source);
    peer_copy(producer->peer, peer);
    return ERR_OK;
}

void producer_fini(struct producer *producer)
{
    CHECK(!producer->named && !producer->charge);
    inlet_fini(&producer->inlet);
}

struct filter_part producer_part(const struct producer *producer, const struct filter *filter)
{
    return filter_producer(filter, source_name(producer->inlet.source), producer->labels,
                           producer->label_count);
}
