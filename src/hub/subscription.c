/* subscription.c - subscriptions, from their beginning to their end. The states are those of the
 * context:
 *
 *   LIVE --finish, all ended, hub drains--> DRAINING --abort--> CANCELLED
 *
 * DRAINING: it is out of the inlets of shared producers. Its activations were stopped; what they
 * still send comes in until they have ended, and then the channel drains. At the deadline they are
 * ended, the channel is closed, and what still waits there is lost for DRAIN_CUT. The taker sees
 * the channel end.
 *
 * CANCELLED: it is out of every inlet, all activations have ended, the channel is closed, and the
 * port was told to end the call with a fault.
 *
 * A subscription that wants many producers gets its bindings in slices, and loses them in slices.
 * It leaves when it has none any more.
 *
 * In each state the hub knows the subscription until hub_unsubscribe(). In both ends the port is
 * notified before the channel moves, so that no taker finds the channel at its end without knowing
 * why. */
#include "hub/subscription.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "event/filter.h"
#include "flow/producer_state.h"
#include "hub/activation_internal.h"
#include "hub/bind_walk.h"
#include "hub/binding.h"
#include "hub/called.h"
#include "hub/filter_charge.h"
#include "hub/hub_internal.h"
#include "hub/hub_parts.h"
#include "hub/kept_memory.h"
#include "hub/producer_internal.h"
#include "hub/reader.h"
#include "hub/rebind.h"
#include "hub/subscription_ends.h"
#include "hub/subscription_internal.h"
#include "hub/subscription_log.h"

/* A stream that ends by itself has time: as long as a drain may last. */
#define ALL_ENDED_DRAIN_NS (3600 * NS_PER_S)

static void release(struct ready *ready)
{
    struct subscription *subscription = container_of(ready, struct subscription, ready);

    if (--subscription->refs > 0)
        return;
    ctx_fini(&subscription->ctx);
    chan_release(subscription->chan);
    filter_free(subscription->filter);
    filter_free(subscription->spare_filter);
    shared_bytes_release(subscription->request);
    shared_bytes_release(subscription->via);
    called_release(subscription->called);
    left_positions_fini(&subscription->left_positions);
    free(subscription->fault);
    free(subscription);
}

static void retain(struct ready *ready)
{
    container_of(ready, struct subscription, ready)->refs++;
}

/* ---- its beginning ---- */

/* hub_subscribe() has returned long ago. What else is to be called comes after this. */
static void call_bound(struct subscription *subscription)
{
    subscription->bound_due = false;
    ready_add(&subscription->ready);
    subscription_log_added(subscription);
    if (subscription->port->bound)
        subscription->port->bound(subscription->port_ctx, subscription_producers(subscription));
}

/* hub_select() has returned, or is about to. What else is to be called comes after this. */
static void call_selected(struct subscription *subscription)
{
    subscription->selected_due = false;
    ready_add(&subscription->ready);
    if (subscription->left)
        ready_call(&subscription->ready);
    subscription->port->selected(subscription->port_ctx, subscription->selected_reason);
}

/* ---- a gentle end ---- */

static void deadline_passed(struct timer *timer)
{
    struct subscription *subscription = container_of(timer, struct subscription, deadline);
    struct ready_list *list = subscription->ready.list;

    subscription->late = true;
    ready_add(&subscription->ready);
    ready_run(list);
}

/* A gentle end began, or its deadline came nearer. Where the timer cannot be set the deadline is
 * now. */
static void begin_drain(struct subscription *subscription)
{
    int64_t delay_ns = subscription->ctx.deadline_ns - clock_mono_ns();

    if (subscription->closing == 0)
        subscription->closing = CLOSING_SERVER_DRAINING;
    subscription->keeps_positions = true;
    bindings_detach(subscription);
    timer_stop(&subscription->deadline);
    subscription->late =
        delay_ns <= 0 || timer_start(subscription->hub->loop, &subscription->deadline, delay_ns) != ERR_OK;
}

