/* drained_positions.c - see drained_positions.h. */
#include "hub/drained_positions.h"

#include <stdlib.h>

#include "hub/hub_internal.h"
#include "hub/subscription_internal.h"
#include "route/inlet.h"

static void share(struct wildcard_set *set, const struct drained_positions *positions)
{
    for (uint32_t i = 0; i < set->count; i++) {
        struct subscription *subscription =
            container_of(set->present[i].wildcard, struct subscription, wildcard);

        subscription->drained = positions;
        subscription->drained_index = i;
    }
}

struct drained_positions *drained_positions_take(struct hub *hub)
{
    struct wildcard_set *set = &hub->wildcards;
    struct drained_positions *positions =
        calloc(1, sizeof(*positions) + set->inlet_count * sizeof(positions->list[0]));

    if (!positions)
        return NULL;
    list_each(node, safe, &set->inlets) {
        struct inlet *inlet = container_of(node, struct inlet, in_set);

        inlet_set_state(inlet, INLET_CLOSED); /* of a session that has lost its name */
        positions->list[positions->count++] = (struct drained_position){
            .source = source_retain(inlet->source),
            .sequence = atomic_load_explicit(&inlet->source->routed, memory_order_acquire),
            .wildcard_count = inlet->wildcard_count};
    }
    pthread_mutex_lock(&set->lock); /* who reads positions of these subscriptions holds it */
    share(set, positions);
    pthread_mutex_unlock(&set->lock);
    return positions;
}

void drained_positions_free(struct drained_positions *positions)
{
    for (uint32_t i = 0; positions && i < positions->count; i++)
        source_release(positions->list[i].source);
    free(positions);
}
