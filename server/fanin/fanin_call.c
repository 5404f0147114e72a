/* fanin_call.c - one call of --fan-in: a checked request, a subscription in the hub that is bound
 * to the endpoints which serve the method, and a sender of raw messages on the call.
 *
 *   OPENING --subscribed--> LIVE --ending--> LEAVING --unsubscribed--> GONE
 *      \--refused--------------------------------------------------------^
 *
 * What ends LIVE: the end of the channel, an abort by the hub, the rule for failures, a message
 * that the method does not allow, or a lost call.
 *
 * The loop posts its notices (closing, abort) to the call's wire thread before it posts the answer
 * to unsubscribe(). So no notice arrives after GONE.
 *
 * The client's messages: the first one subscribes. The next one is read at once, so that a
 * half-close is seen; what comes is kept until every upstream has sent the one before. */
#include <stdlib.h>

#include "base/fsm.h"
#include "server/fanin/fanin_internal.h"
#include "server/fanin/fanin_settings.h"
#include "server/wire/message.h"

static const struct fsm machine = {
    .name = "fanin",
    .states = {[FANIN_OPENING] = {"OPENING", BIT(FANIN_LIVE) | BIT(FANIN_GONE)},
               [FANIN_LIVE] = {"LIVE", BIT(FANIN_LEAVING)},
               [FANIN_LEAVING] = {"LEAVING", BIT(FANIN_GONE)},
               [FANIN_GONE] = {"GONE", 0}},
};

/* ---- the end ---- */

static void on_left(struct task *task)
{
    struct fanin_call *fanin_call = container_of(task, struct fanin_call, task);

    fsm_move(&machine, fanin_call, FANIN_GONE);
    call_unhold(fanin_call->call);
}

/* Loop. */
static void unsubscribe(struct task *task)
{
    struct fanin_call *fanin_call = container_of(task, struct fanin_call, task);

    hub_unsubscribe(fanin_call->subscription, fanin_call->reason);
}

/* Loop. */
static void left(void *ctx)
{
    struct fanin_call *fanin_call = ctx;

    fanin_call->task.run = on_left;
    cq_post(call_cq(fanin_call->call), &fanin_call->task);
}

void fanin_leave(struct fanin_call *fanin_call, enum fault_reason reason)
{
    if (fanin_call->state != FANIN_LIVE)
        return;
    fsm_move(&machine, fanin_call, FANIN_LEAVING);
    fanin_call->reason = reason;
    raw_sender_stop(fanin_call->sender);
    served_call_leave(fanin_call->served);
    call_hold(fanin_call->call);
    fanin_call->task.run = unsubscribe;
    loop_post(fanin_call->fanin->loop, &fanin_call->task);
}

static void refuse_with(struct fanin_call *fanin_call, enum fault_reason reason, const char *bound)
{
    struct fault fault;

    fault_bytes(&fault, reason, "method", called_of(fanin_call)->method, bound);
    fanin_refuse(fanin_call, &fault);
}

/* ---- the subscription's port ---- */

static void on_closing(struct task *task)
{
    struct fanin_call *fanin_call = container_of(task, struct fanin_call, closing_notice);

    fanin_call->closing_known = true;
    if (fanin_call->state == FANIN_LIVE)
        raw_sender_decide(fanin_call->sender);
}

/* Loop. */
static void closing(void *ctx, enum closing reason, int64_t deadline_ns)
{
    struct fanin_call *fanin_call = ctx;

    (void)deadline_ns;
    fanin_call->closing = reason;
    fanin_call->closing_notice.run = on_closing;
    cq_post(call_cq(fanin_call->call), &fanin_call->closing_notice);
}

static void on_abort(struct task *task)
{
    struct fanin_call *fanin_call = container_of(task, struct fanin_call, abort_notice);

    if (fanin_call->state == FANIN_LIVE)
        fanin_refuse(fanin_call, &fanin_call->fault);
}

/* Loop. */
static void abort_call(void *ctx, const struct fault *fault)
{
    struct fanin_call *fanin_call = ctx;

    fanin_call->fault = *fault;
    fanin_call->abort_notice.run = on_abort;
    cq_post(call_cq(fanin_call->call), &fanin_call->abort_notice);
}

/* Loop. */
static void settings(void *ctx, struct buf *settings)
{
    const struct fanin_call *fanin_call = ctx;

    fanin_settings_write(&fanin_call->request.limits, settings);
}

/* Loop. */
static void bound(void *ctx, uint32_t producers_matched)
{
    struct fanin_call *fanin_call = ctx;

    (void)producers_matched;
    called_of(fanin_call)->is_settled = true;
    cq_post(call_cq(fanin_call->call), &fanin_call->task);
}

static const struct subscription_port subscription_port = {
    .bound = bound, .closing = closing, .abort_call = abort_call, .left = left, .settings = settings};

/* ---- the client's messages ---- */

