/* subscriber.c - one consumer's stream, for Subscribe and Consume: a checked request, a
 * subscription in the hub, and a sender on the call.
 *
 *   OPENING --subscribed--> LIVE --ending--> LEAVING --unsubscribed--> GONE
 *      \--refused--------------------------------------------------------^
 *
 * What ends LIVE: the end of the channel, an abort by the hub, the limit of events, a malformed
 * message, or a lost call. Where the call is lost, the state changes to LEAVING when no write is in
 * flight: that write fails at once. Where the call was finished, the state changes at once: the
 * write in flight and the status behind it may wait for their peer, and producers need not. Until
 * then that message stays in the budget.
 *
 * The loop posts its notices (closing, abort) to the call's wire thread before it posts the answer
 * to unsubscribe(). So no notice arrives after GONE. */
#include <stdlib.h>
#include <string.h>

#include "base/fsm.h"
#include "event/field_write.h"
#include "flow/chan_stats.h"
#include "hub/hub_query.h"
#include "hub/subscription.h"
#include "hub/subscription_port.h"
#include "proto/field_numbers.h"
#include "server/rpc/decode.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/method_table.h"
#include "server/rpc/services.h"
#include "server/rpc/subscriber.h"
#include "tributary/v1/subscriber.pb-c.h"

static const struct fsm machine = {
    .name = "subscriber",
    .states = {[SUBSCRIBER_OPENING] = {"OPENING", BIT(SUBSCRIBER_LIVE) | BIT(SUBSCRIBER_GONE)},
               [SUBSCRIBER_LIVE] = {"LIVE", BIT(SUBSCRIBER_LEAVING)},
               [SUBSCRIBER_LEAVING] = {"LEAVING", BIT(SUBSCRIBER_GONE)},
               [SUBSCRIBER_GONE] = {"GONE", 0}},
};

static void on_left(struct task *task)
{
    struct subscriber *subscriber = container_of(task, struct subscriber, task);

    fsm_move(&machine, subscriber, SUBSCRIBER_GONE);
    call_unhold(subscriber->call);
}

/* Loop. */
static void unsubscribe(struct task *task)
{
    struct subscriber *subscriber = container_of(task, struct subscriber, task);

    hub_unsubscribe(subscriber->subscription, subscriber->reason);
}

/* Loop. */
static void left(void *ctx)
{
    struct subscriber *subscriber = ctx;

    subscriber->task.run = on_left;
    cq_post(call_cq(subscriber->call), &subscriber->task);
}

static void leave(struct subscriber *subscriber)
{
    fsm_move(&machine, subscriber, SUBSCRIBER_LEAVING);
    sender_end(subscriber->sender);
    call_hold(subscriber->call);
    subscriber->task.run = unsubscribe;
    loop_post(subscriber->rpc->loop, &subscriber->task);
}

static void leave_when_sent(struct subscriber *subscriber)
{
    if (subscriber->state == SUBSCRIBER_LIVE && subscriber->ending && !sender_in_flight(subscriber->sender))
        leave(subscriber);
}

/* The call is lost. Only the first reason counts. */
static void begin_end(struct subscriber *subscriber, enum fault_reason reason)
{
    if (!subscriber->ending)
        subscriber->reason = reason;
    subscriber->ending = true;
    leave_when_sent(subscriber);
}

/* Finishes the call. Where it is lost already, its own reason counts. */
static void finish(struct subscriber *subscriber, const struct fault *fault)
{
    bool was_alive = call_alive(subscriber->call);

    call_finish(subscriber->call, fault);
    if (subscriber->state != SUBSCRIBER_LIVE || !was_alive)
        return;
    subscriber->reason = fault->reason;
    subscriber->ending = true;
    leave(subscriber);
}

static void progress(void *ctx, struct chan *chan, bool last, struct buf *block)
{
    struct subscriber *subscriber = ctx;

    progress_write(&subscriber->progress, subscriber->subscription, chan, last, block);
}

