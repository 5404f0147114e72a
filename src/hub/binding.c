/* binding.c - bindings: the routes of shared producers. */
#include "hub/binding.h"

#include <stdlib.h>

#include "base/counters.h"
#include "event/matcher.h"
#include "flow/shared_feed.h"
#include "hub/hub_parts.h"
#include "hub/kept_memory.h"
#include "hub/producer_internal.h"
#include "hub/select_plan.h"
#include "hub/subscription_internal.h"
#include "hub/wildcard_sweep.h"
#include "route/inlet.h"
#include "route/wildcard.h"

void binding_discard(struct binding *binding)
{
    kept_memory_remove_route(binding->subscription, binding->kept_bytes);
    route_fini(&binding->route);
    free(binding);
}

/* A binding that is in no list yet, with space for its route in the inlet. NULL: memory or
 * budget is used up, or what the peer may keep. */
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

static struct wildcard_set *wildcards_of(const struct subscription *subscription)
{
    return hub_wildcards(subscription->hub);
}

void binding_attach(struct binding *binding)
{
    list_append(&binding->subscription->bindings, &binding->link);
    binding->reported = atomic_load_explicit(&binding->route.inlet->source->routed, memory_order_acquire);
    binding->subscription->binding_count++;
    count_add(COUNT_LIVE_ROUTES, 1);
}

enum err binding_bind(struct producer *producer, struct subscription *subscription,
                      const struct filter_part *part, const struct start_point *start_point,
                      struct list *created)
{
    struct binding *binding = binding_new(producer, subscription, part);
    struct wildcard_set *set = wildcards_of(subscription);

