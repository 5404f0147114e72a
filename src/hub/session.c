/* session.c - sessions: how they register, live and end. Names are handed over in handover.c; what
 * a session publishes is in session_offer.c.
 *
 *   WAITING --gets its name--> LIVE --session_close()--> CLOSING --deadline, all ended--> GONE
 *      |                         |                                                        ^
 *      `--replaced, removed------+-----------lost, unregistered, cancelled----------------'
 *
 * session_close() is called where the session is replaced or removed, and where the hub drains.
 *
 * GONE: nothing more is accepted, no activation is left, and the port was notified (or it was the
 * port that ended the session). What is left to come is hub_unregister(), offers that still run,
 * and put waiters. A CLOSING session keeps its name only for a session that waits for it
 * (STOP_FIRST). */
#include "hub/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/fsm.h"
#include "base/log.h"
#include "flow/producer_state.h"
#include "hub/activation_internal.h"
#include "hub/bind.h"
#include "hub/binding.h"
#include "hub/registry.h"
#include "hub/session_internal.h"
#include "route/inlet.h"

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

/* ---- making and freeing ---- */

static uint8_t *copy_text(struct bytes *copy, struct bytes text, uint8_t *at)
{
    *copy = (struct bytes){at, text.size};
    if (text.size > 0)
        memcpy(at, text.data, text.size);
    return at + text.size;
}

/* Copies labels, topics and all their bytes, into one piece of memory. */
static enum err copy_texts(struct session *session, const struct session_params *params)
{
    size_t size = params->label_count * sizeof(struct pair) + params->topic_count * sizeof(struct bytes);
    uint8_t *at;

    for (size_t i = 0; i < params->label_count; i++)
        size += params->labels[i].name.size + params->labels[i].value.size;
    for (size_t i = 0; i < params->topic_count; i++)
        size += params->topics[i].size;
    session->labels = malloc(MAX_OF(size, 1u));
    if (!session->labels)
        return ERR_NO_MEMORY;
    session->label_count = params->label_count;
    session->topic_count = params->topic_count;
    session->topics = (struct bytes *)(void *)(session->labels + params->label_count);
    at = (uint8_t *)(session->topics + params->topic_count);
    for (size_t i = 0; i < params->label_count; i++) {
        at = copy_text(&session->labels[i].name, params->labels[i].name, at);
        at = copy_text(&session->labels[i].value, params->labels[i].value, at);
    }
    for (size_t i = 0; i < params->topic_count; i++)
        at = copy_text(&session->topics[i], params->topics[i], at);
    return ERR_OK;
}

static void session_free(struct session *session)
{
    producer_fini(&session->producer);
    pthread_mutex_destroy(&session->lock);
    free(session->slots);
    free(session->labels);
    free(session);
    count_add(COUNT_LIVE_SESSIONS, -1);
}

void session_release(struct session *session)
{
    if (session && atomic_fetch_sub_explicit(&session->refs, 1, memory_order_acq_rel) == 1)
        session_free(session);
}

/* A session that waits, and that nobody knows. NULL: out of memory. */
static struct session *session_new(struct hub *hub, const struct session_params *params)
{
    struct session *session = calloc(1, sizeof(*session));

    if (!session)
        return NULL;
    if (copy_texts(session, params) != ERR_OK ||
        producer_init(&session->producer, hub, params->name, params->peer) != ERR_OK) {
        free(session->labels);
        free(session);
        return NULL;
    }
    session->producer.session = session;
    inlet_set_state(&session->producer.inlet, INLET_CLOSED);
    session->mode = params->mode;
    session->port = params->port;
    session->port_ctx = params->ctx;
    session->state = SESSION_WAITING;
    session->deadline_ns = INT64_MAX;
    atomic_init(&session->refs, 1);
    CHECK(pthread_mutex_init(&session->lock, NULL) == 0);
    list_init(&session->link);
    list_init(&session->active);
    list_init(&session->stopping);
    count_add(COUNT_LIVE_SESSIONS, 1);
    return session;
}

/* ---- the beginning ---- */

/* Frees what bind_pair() created. Nobody was notified of it. */
static void discard(struct list *created)
{
    const struct ending never = {.state = PRODUCER_REMOVED};
    struct list *node;

    while ((node = list_first(created)))
        activation_end(container_of(node, struct activation, in_subscription), &never);
}

enum err session_prepare(struct session *session, struct list *created)
{
    list_init(created);
    if (bind_subscriptions(&session->producer, created) == ERR_OK)
        return ERR_OK;
    discard(created);
    bindings_close(&session->producer, PRODUCER_REMOVED, 0, NULL);
    return ERR_NO_MEMORY;
}