static void end_late_activations(struct subscription *subscription)
{
    if (!subscription->late_ends)
        subscription_end_activations(subscription);
    else if (subscription_end_some(subscription))
        ready_add(&subscription->ready);
    subscription->late_ends = true;
}

static void run_draining(struct subscription *subscription)
{
    if (subscription->late && subscription->activation_count > 0) {
        end_late_activations(subscription); /* each of them brings the subscription back here */
        return;
    }
    if (bindings_left(subscription) && !subscription->late)
        return; /* it comes back here when it is out of all inlets */
    if (!subscription->closing_called) {
        ready_call(&subscription->ready);
        return;
    }
    if (subscription->late)
        chan_close(subscription->chan, LOSS_DRAIN_CUT);
    else if (subscription->activation_count == 0)
        chan_drain(subscription->chan);
}

static void call_closing(struct subscription *subscription)
{
    subscription->closing_called = true;
    ready_add(&subscription->ready);
    subscription_log_draining(subscription);
    subscription->port->closing(subscription->port_ctx, subscription->closing, subscription->ctx.deadline_ns);
}

/* ---- a hard end ---- */

static void call_abort(struct subscription *subscription)
{
    struct fault fault;

    if (subscription->fault)
        fault = *subscription->fault;
    else
        fault_set(&fault, subscription->ctx.reason, NULL, NULL);
    subscription->abort_called = true;
    ready_add(&subscription->ready);
    subscription->port->abort_call(subscription->port_ctx, &fault);
}

/* ---- its last transition ---- */

/* The peer has one subscription less. */
static void give_back_charge(struct subscription *subscription)
{
    if (!subscription->charge)
        return;
    filter_charge_set(subscription, 0);
    kept_memory_end(subscription);
    peer_counts_remove(&subscription->hub->peers, subscription->charge);
}

/* It was unsubscribed, and its last activation has ended. */
static void leave(struct subscription *subscription)
{
    subscription->left = true;
    chan_close(subscription->chan, LOSS_CONSUMER_GONE);
    subscription_log_ended(subscription);
    map_remove(&subscription->hub->ids, &subscription->id);
    give_back_charge(subscription);
    count_add(COUNT_LIVE_SUBSCRIPTIONS, -1);
    if (subscription->port->left)
        ready_call(&subscription->ready);
    release(&subscription->ready); /* the reference of its caller */
}

/* ---- what the ready list calls ---- */

/* What waits to be started again is nothing to wait for, unless others are at work. */
static void run_live(struct subscription *subscription)
{
    const bool all_ended = subscription->ends_with_activations && subscription->begun &&
                           subscription->activation_count <= subscription->retrying_count;

    if (!all_ended && !readers_caught_up(subscription))
        return;
    subscription->closing = all_ended ? CLOSING_ALL_ENDED : CLOSING_CAUGHT_UP;
    ctx_drain(&subscription->ctx, FAULT_FINISHED, clock_from_now_ns(ALL_ENDED_DRAIN_NS));
}

static void run(struct ready *ready)
{
    struct subscription *subscription = container_of(ready, struct subscription, ready);

    if (subscription->unsubscribed) {
        if (subscription_end_some(subscription))
            ready_add(ready);
        else if (subscription->activation_count == 0 && !bindings_left(subscription) &&
                 !subscription->wildcard.in_set && !subscription->left)
            leave(subscription);
        return;
    }
    switch (subscription->ctx.state) {
    case CTX_LIVE:
        run_live(subscription);
        break;
    case CTX_DRAINING:
        run_draining(subscription);
        break;
    case CTX_CANCELLED:
        if (subscription->abort_called)
            chan_close(subscription->chan, LOSS_CONSUMER_GONE);
        else
            ready_call(ready);
        break;
    }
}

static void call(struct ready *ready)
{
    struct subscription *subscription = container_of(ready, struct subscription, ready);

    if (subscription->selected_due) {
        call_selected(subscription);
        return;
    }
    if (subscription->left && subscription->port->left && !subscription->left_called) {
        subscription->left_called = true;
        subscription->port->left(subscription->port_ctx);
    }
    if (subscription->unsubscribed)
        return;
    if (subscription->bound_due) {
        call_bound(subscription);
    } else if (subscription->ctx.state == CTX_CANCELLED) {
        if (!subscription->abort_called)
            call_abort(subscription);
    } else if (subscription->ctx.state == CTX_DRAINING && !subscription->closing_called) {
        call_closing(subscription);
    }
}

