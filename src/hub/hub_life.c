/* hub_life.c - the hub as a whole: making it, draining it, freeing it. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "hub/activation_internal.h"
#include "hub/bindings_close.h"
#include "hub/change_log.h"
#include "hub/drained_positions.h"
#include "hub/hub_internal.h"
#include "hub/hub_parts.h"
#include "hub/producer_change.h"
#include "hub/producer_internal.h"
#include "hub/session_internal.h"
#include "hub/shedder.h"
#include "hub/subscription_internal.h"
#include "hub/transient.h"
#include "hub/wildcard_sweep.h"
#include "route/inlet.h"

/* Producers whose inlet one step closes. */
#define STEP_PRODUCERS 16u

/* The last act of a drain: the hub may be freed. */
static void report_emptied(struct ready_list *list)
{
    struct hub *hub = container_of(list, struct hub, ready);

    list->emptied = NULL;
    hub->emptied(hub->emptied_ctx);
}

/* ---- the phases of a drain: each returns whether it has more to do ---- */

static bool close_inlets(struct hub *hub)
{
    struct producer *producer = registry_after(&hub->registry, walk_name_get(&hub->drain.after));

    for (unsigned i = 1; producer; i++) {
        struct producer *next = registry_next(producer);

        inlet_set_state(&producer->inlet, INLET_CLOSED);
        if (i == STEP_PRODUCERS) {
            walk_name_set(&hub->drain.after, producer->name.key);
            return true;
        }
        producer = next;
    }
    return false;
}

/* The subscription passes it on to its activations. */
static bool drain_subscription(struct hub *hub)
{
    struct subscription *subscription = subscription_after(hub, walk_name_get(&hub->drain.after));

    if (!subscription)
        return false;
    walk_name_set(&hub->drain.after, subscription->id.key);
    ctx_drain(&subscription->ctx, FAULT_DRAINING, hub->drain.deadline_ns);
    return true;
}

/* The next session whose turn it is; it is in the hub's list again. NULL: all had theirs. */
static struct session *next_session(struct hub *hub)
{
    struct list *node = list_first(&hub->drain.sessions);

    if (!node)
        return NULL;
    list_remove(node);
    list_append(&hub->sessions, node);
    return container_of(node, struct session, link);
}

static bool drain_session(struct hub *hub)
{
    struct session *session = next_session(hub);

    if (session)
        session_drain(session, hub->drain.deadline_ns);
    return session;
}

static bool abort_session(struct hub *hub)
{
    struct session *session = next_session(hub);

    if (session)
        session_abort(session);
    return session;
}

/* Goes over all producers, or all subscriptions, or all sessions, from the first one. */
static void enter_phase(struct hub *hub, enum drain_phase phase)
{
    struct list *from = phase == DRAIN_PRODUCERS ? &hub->drain.sessions : &hub->sessions;
    struct list *to = phase == DRAIN_PRODUCERS ? &hub->sessions : &hub->drain.sessions;

    hub->drain.phase = phase;
    hub->drain.after.size = 0;
    if (phase != DRAIN_SUBSCRIPTIONS && phase != DRAIN_WAITING)
        list_move_all(from, to);
}

static bool drain_step(struct slice *slice)
{
    struct hub *hub = container_of(slice, struct hub, drain.slice);

    switch (hub->drain.phase) {
    case DRAIN_PRODUCERS:
        if (close_inlets(hub))
            return true;
        if (!hub->drain.positions)
            hub->drain.positions = drained_positions_take(hub);
        enter_phase(hub, DRAIN_SUBSCRIPTIONS);
        return true;
    case DRAIN_SUBSCRIPTIONS:
        if (!drain_subscription(hub))
            enter_phase(hub, DRAIN_SESSIONS);
        return true;
    case DRAIN_SESSIONS:
        if (drain_session(hub))
            return true;
        ctx_drain(&hub->ctx, FAULT_DRAINING, hub->drain.deadline_ns);
        enter_phase(hub, DRAIN_WAITING);
        break;
    case DRAIN_ABORTING:
        if (abort_session(hub))
            return true;
        hub->drain.phase = DRAIN_OVER;
        hub->ready.emptied = report_emptied;
        break;
    case DRAIN_WAITING:
    case DRAIN_OVER:
        break;
    }
    ready_run(&hub->ready);
    return false;
}

