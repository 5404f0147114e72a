/* activation.c - one (session, subscription) pair. The producer is started for this consumer, and
 * what it sends reaches nobody else.
 *
 *   STARTING --start()--> ACTIVE --stop()--> STOPPING --end, deadline--> ENDED
 *      |  ^                |  | `--failed--> RETRYING                      ^
 *      |  `--backoff over--+--+---------------'  |                         |
 *      `-------------------+----end, abort, gone-+-------------------------'
 *
 * Each start has a number of its own, with an inlet, an epoch and a feed of its own. An activation
 * becomes ACTIVE and STOPPING in the moment in which start() and stop() are called. It moves
 * because its context does (server, subscription, activation), or its session, its subscription or
 * its producer ends it: end(). activations_discard() takes back one that never began. */
#include "hub/activation_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fsm.h"
#include "base/retry_wait.h"
#include "flow/producer_state.h"
#include "hub/activation_log.h"
#include "hub/activation_route.h"
#include "hub/bind.h"
#include "hub/due_queue.h"
#include "hub/hub_parts.h"
#include "hub/inlet_table.h"
#include "hub/producer_change.h"
#include "hub/removal.h"
#include "hub/session_internal.h"
#include "hub/shared_call.h"
#include "hub/subscription_internal.h"

static const struct fsm machine = {
    .name = "activation",
    .states = {[ACTIVATION_STARTING] = {"STARTING", BIT(ACTIVATION_ACTIVE) | BIT(ACTIVATION_ENDED)},
               [ACTIVATION_ACTIVE] = {"ACTIVE", BIT(ACTIVATION_STOPPING) | BIT(ACTIVATION_RETRYING) |
                                                    BIT(ACTIVATION_ENDED)},
               [ACTIVATION_STOPPING] = {"STOPPING", BIT(ACTIVATION_ENDED)},
               [ACTIVATION_RETRYING] = {"RETRYING", BIT(ACTIVATION_STARTING) | BIT(ACTIVATION_ENDED)},
               [ACTIVATION_ENDED] = {"ENDED", 0}},
};

/* ---- ends ---- */

/* Ends what was started: removes the number, logs the end, closes the route. */
static void finish_start(struct activation *activation, const struct ending *ending)
{
    bool was_expired = ending->expired && activation_is_stopping(activation);
    struct ending final = *ending;
    char text[512];

    if (was_expired) {
        snprintf(text, sizeof(text), "producer \"%s\" did not stop in time",
                 activation->route.inlet->source->name);
        final.code = CODE_DEADLINE_EXCEEDED;
        final.message = text;
        activation->session->expired_activations++;
        activation->subscription->expired_activations++;
    }
    activation_take_out(activation);
    activation_log_end(activation, &final, was_expired);
    activation_close_route(activation, &final);
}

static void detach(struct activation *activation)
{
    due_queue_remove(hub_due_queue(activation->subscription->hub), &activation->due);
    ctx_fini(&activation->ctx);
    list_remove(&activation->in_session);
    list_remove(&activation->in_subscription);
    activation->subscription->activation_count--;
    activation->subscription = NULL;
    producer_changed(&activation->session->producer);
}

static void retain(struct ready *ready)
{
    container_of(ready, struct activation, ready)->refs++;
}

static void release(struct ready *ready)
{
    struct activation *activation = container_of(ready, struct activation, ready);

    if (--activation->refs > 0)
        return;
    session_release(activation->session);
    free(activation);
}

/* The last transition, and the end of the reference that the activation was created with. The
 * subscription comes first, so that what ends with this activation does so before another one
 * begins. */