static const struct ready_kind ready_kind = {run, call, retain, release};

static void on_context_moved(struct ctx *ctx)
{
    struct subscription *subscription = container_of(ctx, struct subscription, ctx);

    if (subscription->unsubscribed)
        return; /* it ends already */
    if (subscription->called && (ctx->state == CTX_CANCELLED || subscription->closing != CLOSING_ALL_ENDED))
        atomic_store_explicit(&subscription->called->ends_early, true, memory_order_release);
    bind_walk_stop(subscription);
    rebind_stop(subscription);
    if (subscription->bound_due)
        ready_call(&subscription->ready);
    if (ctx->state == CTX_DRAINING) {
        begin_drain(subscription);
    } else {
        timer_stop(&subscription->deadline);
        bindings_detach(subscription);
    }
    ready_add(&subscription->ready);
}

static const struct ctx_port ctx_port = {on_context_moved};

/* ---- making ---- */

/* Frees a subscription that nobody knows yet. */
static void discard(struct subscription *subscription)
{
    if (!subscription)
        return;
    bind_walk_stop(subscription);
    rebind_stop(subscription);
    activations_discard(&subscription->activations, PRODUCER_ENDED);
    bindings_detach_now(subscription);
    give_back_charge(subscription);
    release(&subscription->ready);
}
OWNED_BY(discard, struct subscription);

static struct bytes copy_text(uint8_t *at, struct bytes text)
{
    if (text.size > 0)
        memcpy(at, text.data, text.size);
    return (struct bytes){at, text.size};
}

/* A subscription without a filter, which the hub does not know yet. NULL: out of memory. */
static struct subscription *subscription_new(struct hub *hub, const struct subscription_params *params)
{
    const struct bytes peer = {(const uint8_t *)params->peer,
                               params->peer ? strnlen(params->peer, PEER_CAPACITY - 1) : 0};
    struct subscription *subscription = calloc(1, sizeof(*subscription) + params->name.size + peer.size + 1);

    if (!subscription)
        return NULL;
    slice_init(&subscription->detach, bindings_detach_step);
    list_init(&subscription->bindings);
    list_init(&subscription->spare_bindings);
    reader_lists_init(subscription, params->end_when_caught_up);
    subscription->generation = 1;
    list_init(&subscription->activations);
    list_init(&subscription->to_end);
    subscription->chan = chan_new(&params->limits, &params->callbacks);
    if (params->request.size > 0)
        subscription->request = shared_bytes_new(params->request);
    if (!subscription->chan || (params->request.size > 0 && !subscription->request)) {
        chan_release(subscription->chan);
        shared_bytes_release(subscription->request);
        free(subscription);
        return NULL;
    }
    chan_change_over(subscription->chan, subscription->generation, false, 0);
    subscription->hub = hub;
    subscription->called = called_retain(params->called);
    subscription->via = shared_bytes_retain(params->via);
    subscription->refs = 1;
    ready_init(&subscription->ready, &ready_kind, &hub->ready);
    subscription->limits = params->limits;
    subscription->port = params->port;
    subscription->port_ctx = params->ctx;
    subscription->ends_with_activations = params->end_when_all_ended;
    subscription->deadline.fired = deadline_passed;
    subscription->started_wall_ns = clock_wall_ns();
    /* Epochs rise within a process and from one process to the next, so ids sort by their
     * beginning. */
    snprintf(subscription->id_text, sizeof(subscription->id_text), "s%016" PRIx64, clock_epoch_ns());
    subscription->id.key =
        (struct bytes){(const uint8_t *)subscription->id_text, strlen(subscription->id_text)};
    subscription->name = copy_text(subscription->texts, params->name);
    subscription->peer = (const char *)copy_text(subscription->texts + params->name.size, peer).data;
    ctx_init(&subscription->ctx, &hub->ctx, &ctx_port,
             params->deadline_ns > 0 ? params->deadline_ns : INT64_MAX);
    return subscription;
}