/* The routes are there already, so what is published from now on reaches everybody. */
void session_go_live(struct session *session, struct list *created)
{
    OWNED(session_release) struct session *held = session_retain(session);

    fsm_move(&machine, session, SESSION_LIVE);
    if (session->mode == SESSION_SHARED)
        inlet_set_state(&session->producer.inlet, INLET_OPEN);
    log_write(LOG_INFO, "producer.added", LOG_BYTES("producer", name_of(session)),
              LOG_NUMBER("epoch", session->producer.inlet.source->epoch),
              LOG_TEXT("peer", session->producer.peer),
              LOG_TEXT("mode", session->mode == SESSION_SHARED ? "SHARED" : "PER_CONSUMER"));
    session->port->welcome(session->port_ctx, session->producer.inlet.source->epoch);
    activations_begin(created); /* empty where the session has ended meanwhile */
}

/* The session is over: its name passes to its successor, if it has one. */
static void pass_name(struct session *session)
{
    struct ending refused = {.reason = FAULT_MEMORY_BUDGET};
    struct session *successor = session->successor;
    struct list created;

    registry_remove(&session->producer);
    if (!successor)
        return;
    session->successor = NULL;
    successor->predecessor = NULL;
    if (hub_draining(session->producer.hub))
        refused.reason = FAULT_DRAINING;
    if (refused.reason == FAULT_DRAINING || session_prepare(successor, &created) != ERR_OK) {
        session_over(successor, &refused, true);
        return;
    }
    CHECK(registry_add(&successor->producer, 1) == ERR_OK); /* another name has just been taken out */
    session_go_live(successor, &created);
}

/* ---- the end ---- */

static void end_all(struct list *list, const struct ending *ending)
{
    struct list *node;

    while ((node = list_first(list)))
        activation_end(container_of(node, struct activation, in_session), ending);
}

void session_over(struct session *session, const struct ending *ending, bool notify)
{
    OWNED(session_release) struct session *held = session_retain(session);
    struct inlet *inlet = &session->producer.inlet;
    bool was_live = session->state != SESSION_WAITING;
    bool lost = ending->code != CODE_OK;
    struct fault fault;

    fsm_move(&machine, session, SESSION_GONE);
    session->reason = ending->reason;
    timer_stop(&session->deadline);
    inlet_set_state(inlet, INLET_REMOVED);
    if (session->predecessor)
        session->predecessor->successor = NULL;
    session->predecessor = NULL;
    end_all(&session->stopping, ending);
    end_all(&session->active, ending);
    bindings_close(&session->producer, lost ? PRODUCER_ENDED : PRODUCER_REMOVED, ending->code,
                   ending->message);
    if (was_live)
        log_write(
            LOG_INFO, "producer.removed", LOG_BYTES("producer", name_of(session)),
            LOG_NUMBER("epoch", inlet->source->epoch),
            LOG_TEXT("reason", ending->reason != FAULT_NONE ? fault_reason_name(ending->reason) : "ENDED"),
            LOG_NUMBER("events", inlet->published.events + session->published.events),
            LOG_NUMBER("bytes", inlet->published.bytes + session->published.bytes),
            LOG_NUMBER("expired", session->expired_activations));
    if (notify && !session->unregistered) {
        fault_set(&fault, ending->reason, NULL, NULL);
        session->port->abort_call(session->port_ctx, &fault);
    }
    pass_name(session);
}

void session_update(struct session *session)
{
    const struct ending ending = {.reason = session->reason, .state = PRODUCER_REMOVED};

    if (session->state == SESSION_CLOSING && session->mode == SESSION_PER_CONSUMER &&
        list_empty(&session->active) && list_empty(&session->stopping))
        session_over(session, &ending, true);
}

static void deadline_passed(struct timer *timer)
{
    struct session *session = container_of(timer, struct session, deadline);
    const struct ending ending = {
        .reason = session->reason, .state = PRODUCER_ENDED, .expired = true, .notify = true};

    session_over(session, &ending, true);
}

/* Returns false where the deadline is now, or where the timer cannot be set. */
static bool set_deadline(struct session *session, int64_t deadline_ns)
{
    int64_t delay_ns = deadline_ns - clock_mono_ns();

    session->deadline_ns = deadline_ns;
    session->deadline.fired = deadline_passed;
    timer_stop(&session->deadline);
    return delay_ns > 0 && timer_start(session->producer.hub->loop, &session->deadline, delay_ns) == ERR_OK;
}

/* Before any port is called, each activation is among those that stop, or has ended. When all have
 * ended, the session is over. */
static void stop_all(struct session *session)
{
    struct list *node;

    while (session->state == SESSION_CLOSING && (node = list_first(&session->active))) {
        struct activation *activation = container_of(node, struct activation, in_session);

        list_remove(node);
        list_append(&session->stopping, node);
        ctx_drain(&activation->ctx, session->reason, session->deadline_ns);
    }
}

/* The deadline is no later than this from now on. */
static void shorten_deadline(struct session *session, int64_t deadline_ns)
{
    const struct ending ending = {
        .reason = session->reason, .state = PRODUCER_ENDED, .expired = true, .notify = true};

    if (!set_deadline(session, MIN_OF(session->deadline_ns, deadline_ns)))
        session_over(session, &ending, true);
}

