/* binding.c - bindings: the routes of shared producers. */
#include "hub/binding.h"

#include <stdlib.h>

#include "base/counters.h"
#include "event/matcher.h"
#include "flow/chan.h"
#include "flow/producer_state.h"
#include "flow/shared_feed.h"
#include "hub/hub_parts.h"
#include "hub/kept_memory.h"
#include "hub/producer_internal.h"
#include "hub/reader.h"
#include "hub/reselection.h"
#include "hub/subscription_internal.h"
#include "hub/wildcard_sweep.h"
#include "route/inlet.h"
#include "route/wildcard.h"

static struct wildcard_set *wildcards_of(const struct subscription *subscription)
{
    return hub_wildcards(subscription->hub);
}

/* ---- making ---- */

/* Frees a binding that is in no list, and whose route is not linked. */
static void discard(struct binding *binding)
{
    kept_memory_remove_route(binding->subscription, binding->kept_bytes);
    route_fini(&binding->route);
    free(binding);
}

/* A binding that is in no list yet, with space for its route in the inlet. NULL: memory or
 * budget is used up, or what the peer may keep. */
static struct binding *binding_new(struct producer *producer, struct subscription *subscription,
                                   const struct filter *filter, const struct filter_part *part)
{
    struct binding *binding = calloc(1, sizeof(*binding));

    if (!binding || inlet_reserve(&producer->inlet) != ERR_OK ||
        route_init(&binding->route, &producer->inlet, subscription->chan, filter, part, NULL) != ERR_OK) {
        free(binding);
        return NULL;
    }
    binding->kept_bytes = sizeof(*binding) + match_entry_bytes(binding->route.entry);
    if (!kept_memory_add_route(subscription, binding->kept_bytes)) {
        route_fini(&binding->route);
        free(binding);
        return NULL;
    }
    binding->producer = producer;
    binding->subscription = subscription;
    list_init(&binding->link);
    return binding;
}

/* Adds it to a list of its subscription, which counts it. Where the list is that of the bindings
 * that put, the caller holds the lock of the wildcard set. */
static void attach(struct binding *binding, struct list *list, uint32_t *count)
{
    list_append(list, &binding->link);
    binding->reported = atomic_load_explicit(&binding->route.inlet->source->routed, memory_order_acquire);
    (*count)++;
    count_add(COUNT_LIVE_ROUTES, 1);
}

enum err binding_bind(struct producer *producer, struct subscription *subscription,
                      const struct filter_part *part, const struct start_point *start_point,
                      struct list *created)
{
    struct binding *binding = binding_new(producer, subscription, subscription->filter, part);
    struct wildcard_set *set = wildcards_of(subscription);

    (void)created; /* no activations */
    if (!binding)
        return ERR_NO_MEMORY;
    binding->route.generation = subscription->generation;
    route_enter(&binding->route, start_point);
    pthread_mutex_lock(&set->lock);
    attach(binding, &subscription->bindings, &subscription->binding_count);
    pthread_mutex_unlock(&set->lock);
    return ERR_OK;
}

/* ---- spare bindings ---- */

static bool is_spare(const struct binding *binding)
{
    return binding->route.generation != binding->subscription->generation;
}

static enum err add_spare(struct producer *producer, struct subscription *subscription,
                          const struct filter_part *part, const struct reselection *reselection,
                          struct binding *twin)
{
    struct binding *binding = binding_new(producer, subscription, reselection->filter, part);
    struct inlet *inlet = &producer->inlet;

    if (!binding)
        return ERR_NO_MEMORY;
    binding->route.generation = reselection->generation;
    binding->by_wildcard = twin ? twin->by_wildcard : wildcard_gets(&subscription->wildcard, inlet);
    binding->route.second = twin || binding->by_wildcard;
    if (!binding->route.second)
        route_begin(&binding->route);
    attach(binding, &subscription->spare_bindings, &subscription->spare_count);
    pthread_mutex_lock(&inlet->lock);
    route_link(&binding->route);
    pthread_mutex_unlock(&inlet->lock);
    binding->twin = twin;
    if (twin)
        twin->twin = binding;
    return ERR_OK;
}

enum err binding_renew(struct binding *binding, const struct reselection *reselection)
{
    const struct filter_part part = producer_part(binding->producer, reselection->filter);

    if (binding->twin || part.answer == FILTER_NONE)
        return ERR_OK;
    return add_spare(binding->producer, binding->subscription, &part, reselection, binding);
}

