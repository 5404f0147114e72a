/* upstream_loop.c - an upstream call as its endpoint handles it. See upstream.h. */
#include "server/dial/upstream.h"

#include <stdio.h>

#include "server/dial/upstream_internal.h"
#include "server/dial/upstream_served.h"

void upstream_post_flags(struct upstream *upstream)
{
    if (atomic_exchange(&upstream->posted, true))
        return;
    upstream_retain(upstream);
    cq_post(cq_of(upstream), &upstream->flags_task);
}

static void add_flag(struct upstream *upstream, enum flag flag)
{
    atomic_fetch_or(&upstream->flags, (uint32_t)flag);
    upstream_post_flags(upstream);
}

struct upstream *upstream_new(const struct upstream_plan *plan, const struct upstream_target *target,
                              const struct upstream_port *port, void *ctx, struct fault *fault)
{
    struct upstream *upstream = calloc(1, sizeof(*upstream));

    if (!upstream) {
        fault_set(fault, FAULT_MEMORY_BUDGET, "upstream call", "");
        return NULL;
    }
    if (upstream_cost_add(plan->costs, &upstream->cost, target->payer, CONNECTION_CALL_BYTES, fault)) {
        free(upstream);
        return NULL;
    }
    upstream->payer = target->payer;
    atomic_init(&upstream->refs, 1);
    upstream->plan = plan;
    upstream->port = port;
    upstream->ctx = ctx;
    upstream->session = target->session;
    upstream->cascade = target->cascade;
    upstream->activation = target->activation;
    upstream->is_shared = target->is_shared;
    upstream->request = shared_bytes_retain(target->request);
    snprintf(upstream->subscription_id, sizeof(upstream->subscription_id), "%s", target->subscription_id);
    upstream->deadline_ns = target->deadline_ns;
    upstream_call_init(upstream);
    list_init(&upstream->places.in_endpoint);
    list_init(&upstream->places.waiting);
    if (target->called)
        upstream_served_init(upstream, target->called);
    if (upstream_metadata_init(upstream, shared_bytes_view(target->via)))
        return upstream;
    fault_set(fault, FAULT_MEMORY_BUDGET, "upstream call", "");
    upstream_discard(upstream);
    return NULL;
}

void upstream_discard(struct upstream *upstream)
{
    if (!upstream)
        return;
    if (is_served(upstream))
        served_link_leave(&upstream->served);
    upstream_cost_give_back(upstream->plan->costs, &upstream->cost);
    upstream_release(upstream);
}

void upstream_forget(struct upstream *upstream)
{
    upstream_release(upstream);
}

struct upstream_places *upstream_places(struct upstream *upstream)
{
    return &upstream->places;
}

struct upstream *upstream_of_list(struct list *in_endpoint)
{
    return container_of(in_endpoint, struct upstream, places.in_endpoint);
}

struct upstream *upstream_of_waiting(struct list *waiting)
{
    return container_of(waiting, struct upstream, places.waiting);
}

struct upstream *upstream_of_map(struct map_node *by_activation)
{
    return container_of(by_activation, struct upstream, places.by_activation);
}

const uint64_t *upstream_activation(const struct upstream *upstream)
{
    return &upstream->activation;
}

bool upstream_is_stopped(const struct upstream *upstream)
{
    return has_flag(upstream, FLAG_STOP) || has_flag(upstream, FLAG_CANCEL);
}

bool upstream_is_served(const struct upstream *upstream)
{
    return is_served(upstream);
}

bool upstream_was_refused(const struct upstream *upstream)
{
    return upstream->refused != FAULT_NONE;
}

void upstream_begin(struct upstream *upstream)
{
    upstream_retain(upstream); /* until `ended_task` has run */
    add_flag(upstream, FLAG_BEGIN);
}

void upstream_stop(struct upstream *upstream, enum fault_reason reason, int64_t deadline_ns)
{
    if (has_flag(upstream, FLAG_STOP))
        return;
    upstream->stop_reason = reason;
    upstream->stop_deadline_ns = deadline_ns;
    add_flag(upstream, FLAG_STOP);
}

void upstream_cancel(struct upstream *upstream)
{
    add_flag(upstream, FLAG_CANCEL);
}

void upstream_set_paused(struct upstream *upstream, bool pause)
{
    if (pause)
        atomic_fetch_or(&upstream->flags, (uint32_t)FLAG_PAUSE);
    else
        atomic_fetch_and(&upstream->flags, ~(uint32_t)FLAG_PAUSE);
    upstream_post_flags(upstream);
}