/* Whether the peer may have one more subscription, with this filter and request. */
static enum fault_reason check_limits(struct hub *hub, const struct subscription_params *params,
                                      struct fault *fault)
{
    const struct peer_key peer = params->peer_key;
    const struct settings *settings = loop_settings(hub->loop);
    uint32_t max = settings->max_subscriptions;
    char bound[32];

    if (peer_share_check(&hub->peers, settings, max, peer, FAULT_PEER_SUBSCRIPTIONS, fault) != FAULT_NONE)
        return fault->reason;
    if (hub->ids.count < max)
        return kept_memory_check(hub, peer,
                                 filter_bytes(params->filter) + params->request.size +
                                     shared_bytes_view(params->via).size +
                                     (params->called ? params->called->kept_bytes : 0),
                                 fault);
    snprintf(bound, sizeof(bound), "at most %u", max);
    return fault_set(fault, FAULT_TOO_MANY_SUBSCRIPTIONS, NULL, bound);
}

enum fault_reason hub_subscribe(struct hub *hub, const struct subscription_params *params,
                                struct subscription **subscription_out,
                                struct subscription_result *result_out, struct fault *fault)
{
    const struct bind_start start = {.resume = params->resume,
                                     .resume_count = params->resume_count,
                                     .resume_left_out = params->resume_left_out,
                                     .resume_others_live = params->resume_others_live,
                                     .last = params->last,
                                     .stored_start = params->stored_start,
                                     .stored_value = params->stored_value,
                                     .at_once = !params->port->bound};
    OWNED(discard) struct subscription *subscription = NULL;
    uint32_t cost;

    if (hub_draining(hub))
        return fault_set(fault, FAULT_DRAINING, NULL, NULL);
    if (check_limits(hub, params, fault) != FAULT_NONE)
        return fault->reason;
    subscription = subscription_new(hub, params);
    if (!subscription || !(subscription->charge = peer_counts_add(&hub->peers, params->peer_key)))
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    if (filter_charge_check(subscription, params->filter, &cost, fault) != FAULT_NONE)
        return fault->reason;
    filter_charge_set(subscription, cost);
    subscription->filter = params->filter;
    if (bind_walk_begin(subscription, &start) != ERR_OK || map_add(&hub->ids, &subscription->id) != ERR_OK) {
        subscription->filter = NULL; /* refused: it stays the caller's */
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    }
    kept_memory_update(subscription);
    sorted_add(&hub->subscriptions, &subscription->by_id);
    count_add(COUNT_LIVE_SUBSCRIPTIONS, 1);
    memcpy(result_out->id, subscription->id_text, sizeof(result_out->id));
    result_out->producers_matched = subscription_producers(subscription);
    result_out->chan = chan_retain(subscription->chan);
    result_out->pending = !bind_walk_go_on(subscription);
    if (!result_out->pending)
        subscription_log_added(subscription);
    *subscription_out = subscription;
    subscription = NULL;
    ready_run(&hub->ready);
    return FAULT_NONE;
}

void hub_give_up(struct subscription *subscription)
{
    struct ready_list *list = subscription->ready.list;

    if (subscription->walk)
        ctx_cancel(&subscription->ctx, FAULT_CANCELLED);
    ready_run(list);
}

void hub_unsubscribe(struct subscription *subscription, enum fault_reason reason)
{
    struct ready_list *list = subscription->ready.list;

    subscription->unsubscribed = true;
    subscription->left_reason = reason;
    sorted_remove(&subscription->hub->subscriptions, &subscription->by_id); /* nobody binds to it */
    timer_stop(&subscription->deadline);
    bind_walk_stop(subscription);
    rebind_stop(subscription);
    bindings_detach(subscription);
    subscription_end_activations(subscription);
    ready_add(&subscription->ready);
    ready_run(list);
}
