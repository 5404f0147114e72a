/* session_life.c - sessions: how they live and end. Names are handed over in handover.c.
 *
 *   WAITING --gets its name--> LIVE --session_close()--> CLOSING --deadline, all ended--> GONE
 *      |                         |                                                        ^
 *      `--replaced, removed------+-----------lost, unregistered, cancelled----------------'
 *
 * session_close() is called where the session is replaced or removed, and where the hub drains.
 *
 * GONE: nothing more is accepted, and no producer is asked to pause any more. Its activations end,
 * some in each step, then the port is notified (unless it was the port that ended the session), and
 * the name passes on. What is left to come is hub_unregister(),
 * offers that still run, and put waiters. A session that is CLOSING keeps its name, unless it
 * was removed, or a newer one took the name at once (START_FIRST). */
#include "base/clock.h"
#include "base/fsm.h"
#include "base/log.h"
#include "flow/producer_state.h"
#include "hub/activation_internal.h"
#include "hub/bind_rest.h"
#include "hub/bindings_close.h"
#include "hub/hub_parts.h"
#include "hub/producer_change.h"
#include "hub/registry.h"
#include "hub/removal.h"
#include "hub/session_internal.h"
#include "hub/session_kind.h"
#include "hub/shared_call.h"
#include "route/inlet.h"

/* Activations whose end one step requests. */
#define STEP_ENDS 64u

static const struct fsm machine = {
    .name = "session",
    .states = {[SESSION_WAITING] = {"WAITING", BIT(SESSION_LIVE) | BIT(SESSION_GONE)},
               [SESSION_LIVE] = {"LIVE", BIT(SESSION_CLOSING) | BIT(SESSION_GONE)},
               [SESSION_CLOSING] = {"CLOSING", BIT(SESSION_GONE)},
               [SESSION_GONE] = {"GONE", 0}},
};

static struct bytes name_of(const struct session *session)
{
    return source_name(session->producer.inlet.source);
}

/* ---- the beginning ---- */

void session_prepare(struct session *session, struct list *created, bool at_once)
{
    list_init(created);
    bind_subscriptions(&session->producer, created, !at_once && !session->kind->producer.wildcards);
}

/* The routes are there already, so what is published from now on reaches everybody. A session with
 * activations publishes nothing before it is told of one, so the last ones may begin later. */
void session_go_live(struct session *session, struct list *created)
{
    fsm_move(&machine, session, SESSION_LIVE);
    session->had_name = true;
    inlet_set_state(&session->producer.inlet, session->kind->live_inlet);
    log_write(LOG_INFO, "producer.added", LOG_BYTES("producer", name_of(session)),
              LOG_NUMBER("epoch", session->producer.inlet.source->epoch),
              LOG_TEXT("peer", session->producer.peer), LOG_TEXT("mode", session->kind->producer.name));
    producer_added(&session->producer);
    ready_add(&session->ready);
    activations_begin(created);
    bind_rest_begin(&session->producer);
}

/* Makes space for the session's name, which is free. Since it became free another entry may have
 * come in between: a newer session that has the name now replaces this one, and a transient
 * producer yields. */
static enum fault_reason reserve_free_name(struct session *session)
{
    struct registry *registry = session->producer.registry;
    struct producer *holder = registry_find(registry, name_of(session));
    struct fault fault;

    if (holder && holder->kind->name_rule != NAME_YIELDED)
        return FAULT_REPLACED;
    if (holder)
        holder->kind->remove(holder, FAULT_REPLACED, 0);
    return registry_reserve_name(registry, &fault);
}

/* The session had waited for its name, and the name is free. In a hub that drains no session
 * waits. */
static void take_free_name(struct session *session)
{
    struct ending refused = {.reason = reserve_free_name(session)};
    struct list created;

    if (refused.reason != FAULT_NONE) {
        session_over(session, &refused, true);
        return;
    }
    session_prepare(session, &created, false);
    CHECK(registry_add(&session->producer) == ERR_OK); /* there is space */
    session_go_live(session, &created);
}

/* ---- the end ---- */