/* The binding that was made a moment ago, of a new producer. NULL: there is none. */
static struct binding *newest(const struct producer *producer, const struct subscription *subscription)
{
    const struct inlet *inlet = &producer->inlet;
    struct route *last = inlet->route_count > 0 ? inlet->routes[inlet->route_count - 1] : NULL;
    struct binding *binding = last && !last->feed ? container_of(last, struct binding, route) : NULL;

    return binding && binding->subscription == subscription && !is_spare(binding) ? binding : NULL;
}

/* Whether the next filter has a binding to the producer already. */
static bool has_spare(const struct producer *producer, const struct subscription *subscription,
                      uint32_t generation)
{
    for (uint32_t i = 0; i < producer->inlet.route_count; i++) {
        const struct route *route = producer->inlet.routes[i];

        if (route->chan == subscription->chan && !route->feed && route->generation == generation)
            return true;
    }
    return false;
}

enum err bindings_reselect_unnamed(struct subscription *subscription, const struct reselection *reselection)
{
    list_each(node, safe, &wildcards_of(subscription)->inlets) {
        struct inlet *inlet = container_of(node, struct inlet, in_set);
        struct producer *producer = container_of(inlet, struct producer, inlet);
        struct filter_part part;

        if (producer->named || !wildcard_gets(&subscription->wildcard, inlet) ||
            has_spare(producer, subscription, reselection->generation))
            continue;
        part = producer_part(producer, reselection->filter);
        if (part.answer != FILTER_NONE &&
            add_spare(producer, subscription, &part, reselection, NULL) != ERR_OK)
            return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

/* Every binding that was there when the rebind began has its twin (binding_renew()). What is left
 * are producers that came since, those whose events the wildcard gets, and those that only the next
 * filter wants. */
enum err binding_reselect(struct producer *producer, struct subscription *subscription,
                          const struct filter_part *part, struct reselection *reselection)
{
    struct binding *twin = newest(producer, subscription);

    if (twin)
        return binding_renew(twin, reselection);
    if (!wildcard_gets(&subscription->wildcard, &producer->inlet) &&
        producer_part(producer, reselection->before).answer != FILTER_NONE)
        return ERR_OK; /* its binding has a twin, or ends */
    return add_spare(producer, subscription, part, reselection, NULL);
}

static void swap_lists(struct list *one, struct list *other)
{
    struct list both;

    list_init(&both);
    list_move_all(one, &both);
    list_move_all(other, one);
    list_move_all(&both, other);
}

void bindings_change_over(struct subscription *subscription, uint32_t generation, bool wildcard,
                          uint32_t mark)
{
    uint32_t count = subscription->binding_count;

    swap_lists(&subscription->bindings, &subscription->spare_bindings);
    subscription->binding_count = subscription->spare_count;
    subscription->spare_count = count;
    subscription->generation = generation;
    chan_change_over(subscription->chan, generation, wildcard, mark);
}

/* ---- taking out ---- */

/* The source stays as it is in the channel, and no more of it comes. Where no feed keeps its
 * position, the subscription does, if it still needs it. Under the inlet's lock. */
static void leave_source(struct subscription *subscription, struct inlet *inlet, bool keeps)
{
    if (!keeps && subscription->keeps_positions)
        left_positions_add(&subscription->left_positions, inlet->source);
}

/* Whether the end of the source was reported to the wildcard that the binding took over from. */
static bool was_reported(const struct binding *binding)
{
    const struct inlet *inlet = binding->route.inlet;

    return binding->by_wildcard && inlet->out_of_set > 0 &&
           inlet->out_of_set <= binding->subscription->left_set;
}

/* Whether the channel gets the source otherwise too, now or after the change, or knows its end. */
static bool is_covered(const struct binding *binding)
{
    return binding->twin || binding->taken_over || was_reported(binding) ||
           (is_spare(binding) && binding->by_wildcard && binding->subscription->wildcard.in_set);
}

/* Under the inlet's lock. */
static void unlink_route(struct binding *binding, bool covered)
{
    if (!binding->route.linked)
        return;
    if (covered) {
        route_hand_over(&binding->route);
        return;
    }
    route_unlink(&binding->route);
    if (!is_spare(binding))
        leave_source(binding->subscription, binding->route.inlet, binding->route.keeps);
}

/* Takes the binding out of its inlet and out of its subscription. Returns whether the channel gets
 * the source otherwise too. */
static bool detach(struct binding *binding)
{
    struct subscription *subscription = binding->subscription;
    struct wildcard_set *set = wildcards_of(subscription);
    struct inlet *inlet = binding->route.inlet;
    bool covered = is_covered(binding);

    pthread_mutex_lock(&set->lock);
    pthread_mutex_lock(&inlet->lock);
    unlink_route(binding, covered);
    if (binding->twin)
        route_set_first(&binding->twin->route);
    pthread_mutex_unlock(&inlet->lock);
    if (subscription->seen == &binding->link)
        subscription->seen = binding->link.prev;
    list_remove(&binding->link);
    pthread_mutex_unlock(&set->lock);
    if (is_spare(binding))
        subscription->spare_count--;
    else
        subscription->binding_count--;
    if (binding->twin)
        binding->twin->twin = NULL;
    count_add(COUNT_LIVE_ROUTES, -1);
    return covered;
}

void binding_close(struct binding *binding, uint32_t state, uint32_t code, const char *message)
{
    if (!detach(binding))
        shared_end(binding->route.chan, binding->route.inlet->source, state, code, message);
    discard(binding);
}

void binding_set_first(struct binding *binding)
{
    struct inlet *inlet = binding->route.inlet;

    if (inlet->out_of_set == 0)
        binding->by_wildcard = false; /* no report of that wildcard is to come */
    if (!binding->route.second)
        return;
    pthread_mutex_lock(&inlet->lock);
    route_set_first(&binding->route);
    pthread_mutex_unlock(&inlet->lock);
}

bool bindings_free_spare(struct subscription *subscription)
{
    struct list *node = list_first(&subscription->spare_bindings);

    if (node)
        binding_close(container_of(node, struct binding, link), PRODUCER_ENDED, 0, NULL);
    return !!node;
}

/* ---- the end of a subscription ---- */

bool bindings_left(const struct subscription *subscription)
{
    return subscription->binding_count + subscription->spare_count + subscription->reader_count > 0;
}

static struct list *first_of(struct list *list, struct list *other)
{
    return list_empty(list) ? list_first(other) : list_first(list);
}

static bool detach_first(struct subscription *subscription)
{
    struct list *node = first_of(&subscription->spare_readers, &subscription->readers);
    struct binding *binding;

    if (node) {
        reader_leave(container_of(node, struct reader, in_subscription));
        return true;
    }
    node = first_of(&subscription->spare_bindings, &subscription->bindings);
    if (!node)
        return false;
    binding = container_of(node, struct binding, link);
    (void)detach(binding);
    discard(binding);
    return true;
}

static void left(void *ctx, struct inlet *inlet)
{
    struct subscription *subscription = ctx;

    leave_source(subscription, inlet, shared_freeze(subscription->chan, inlet->source));
}

/* At once: some 50 ns for each producer. */
static void leave_wildcards_now(struct subscription *subscription)
{
    struct wildcard_set *set = wildcards_of(subscription);

    pthread_mutex_lock(&set->lock);
    wildcard_remove(set, &subscription->wildcard, false, left, subscription);
    pthread_mutex_unlock(&set->lock);
}

/* As long as its stream may report positions, these must not go on with sources that it has left.
 * In a drain of the hub no source goes on. */
static void leave_wildcards(struct subscription *subscription)
{
    if (subscription->drained && subscription->wildcard.in_set)
        shared_freeze_all(subscription->chan); /* no producer waits for it */
    if (subscription->unsubscribed || subscription->drained)
        wildcard_sweep_add(subscription);
    else
        leave_wildcards_now(subscription);
}

void bindings_detach_now(struct subscription *subscription)
{
    leave_wildcards_now(subscription);
    while (detach_first(subscription))
        continue;
}

bool bindings_detach_step(struct slice *slice)
{
    struct subscription *subscription = container_of(slice, struct subscription, detach);
    struct ready *ready = &subscription->ready;
    struct ready_list *list = ready->list;

    if (detach_first(subscription) && bindings_left(subscription))
        return true;
    if (!subscription->detaching)
        return false;
    subscription->detaching = false;
    ready_add(ready);
    ready->kind->release(ready);
    ready_run(list);
    return false;
}

void bindings_detach(struct subscription *subscription)
{
    leave_wildcards(subscription);
    if (subscription->detaching || !bindings_left(subscription))
        return;
    loop_slice(hub_loop(subscription->hub), &subscription->detach);
    if (!bindings_left(subscription))
        return;
    subscription->detaching = true;
    subscription->ready.kind->retain(&subscription->ready);
}
