/* rebind.c - gives a subscription other bindings, in slices: those of its next filter.
 *
 * DESIGN: the mark must come after every event that was routed under the filter before, and before
 * every event under the next one, whichever producer it is from. The next filter gets bindings of
 * its own beside those that are there. They are made in slices, and their routes are linked; but
 * the channel refuses what they put. Then, under the channel's lock, the mark is set, and the
 * channel accepts what these routes put, and refuses what the others do (chan_change_over()).
 * Afterwards the others are freed in slices. So no step is long, and nobody waits.
 *
 * A chunk that is being routed at the change comes through both routes of its source. The route of
 * the next filter puts after the other one (route->second). So one of them puts each event: the
 * other one up to the change, and this one what is left (chan_put_shared()).
 *
 * A wildcard (route/wildcard.h) that gets a narrower filter is left after the change in the same
 * way. It passes through the lock of each inlet, one after another. A subscription with bindings
 * that gets a filter for everything gets bindings to everything first, then becomes a wildcard. One
 * that wants everything before and after stays a wildcard.
 *
 * Activations have inlets of their own. Their routes are changed at the moment of the change, under
 * their inlets' locks (select_plan.h). After the mark nothing may come that only the filter before
 * wanted. So activations that are not wanted any more are not drained, but ended at once.
 *
 * Producers come and go between the steps. A new one is bound for both filters. */
#include "hub/rebind.h"

#include <stdlib.h>

#include "base/log.h"
#include "event/filter.h"
#include "flow/producer_state.h"
#include "hub/activation_internal.h"
#include "hub/bind_due.h"
#include "hub/binding.h"
#include "hub/bindings_wildcard.h"
#include "hub/filter_charge.h"
#include "hub/hub.h"
#include "hub/hub_parts.h"
#include "hub/kept_memory.h"
#include "hub/producer_internal.h"
#include "hub/reader.h"
#include "hub/registry.h"
#include "hub/reselection.h"
#include "hub/select_plan.h"
#include "hub/subscription_internal.h"
#include "hub/walk_name.h"

/* Bindings or producers of one step. */
#define STEP_BINDINGS 8u

enum phase {
    PHASE_CLEAR,      /* frees the spare bindings of an earlier change */
    PHASE_RENEW,      /* makes the twins of the bindings that are there */
    PHASE_RESELECT,   /* goes over the producers that may have no binding */
    PHASE_UNNAMED,    /* and over those of the wildcard set that have no name */
    PHASE_CHANGE,     /* one step */
    PHASE_CLEAR_LAST, /* frees the spare bindings: those of the filter before, or of the next one */
    PHASE_SET_FIRST,  /* the bindings that took over from a wildcard are alone now */
    PHASE_OVER
};

struct rebind {
    struct slice slice;
    struct subscription *subscription;
    enum phase phase;
    bool selects; /* there is a next filter; else it only frees spare bindings */
    bool at_once;
    bool stepping, stopped; /* a step that is being taken frees it when it was stopped */
    bool was_wildcard, changed;
    uint32_t cost, cost_before; /* of the next filter, and of the one before */
    uint32_t revision;
    uint64_t until; /* producers that were bound later have bound the subscription themselves */
    struct walk_name after;
    struct reselection reselection;
    enum fault_reason reason;
};

static bool stays_wildcard(const struct rebind *rebind)
{
    return rebind->subscription->wildcard.in_set && filter_wants_everything(rebind->reselection.filter);
}

static struct bytes name_of(const struct rebind *rebind)
{
    return walk_name_get(&rebind->after);
}

/* ---- the phases ---- */

/* What was made for the next filter is taken back. */
static void take_back(struct rebind *rebind, enum fault_reason reason)
{
    rebind->reason = reason;
    rebind->phase = PHASE_CLEAR_LAST;
    rebind->subscription->seen = NULL;
    activations_discard(&rebind->reselection.created, PRODUCER_ENDED);
    ready_add(&rebind->subscription->ready);
}

static void fail(struct rebind *rebind)
{
    take_back(rebind, FAULT_MEMORY_BUDGET);
}

static bool clear_some(struct subscription *subscription)
{
    for (uint32_t left = STEP_BINDINGS; left > 0; left--)
        if (!bindings_free_spare(subscription) && !readers_free_spare(subscription))
            return false;
    return true;
}

static void begin_renewing(struct rebind *rebind)
{
    struct subscription *subscription = rebind->subscription;

    rebind->phase = PHASE_RENEW;
    rebind->until = hub_registry(subscription->hub)->bound;
    subscription->seen = &subscription->bindings;
}

/* The next binding that this walk has not seen. NULL: it has seen all. */
static struct binding *next_binding(struct subscription *subscription)
{
    if (subscription->seen->next == &subscription->bindings) {
        subscription->seen = NULL;
        return NULL;
    }
    subscription->seen = subscription->seen->next;
    return container_of((struct list *)(uintptr_t)subscription->seen, struct binding, link);
}

