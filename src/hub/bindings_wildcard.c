/* bindings_wildcard.c - see bindings_wildcard.h. */
#include "hub/bindings_wildcard.h"

#include "flow/chan.h"
#include "flow/producer_state.h"
#include "flow/shared_feed.h"
#include "hub/binding.h"
#include "hub/hub_parts.h"
#include "hub/producer_internal.h"
#include "hub/subscription_internal.h"
#include "route/wildcard.h"

/* ---- a wildcard that gets another filter ---- */

/* The bindings of the new filter put already. */
static void left_by_filter(void *ctx, struct inlet *inlet)
{
    struct subscription *subscription = ctx;
    const struct producer *producer = container_of(inlet, struct producer, inlet);

    if (producer_part(producer, subscription->filter).answer == FILTER_NONE)
        shared_end(subscription->chan, inlet->source, PRODUCER_ENDED, 0, NULL);
}

void bindings_leave_wildcards(struct subscription *subscription)
{
    struct wildcard_set *set = hub_wildcards(subscription->hub);

    if (!subscription->wildcard.in_set)
        return;
    subscription->left_set = set->removals;
    wildcard_remove(set, &subscription->wildcard, true, left_by_filter, subscription);
}

/* ---- a subscription with bindings that becomes a wildcard ---- */

struct binding_walk {
    const struct list *bindings, *last; /* the one that was given last */
};

static struct route *next_bound(void *ctx)
{
    struct binding_walk *walk = ctx;

    walk->last = walk->last->next;
    return walk->last == walk->bindings ? NULL : &container_of(walk->last, struct binding, link)->route;
}

/* Under the lock of the wildcard set. The bindings whose routes are out become spare ones. */
static void spare_unlinked(struct subscription *subscription)
{
    list_each(node, safe, &subscription->bindings) {
        struct binding *binding = container_of(node, struct binding, link);

        if (binding->route.linked)
            continue;
        list_remove(node);
        list_append(&subscription->spare_bindings, node);
        binding->route.generation = GENERATION_WILDCARD;
        binding->taken_over = true;
        if (binding->twin)
            binding->twin->taken_over = true;
        subscription->binding_count--;
        subscription->spare_count++;
    }
}

void bindings_become_wildcard(struct subscription *subscription)
{
    struct binding_walk walk = {&subscription->bindings, &subscription->bindings};
    struct wildcard_set *set = hub_wildcards(subscription->hub);

    if (subscription->ctx.state != CTX_LIVE || subscription->wildcard.in_set || subscription->called ||
        !filter_wants_everything(subscription->filter))
        return;
    pthread_mutex_lock(&set->lock);
    /* Each inlet goes over by itself: what its route and its wildcard put is the same. */
    chan_change_over(subscription->chan, subscription->generation, true, 0);
    if (wildcard_take_over(set, &subscription->wildcard, subscription->chan, next_bound, &walk) == ERR_OK)
        spare_unlinked(subscription);
    pthread_mutex_unlock(&set->lock);
}