static void end(struct activation *activation, const struct ending *ending)
{
    struct subscription *subscription = activation->subscription;
    const bool stopping = activation->state == ACTIVATION_STOPPING;
    bool running = activation->state == ACTIVATION_ACTIVE;

    removal_activation_ends(activation, ending);
    if (running || stopping)
        finish_start(activation, ending);
    else
        activation_close_route(activation, ending);
    if (activation->state == ACTIVATION_RETRYING)
        subscription->retrying_count--;
    fsm_move(&machine, activation, ACTIVATION_ENDED);
    detach(activation);
    activation->ending.reason = ending->reason;
    running |= stopping && activation->session->endpoint.is_endpoint;
    activation->stop_due = running && ending->notify && !activation->is_member;
    if (activation->stop_due)
        ready_call(&activation->ready);
    ready_add(&subscription->ready);
    ready_add(&activation->session->ready);
    release(&activation->ready);
}

/* What came first counts, also where it is this activation's turn only now. */
static struct ending first_ending(const struct activation *activation, const struct ending *ending)
{
    if (activation->session->state == SESSION_GONE)
        return activation->session->ending;
    if (activation->ctx.state == CTX_CANCELLED)
        return (struct ending){.reason = activation->ctx.reason, .state = PRODUCER_ENDED, .notify = true};
    return *ending;
}

void activation_request_end(struct activation *activation, const struct ending *ending)
{
    if (activation->ends || activation->state == ACTIVATION_ENDED)
        return;
    activation->ends = true;
    activation->ending = first_ending(activation, ending);
    activation_take_out(activation);
    ready_add(&activation->ready);
}

void activations_discard(struct list *created, uint32_t state)
{
    const struct ending never = {.state = state};
    struct list *node;

    while ((node = list_first(created))) {
        struct activation *activation = container_of(node, struct activation, in_subscription);

        activation_close_route(activation, &never);
        fsm_move(&machine, activation, ACTIVATION_ENDED);
        detach(activation);
        release(&activation->ready);
    }
}

static enum err set_due(struct activation *activation, int64_t at_ns)
{
    return due_queue_set(hub_due_queue(activation->subscription->hub), &activation->due, at_ns);
}

/* ---- port calls ---- */

/* The first member of a shared call starts it. */
static void start_member(struct activation *activation)
{
    const bool is_refused = !activation->shared_call;
    const struct ending failed = {.reason = FAULT_MEMORY_BUDGET,
                                  .state = PRODUCER_ENDED,
                                  .code = CODE_RESOURCE_EXHAUSTED,
                                  .message = is_refused ? "this producer serves too many different requests"
                                                        : "out of memory"};

    if (!is_refused) {
        fsm_move(&machine, activation, ACTIVATION_ACTIVE);
        if (shared_call_start(activation) == ERR_OK)
            return;
    }
    activation_log_failed(activation, "activation.not_started", failed.message);
    activation_request_end(activation, &failed);
}

static void call_start(struct activation *activation)
{
    struct session *session = activation->session;
    struct subscription *subscription = activation->subscription;
    struct activation_params params = {.request = subscription->request,
                                       .deadline_ns = activation->ctx.deadline_ns,
                                       .subscription_id = subscription->id_text,
                                       .called = subscription->called,
                                       .payer = subscription->charge->peer,
                                       .via = subscription->via};
    const struct ending failed = {
        .reason = FAULT_MEMORY_BUDGET, .state = PRODUCER_ENDED, .code = CODE_RESOURCE_EXHAUSTED};

    subscription->begun = true; /* also where it fails now: a stream that waits for its end gets it */
    if (activation->is_member) {
        start_member(activation);
        return;
    }
    if (!inlet_table_add(session, &activation->own)) {
        activation_log_failed(activation, "activation.not_started", "out of memory");
        activation_request_end(activation, &failed);
        return;
    }
    fsm_move(&machine, activation, ACTIVATION_ACTIVE);
    activation->started_ns = clock_mono_ns();
    params.activation = activation->own.number;
    producer_changed(&session->producer);
    activation_log_started(activation);
    session->port->start(session->port_ctx, &params);
}

