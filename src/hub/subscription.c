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
 * In each state the hub knows the subscription until hub_unsubscribe(). */
#include "hub/subscription.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "flow/chan_stats.h"
#include "flow/producer_state.h"
#include "hub/activation_internal.h"
#include "hub/bind.h"
#include "hub/binding.h"
#include "hub/subscription_internal.h"
#include "route/resume.h"

/* A stream that ends by itself has time: as long as a drain may last. */
#define ALL_ENDED_DRAIN_NS (3600 * NS_PER_S)

static const char *const closing_names[] = {
    [CLOSING_SERVER_DRAINING] = "SERVER_DRAINING",
    [CLOSING_FINISHED] = "FINISHED",
    [CLOSING_DISCONNECTED] = "DISCONNECTED",
    [CLOSING_ALL_ENDED] = "ALL_ENDED",
};

static void end_activations(struct subscription *subscription, const struct ending *ending)
{
    struct list *node;

    subscription->held++;
    while ((node = list_first(&subscription->activations)))
        activation_end(container_of(node, struct activation, in_subscription), ending);
    subscription->held--;
}

/* Ends activations that did not stop in time, and says so. */
static void expire_activations(struct subscription *subscription)
{
    const struct ending ending = {
        .reason = subscription->ctx.reason, .state = PRODUCER_ENDED, .notify = true, .expired = true};

    end_activations(subscription, &ending);
}

static void deadline_passed(struct timer *timer)
{
    struct subscription *subscription = container_of(timer, struct subscription, deadline);

    expire_activations(subscription);
    chan_close(subscription->chan, LOSS_DRAIN_CUT);
}

/* Returns false where the drain's deadline is now, or where the timer cannot be set. */
static bool set_deadline(struct subscription *subscription)
{
    int64_t delay_ns = subscription->ctx.deadline_ns - clock_mono_ns();

    timer_stop(&subscription->deadline);
    return delay_ns > 0 && timer_start(subscription->hub->loop, &subscription->deadline, delay_ns) == ERR_OK;
}

/* Begins a gentle end, or brings its deadline nearer. The port is notified before the channel
 * moves, so that no taker finds the channel at its end without knowing why. The port may end the
 * subscription, so it is not used afterwards. */
static void drain(struct subscription *subscription)
{
    struct chan *chan = chan_retain(subscription->chan);
    bool already_draining = subscription->draining;
    bool timed, waits;

    subscription->draining = true;
    if (subscription->closing == 0)
        subscription->closing = CLOSING_SERVER_DRAINING;
    bindings_detach(subscription);
    timed = set_deadline(subscription);
    if (!timed)
        expire_activations(subscription);
    waits = subscription->activation_count > 0;
    if (!already_draining) {
        log_write(LOG_INFO, "subscription.draining", LOG_TEXT("subscription", subscription->id_text),
                  LOG_TEXT("reason", closing_names[subscription->closing]));
        subscription->port->closing(subscription->port_ctx, subscription->closing,
                                    subscription->ctx.deadline_ns);
    }
    if (!waits)
        chan_drain(chan);
    if (!timed)
        chan_close(chan, LOSS_DRAIN_CUT);
    chan_release(chan);
}

void subscription_update(struct subscription *subscription)
{
    if (subscription->held > 0 || subscription->activation_count > 0)
        return;
    switch (subscription->ctx.state) {
    case CTX_LIVE:
        if (!subscription->ends_with_activations || !subscription->begun)
            break;
        subscription->closing = CLOSING_ALL_ENDED;
        ctx_drain(&subscription->ctx, FAULT_FINISHED, from_now(ALL_ENDED_DRAIN_NS));
        break;
    case CTX_DRAINING:
        /* Not before the port was notified, if that is still to come. */
        if (subscription->draining)
            chan_drain(subscription->chan);
        break;
    case CTX_CANCELLED:
        break;
    }
}

/* A hard end. Here too the port comes first, then the channel. The activations are ended next,
 * through their contexts. */
