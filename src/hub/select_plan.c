/* select_plan.c - see select_plan.h. */
#include "hub/select_plan.h"

#include <stdlib.h>

#include "flow/producer_state.h"
#include "hub/activation_internal.h"
#include "hub/producer_internal.h"
#include "hub/reader.h"
#include "hub/session_internal.h"
#include "hub/subscription_internal.h"
#include "route/route.h"

static enum err plan_change(struct select_plan *plan, struct route *route, struct reader *reader,
                            const struct filter *filter, const struct filter_part *part)
{
    struct route_change change = {.route = route, .part = *part, .reader = reader};

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

/* A spare reader has its filter already. */
static enum err plan_readers(struct select_plan *plan, struct subscription *subscription,
                             const struct filter *filter)
{
    list_each(node, safe, &subscription->readers) {
        struct reader *reader = container_of(node, struct reader, in_subscription);
        const struct filter_part part = producer_part(reader->producer, filter);

        if (plan_change(plan, &reader->route, reader, filter, &part) != ERR_OK)
            return ERR_NO_MEMORY;
    }
    list_each(node, safe, &subscription->spare_readers) {
        struct reader *reader = container_of(node, struct reader, in_subscription);

        plan->changes[plan->count++] = (struct route_change){.route = &reader->route, .reader = reader};
    }
    return ERR_OK;
}

enum err select_plan_make(struct select_plan *plan, struct subscription *subscription,
                          const struct filter *filter)
{
    const size_t capacity = (size_t)subscription->activation_count + subscription->reader_count + 1;

    *plan = (struct select_plan){.changes = calloc(capacity, sizeof(*plan->changes))};
    list_init(&plan->to_end);
    if (!plan->changes)
        return ERR_NO_MEMORY;
    list_each(node, safe, &subscription->activations) {
        struct activation *activation = container_of(node, struct activation, in_subscription);
        struct filter_part part = producer_part(&activation->session->producer, filter);

        if (activation->open && plan_change(plan, &activation->route, NULL, filter, &part) != ERR_OK) {
            keep_to_end(plan, subscription);
            free_changes(plan);
            return ERR_NO_MEMORY;
        }
        if (part.answer == FILTER_NONE) {
            list_remove(node);
            list_append(&plan->to_end, node);
        }
    }
    if (plan_readers(plan, subscription, filter) != ERR_OK) {
        keep_to_end(plan, subscription);
        free_changes(plan);
        return ERR_NO_MEMORY;
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
        if (plan->changes[i].reader)
            plan->changes[i].reader->kind->lock(plan->changes[i].reader);
    for (size_t i = 0; i < plan->count; i++)
        if (is_first_of_inlet(plan, i))
            pthread_mutex_lock(&plan->changes[i].route->inlet->lock);
}

void select_plan_change(const struct select_plan *plan, const struct filter *filter)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct route_change *change = &plan->changes[i];

        if (change->reader && change->reader->is_spare)
            change->reader->kind->begin(change->reader);
        else if (change->part.answer == FILTER_NONE)
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
    for (size_t i = 0; i < plan->count; i++)
        if (plan->changes[i].reader)
            plan->changes[i].reader->kind->unlock(plan->changes[i].reader);
}

/* Readers that the filter does not want end; spare ones are spare no more. */
static void finish_reader(const struct route_change *change)
{
    struct reader *reader = change->reader;

    if (!reader->is_spare && change->part.answer == FILTER_NONE) {
        reader_close(reader, PRODUCER_ENDED);
        return;
    }
    if (!reader->is_spare)
        return;
    reader->is_spare = false;
    list_remove(&reader->in_subscription);
    list_append(&reader->subscription->readers, &reader->in_subscription);
}

void select_plan_finish(struct select_plan *plan, struct subscription *subscription)
{
    const struct ending unwanted = {.reason = FAULT_FINISHED, .state = PRODUCER_ENDED, .notify = true};

    for (size_t i = 0; i < plan->count; i++)
        if (plan->changes[i].reader)
            finish_reader(&plan->changes[i]);
    free_changes(plan);
    list_each(node, safe, &plan->to_end)
        activation_request_end(container_of(node, struct activation, in_subscription), &unwanted);
    keep_to_end(plan, subscription);
}