/* It had more bindings than one turn had time for. */
static void bindings_ended(struct producer *producer)
{
    struct session *session = session_of(producer);
    struct ready_list *list = session->ready.list;

    ready_add(&session->ready);
    session_release(session);
    ready_run(list);
}

/* From now on offers are dropped, and the port hears of no pause. */
static void refuse_offers(struct session *session)
{
    pthread_mutex_lock(&session->lock);
    session->is_over = true;
    pthread_mutex_unlock(&session->lock);
    pthread_mutex_lock(&session->pause_lock);
    session->pauses_no_more = true;
    pthread_mutex_unlock(&session->pause_lock);
}

/* Returns whether more are left. */
static bool end_some_activations(struct session *session)
{
    struct list *node;

    for (uint32_t left = STEP_ENDS; left > 0 && (node = list_first(&session->to_end)); left--) {
        list_remove(node);
        list_append(&session->activations, node);
        activation_request_end(container_of(node, struct activation, in_session), &session->ending);
    }
    return !list_empty(&session->to_end);
}

void session_over(struct session *session, const struct ending *ending, bool notify)
{
    const struct bindings_end end = {.state = ending->code != CODE_OK ? PRODUCER_ENDED : PRODUCER_REMOVED,
                                     .code = ending->code,
                                     .message = ending->message,
                                     .ended = bindings_ended};

    if (session->state == SESSION_GONE)
        return;
    fsm_move(&machine, session, SESSION_GONE);
    session->ending = *ending;
    session->abort_due = notify;
    producer_ending(&session->producer);
    timer_stop(&session->deadline);
    inlet_set_state(&session->producer.inlet, INLET_REMOVED);
    if (session->predecessor)
        session->predecessor->successor = NULL;
    session->predecessor = NULL;
    bind_rest_stop(&session->producer);
    refuse_offers(session);
    list_move_all(&session->activations, &session->to_end);
    (void)end_some_activations(session); /* run_gone() goes on */
    if (!bindings_end(&session->producer, &end))
        session_retain(session);
    ready_add(&session->ready);
}

/* Its last activation has ended, and its last binding is gone. */
static void conclude(struct session *session)
{
    const struct inlet *inlet = &session->producer.inlet;
    const struct ending *ending = &session->ending;
    struct session *successor = session->successor;

    session->concluded = true;
    if (session->had_name) {
        const char *reason = ending->reason != FAULT_NONE ? fault_reason_name(ending->reason) : "ENDED";

        log_write(LOG_INFO, "producer.removed", LOG_BYTES("producer", name_of(session)),
                  LOG_NUMBER("epoch", inlet->source->epoch), LOG_TEXT("reason", reason),
                  LOG_NUMBER("events", inlet->published.events + session->published.events),
                  LOG_NUMBER("bytes", inlet->published.bytes + session->published.bytes),
                  LOG_NUMBER("expired", session->expired_activations));
        producer_removed(&session->producer, reason);
    }
    removal_over(session);
    if (session->abort_due)
        ready_call_last(&session->ready); /* after stop() of its activations */
    registry_remove(&session->producer);
    if (!successor)
        return;
    session->successor = NULL;
    successor->predecessor = NULL;
    ready_add(&successor->ready);
}

/* A gentle end that had all its time. */
static void expire(struct session *session)
{
    const struct ending ending = {
        .reason = session->closing_reason, .state = PRODUCER_ENDED, .expired = true, .notify = true};

    session_over(session, &ending, true);
}

static void deadline_passed(struct timer *timer)
{
    struct session *session = container_of(timer, struct session, deadline);
    struct ready_list *list = session->ready.list;

    expire(session);
    ready_run(list);
}

/* The deadline is no later than this from now on. */
static void shorten_deadline(struct session *session, int64_t deadline_ns)
{
    int64_t delay_ns;

    session->deadline_ns = MIN_OF(session->deadline_ns, deadline_ns);
    delay_ns = session->deadline_ns - clock_mono_ns();
    session->deadline.fired = deadline_passed;
    timer_stop(&session->deadline);
    session->late =
        delay_ns <= 0 || timer_start(hub_loop(session->producer.hub), &session->deadline, delay_ns) != ERR_OK;
}