static void abort_call(struct subscription *subscription)
{
    struct chan *chan = chan_retain(subscription->chan);
    struct fault fault;

    if (subscription->fault)
        fault = *subscription->fault;
    else
        fault_set(&fault, subscription->ctx.reason, NULL, NULL);
    subscription->fault = NULL;
    timer_stop(&subscription->deadline);
    bindings_detach(subscription);
    subscription->port->abort_call(subscription->port_ctx, &fault);
    chan_close(chan, LOSS_CONSUMER_GONE);
    chan_release(chan);
}

static void on_context_moved(struct ctx *ctx)
{
    switch (ctx->state) {
    case CTX_DRAINING:
        drain(container_of(ctx, struct subscription, ctx));
        break;
    case CTX_CANCELLED:
        abort_call(container_of(ctx, struct subscription, ctx));
        break;
    case CTX_LIVE:
        break; /* no context moves to it */
    }
}

static const struct ctx_port ctx_port = {on_context_moved};

static void subscription_free(struct subscription *subscription)
{
    if (!subscription)
        return;
    subscription->held++;
    bindings_detach(subscription);
    ctx_fini(&subscription->ctx);
    chan_release(subscription->chan);
    filter_free(subscription->filter);
    free(subscription);
}
OWNED_BY(subscription_free, struct subscription);

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
    struct subscription *subscription =
        calloc(1, sizeof(*subscription) + params->name.size + params->request.size + peer.size + 1);

    if (!subscription)
        return NULL;
    list_init(&subscription->link);
    list_init(&subscription->bindings);
    list_init(&subscription->activations);
    subscription->chan = chan_new(&params->limits, &params->callbacks);
    if (!subscription->chan) {
        free(subscription);
        return NULL;
    }
    subscription->hub = hub;
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
    subscription->request = copy_text(subscription->texts + params->name.size, params->request);
    subscription->peer =
        (const char *)copy_text(subscription->texts + params->name.size + params->request.size, peer).data;
    ctx_init(&subscription->ctx, &hub->ctx, &ctx_port,
             params->deadline_ns > 0 ? params->deadline_ns : INT64_MAX);
    return subscription;
}

static enum err bind_all(struct subscription *subscription, const struct subscription_params *params,
                         struct list *created)
{
    OWNED(resume_free) struct resume *resume = NULL;
    struct start_point start_point = {.last = params->last};

    if (params->resume &&
        !(resume = resume_new(params->resume, params->resume_count, params->resume_left_out == 0)))
        return ERR_NO_MEMORY;
    if (params->last > 0)
        hub_keep_history(subscription->hub);
    start_point.resume = resume;
    if (bind_producers(subscription, &start_point, created) != ERR_OK)
        return ERR_NO_MEMORY;
    return resume ? resume_report_lost_sources(resume, subscription->chan, subscription->filter,
                                               &subscription->hub->producers)
                  : ERR_OK;
}

/* Everything is in its place: the activations may begin, and end. */
static void begin(struct subscription *subscription, struct list *created)
{
    subscription->held++;
    activations_begin(created);
    subscription->held--;
    subscription_update(subscription);
}

enum fault_reason hub_subscribe(struct hub *hub, const struct subscription_params *params,
                                struct subscription **subscription_out,
                                struct subscription_result *result_out, struct fault *fault)
{
    OWNED(subscription_free) struct subscription *subscription = NULL;
    struct list created;
    char bound[32];

    list_init(&created);
    if (hub_draining(hub))
        return fault_set(fault, FAULT_DRAINING, NULL, NULL);
    if (hub->ids.count >= hub->limits.max_subscriptions) {
        snprintf(bound, sizeof(bound), "at most %u", hub->limits.max_subscriptions);
        return fault_set(fault, FAULT_TOO_MANY_SUBSCRIPTIONS, NULL, bound);
    }
    subscription = subscription_new(hub, params);
    if (!subscription)
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    subscription->filter = params->filter;
    if (bind_all(subscription, params, &created) != ERR_OK ||
        map_add(&hub->ids, &subscription->id) != ERR_OK) {
        subscription->filter = NULL; /* refused: it stays the caller's */
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    }
    list_append(&hub->subscriptions, &subscription->link);
    count_add(COUNT_LIVE_SUBSCRIPTIONS, 1);
    memcpy(result_out->id, subscription->id_text, sizeof(result_out->id));
    result_out->producers_matched = subscription->binding_count + subscription->activation_count;
    result_out->chan = chan_retain(subscription->chan);
    log_write(LOG_INFO, "subscription.added", LOG_TEXT("subscription", subscription->id_text),
              LOG_BYTES("name", params->name), LOG_TEXT("peer", subscription->peer),
              LOG_NUMBER("producers", result_out->producers_matched));
    *subscription_out = subscription;
    subscription = NULL;
    begin(*subscription_out, &created);
    return FAULT_NONE;
}