void fanin_pass_on(struct fanin_call *fanin_call)
{
    struct fault fault;

    if (fanin_call->state != FANIN_LIVE || !call_alive(fanin_call->call))
        return;
    if (fanin_call->later && called_of(fanin_call)->one_request) {
        fault_number(&fault, FAULT_TOO_MANY, "messages", 2,
                     "1: the endpoint says otherwise with requests=many");
        fanin_refuse(fanin_call, &fault);
        return;
    }
    if (fanin_call->later) {
        if (!served_call_send(fanin_call->served, fanin_call->later))
            return;
        shared_bytes_release(fanin_call->later);
        fanin_call->later = NULL;
        peer_charge_give_back(&fanin_call->fanin->messages, &fanin_call->passed_charge);
        fanin_call->passed_charge = fanin_call->later_charge;
        fanin_call->later_charge = (struct peer_charge){.count = NULL};
        if (!fanin_call->half_closed)
            call_read(fanin_call->call);
    } else if (fanin_call->half_closed) {
        served_call_half_close(fanin_call->served);
    }
}

static void on_moved(void *ctx)
{
    fanin_pass_on(ctx);
}

/* Wire thread, back from the loop. */
static void on_subscribed(struct task *task)
{
    struct fanin_call *fanin_call = container_of(task, struct fanin_call, task);
    struct call *call = fanin_call->call;
    const struct called *called = called_of(fanin_call);

    /* The subscription has a copy, which the hub charges. */
    shared_bytes_release(fanin_call->first);
    fanin_call->first = NULL;
    peer_charge_give_back(&fanin_call->fanin->messages, &fanin_call->passed_charge);
    if (!fanin_call->subscription) {
        fsm_move(&machine, fanin_call, FANIN_GONE);
        call_finish(call, &fanin_call->fault);
        call_unhold(call);
        return;
    }
    fsm_move(&machine, fanin_call, FANIN_LIVE);
    if (fanin_call->outcome.rule == SERVE_END_UNSAID)
        fanin_call->outcome.rule = called->end;
    served_call_expect(fanin_call->served, called_is_refused(called) ? 0 : called->selected);
    raw_sender_begin(fanin_call->sender, fanin_call->result.chan,
                     fanin_call->request.limits.sort.duration_ns > 0);
    if (!call_alive(call))
        fanin_leave(fanin_call, call_end_reason(call));
    else if (called->selected == 0 && called->is_walked)
        refuse_with(fanin_call, called->serving == 0 ? FAULT_METHOD_NOT_SERVED : FAULT_NO_ENDPOINT, "");
    else if (called_is_refused(called))
        refuse_with(fanin_call, FAULT_SEVERAL_ENDPOINTS, "");
    else
        fanin_pass_on(fanin_call);
    call_unhold(call);
}

/* Loop. */
static void subscribe(struct task *task)
{
    struct fanin_call *fanin_call = container_of(task, struct fanin_call, task);
    struct call *call = fanin_call->call;
    const struct subscription_params params = {
        .filter = fanin_call->request.filter,
        .limits = fanin_call->request.limits,
        .callbacks = {.readable = raw_sender_wake, .ctx = fanin_call->sender},
        .name = called_of(fanin_call)->method,
        .peer = call_peer(call),
        .peer_key = call_peer_key(call),
        .request = shared_bytes_view(fanin_call->first),
        .called = called_of(fanin_call),
        .via = call_via(call),
        .deadline_ns = call_deadline_ns(call),
        .end_when_all_ended = true,
        .port = &subscription_port,
        .ctx = fanin_call};

    fanin_call->task.run = on_subscribed;
    if (hub_subscribe(fanin_call->fanin->hub, &params, &fanin_call->subscription, &fanin_call->result,
                      &fanin_call->fault)) {
        fanin_call->subscription = NULL;
        cq_post(call_cq(call), &fanin_call->task);
        return;
    }
    fanin_call->request.filter = NULL; /* the subscription owns it now */
    if (!fanin_call->result.pending)
        bound(fanin_call, 0);
}

/* A copy, which the client's peer is charged for. NULL: *fault says why not. */
static struct shared_bytes *keep(struct fanin_call *fanin_call, struct message *message, struct fault *fault)
{
    struct fanin *fanin = fanin_call->fanin;
    const struct settings *settings = loop_settings(fanin->loop);
    struct peer_charge *charge = fanin_call->begun ? &fanin_call->later_charge : &fanin_call->passed_charge;
    struct shared_bytes *bytes = NULL;

    if (message_check(message, settings->framing.max_batch_bytes, fault) ||
        peer_charge_add(&fanin->messages, settings, charge, call_peer_key(fanin_call->call),
                        message_bytes(message).size, fault))
        return NULL;
    bytes = shared_bytes_new(message_bytes(message));
    if (!bytes)
        fault_set(fault, FAULT_MEMORY_BUDGET, "message", "");
    return bytes;
}