void session_close(struct session *session, enum fault_reason reason, int64_t deadline_ns)
{
    if (session->state != SESSION_LIVE && session->state != SESSION_CLOSING)
        return;
    shorten_deadline(session, deadline_ns);
    ready_add(&session->ready);
    if (session->state == SESSION_CLOSING)
        return;
    fsm_move(&machine, session, SESSION_CLOSING);
    bind_rest_stop(&session->producer);
    session->closing_reason = reason;
    producer_changed(&session->producer);
    if (session->kind->shared_call_ready) {
        shared_calls_stop(session, reason, session->deadline_ns);
        return;
    }
    list_each(node, safe, &session->activations)
        ctx_drain(&container_of(node, struct activation, in_session)->ctx, reason, session->deadline_ns);
}

/* ---- what the ready list calls ---- */

static void run_closing(struct session *session)
{
    const struct ending ending = {.reason = session->closing_reason, .state = PRODUCER_REMOVED};

    if (!session->closing_called)
        ready_call(&session->ready);
    else if (session->late)
        expire(session);
    else if (session->kind->closed(session))
        session_over(session, &ending, true);
}

static void run_gone(struct session *session)
{
    if (end_some_activations(session))
        ready_add(&session->ready);
    else if (!session->concluded && list_empty(&session->activations) &&
             bindings_are_gone(&session->producer.inlet))
        conclude(session);
}

static void run(struct ready *ready)
{
    struct session *session = container_of(ready, struct session, ready);

    switch (session->state) {
    case SESSION_WAITING:
        if (!session->predecessor)
            take_free_name(session);
        break;
    case SESSION_LIVE:
        if (!session->welcome_called)
            ready_call(ready);
        break;
    case SESSION_CLOSING:
        run_closing(session);
        break;
    case SESSION_GONE:
        run_gone(session);
        break;
    }
}

static void call_abort(struct session *session)
{
    struct fault fault;

    session->abort_due = false;
    fault_set(&fault, session->ending.reason, NULL, NULL);
    session->port->abort_call(session->port_ctx, &fault);
}

/* The port hears that a session is welcome before it hears that it closes. */
static void call(struct ready *ready)
{
    struct session *session = container_of(ready, struct session, ready);

    if (session->unregistered)
        return;
    if (session->state == SESSION_GONE) {
        if (session->abort_due && session->concluded)
            call_abort(session);
    } else if (!session->welcome_called) {
        session->welcome_called = true;
        ready_add(ready);
        session->port->welcome(session->port_ctx, session->producer.inlet.source->epoch);
    } else if (session->state == SESSION_CLOSING && !session->closing_called) {
        session->closing_called = true;
        ready_add(ready);
        log_write(LOG_INFO, "producer.closing", LOG_BYTES("producer", name_of(session)),
                  LOG_TEXT("reason", fault_reason_name(session->closing_reason)));
        session->port->closing(session->port_ctx, session->closing_reason, session->deadline_ns);
    }
}

static void retain(struct ready *ready)
{
    session_retain(container_of(ready, struct session, ready));
}

static void release(struct ready *ready)
{
    session_release(container_of(ready, struct session, ready));
}

const struct ready_kind session_ready_kind = {run, call, retain, release};

/* ---- the end of the hub ---- */

void session_drain(struct session *session, int64_t deadline_ns)
{
    const struct ending ending = {.reason = FAULT_DRAINING, .state = PRODUCER_REMOVED};

    if (session->state == SESSION_WAITING) {
        session_over(session, &ending, true);
        return;
    }
    inlet_set_state(&session->producer.inlet, INLET_CLOSED);
    session_close(session, FAULT_DRAINING, deadline_ns);
}

void session_abort(struct session *session)
{
    const struct ending ending = {.reason = FAULT_DRAINING, .state = PRODUCER_REMOVED, .notify = true};

    session_over(session, &ending, true);
}