static void log_ended(struct subscription *subscription, enum fault_reason reason)
{
    struct chan_stats stats;
    const char *text = fault_reason_name(reason);

    if (reason == FAULT_NONE)
        text = subscription->closing != 0 ? closing_names[subscription->closing] : "ENDED";
    chan_stats(subscription->chan, &stats);
    log_write(LOG_INFO, "subscription.ended", LOG_TEXT("subscription", subscription->id_text),
              LOG_BYTES("name", subscription->name), LOG_TEXT("peer", subscription->peer),
              LOG_TEXT("reason", text), LOG_NUMBER("accepted", stats.accepted.events),
              LOG_NUMBER("delivered", stats.delivered.events),
              LOG_NUMBER("dropped", chan_dropped(&stats).events), LOG_NUMBER("queued", stats.queued.events),
              LOG_NUMBER("expired", subscription->expired_activations));
}

void hub_unsubscribe(struct subscription *subscription, enum fault_reason reason)
{
    const struct ending ending = {
        .reason = reason != FAULT_NONE ? reason : FAULT_FINISHED, .state = PRODUCER_ENDED, .notify = true};
    struct hub *hub = subscription->hub;

    subscription->held++; /* no subscription_update() any more */
    /* Nobody may bind to it any more: an end below may be the beginning of another session. */
    list_remove(&subscription->link);
    timer_stop(&subscription->deadline);
    bindings_detach(subscription);
    end_activations(subscription, &ending);
    chan_close(subscription->chan, LOSS_CONSUMER_GONE);
    log_ended(subscription, reason);
    map_remove(&hub->ids, &subscription->id);
    subscription_free(subscription);
    count_add(COUNT_LIVE_SUBSCRIPTIONS, -1);
    hub_subscription_gone(hub);
}

struct subscription *subscription_find(struct hub *hub, struct bytes id, struct fault *fault)
{
    struct map_node *node = map_find(&hub->ids, id);

    if (node)
        return container_of(node, struct subscription, id);
    fault_bytes(fault, FAULT_SUBSCRIPTION_NOT_FOUND, "subscription_id", id, NULL);
    return NULL;
}

enum fault_reason hub_finish(struct hub *hub, struct bytes id, enum closing reason, int64_t drain_ns,
                             struct fault *fault)
{
    struct subscription *subscription = subscription_find(hub, id, fault);

    if (!subscription)
        return FAULT_SUBSCRIPTION_NOT_FOUND;
    if (subscription->closing == 0)
        subscription->closing = reason;
    ctx_drain(&subscription->ctx, reason == CLOSING_DISCONNECTED ? FAULT_KICKED : FAULT_FINISHED,
              from_now(drain_ns));
    return FAULT_NONE;
}

enum fault_reason hub_disconnect(struct hub *hub, struct bytes id, struct bytes reason, struct fault *fault)
{
    struct subscription *subscription = subscription_find(hub, id, fault);
    char quoted[sizeof(fault->bound)] = "";
    struct fault quoted_fault;

    if (!subscription)
        return FAULT_SUBSCRIPTION_NOT_FOUND;
    if (reason.size > 0)
        quote_bytes(reason, reason.size, quoted, sizeof(quoted));
    if (subscription->ctx.state == CTX_CANCELLED)
        return FAULT_NONE;
    fault_set(&quoted_fault, FAULT_KICKED, NULL, quoted);
    subscription->fault = &quoted_fault;
    ctx_cancel(&subscription->ctx, FAULT_KICKED); /* the subscription may be gone after this */
    return FAULT_NONE;
}