/* It has ended already. */
static void call_stop_now(struct activation *activation)
{
    struct session *session = activation->session;

    activation->stop_due = false;
    if (!session->unregistered)
        session->port->stop(session->port_ctx, activation->own.number, activation->ending.reason, 0);
}

/* A gentle end. Where there is no time for one it ends at once. */
static void call_stop(struct activation *activation)
{
    const struct ending at_once = {.reason = activation->ctx.reason, .state = PRODUCER_ENDED, .notify = true};
    struct session *session = activation->session;
    int64_t deadline_ns = activation->ctx.deadline_ns;

    if (deadline_ns <= clock_mono_ns() || set_due(activation, deadline_ns) != ERR_OK) {
        end(activation, &at_once);
        call_stop_now(activation); /* in this place of the queue, not in another one */
        return;
    }
    fsm_move(&machine, activation, ACTIVATION_STOPPING);
    activation_log_stopping(activation);
    session->port->stop(session->port_ctx, activation->own.number, activation->ctx.reason, deadline_ns);
}

static void call(struct ready *ready)
{
    struct activation *activation = container_of(ready, struct activation, ready);

    if (activation->stop_due)
        call_stop_now(activation);
    else if (activation->state == ACTIVATION_STARTING)
        call_start(activation);
    else if (activation->state == ACTIVATION_ACTIVE && activation->ctx.state == CTX_DRAINING)
        call_stop(activation);
}

/* ---- transitions ---- */

/* A gentle end began, or its deadline came nearer. */
static void drain(struct activation *activation)
{
    const struct ending at_once = {.reason = activation->ctx.reason, .state = PRODUCER_ENDED};

    switch (activation->state) {
    case ACTIVATION_STARTING:
    case ACTIVATION_RETRYING:
        end(activation, &at_once);
        break;
    case ACTIVATION_ACTIVE:
        if (activation->is_member) /* what the others share goes on */
            end(activation, &at_once);
        else
            ready_call(&activation->ready);
        break;
    case ACTIVATION_STOPPING:
        /* it is in the heap: nothing is allocated */
        CHECK(set_due(activation, activation->ctx.deadline_ns) == ERR_OK);
        break;
    case ACTIVATION_ENDED:
        break;
    }
}

/* Its consumer ends. */
static void end_cancelled(struct activation *activation)
{
    const struct ending ending = first_ending(activation, NULL);

    activation->ends = true;
    activation_take_out(activation);
    end(activation, &ending);
}

static void run(struct ready *ready)
{
    struct activation *activation = container_of(ready, struct activation, ready);

    if (activation->state == ACTIVATION_ENDED)
        return;
    if (activation->ends)
        end(activation, &activation->ending);
    else if (activation->session->state == SESSION_GONE)
        return; /* the request of its end is to come */
    else if (activation->ctx.state == CTX_CANCELLED)
        end_cancelled(activation);
    else if (activation->ctx.state == CTX_DRAINING)
        drain(activation);
    else if (activation->state == ACTIVATION_STARTING)
        ready_call(ready);
}

static const struct ready_kind ready_kind = {run, call, retain, release};

/* There may be many, so all that it leads to is done when it is the activation's turn. */
static void on_context_moved(struct ctx *ctx)
{
    ready_add(&container_of(ctx, struct activation, ctx)->ready);
}

static const struct ctx_port ctx_port = {on_context_moved};

/* ---- beginnings ---- */

struct activation *activation_new(struct session *session, struct subscription *subscription,
                                  const struct filter *filter, const struct filter_part *part,
                                  const struct start_point *start_point)
{
    struct activation *activation = calloc(1, sizeof(*activation));

    if (!activation)
        return NULL;
    activation->session = session;
    activation->subscription = subscription;
    list_init(&activation->in_shared_call);
    if (activation_open_route(activation, filter, part, start_point) != ERR_OK) {
        free(activation);
        return NULL;
    }
    session_retain(session);
    activation->refs = 1;
    ready_init(&activation->ready, &ready_kind, session->ready.list);
    list_append(&session->activations, &activation->in_session);
    list_init(&activation->in_subscription);
    subscription->activation_count++;
    ctx_init(&activation->ctx, &subscription->ctx, &ctx_port, INT64_MAX);
    return activation;
}