    (void)created; /* no activations */
    if (!binding)
        return ERR_NO_MEMORY;
    route_enter(&binding->route, start_point);
    pthread_mutex_lock(&set->lock);
    binding_attach(binding);
    pthread_mutex_unlock(&set->lock);
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

/* Where no feed keeps the position of a source, its subscription does, if it still needs it. Under
 * the inlet's lock. */
static void left(void *ctx, struct inlet *inlet, bool keeps)
{
    struct subscription *subscription = ctx;

    if (!keeps && subscription->keeps_positions)
        left_positions_add(&subscription->left_positions, inlet->source);
}

/* Takes the binding out of its inlet and out of its subscription. */
static void detach(struct binding *binding)
{
    struct wildcard_set *set = wildcards_of(binding->subscription);
    struct inlet *inlet = binding->route.inlet;

    pthread_mutex_lock(&set->lock);
    pthread_mutex_lock(&inlet->lock);
    route_unlink(&binding->route);
    left(binding->subscription, inlet, binding->route.keeps);
    pthread_mutex_unlock(&inlet->lock);
    list_remove(&binding->link);
    pthread_mutex_unlock(&set->lock);
    binding->subscription->binding_count--;
    count_add(COUNT_LIVE_ROUTES, -1);
}

void binding_close(struct binding *binding, uint32_t state, uint32_t code, const char *message)
{
    detach(binding);
    shared_end(binding->route.chan, binding->route.inlet->source, state, code, message);
    binding_discard(binding);
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
    struct wildcard_set *set = hub_wildcards(producer->hub);

    wildcard_set_remove_inlet(set, &producer->inlet, state, code, message);
    while (inlet_has_reports(&producer->inlet))
        (void)wildcard_set_report(set);
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

void bindings_reported(struct inlet *inlet)
{
    struct producer *producer = container_of(inlet, struct producer, inlet);

    if (!producer->bindings_end.awaits_reports)
        return;
    producer->bindings_end.awaits_reports = false;
    /* The first step is taken now: a producer without bindings never waits for a slice. */
    struct loop *loop = hub_loop(producer->hub);
    if (end_step(&producer->bindings_end.slice))
        loop_slice(loop, &producer->bindings_end.slice);
}

bool bindings_end(struct producer *producer, const struct bindings_end *end)
{
    struct loop *loop = hub_loop(producer->hub);

    wildcard_set_remove_inlet(hub_wildcards(producer->hub), &producer->inlet, end->state, end->code,
                              end->message);
    if (bindings_are_gone(&producer->inlet))
        return true;
    producer->bindings_end = *end;
    producer->bindings_end.ended = NULL; /* not from within */
    slice_init(&producer->bindings_end.slice, end_step);
    producer->bindings_end.awaits_reports = inlet_has_reports(&producer->inlet);
    /* The ends of other producers may follow from reports: not while the caller is at work. */
    if (producer->bindings_end.awaits_reports)
        loop_slice_later(loop, hub_report(producer->hub));
    else
        loop_slice(loop, &producer->bindings_end.slice);
    producer->bindings_end.ended = end->ended;
    return bindings_are_gone(&producer->inlet);
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
    binding_discard(binding);
    return true;
}

/* At once: some 50 ns for each producer. */
static void leave_wildcards_now(struct subscription *subscription)
{
    struct wildcard_set *set = wildcards_of(subscription);

    pthread_mutex_lock(&set->lock);
    wildcard_remove(set, &subscription->wildcard, left, subscription);
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
    leave_wildcards(subscription);
    if (subscription->detaching || subscription->binding_count == 0)
        return;
    loop_slice(hub_loop(subscription->hub), &subscription->detach);
    if (subscription->binding_count == 0)
        return;
    subscription->detaching = true;
    subscription->ready.kind->retain(&subscription->ready);
}

/* ---- a wildcard that becomes a subscription with bindings ---- */

static void discard_all(struct list *bindings)
{
    struct list *node;

    while ((node = list_first(bindings))) {
        list_remove(node);
        binding_discard(container_of(node, struct binding, link));
    }
}

/* Under the lock of the wildcard set. What is not linked stays in the list. */
static void attach_linked(struct list *bindings)
{
    list_each(node, safe, bindings) {
        struct binding *binding = container_of(node, struct binding, link);

        if (!binding->route.linked)
            continue;
        list_remove(node);
        binding_attach(binding);
    }
}

/* The bindings stand in the order of the set's inlets. One that is not asked for stays unlinked.
 * `ctx` is where in the list the walk is. */
static struct route *next_route(void *ctx, struct inlet *inlet)
{
    struct list **at = ctx;
    struct binding *binding;

    do {
        *at = (*at)->next;
        binding = container_of(*at, struct binding, link);
    } while (binding->route.inlet != inlet);
    return &binding->route;
}

enum err bindings_replace_wildcard(struct subscription *subscription)
{
    const struct filter_part everything = {.answer = FILTER_ALL};
    struct wildcard_set *set = wildcards_of(subscription);
    struct list bindings, *at = &bindings;

    list_init(&bindings);
    list_each(other, safe, &set->inlets) {
        struct producer *producer =
            container_of(container_of(other, struct inlet, in_set), struct producer, inlet);
        struct binding *binding = binding_new(producer, subscription, &everything);

        if (!binding) {
            discard_all(&bindings);
            return ERR_NO_MEMORY;
        }
        list_append(&bindings, &binding->link);
    }
    pthread_mutex_lock(&set->lock);
    wildcard_replace(set, &subscription->wildcard, next_route, &at);
    attach_linked(&bindings);
    pthread_mutex_unlock(&set->lock);
    discard_all(&bindings);
    return ERR_OK;
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

/* Under the lock of the wildcard set. Moves the bindings whose routes are out to `done`. */
static void take_unlinked(struct subscription *subscription, struct list *done)
{
    list_each(node, safe, &subscription->bindings) {
        if (container_of(node, struct binding, link)->route.linked)
            continue;
        list_remove(node);
        list_append(done, node);
        subscription->binding_count--;
        count_add(COUNT_LIVE_ROUTES, -1);
    }
}

void bindings_become_wildcard(struct subscription *subscription)
{
    struct binding_walk walk = {&subscription->bindings, &subscription->bindings};
    struct wildcard_set *set = wildcards_of(subscription);
    struct list done;

    if (subscription->ctx.state != CTX_LIVE || subscription->wildcard.in_set ||
        !filter_wants_everything(subscription->filter))
        return;
    list_init(&done);
    pthread_mutex_lock(&set->lock);
    if (wildcard_take_over(set, &subscription->wildcard, subscription->chan, next_bound, &walk) == ERR_OK)
        take_unlinked(subscription, &done);
    pthread_mutex_unlock(&set->lock);
    discard_all(&done);
}
