/* select.c - a new filter for a live subscription.
 *
 * DESIGN: the mark must come after every event that was routed under the old filter, and before
 * every event under the new one, whichever producer it is from. Each event is routed under its
 * inlet's lock. So everything that must be allocated is allocated first. Then the locks of all
 * inlets that the subscription has or gets are taken together, the routes are changed, the mark is
 * set, and the locks are released. That holds these producers up for some 40 ns each: measured,
 * less than half a millisecond with ten thousand.
 *
 * A wildcard (route/wildcard.h) that gets a narrower filter first becomes a subscription with
 * bindings to everything. One that is asked for everything again stays a wildcard: only its
 * activations may change. A subscription with bindings that gets a filter for everything is bound
 * to everything first, and then becomes a wildcard.
 *
 * After the mark nothing may come that only the old filter wanted. So activations that are not
 * wanted any more are not drained, but ended at once. */
#include <stdlib.h>

#include "base/log.h"
#include "base/peer_share.h"
#include "event/filter.h"
#include "flow/chan_report.h"
#include "flow/producer_state.h"
#include "hub/activation_internal.h"
#include "hub/binding.h"
#include "hub/filter_charge.h"
#include "hub/hub_parts.h"
#include "hub/kept_memory.h"
#include "hub/producer_internal.h"
#include "hub/registry.h"
#include "hub/select_plan.h"
#include "hub/session_internal.h"
#include "hub/subscription.h"
#include "hub/subscription_internal.h"

/* Plans what becomes of each route and activation that the subscription has: kept or taken out.
 * `walk` marks their producers. */
static enum err plan_present(struct select_plan *plan, struct subscription *subscription, uint64_t walk)
{
    const struct filter *filter = subscription->filter;

    list_each(node, safe, &subscription->bindings) {
        struct binding *binding = container_of(node, struct binding, link);
        struct filter_part part = producer_part(binding->producer, filter);

        binding->producer->walk = walk;
        if (select_plan_keep(plan, &binding->route, binding, filter, &part) != ERR_OK)
            return ERR_NO_MEMORY;
    }
    list_each(other, next, &subscription->activations) {
        struct activation *activation = container_of(other, struct activation, in_subscription);
        struct producer *producer = &activation->session->producer;
        struct filter_part part = producer_part(producer, filter);

        producer->walk = walk;
        if (activation->open && select_plan_keep(plan, &activation->route, NULL, filter, &part) != ERR_OK)
            return ERR_NO_MEMORY;
        if (part.answer == FILTER_NONE) {
            list_remove(other);
            list_append(&plan->to_end, other);
        }
    }
    return ERR_OK;
}