void activations_begin(struct list *created)
{
    struct list *node;

    while ((node = list_first(created))) {
        struct activation *activation = container_of(node, struct activation, in_subscription);

        list_remove(node);
        list_append(&activation->subscription->activations, node);
        ready_add(&activation->ready);
    }
}

/* ---- retry ---- */

static void count_failure(struct activation *activation)
{
    if (activation->failures < UINT8_MAX)
        activation->failures++;
}

static void retry_later(struct activation *activation)
{
    const struct ending failed = {.reason = FAULT_MEMORY_BUDGET, .state = PRODUCER_ENDED};
    const struct endpoint_rules *rules = &activation->session->endpoint.rules;
    int64_t wait_ns = retry_wait_ns(rules->first_retry_ns, rules->max_retry_ns, activation->failures,
                                    hub_random_state(activation->subscription->hub));

    if (set_due(activation, clock_mono_ns() + wait_ns) != ERR_OK) {
        activation_log_failed(activation, "activation.not_retried", "out of memory");
        end(activation, &failed);
    }
}

static void retry(struct activation *activation)
{
    struct filter_part part = producer_part(&activation->session->producer, activation->subscription->filter);

    if (activation_open_route(activation, activation->subscription->filter, &part, NULL) != ERR_OK) {
        count_failure(activation);
        retry_later(activation);
        return;
    }
    fsm_move(&machine, activation, ACTIVATION_STARTING);
    activation->subscription->retrying_count--;
    producer_changed(&activation->session->producer);
    ready_add(&activation->ready);
}

static bool is_retried(const struct activation *activation, uint32_t code, enum session_end_rule rule)
{
    bool wanted = rule == SESSION_END_RETRY || (rule == SESSION_END_BY_CODE && code != CODE_OK);

    return wanted && activation->state == ACTIVATION_ACTIVE && activation->ctx.state == CTX_LIVE &&
           activation->session->state == SESSION_LIVE &&
           bind_may_retry(&activation->session->producer, activation->subscription, code);
}

void activation_ended_by_producer(struct activation *activation, uint32_t code, const char *message,
                                  enum session_end_rule rule)
{
    struct ending ending = {
        .state = PRODUCER_ENDED, .code = code, .message = message, .expired = rule == SESSION_END_EXPIRED};

    if (!is_retried(activation, code, rule)) {
        end(activation, &ending);
        return;
    }
    if (code == CODE_OK || clock_mono_ns() - activation->started_ns >= RETRY_FORGIVEN_NS)
        activation->failures = 0;
    if (code != CODE_OK)
        count_failure(activation);
    if (code != CODE_OK && activation->session->endpoint.is_endpoint) {
        ending.state = PRODUCER_UNAVAILABLE;
        if (endpoint_is_refused(code))
            activation->failures = UINT8_MAX;
    }
    finish_start(activation, &ending);
    endpoint_moved(&activation->session->endpoint, &activation->upstream_active, PRODUCER_UNAVAILABLE);
    fsm_move(&machine, activation, ACTIVATION_RETRYING);
    activation->subscription->retrying_count++;
    ready_add(&activation->subscription->ready); /* it may be the last one that was at work */
    producer_changed(&activation->session->producer);
    retry_later(activation);
}

void activation_due(struct heap_node *node)
{
    struct activation *activation = container_of(node, struct activation, due);
    const struct ending ending = {.reason = activation->ctx.reason, .state = PRODUCER_ENDED, .expired = true};

    if (activation->state == ACTIVATION_STOPPING)
        activation_request_end(activation, &ending);
    else if (activation->state == ACTIVATION_RETRYING && activation->session->state != SESSION_GONE)
        retry(activation);
}