static void message(struct call *call, struct message *message)
{
    struct fanin_call *fanin_call = call_owned(call);
    struct fault fault;
    struct shared_bytes *bytes = keep(fanin_call, message, &fault);

    if (!bytes) {
        fanin_refuse(fanin_call, &fault);
    } else if (fanin_call->begun) {
        fanin_call->later = bytes;
        fanin_pass_on(fanin_call);
    } else {
        fanin_call->first = bytes;
        fanin_call->begun = true;
        call_hold(call);
        fanin_call->task.run = subscribe;
        loop_post(fanin_call->fanin->loop, &fanin_call->task);
        call_read(call);
    }
}

static void half_closed(struct call *call)
{
    struct fanin_call *fanin_call = call_owned(call);
    struct fault fault;

    fanin_call->half_closed = true;
    if (fanin_call->begun) {
        fanin_pass_on(fanin_call);
        return;
    }
    fault_set(&fault, FAULT_NO_MESSAGE, "", "");
    fanin_refuse(fanin_call, &fault);
}

/* ---- the call's port ---- */

static bool copy_metadata(struct fanin_call *fanin_call)
{
    struct pair pair;

    for (size_t i = 0; call_metadata(fanin_call->call, i, &pair); i++) {
        if (!served_call_add_metadata(fanin_call->served, &pair))
            return false;
    }
    return true;
}

static enum fault_reason begin(struct fanin_call *fanin_call, struct fault *fault)
{
    struct call *call = fanin_call->call;
    const struct settings *settings = loop_settings(fanin_call->fanin->loop);
    const struct served_call_params params = {
        .method = call_path(call), .thread = call_cq(call), .moved = on_moved, .ctx = fanin_call};

    if (fanin_request_read(call, settings, &fanin_call->request, fault))
        return fault->reason;
    fanin_call->served = served_call_new(&params);
    fanin_call->sender = raw_sender_new(call, settings->write_timeout_ns, &fanin_sender_port, fanin_call);
    if (!fanin_call->served || !fanin_call->sender || !copy_metadata(fanin_call))
        return fault_set(fault, FAULT_MEMORY_BUDGET, "", "");
    called_of(fanin_call)->asked_end = fanin_call->request.end;
    outcome_init(&fanin_call->outcome, fanin_call->served, fanin_call->request.end);
    return FAULT_NONE;
}

static void opened(struct call *call, void *ctx)
{
    struct fanin_call *fanin_call = calloc(1, sizeof(*fanin_call));
    struct fault fault;

    if (!fanin_call) {
        fault_set(&fault, FAULT_MEMORY_BUDGET, "", "");
        call_finish(call, &fault);
        return;
    }
    fanin_call->port = &fanin_call_port;
    fanin_call->fanin = ctx;
    fanin_call->call = call;
    call_own(call, fanin_call);
    if (begin(fanin_call, &fault))
        call_finish(call, &fault);
    else
        call_read(call);
}

static void sent(struct call *call, bool ok)
{
    struct fanin_call *fanin_call = call_owned(call);

    raw_sender_sent(fanin_call->sender, ok);
}

static void on_given_up(struct task *task)
{
    call_unhold(container_of(task, struct fanin_call, lost_notice)->call);
}

/* Loop. It comes after subscribe(), and before unsubscribe(). */
static void give_up(struct task *task)
{
    struct fanin_call *fanin_call = container_of(task, struct fanin_call, lost_notice);

    if (fanin_call->subscription)
        hub_give_up(fanin_call->subscription);
    task->run = on_given_up;
    cq_post(call_cq(fanin_call->call), task);
}

/* While OPENING on_subscribed() will find that the call is not alive. */
static void lost(struct call *call)
{
    struct fanin_call *fanin_call = call_owned(call);

    if (!fanin_call)
        return;
    if (fanin_call->state == FANIN_LIVE) {
        fanin_leave(fanin_call, call_end_reason(call));
    } else if (fanin_call->state == FANIN_OPENING && fanin_call->begun) {
        call_hold(call);
        fanin_call->lost_notice.run = give_up;
        loop_post(fanin_call->fanin->loop, &fanin_call->lost_notice);
    }
}

static void closed(struct call *call, bool ok)
{
    struct fanin_call *fanin_call = call_owned(call);

    (void)ok;
    if (!fanin_call)
        return;
    if (fanin_call->served)
        served_call_leave(fanin_call->served);
    raw_sender_free(fanin_call->sender);
    chan_release(fanin_call->result.chan);
    fanin_request_fini(&fanin_call->request);
    outcome_fini(&fanin_call->outcome);
    served_call_release(fanin_call->served);
    shared_bytes_release(fanin_call->first);
    shared_bytes_release(fanin_call->later);
    peer_charge_give_back(&fanin_call->fanin->messages, &fanin_call->later_charge);
    peer_charge_give_back(&fanin_call->fanin->messages, &fanin_call->passed_charge);
    free(fanin_call);
}

const struct call_port fanin_call_port = {.opened = opened,
                                          .message = message,
                                          .half_closed = half_closed,
                                          .sent = sent,
                                          .lost = lost,
                                          .closed = closed};