void session_close(struct session *session, enum fault_reason reason, int64_t deadline_ns)
{
    OWNED(session_release) struct session *held = session_retain(session);

    if (session->state == SESSION_CLOSING) {
        shorten_deadline(session, deadline_ns);
        return;
    }
    fsm_move(&machine, session, SESSION_CLOSING);
    session->reason = reason;
    log_write(LOG_INFO, "producer.closing", LOG_BYTES("producer", name_of(session)),
              LOG_TEXT("reason", fault_reason_name(reason)));
    session->port->closing(session->port_ctx, reason, deadline_ns);
    if (session->state == SESSION_CLOSING)
        shorten_deadline(session, deadline_ns);
    stop_all(session);
    session_update(session);
}

static void log_replaced(const struct session *session, const struct session *older, bool start_first)
{
    log_write(
        LOG_INFO, "producer.replaced", LOG_BYTES("producer", source_name(session->producer.inlet.source)),
        LOG_NUMBER("epoch", older->producer.inlet.source->epoch), LOG_TEXT("peer", session->producer.peer),
        LOG_TEXT("handover", start_first ? "START_FIRST" : "STOP_FIRST"));
}

/* A second producer of the same name is handled here. A duplicate is refused (ALREADY_EXISTS,
 * NAME_TAKEN) where the newer session asks for that; otherwise it replaces the older session
 * (handover.c) or the transient producer. A transient producer that finds a session of its name is
 * refused in hub_inlet_open(). Two publishers of one transient name share one inlet. */
enum fault_reason hub_register(struct hub *hub, const struct session_params *params,
                               struct session **session_out, struct fault *fault)
{
    struct producer *holder = producer_find(hub, params->name);
    struct session *older = holder ? holder->session : NULL;
    struct session *session;
    struct list created;

    if (hub_draining(hub))
        return fault_set(fault, FAULT_DRAINING, NULL, NULL);
    if (older && params->reject_duplicate)
        return fault_bytes(fault, FAULT_NAME_TAKEN, "hello.name", params->name, NULL);
    if (!holder && registry_reserve(hub, fault) != FAULT_NONE)
        return fault->reason;
    session = session_new(hub, params);
    list_init(&created);
    if (session && (!older || params->start_first) && session_prepare(session, &created) != ERR_OK) {
        session_release(session);
        session = NULL;
    }
    if (!session)
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    list_append(&hub->sessions, &session->link);
    *session_out = session;
    if (older)
        log_replaced(session, older, params->start_first);
    if (older && !params->start_first)
        session_wait_for(session, older);
    else
        session_take_name(session, holder, &created);
    return FAULT_NONE;
}

void hub_unregister(struct session *session, enum fault_reason reason)
{
    struct ending ending = {.reason = reason, .state = PRODUCER_ENDED};

    if (reason != FAULT_NONE) {
        ending.code = CODE_UNAVAILABLE;
        ending.message = "the producer was lost";
    }
    list_remove(&session->link);
    session->unregistered = true;
    if (session->state != SESSION_GONE)
        session_over(session, &ending, false);
    session_release(session);
}

/* ---- all sessions of a hub ---- */

/* Calls `each` for all sessions that are not over. Each one is put back before a port is called,
 * and a session that ends leaves whichever list it is in. */
static void each_session(struct hub *hub, void (*each)(struct session *session, int64_t deadline_ns),
                         int64_t deadline_ns)
{
    struct list todo, *node;

    list_init(&todo);
    while ((node = list_first(&hub->sessions))) {
        list_remove(node);
        list_append(&todo, node);
    }
    while ((node = list_first(&todo))) {
        struct session *session = container_of(node, struct session, link);

        list_remove(node);
        list_append(&hub->sessions, node);
        if (session->state != SESSION_GONE)
            each(session, deadline_ns);
    }
}

static void drain_one(struct session *session, int64_t deadline_ns)
{
    const struct ending ending = {.reason = FAULT_DRAINING, .state = PRODUCER_REMOVED};

    if (session->state == SESSION_WAITING) {
        session_over(session, &ending, true);
        return;
    }
    if (session->mode == SESSION_SHARED)
        inlet_set_state(&session->producer.inlet, INLET_CLOSED);
    session_close(session, FAULT_DRAINING, deadline_ns);
}

static void abort_one(struct session *session, int64_t deadline_ns)
{
    const struct ending ending = {.reason = FAULT_DRAINING, .state = PRODUCER_REMOVED, .notify = true};

    (void)deadline_ns;
    session_over(session, &ending, true);
}

void sessions_drain(struct hub *hub, int64_t deadline_ns)
{
    each_session(hub, drain_one, deadline_ns);
}

void sessions_abort(struct hub *hub)
{
    each_session(hub, abort_one, 0);
}