/* The channel may end before the loop's notice has run. Then this waits for the notice: `closing`
 * brings the reason, and `abort` finishes the call itself. */
static bool ended(void *ctx, enum chan_state how)
{
    struct subscriber *subscriber = ctx;
    struct fault fault = {0};

    if (how == CHAN_BROKEN)
        chan_too_slow(subscriber->result.chan, &fault);
    else if (!subscriber->closing_known)
        return false;
    else if (subscriber->closing == CLOSING_SERVER_DRAINING)
        fault_set(&fault, FAULT_DRAINING, "", "");
    finish(subscriber, &fault);
    return true;
}

/* A consumer that resumes after the mark wants the new sources, also those that are idle. */
static void marked(void *ctx, uint32_t mark, struct buf *block)
{
    struct subscriber *subscriber = ctx;
    OWNED(buf_fini) struct buf settings = {0};

    settings_write(&subscriber->request, mark, &settings);
    field_message(block, PB_EVENT_BATCH_SETTINGS, &settings);
    progress_token_due(&subscriber->progress);
}

static void write_closing(void *ctx, struct buf *block)
{
    struct subscriber *subscriber = ctx;

    closing_write(&subscriber->progress, subscriber->subscription, subscriber->closing,
                  subscriber->closing_deadline_ns, block);
}

static void on_limit(void *ctx)
{
    const struct fault none = {.reason = FAULT_NONE};

    finish(ctx, &none);
}

static void on_not_reading(void *ctx, const struct fault *fault)
{
    finish(ctx, fault);
}

static const struct sender_port sender_port = {progress,       write_closing, marked,
                                               on_not_reading, on_limit,      ended};

static void on_closing(struct task *task)
{
    struct subscriber *subscriber = container_of(task, struct subscriber, closing_notice);

    if (subscriber->state != SUBSCRIBER_LIVE || subscriber->ending)
        return;
    subscriber->closing_known = true;
    sender_add_closing(subscriber->sender);
}

/* Loop. */
static void closing(void *ctx, enum closing reason, int64_t deadline_ns)
{
    struct subscriber *subscriber = ctx;

    subscriber->closing = reason;
    subscriber->closing_deadline_ns = deadline_ns;
    subscriber->closing_notice.run = on_closing;
    cq_post(call_cq(subscriber->call), &subscriber->closing_notice);
}

static void on_abort(struct task *task)
{
    struct subscriber *subscriber = container_of(task, struct subscriber, abort_notice);

    if (subscriber->state != SUBSCRIBER_LIVE || subscriber->ending)
        return;
    finish(subscriber, &subscriber->fault);
}

/* Loop. */
static void abort_call(void *ctx, const struct fault *fault)
{
    struct subscriber *subscriber = ctx;

    subscriber->fault = *fault;
    subscriber->abort_notice.run = on_abort;
    cq_post(call_cq(subscriber->call), &subscriber->abort_notice);
}

/* Loop. */
static void settings(void *ctx, struct buf *settings)
{
    const struct subscriber *subscriber = ctx;

    settings_write(&subscriber->request, 0, settings);
}

/* Loop. */
static void bound(void *ctx, uint32_t producers_matched)
{
    struct subscriber *subscriber = ctx;

    subscriber->result.producers_matched = producers_matched;
    cq_post(call_cq(subscriber->call), &subscriber->task);
}

/* Loop. */
static void selected(void *ctx, enum fault_reason reason)
{
    struct subscriber *subscriber = ctx;

    subscriber->on_selected(subscriber, reason);
}

static const struct subscription_port subscription_port = {bound,      selected, closing,
                                                           abort_call, left,     settings};

struct subscriber *subscriber_of(const struct subscription_view *view)
{
    return view->port == &subscription_port ? view->ctx : NULL;
}

