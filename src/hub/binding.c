/* binding.c - bindings: the routes of shared producers. */
#include "hub/binding.h"

#include <stdlib.h>

#include "base/counters.h"
#include "flow/feed.h"
#include "flow/producer_state.h"
#include "hub/hub_parts.h"
#include "hub/producer_internal.h"
#include "hub/select_plan.h"
#include "hub/subscription_internal.h"
#include "route/inlet.h"

/* A binding that is in no list yet, with space for its route in the inlet. NULL: out of memory. */
static struct binding *binding_new(struct producer *producer, struct subscription *subscription,
                                   const struct filter_part *part)
{
    struct binding *binding = calloc(1, sizeof(*binding));

    if (!binding || inlet_reserve(&producer->inlet) != ERR_OK ||
        route_init(&binding->route, &producer->inlet, subscription->chan, subscription->filter, part, NULL) !=
            ERR_OK) {
        free(binding);
        return NULL;
    }
    binding->producer = producer;
    binding->subscription = subscription;
    list_init(&binding->link);
    return binding;
}

void binding_discard(struct binding *binding)
{
    feed_close(binding->route.chan, binding->route.feed, PRODUCER_ENDED, 0, NULL);
    route_fini(&binding->route);
    free(binding);
}

void binding_attach(struct binding *binding)
{
    list_append(&binding->subscription->bindings, &binding->link);
    binding->subscription->binding_count++;
    count_add(COUNT_LIVE_ROUTES, 1);
}

enum err binding_bind(struct producer *producer, struct subscription *subscription,
                      const struct filter_part *part, const struct start_point *start_point,
                      struct list *created)
{
    struct binding *binding = binding_new(producer, subscription, part);

    (void)created; /* no activations */
    if (!binding)
        return ERR_NO_MEMORY;
    route_enter(&binding->route, start_point);
    binding_attach(binding);
    return ERR_OK;
}

enum err binding_reselect(struct producer *producer, struct subscription *subscription,
                          const struct filter_part *part, const struct filter *old, struct select_plan *plan)
{
    struct binding *binding = binding_new(producer, subscription, part);

    (void)old; /* a binding ends with its producer: one that is missing is new */
    if (!binding)
        return ERR_NO_MEMORY;
    select_plan_put_in(plan, &binding->route, binding, part);
    return ERR_OK;
}

/* Takes the binding out of its inlet and out of its subscription. */
static void detach(struct binding *binding)
{
    route_leave(&binding->route);
    list_remove(&binding->link);
    binding->subscription->binding_count--;
    count_add(COUNT_LIVE_ROUTES, -1);
}

void binding_close(struct binding *binding, uint32_t state, uint32_t code, const char *message)
{
    detach(binding);
    feed_close(binding->route.chan, binding->route.feed, state, code, message);
    route_fini(&binding->route);
    free(binding);
}

/* ---- the end of a producer ---- */

static bool close_last(struct producer *producer, uint32_t state, uint32_t code, const char *message)
{
    struct inlet *inlet = &producer->inlet;
    struct route *last;

    if (inlet->route_count == 0)
        return false;
    last = inlet->routes[inlet->route_count - 1];
    binding_close(container_of(last, struct binding, route), state, code, message);
    return true;
}

void bindings_close(struct producer *producer, uint32_t state, uint32_t code, const char *message)
{
    while (close_last(producer, state, code, message))
        continue;
}

static bool end_step(struct slice *slice)
{
    struct producer *producer = container_of(slice, struct producer, bindings_end.slice);
    const struct bindings_end *end = &producer->bindings_end;

    if (close_last(producer, end->state, end->code, end->message) && producer->inlet.route_count > 0)
        return true;
    if (end->ended)
        end->ended(producer);
    return false;
}

bool bindings_end(struct producer *producer, const struct bindings_end *end)
{
    if (producer->inlet.route_count == 0)
        return true;
    producer->bindings_end = *end;
    producer->bindings_end.ended = NULL; /* not from within */
    slice_init(&producer->bindings_end.slice, end_step);
    loop_slice(hub_loop(producer->hub), &producer->bindings_end.slice);
    producer->bindings_end.ended = end->ended;
    return producer->inlet.route_count == 0;
}

/* ---- the end of a subscription ---- */

static bool detach_first(struct subscription *subscription)
{
    struct list *node = list_first(&subscription->bindings);
    struct binding *binding;

    if (!node)
        return false;
    binding = container_of(node, struct binding, link);
    detach(binding);
    route_fini(&binding->route);
    free(binding);
    return true;
}

void bindings_detach_now(struct subscription *subscription)
{
    while (detach_first(subscription))
        continue;
}

bool bindings_detach_step(struct slice *slice)
{
    struct subscription *subscription = container_of(slice, struct subscription, detach);
    struct ready *ready = &subscription->ready;
    struct ready_list *list = ready->list;

    if (detach_first(subscription) && subscription->binding_count > 0)
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
    if (subscription->detaching || subscription->binding_count == 0)
        return;
    loop_slice(hub_loop(subscription->hub), &subscription->detach);
    if (subscription->binding_count == 0)
        return;
    subscription->detaching = true;
    subscription->ready.kind->retain(&subscription->ready);
}