static void renew_some(struct rebind *rebind)
{
    for (uint32_t left = STEP_BINDINGS; left > 0; left--) {
        struct binding *binding = next_binding(rebind->subscription);

        if (!binding) {
            rebind->phase = PHASE_RESELECT;
            return;
        }
        if (binding_renew(binding, &rebind->reselection) != ERR_OK) {
            fail(rebind);
            return;
        }
    }
}

static enum err reselect(struct rebind *rebind, struct producer *producer)
{
    struct filter_part part;

    if (producer->serves_only || (producer->kind->wildcards && stays_wildcard(rebind)))
        return ERR_OK;
    part = producer_part(producer, rebind->reselection.filter);
    if (part.answer == FILTER_NONE)
        return ERR_OK;
    return producer->kind->reselect(producer, rebind->subscription, &part, &rebind->reselection);
}

/* Whether the walk goes to the producer, unless that has still to bind the subscription itself. One
 * that closes is joined no more; but where the wildcard gets its events a binding takes over from
 * it. */
static bool is_due(const struct rebind *rebind, const struct producer *producer)
{
    return producer->bound <= rebind->until &&
           (producer->kind->joinable(producer) ||
            wildcard_gets(&rebind->subscription->wildcard, &producer->inlet));
}

static void reselect_some(struct rebind *rebind)
{
    struct registry *registry = hub_registry(rebind->subscription->hub);
    struct producer *producer = registry_after(registry, name_of(rebind));

    for (uint32_t left = STEP_BINDINGS; producer && left > 0; left--) {
        if (is_due(rebind, producer) && !bind_awaits(producer, rebind->subscription) &&
            reselect(rebind, producer) != ERR_OK) {
            fail(rebind);
            return;
        }
        if (left == 1)
            walk_name_set(&rebind->after, producer->name.key);
        producer = registry_next(producer);
    }
    if (!producer)
        rebind->phase = PHASE_UNNAMED;
}

static void reselect_unnamed(struct rebind *rebind)
{
    struct subscription *subscription = rebind->subscription;

    rebind->phase = PHASE_CHANGE;
    if (subscription->wildcard.in_set && !stays_wildcard(rebind) &&
        bindings_reselect_unnamed(subscription, &rebind->reselection) != ERR_OK)
        fail(rebind);
}

/* Nobody asks for the positions of the subscription meanwhile. So who sees the mark finds each new
 * source among them. */
static void change_routes(struct rebind *rebind, const struct select_plan *plan)
{
    struct subscription *subscription = rebind->subscription;
    struct wildcard_set *set = hub_wildcards(subscription->hub);
    struct filter *next = subscription->spare_filter;
    bool wildcard = stays_wildcard(rebind);

    pthread_mutex_lock(&set->lock);
    select_plan_lock(plan);
    select_plan_change(plan, next);
    bindings_change_over(subscription, rebind->reselection.generation, wildcard, rebind->revision);
    select_plan_unlock(plan);
    subscription->spare_filter = subscription->filter;
    subscription->filter = next;
    if (!wildcard)
        bindings_leave_wildcards(subscription);
    pthread_mutex_unlock(&set->lock);
}

static void change(struct rebind *rebind)
{
    struct subscription *subscription = rebind->subscription;
    struct ready_list *list = subscription->ready.list;
    struct select_plan plan;

    if (select_plan_make(&plan, subscription, rebind->reselection.filter) != ERR_OK) {
        fail(rebind);
        return;
    }
    rebind->was_wildcard = subscription->wildcard.in_set;
    rebind->phase = PHASE_CLEAR_LAST;
    rebind->changed = true;
    subscription->revision = rebind->revision;
    change_routes(rebind, &plan);
    log_write(LOG_INFO, "subscription.selected", LOG_TEXT("subscription", subscription->id_text),
              LOG_NUMBER("revision", rebind->revision));
    /* If none is left, those of the new filter are still to come. */
    subscription->begun = !list_empty(&subscription->activations);
    select_plan_finish(&plan, subscription);
    activations_begin(&rebind->reselection.created);
    bindings_become_wildcard(subscription);
    ready_add(&subscription->ready);
    if (!rebind->at_once)
        ready_run(list); /* a port may end the subscription */
}

static void set_some_first(struct rebind *rebind)
{
    for (uint32_t left = STEP_BINDINGS; left > 0; left--) {
        struct binding *binding = next_binding(rebind->subscription);

        if (!binding) {
            rebind->phase = PHASE_OVER;
            return;
        }
        binding_set_first(binding);
    }
}

static void clear_last(struct rebind *rebind)
{
    struct subscription *subscription = rebind->subscription;

    if (clear_some(subscription))
        return;
    rebind->phase = PHASE_OVER;
    if (!rebind->was_wildcard)
        return;
    rebind->phase = PHASE_SET_FIRST;
    subscription->seen = &subscription->bindings;
}

static void clear_first(struct rebind *rebind)
{
    if (clear_some(rebind->subscription))
        return;
    if (rebind->selects)
        begin_renewing(rebind);
    else
        rebind->phase = PHASE_OVER;
}

static void (*const steps[PHASE_OVER])(struct rebind *rebind) = {
    [PHASE_CLEAR] = clear_first,        [PHASE_RENEW] = renew_some, [PHASE_RESELECT] = reselect_some,
    [PHASE_UNNAMED] = reselect_unnamed, [PHASE_CHANGE] = change,    [PHASE_CLEAR_LAST] = clear_last,
    [PHASE_SET_FIRST] = set_some_first,
};