static enum err plan_new(struct select_plan *plan, struct subscription *subscription,
                         const struct registry *registry, const struct filter *old)
{
    struct map_node *node = NULL;

    while ((node = map_next(&registry->producers, node))) {
        struct producer *producer = container_of(node, struct producer, name);
        struct filter_part part = producer_part(producer, subscription->filter);

        if (part.answer == FILTER_NONE || producer->walk == registry->walk ||
            (producer->kind->wildcards && subscription->wildcard.in_set) ||
            !producer->kind->joinable(producer))
            continue;
        if (producer->kind->reselect(producer, subscription, &part, old, plan) != ERR_OK)
            return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

static void keep_to_end(struct select_plan *plan, struct subscription *subscription)
{
    struct list *node;

    while ((node = list_first(&plan->to_end))) {
        list_remove(node);
        list_append(&subscription->activations, node);
    }
}

/* Takes back what was planned. No route was changed yet. */
static void plan_undo(struct select_plan *plan, struct subscription *subscription)
{
    activations_discard(&plan->created, PRODUCER_ENDED);
    keep_to_end(plan, subscription);
    for (size_t i = 0; i < plan->count; i++) {
        match_entry_free(plan->changes[i].entry);
        if (plan->changes[i].action == PUT_IN)
            binding_discard(plan->changes[i].binding);
    }
}

/* Only the loop takes more than one of these locks, so any order would do. This one is that of the
 * sources' beginning, so the feeds of what is not wanted any more end in an order that does not
 * depend on addresses. */
static int compare_inlets(const void *a, const void *b)
{
    uint64_t one = ((const struct route_change *)a)->route->inlet->source->epoch,
             other = ((const struct route_change *)b)->route->inlet->source->epoch;

    return (one > other) - (one < other);
}

/* Nobody asks for the positions of the subscription meanwhile. So who sees the mark finds each new
 * source among them. */
static void change_routes(const struct select_plan *plan, struct subscription *subscription)
{
    struct wildcard_set *set = hub_wildcards(subscription->hub);

    for (size_t i = 0; i < plan->count; i++)
        if (plan->changes[i].action == PUT_IN)
            route_begin(plan->changes[i].route);
    qsort(plan->changes, plan->count, sizeof(struct route_change), compare_inlets);
    pthread_mutex_lock(&set->lock);
    for (size_t i = 0; i < plan->count; i++)
        pthread_mutex_lock(&plan->changes[i].route->inlet->lock);
    for (size_t i = 0; i < plan->count; i++) {
        struct route_change *change = &plan->changes[i];

        if (change->action == KEEP)
            change->entry =
                route_set_filter(change->route, subscription->filter, &change->part, change->entry);
        else if (change->action == TAKE_OUT)
            route_unlink(change->route);
        else
            route_link(change->route);
    }
    chan_mark(subscription->chan, subscription->revision);
    for (size_t i = 0; i < plan->count; i++)
        pthread_mutex_unlock(&plan->changes[i].route->inlet->lock);
    for (size_t i = 0; i < plan->count; i++)
        if (plan->changes[i].action == PUT_IN)
            binding_attach(plan->changes[i].binding);
    pthread_mutex_unlock(&set->lock);
}

/* Frees what the routes do not need any more. */
static void finish_changes(const struct select_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct binding *binding = plan->changes[i].binding;

        match_entry_free(plan->changes[i].entry);
        if (plan->changes[i].action == TAKE_OUT && binding)
            binding_close(binding, PRODUCER_ENDED, 0, NULL);
    }
}

static void update_activations(struct select_plan *plan, struct subscription *subscription)
{
    const struct ending unwanted = {.reason = FAULT_FINISHED, .state = PRODUCER_ENDED, .notify = true};

    /* If none is left, those of the new filter are still to come. */
    subscription->begun = !list_empty(&subscription->activations);
    list_each(node, safe, &plan->to_end)
        activation_request_end(container_of(node, struct activation, in_subscription), &unwanted);
    keep_to_end(plan, subscription);
    activations_begin(&plan->created);
}

/* Whether the subscription may have this filter now. */
static enum fault_reason may_select(const struct subscription *subscription, const struct filter *filter,
                                    uint32_t *cost_out, struct fault *fault)
{
    if (subscription->ctx.state != CTX_LIVE)
        return fault_set(fault, FAULT_DRAINING, "select", "the stream is ending");
    if (filter_charge_check(subscription, filter, cost_out, fault) == FAULT_NONE &&
        kept_memory_check(subscription->hub, subscription->charge->peer, filter_bytes(filter), fault) ==
            FAULT_NONE)
        return FAULT_NONE;
    fault_within(fault, "select.");
    return fault->reason;
}

uint32_t hub_select(struct subscription *subscription, struct filter *filter, struct fault *fault)
{
    struct registry *registry = hub_registry(subscription->hub);
    struct filter *old = subscription->filter;
    struct select_plan plan;
    uint32_t revision = subscription->revision + 1, cost;

    CHECK(!subscription->walk);
    if (may_select(subscription, filter, &cost, fault) != FAULT_NONE)
        return 0;
    if ((subscription->wildcard.in_set && !filter_wants_everything(filter) &&
         bindings_replace_wildcard(subscription) != ERR_OK) ||
        select_plan_init(&plan, subscription->binding_count + subscription->activation_count +
                                    registry->producers.count) != ERR_OK) {
        bindings_become_wildcard(subscription); /* again, where it was one */
        fault_set(fault, FAULT_MEMORY_BUDGET, "select", NULL);
        return 0;
    }
    registry->walk++;
    subscription->filter = filter;
    if (plan_present(&plan, subscription, registry->walk) == ERR_OK &&
        plan_new(&plan, subscription, registry, old) == ERR_OK) {
        subscription->revision = revision;
        change_routes(&plan, subscription);
        log_write(LOG_INFO, "subscription.selected", LOG_TEXT("subscription", subscription->id_text),
                  LOG_NUMBER("revision", revision));
        finish_changes(&plan);
        bindings_become_wildcard(subscription);
        filter_free(old);
        kept_memory_update(subscription);
        filter_charge_set(subscription, cost);
        update_activations(&plan, subscription);
        ready_add(&subscription->ready);
    } else {
        plan_undo(&plan, subscription);
        subscription->filter = old;
        bindings_become_wildcard(subscription);
        fault_set(fault, FAULT_MEMORY_BUDGET, "select", NULL);
        revision = 0;
    }
    select_plan_fini(&plan);
    ready_run(hub_ready(subscription->hub));
    return revision;
}
