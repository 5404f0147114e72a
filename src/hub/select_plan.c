/* select_plan.c - what a new filter of a subscription changes, before it changes. */
#include "hub/select_plan.h"

#include <stdlib.h>

#include "route/route.h"

enum err select_plan_init(struct select_plan *plan, size_t max)
{
    *plan = (struct select_plan){.changes = calloc(max + 1, sizeof(struct route_change))};
    list_init(&plan->created);
    list_init(&plan->to_end);
    return plan->changes ? ERR_OK : ERR_NO_MEMORY;
}

void select_plan_fini(struct select_plan *plan)
{
    free(plan->changes);
    plan->changes = NULL;
}

void select_plan_put_in(struct select_plan *plan, struct route *route, struct binding *binding,
                        const struct filter_part *part)
{
    plan->changes[plan->count++] =
        (struct route_change){.route = route, .binding = binding, .part = *part, .action = PUT_IN};
}

enum err select_plan_keep(struct select_plan *plan, struct route *route, struct binding *binding,
                          const struct filter *filter, const struct filter_part *part)
{
    struct route_change change = {.route = route,
                                  .binding = binding,
                                  .part = *part,
                                  .action = part->answer == FILTER_NONE ? TAKE_OUT : KEEP};

    if (route_entry_new(route->inlet, route, filter, part, &change.entry) != ERR_OK)
        return ERR_NO_MEMORY;
    plan->changes[plan->count++] = change;
    return ERR_OK;
}