static void write_started(struct subscriber *subscriber, struct buf *block)
{
    OWNED(buf_fini) struct buf body = {0};
    OWNED(buf_fini) struct buf settings = {0};

    settings_write(&subscriber->request, 0, &settings);
    field_text(&body, PB_STARTED_SUBSCRIPTION_ID, subscriber->result.id);
    field_message(&body, PB_STARTED_SETTINGS, &settings);
    field_varint(&body, PB_STARTED_PRODUCERS_MATCHED, subscriber->result.producers_matched);
    progress_write_token(&subscriber->progress, subscriber->subscription, PB_STARTED_RESUME_TOKEN, &body);
    field_message(block, PB_EVENT_BATCH_STARTED, &body);
}

/* Wire thread, back from the loop. */
static void on_subscribed(struct task *task)
{
    struct subscriber *subscriber = container_of(task, struct subscriber, task);
    struct call *call = subscriber->call;
    OWNED(buf_fini) struct buf block = {0};

    decoded_free(subscriber->message);
    subscriber->message = NULL;
    if (!subscriber->subscription) {
        fsm_move(&machine, subscriber, SUBSCRIBER_GONE);
        call_finish(call, &subscriber->fault);
    } else {
        fsm_move(&machine, subscriber, SUBSCRIBER_LIVE);
        sender_begin(subscriber->sender, subscriber->result.chan);
        write_started(subscriber, &block);
        sender_add_note(subscriber->sender, &block);
        if (!call_alive(call))
            begin_end(subscriber, call_end_reason(call));
        else if (subscriber->on_live)
            subscriber->on_live(subscriber);
    }
    call_unhold(call);
}

/* Loop. */
static void subscribe(struct task *task)
{
    struct subscriber *subscriber = container_of(task, struct subscriber, task);

    if (hub_subscribe(subscriber->rpc->hub, &subscriber->request.params, &subscriber->subscription,
                      &subscriber->result, &subscriber->fault))
        subscriber->subscription = NULL;
    else
        subscriber->request.params.filter = NULL; /* the subscription owns it now */
    subscriber->task.run = on_subscribed;
    if (!subscriber->subscription || !subscriber->result.pending)
        cq_post(call_cq(subscriber->call), &subscriber->task);
}

void subscriber_refuse(struct subscriber *subscriber, const struct fault *fault)
{
    finish(subscriber, fault);
    if (subscriber->state == SUBSCRIBER_OPENING && !subscriber->sender)
        fsm_move(&machine, subscriber, SUBSCRIBER_GONE);
}

void subscriber_begin(struct subscriber *subscriber, const ProtobufCMessage *message, ProtobufCMessage *owner)
{
    struct subscribe_request *request = &subscriber->request;
    struct call *call = subscriber->call;
    const struct settings *limits = loop_settings(subscriber->rpc->loop);
    struct fault fault;

    subscriber->message = owner;
    if (subscribe_request_read(message, &limits->subscription, request, &fault) ||
        subscribe_request_check_topics(request, subscriber->rpc->params.topics, &fault)) {
        if (subscriber->field_prefix)
            fault_within(&fault, subscriber->field_prefix);
        subscriber_refuse(subscriber, &fault);
        return;
    }
    subscribe_request_lower(request, limits);
    struct sender_settings settings = {.linger_ns = request->linger_ns,
                                       .heartbeat_ns = request->heartbeat_ns,
                                       .write_timeout_ns = limits->write_timeout_ns,
                                       .progress_ns = PROGRESS_EVERY_NS,
                                       .batch_events = request->max_batch_events,
                                       .batch_bytes = request->max_batch_bytes,
                                       .states = request->states,
                                       .sorts = request->params.limits.sort.duration_ns > 0,
                                       .limit_events = request->limit_events};
    subscriber->sender = sender_new(call, &settings, &sender_port, subscriber);
    if (!subscriber->sender && fault_set(&fault, FAULT_MEMORY_BUDGET, "", "")) {
        subscriber_refuse(subscriber, &fault);
        return;
    }
    request->params.limits.no_states = !request->states;
    subscriber->progress.interval_ns = limits->full_token_interval_ns;
    request->params.callbacks = (struct chan_callbacks){.readable = sender_wake, .ctx = subscriber->sender};
    request->params.peer = call_peer(call);
    request->params.peer_key = call_peer_key(call);
    request->params.deadline_ns = call_deadline_ns(call);
    request->params.via = call_via(call);
    request->params.port = &subscription_port;
    request->params.ctx = subscriber;
    call_hold(call);
    subscriber->task.run = subscribe;
    loop_post(subscriber->rpc->loop, &subscriber->task);
}