/* Nothing is left to do in a hub that drains. Without subscriptions nobody is left to publish
 * for. */
static void abort_the_rest(struct ready_list *list)
{
    struct hub *hub = container_of(list, struct hub, ready);

    if (hub->ids.count > 0 || hub->drain.phase != DRAIN_WAITING)
        return;
    enter_phase(hub, DRAIN_ABORTING);
    loop_slice(hub->loop, &hub->drain.slice);
}

void hub_drain(struct hub *hub, int64_t drain_ns, void (*emptied)(void *ctx), void *ctx)
{
    int64_t deadline_ns = clock_from_now_ns(drain_ns);
    bool first = !atomic_exchange(&hub->draining, true);

    if (first) {
        log_write(LOG_INFO, "hub.draining", LOG_NUMBER("drain_timeout_ms", drain_ns / NS_PER_MS),
                  LOG_NUMBER("producers", hub->registry.producers.count),
                  LOG_NUMBER("subscriptions", hub->ids.count));
        hub->emptied = emptied;
        hub->emptied_ctx = ctx;
        hub->ready.emptied = abort_the_rest;
    }
    hub->drain.deadline_ns = MIN_OF(hub->drain.deadline_ns, deadline_ns);
    if (hub->drain.phase < DRAIN_ABORTING)
        enter_phase(hub, DRAIN_PRODUCERS);
    loop_slice(hub->loop, &hub->drain.slice);
}

static bool report_step(struct slice *slice)
{
    return inlet_reports_step(&container_of(slice, struct hub, report)->wildcards);
}

static void free_parts(struct hub *hub)
{
    producer_sampler_free(hub->producer_sampler);
    change_log_free(hub->change_log);
    transients_free(hub->transients);
}

struct status hub_new(struct loop *loop, struct hub **hub_out)
{
    struct hub *hub = calloc(1, sizeof(*hub));

    if (!hub)
        return (struct status){ERR_NO_MEMORY, 0, "allocate a hub"};
    hub->loop = loop;
    hub->transients = transients_new(hub);
    hub->shedder = shedder_new(hub);
    hub->change_log = change_log_new(loop);
    hub->producer_sampler = producer_sampler_new(hub);
    if (!hub->transients || !hub->shedder || !hub->change_log || !hub->producer_sampler) {
        free_parts(hub);
        shedder_free(hub->shedder);
        free(hub);
        return (struct status){ERR_NO_MEMORY, 0, "allocate a hub"};
    }
    registry_init(&hub->registry, loop);
    wildcard_set_init(&hub->wildcards, bindings_reported);
    slice_init(&hub->report, report_step);
    slice_init(&hub->sweep, wildcard_sweep_step);
    due_queue_init(&hub->due_queue, loop, &hub->ready, activation_due);
    hub->random_state = clock_epoch_ns();
    ready_list_init(&hub->ready, loop);
    map_init(&hub->ids);
    subscriptions_init(&hub->subscriptions);
    list_init(&hub->sessions);
    list_init(&hub->drain.sessions);
    hub->drain.deadline_ns = INT64_MAX;
    slice_init(&hub->drain.slice, drain_step);
    ctx_init(&hub->ctx, NULL, NULL, INT64_MAX);
    *hub_out = hub;
    return STATUS_OK;
}

void hub_free(struct hub *hub)
{
    struct producer *producer;

    if (!hub)
        return;
    loop_finish_slices(hub->loop);
    CHECK(hub->ids.count == 0 && list_empty(&hub->sessions) && list_empty(&hub->drain.sessions));
    shedder_free(hub->shedder);
    while ((producer = registry_after(&hub->registry, (struct bytes){NULL, 0})))
        producer->kind->free(producer);
    registry_fini(&hub->registry);
    wildcard_set_fini(&hub->wildcards);
    drained_positions_free(hub->drain.positions);
    due_queue_fini(&hub->due_queue);
    ctx_fini(&hub->ctx);
    map_fini(&hub->ids);
    peer_counts_fini(&hub->peers);
    peer_counts_fini(&hub->watch_peers);
    free_parts(hub);
    free(hub);
}
