/* select_plan.c - see select_plan.h. */
#include "hub/select_plan.h"

#include <stdlib.h>

#include "flow/producer_state.h"
#include "hub/activation_internal.h"
#include "hub/producer_internal.h"
#include "hub/session_internal.h"
#include "hub/subscription_internal.h"
#include "route/route.h"

static enum err plan_change(struct select_plan *plan, struct route *route, const struct filter *filter,
                            const struct filter_part *part)
{
    struct route_change change = {.route = route, .part = *part};

    if (route_entry_new(route->inlet, route, filter, part, &change.entry) != ERR_OK)
        return ERR_NO_MEMORY;
    plan->changes[plan->count++] = change;
    return ERR_OK;
}

static void keep_to_end(struct select_plan *plan, struct subscription *subscription)
{
    list_move_all(&plan->to_end, &subscription->activations);
}

static void free_changes(struct select_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        match_entry_free(plan->changes[i].entry);
    free(plan->changes);
    plan->changes = NULL;
}

/* Only the loop takes more than one of these locks, so any order would do. This one is that of the
 * sources' beginning, so what happens does not depend on addresses. */
static int compare_inlets(const void *a, const void *b)
{
    uint64_t one = ((const struct route_change *)a)->route->inlet->source->epoch,
             other = ((const struct route_change *)b)->route->inlet->source->epoch;

    return (one > other) - (one < other);
}

enum err select_plan_make(struct select_plan *plan, struct subscription *subscription,
                          const struct filter *filter)
{
    *plan =
        (struct select_plan){.changes = calloc(subscription->activation_count + 1, sizeof(*plan->changes))};
    list_init(&plan->to_end);
    if (!plan->changes)
        return ERR_NO_MEMORY;
    list_each(node, safe, &subscription->activations) {
        struct activation *activation = container_of(node, struct activation, in_subscription);
        struct filter_part part = producer_part(&activation->session->producer, filter);

        if (activation->open && plan_change(plan, &activation->route, filter, &part) != ERR_OK) {
            keep_to_end(plan, subscription);
            free_changes(plan);
            return ERR_NO_MEMORY;
        }
        if (part.answer == FILTER_NONE) {
            list_remove(node);
            list_append(&plan->to_end, node);
        }
    }
    qsort(plan->changes, plan->count, sizeof(struct route_change), compare_inlets);
    return ERR_OK;
}

/* Two activations may be members of one shared call: the one before ends. */
static bool is_first_of_inlet(const struct select_plan *plan, size_t index)
{
    return index == 0 || plan->changes[index - 1].route->inlet != plan->changes[index].route->inlet;
}

void select_plan_lock(const struct select_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        if (is_first_of_inlet(plan, i))
            pthread_mutex_lock(&plan->changes[i].route->inlet->lock);
}

void select_plan_change(const struct select_plan *plan, const struct filter *filter)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct route_change *change = &plan->changes[i];

        if (change->part.answer == FILTER_NONE)
            route_unlink(change->route);
        else
            change->entry = route_set_filter(change->route, filter, &change->part, change->entry);
    }
}

void select_plan_unlock(const struct select_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        if (is_first_of_inlet(plan, i))
            pthread_mutex_unlock(&plan->changes[i].route->inlet->lock);
}

void select_plan_finish(struct select_plan *plan, struct subscription *subscription)
{
    const struct ending unwanted = {.reason = FAULT_FINISHED, .state = PRODUCER_ENDED, .notify = true};

    free_changes(plan);
    list_each(node, safe, &plan->to_end)
        activation_request_end(container_of(node, struct activation, in_subscription), &unwanted);
    keep_to_end(plan, subscription);
}