void subscriber_sent(struct subscriber *subscriber, bool ok)
{
    sender_sent(subscriber->sender, ok);
    leave_when_sent(subscriber);
}

static void on_given_up(struct task *task)
{
    call_unhold(container_of(task, struct subscriber, lost_notice)->call);
}

/* Loop. It comes after subscribe(), and before unsubscribe(). */
static void give_up(struct task *task)
{
    struct subscriber *subscriber = container_of(task, struct subscriber, lost_notice);

    if (subscriber->subscription)
        hub_give_up(subscriber->subscription);
    task->run = on_given_up;
    cq_post(call_cq(subscriber->call), task);
}

/* While OPENING on_subscribed() will find that the call is not alive, perhaps much later. */
void subscriber_lost(struct subscriber *subscriber)
{
    if (subscriber->state == SUBSCRIBER_LIVE) {
        sender_stop(subscriber->sender);
        begin_end(subscriber, call_end_reason(subscriber->call));
    } else if (subscriber->state == SUBSCRIBER_OPENING && subscriber->sender) {
        call_hold(subscriber->call);
        subscriber->lost_notice.run = give_up;
        loop_post(subscriber->rpc->loop, &subscriber->lost_notice);
    }
}

void subscriber_fini(struct subscriber *subscriber)
{
    sender_free(subscriber->sender);
    chan_release(subscriber->result.chan);
    subscribe_request_fini(&subscriber->request);
    decoded_free(subscriber->message);
}

static void message(struct call *call, struct message *message)
{
    ProtobufCMessage *request;
    struct fault fault;

    if (decode_message(message, &tributary__v1__subscribe_request__descriptor, &request, &fault))
        subscriber_refuse(call_owned(call), &fault);
    else
        subscriber_begin(call_owned(call), request, request);
}

static void opened(struct call *call, void *ctx)
{
    struct subscriber *subscriber = calloc(1, sizeof(*subscriber));
    struct fault fault;

    if (!subscriber) {
        fault_set(&fault, FAULT_MEMORY_BUDGET, "", "");
        call_finish(call, &fault);
        return;
    }
    subscriber->rpc = ctx;
    subscriber->call = call;
    call_own(call, subscriber);
    call_read(call);
}

static void half_closed(struct call *call)
{
    struct fault fault;

    fault_set(&fault, FAULT_NO_MESSAGE, "", "");
    subscriber_refuse(call_owned(call), &fault);
}

static void sent(struct call *call, bool ok)
{
    subscriber_sent(call_owned(call), ok);
}

static void lost(struct call *call)
{
    if (call_owned(call))
        subscriber_lost(call_owned(call));
}

static void closed(struct call *call, bool ok)
{
    struct subscriber *subscriber = call_owned(call);

    (void)ok;
    if (subscriber)
        subscriber_fini(subscriber);
    free(subscriber);
}

static const struct call_port subscribe_port = {.leads_to_calls = true,
                                                .opened = opened,
                                                .message = message,
                                                .half_closed = half_closed,
                                                .sent = sent,
                                                .lost = lost,
                                                .closed = closed};

enum err subscriber_serve(struct rpc *rpc)
{
    return rpc_add_method(rpc, "/tributary.v1.Subscriber/Subscribe", &subscribe_port, rpc);
}