/* ---- its life ---- */

/* The subscription pays for the filter that it has. */
static void set_charge(const struct rebind *rebind)
{
    filter_charge_set(rebind->subscription, rebind->changed ? rebind->cost : rebind->cost_before);
}

static void report(struct rebind *rebind)
{
    struct subscription *subscription = rebind->subscription;

    subscription->selected_reason = rebind->reason;
    if (rebind->at_once)
        return;
    subscription->selected_due = true;
    ready_call(&subscription->ready);
}

/* Every step of a select was taken: nothing needs the other filter any more. */
static void end(struct rebind *rebind)
{
    struct subscription *subscription = rebind->subscription;

    if (rebind->changed || !rebind->at_once)
        filter_free(subscription->spare_filter);
    subscription->spare_filter = NULL;
    set_charge(rebind);
    kept_memory_update(subscription);
    report(rebind);
}

static bool step(struct slice *slice)
{
    struct rebind *rebind = container_of(slice, struct rebind, slice);
    struct ready_list *list = rebind->subscription->ready.list;
    bool in_slices = rebind->selects && !rebind->at_once;

    rebind->stepping = true;
    if (rebind->selects && rebind->phase <= PHASE_CHANGE && hub_draining(rebind->subscription->hub))
        take_back(rebind, FAULT_DRAINING);
    else
        steps[rebind->phase](rebind);
    rebind->stepping = false;
    if (!rebind->stopped && rebind->phase != PHASE_OVER)
        return true;
    if (!rebind->stopped) {
        rebind->subscription->rebind = NULL;
        if (rebind->selects)
            end(rebind);
    }
    in_slices &= !rebind->stopped;
    free(rebind);
    if (in_slices)
        ready_run(list);
    return false;
}

/* NULL: out of memory. */
static struct rebind *rebind_of(struct subscription *subscription)
{
    struct rebind *rebind;

    if (subscription->rebind)
        return subscription->rebind;
    rebind = calloc(1, sizeof(*rebind));
    if (!rebind)
        return NULL;
    rebind->subscription = subscription;
    slice_init(&rebind->slice, step);
    list_init(&rebind->reselection.created);
    subscription->rebind = rebind;
    return rebind;
}

enum err rebind_begin(struct subscription *subscription, const struct rebind_params *params)
{
    struct rebind *rebind = rebind_of(subscription);

    if (!rebind)
        return ERR_NO_MEMORY;
    CHECK(!rebind->selects && !subscription->spare_filter);
    rebind->selects = true;
    rebind->at_once = params->at_once;
    rebind->cost = params->cost;
    rebind->cost_before = subscription->filter_cost;
    rebind->revision = params->revision;
    rebind->reselection.filter = params->filter;
    rebind->reselection.before = subscription->filter;
    rebind->reselection.generation = MAX_OF(subscription->generation + 1, 1u);
    subscription->spare_filter = params->filter;
    filter_charge_set(subscription, MAX_OF(rebind->cost, rebind->cost_before));
    kept_memory_update(subscription);
    if (!params->at_once) {
        loop_slice(hub_loop(subscription->hub), &rebind->slice);
        return ERR_OK;
    }
    slice_stop(&rebind->slice);
    while (step(&rebind->slice))
        continue;
    return ERR_OK;
}

void rebind_clear(struct subscription *subscription)
{
    struct rebind *rebind;

    if (subscription->spare_count == 0)
        return;
    rebind = rebind_of(subscription);
    if (rebind) {
        loop_slice(hub_loop(subscription->hub), &rebind->slice);
        return;
    }
    while (bindings_free_spare(subscription)) /* there is no memory */
        continue;
}

/* Whether the walk has still to come to a producer that has bound the subscription by now. */
static bool awaits(const struct rebind *rebind, const struct producer *producer)
{
    return rebind->phase <= PHASE_RESELECT && is_due(rebind, producer) &&
           bytes_compare(producer->name.key, name_of(rebind)) > 0;
}

void rebind_producer(struct producer *producer, struct subscription *subscription)
{
    struct rebind *rebind = subscription->rebind;

    if (rebind && rebind->phase >= PHASE_RENEW && rebind->phase <= PHASE_CHANGE &&
        !awaits(rebind, producer) && reselect(rebind, producer) != ERR_OK)
        fail(rebind);
}

void rebind_stop(struct subscription *subscription)
{
    struct rebind *rebind = subscription->rebind;

    if (!rebind)
        return;
    subscription->rebind = NULL;
    subscription->seen = NULL;
    slice_stop(&rebind->slice);
    list_move_all(&rebind->reselection.created, &subscription->activations); /* they end with it */
    if (rebind->selects) {
        if (!rebind->changed && rebind->reason == FAULT_NONE)
            rebind->reason = FAULT_DRAINING;
        set_charge(rebind);
        report(rebind);
    }
    rebind->stopped = true;
    if (!rebind->stepping)
        free(rebind);
}
