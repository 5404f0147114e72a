/* bindings_close.c - the end of all bindings of a producer. */
#include "hub/bindings_close.h"

#include "hub/binding.h"
#include "hub/hub_parts.h"
#include "hub/producer_internal.h"
#include "route/wildcard.h"

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

    wildcard_set_remove_inlet(set, &producer->inlet, &(struct source_state){state, code, message});
    while (inlet_has_reports(&producer->inlet))
        (void)inlet_reports_step(set);
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

    wildcard_set_remove_inlet(hub_wildcards(producer->hub), &producer->inlet,
                              &(struct source_state){end->state, end->code, end->message});
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
