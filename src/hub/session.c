/* session.c - producers that dialled in: who has the name, how it is handed over, and how a session ends.
 *
 *   WAITING --the name is its own--> LIVE --replaced, removed, hub drains--> CLOSING --deadline, all ended--> GONE
 *      |                              |                                                                       ^
 *      `-----replaced, removed--------+-------------------lost, unregistered, cancelled-----------------------'
 *
 * GONE: nothing more is taken, no activation is left, and the port was told, or is the one who said so; what is left to come is
 * hub_unregister(), offers that still run, and stalls. A session that is CLOSING keeps its name only for who waits for it (STOP_FIRST). */
#include "hub/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"

/* An older session has so long to end before it is cut. */
#define HANDOVER_NS NS_PER_S

static const unsigned allowed[SESSION_STATE_COUNT] = {
    [SESSION_WAITING] = BIT(SESSION_LIVE) | BIT(SESSION_GONE),
    [SESSION_LIVE] = BIT(SESSION_CLOSING) | BIT(SESSION_GONE),
    [SESSION_CLOSING] = BIT(SESSION_GONE),
    [SESSION_GONE] = 0,
};

static void move(struct session *session, enum session_state state)
{
    CHECK(allowed[session->state] & BIT(state));
    session->state = state;
}

static struct bytes name_of(const struct session *session)
{
    return source_name(session->producer.inlet.source);
}

static int64_t from_now(int64_t wait_ns)
{
    int64_t now_ns = clock_mono_ns();

    return wait_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + wait_ns;
}

/* ---- making and freeing ---- */

static uint8_t *copy_text(struct bytes *copy, struct bytes text, uint8_t *at)
{
    *copy = (struct bytes){at, text.size};
    if (text.size > 0)
        memcpy(at, text.at, text.size);
    return at + text.size;
}

/* Labels, topics and all their bytes, in one piece of memory. */
static enum err copy_texts(struct session *session, const struct session_wish *wish)
{
    size_t size = wish->label_count * sizeof(struct pair) + wish->topic_count * sizeof(struct bytes);
    uint8_t *at;

    for (size_t i = 0; i < wish->label_count; i++)
        size += wish->labels[i].name.size + wish->labels[i].value.size;
    for (size_t i = 0; i < wish->topic_count; i++)
        size += wish->topics[i].size;
    session->labels = malloc(MAX_OF(size, 1u));
    if (!session->labels)
        return ERR_NO_MEMORY;
    session->label_count = wish->label_count;
    session->topic_count = wish->topic_count;
    session->topics = (struct bytes *)(void *)(session->labels + wish->label_count);
    at = (uint8_t *)(session->topics + wish->topic_count);
    for (size_t i = 0; i < wish->label_count; i++) {
        at = copy_text(&session->labels[i].name, wish->labels[i].name, at);
        at = copy_text(&session->labels[i].value, wish->labels[i].value, at);
    }
    for (size_t i = 0; i < wish->topic_count; i++)
        at = copy_text(&session->topics[i], wish->topics[i], at);
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

static void deadline_passed(struct timer *timer);

/* Waiting, and known to nobody. NULL: out of memory. */
static struct session *session_new(struct hub *hub, const struct session_wish *wish)
{
    struct session *session = calloc(1, sizeof(*session));

    if (!session)
        return NULL;
    if (copy_texts(session, wish) != ERR_OK || producer_init(&session->producer, hub, wish->name, wish->peer) != ERR_OK) {
        free(session->labels);
        free(session);
        return NULL;
    }
    session->producer.session = session;
    inlet_move(&session->producer.inlet, INLET_CLOSED);
    session->mode = wish->mode;
    session->port = wish->port;
    session->port_ctx = wish->ctx;
    session->state = SESSION_WAITING;
    session->deadline.fired = deadline_passed;
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

/* What join() made and nobody was told of. */
static void unmake(struct list *made)
{
    const struct ending never = {.state = PRODUCER_REMOVED};
    struct list *node;

    while ((node = list_first(made)))
        activation_end(container_of(node, struct activation, in_subscription), &never);
}

/* Joins everybody who wants it, without telling anybody. ERR_NO_MEMORY: nothing changed. */
static enum err prepare(struct session *session, struct list *made)
{
    list_init(made);
    if (join_subscriptions(&session->producer, made) == ERR_OK)
        return ERR_OK;
    unmake(made);
    outlets_close(&session->producer, PRODUCER_REMOVED, 0, NULL);
    return ERR_NO_MEMORY;
}

/* It has the name now. The routes are there already: who publishes from now on reaches everybody. */
static void go_live(struct session *session, struct list *made)
{
    OWNED(session_release) struct session *held = session_retain(session);

    move(session, SESSION_LIVE);
    if (session->mode == SESSION_SHARED)
        inlet_move(&session->producer.inlet, INLET_OPEN);
    log_write(LOG_INFO, "producer.added", LOG_BYTES("producer", name_of(session)),
              LOG_NUMBER("epoch", session->producer.inlet.source->epoch), LOG_TEXT("peer", session->producer.peer),
              LOG_TEXT("mode", session->mode == SESSION_SHARED ? "SHARED" : "PER_CONSUMER"));
    session->port->welcome(session->port_ctx, session->producer.inlet.source->epoch);
    activations_begin(made); /* where it has ended meanwhile, nothing is left in there */
}

/* The older session is over: the next one has the name, or nobody. */
static void pass_name(struct session *session)
{
    struct ending refused = {.why = FAULT_MEMORY_BUDGET};
    struct session *successor = session->successor;
    struct list made;

    producer_unpublish(&session->producer);
    if (!successor)
        return;
    session->successor = NULL;
    successor->predecessor = NULL;
    if (hub_draining(session->producer.hub))
        refused.why = FAULT_DRAINING;
    if (refused.why == FAULT_DRAINING || prepare(successor, &made) != ERR_OK) {
        session_over(successor, &refused, true);
        return;
    }
    CHECK(producer_publish(&successor->producer, 1) == ERR_OK); /* another name has just gone */
    go_live(successor, &made);
}

/* ---- the end ---- */

static void end_all(struct list *list, const struct ending *ending)
{
    struct list *node;

    while ((node = list_first(list)))
        activation_end(container_of(node, struct activation, in_session), ending);
}

void session_over(struct session *session, const struct ending *ending, bool tell)
{
    OWNED(session_release) struct session *held = session_retain(session);
    struct inlet *inlet = &session->producer.inlet;
    bool was_live = session->state != SESSION_WAITING;
    bool lost = ending->code != CODE_OK;
    struct fault fault;

    move(session, SESSION_GONE);
    session->why = ending->why;
    timer_stop(&session->deadline);
    inlet_move(inlet, INLET_REMOVED);
    if (session->predecessor)
        session->predecessor->successor = NULL;
    session->predecessor = NULL;
    end_all(&session->stopping, ending);
    end_all(&session->active, ending);
    outlets_close(&session->producer, lost ? PRODUCER_ENDED : PRODUCER_REMOVED, ending->code, ending->message);
    if (was_live)
        log_write(LOG_INFO, "producer.removed", LOG_BYTES("producer", name_of(session)), LOG_NUMBER("epoch", inlet->source->epoch),
                  LOG_TEXT("why", ending->why != FAULT_NONE ? fault_reason_name(ending->why) : "ENDED"),
                  LOG_NUMBER("events", inlet->published.events + session->published.events),
                  LOG_NUMBER("bytes", inlet->published.bytes + session->published.bytes), LOG_NUMBER("cut", session->cut_activations));
    if (tell && !session->left) {
        fault_set(&fault, ending->why, NULL, NULL);
        session->port->cut(session->port_ctx, &fault);
    }
    pass_name(session);
}

void session_settle(struct session *session)
{
    const struct ending ending = {.why = session->why, .state = PRODUCER_REMOVED};

    if (session->state == SESSION_CLOSING && session->mode == SESSION_PER_CONSUMER && list_empty(&session->active) &&
        list_empty(&session->stopping))
        session_over(session, &ending, true);
}

static void deadline_passed(struct timer *timer)
{
    struct session *session = container_of(timer, struct session, deadline);
    const struct ending ending = {.why = session->why, .state = PRODUCER_ENDED, .cut = true, .tell = true};

    session_over(session, &ending, true);
}

/* False: the deadline is now, or cannot be waited for. */
static bool set_deadline(struct session *session, int64_t deadline_ns)
{
    int64_t delay_ns = deadline_ns - clock_mono_ns();

    session->deadline_ns = deadline_ns;
    timer_stop(&session->deadline);
    return delay_ns > 0 && timer_start(session->producer.hub->loop, &session->deadline, delay_ns) == ERR_OK;
}

/* Each one stands among those that stop, or has ended, before anybody is told. Where all have ended, the session is over. */
static void stop_all(struct session *session)
{
    struct list *node;

    while (session->state == SESSION_CLOSING && (node = list_first(&session->active))) {
        struct activation *activation = container_of(node, struct activation, in_session);

        list_remove(node);
        list_append(&session->stopping, node);
        ctx_drain(&activation->ctx, session->why, session->deadline_ns);
    }
}

/* Its deadline is no later than this from now on. */
static void hurry(struct session *session, int64_t deadline_ns)
{
    const struct ending ending = {.why = session->why, .state = PRODUCER_ENDED, .cut = true, .tell = true};

    if (!set_deadline(session, MIN_OF(session->deadline_ns, deadline_ns)))
        session_over(session, &ending, true);
}

void session_close(struct session *session, enum fault_reason why, int64_t deadline_ns)
{
    OWNED(session_release) struct session *held = session_retain(session);

    if (session->state == SESSION_CLOSING) {
        hurry(session, deadline_ns);
        return;
    }
    move(session, SESSION_CLOSING);
    session->why = why;
    log_write(LOG_INFO, "producer.closing", LOG_BYTES("producer", name_of(session)), LOG_TEXT("why", fault_reason_name(why)));
    session->port->closing(session->port_ctx, why, deadline_ns);
    if (session->state == SESSION_CLOSING)
        hurry(session, deadline_ns);
    stop_all(session);
    session_settle(session);
}

/* ---- names: taken, handed over, removed ---- */

static void drop_successor(struct session *session, enum fault_reason why)
{
    const struct ending ending = {.why = why, .state = PRODUCER_REMOVED};

    if (session->successor)
        session_over(session->successor, &ending, true);
}

/* STOP_FIRST: the older one keeps the name until it is over. */
static void wait_for(struct session *session, struct session *older)
{
    OWNED(session_release) struct session *held = session_retain(older);

    drop_successor(older, FAULT_REPLACED);
    older->successor = session;
    session->predecessor = older;
    if (older->state == SESSION_LIVE)
        session_close(older, FAULT_REPLACED, from_now(HANDOVER_NS));
}

/* Takes the name of whoever has it, at once. A session ends as replaced then. */
static void take_name(struct session *session, struct producer *holder, struct list *made)
{
    OWNED(session_release) struct session *older = holder && holder->session ? session_retain(holder->session) : NULL;

    if (older) {
        drop_successor(older, FAULT_REPLACED);
        producer_unpublish(&older->producer);
    } else if (holder) {
        transient_remove(holder, "REPLACED");
    }
    /* Another name has just gone, or there is room: see registry_reserve(). */
    CHECK(producer_publish(&session->producer, 1) == ERR_OK);
    go_live(session, made);
    if (older && older->state == SESSION_LIVE)
        session_close(older, FAULT_REPLACED, from_now(HANDOVER_NS));
}

static void log_replaced(const struct session *session, const struct session *older, bool start_first)
{
    log_write(LOG_INFO, "producer.replaced", LOG_BYTES("producer", name_of(session)),
              LOG_NUMBER("epoch", older->producer.inlet.source->epoch), LOG_TEXT("peer", session->producer.peer),
              LOG_TEXT("handover", start_first ? "START_FIRST" : "STOP_FIRST"));
}

enum fault_reason hub_register(struct hub *hub, const struct session_wish *wish, struct session **session_out, struct fault *fault)
{
    struct producer *holder = producer_find(hub, wish->name);
    struct session *older = holder ? holder->session : NULL;
    struct session *session;
    struct list made;

    if (hub_draining(hub))
        return fault_set(fault, FAULT_DRAINING, NULL, NULL);
    if (older && wish->reject_duplicate)
        return fault_bytes(fault, FAULT_NAME_TAKEN, "hello.name", wish->name, NULL);
    if (!holder && registry_reserve(hub, fault) != FAULT_NONE)
        return fault->reason;
    session = session_new(hub, wish);
    list_init(&made);
    if (session && (!older || wish->start_first) && prepare(session, &made) != ERR_OK) {
        session_release(session);
        session = NULL;
    }
    if (!session)
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    list_append(&hub->sessions, &session->link);
    *session_out = session;
    if (older)
        log_replaced(session, older, wish->start_first);
    if (older && !wish->start_first)
        wait_for(session, older);
    else
        take_name(session, holder, &made);
    return FAULT_NONE;
}

void session_remove(struct session *session, int64_t drain_ns)
{
    const struct ending ending = {.why = FAULT_REMOVED, .state = PRODUCER_REMOVED, .tell = true};

    drop_successor(session, FAULT_REMOVED);
    producer_unpublish(&session->producer);
    if (drain_ns > 0)
        session_close(session, FAULT_REMOVED, from_now(drain_ns));
    else
        session_over(session, &ending, true);
}

void hub_unregister(struct session *session, enum fault_reason why)
{
    struct ending ending = {.why = why, .state = PRODUCER_ENDED};

    if (why != FAULT_NONE) {
        ending.code = CODE_UNAVAILABLE;
        ending.message = "the producer was lost";
    }
    list_remove(&session->link);
    session->left = true;
    if (session->state != SESSION_GONE)
        session_over(session, &ending, false);
    session_release(session);
}

/* ---- what comes in, and its end ---- */

static enum err drop(const struct chunk *chunk)
{
    count_add(COUNT_EVENTS_UNWANTED, chunk->count);
    return ERR_CLOSED;
}

static enum err offer_shared(struct session *session, struct chunk *chunk, struct stall *stall, struct offer *offer_out)
{
    enum err err = inlet_offer(&session->producer.inlet, chunk, stall, offer_out);

    if (err == ERR_AGAIN)
        session_retain(session); /* until session_unblocked() */
    return err == ERR_CLOSED || err == ERR_NOT_FOUND ? drop(chunk) : err;
}

static enum err offer_activation(struct session *session, uint64_t number, struct chunk *chunk, struct offer *offer_out)
{
    struct activation *activation;
    uint64_t last_number;

    pthread_mutex_lock(&session->lock);
    activation = activation_find(session, number);
    last_number = session->last_number;
    if (!activation) {
        pthread_mutex_unlock(&session->lock);
        return number > last_number ? ERR_NOT_FOUND : drop(chunk);
    }
    session->published.events += chunk->count;
    session->published.bytes += chunk_bytes(chunk, 0, chunk->count);
    session->last_event_wall_ns = clock_wall_ns();
    /* Hand over hand: from here on the loop waits for this lock before it frees the activation. */
    pthread_mutex_lock(&activation->inlet.lock);
    pthread_mutex_unlock(&session->lock);
    return inlet_offer_locked(&activation->inlet, chunk, NULL, offer_out);
}

enum err session_offer(struct session *session, uint64_t activation, struct chunk *chunk, struct stall *stall, struct offer *offer_out)
{
    OWNED(session_release) struct session *held = session_retain(session);

    if ((activation == 0) != (session->mode == SESSION_SHARED))
        return ERR_INVALID;
    return activation == 0 ? offer_shared(session, chunk, stall, offer_out) : offer_activation(session, activation, chunk, offer_out);
}

void session_give_up(struct session *session, const struct stall *stall)
{
    inlet_give_up(&session->producer.inlet, stall);
}

void session_unblocked(struct session *session)
{
    inlet_unblocked(&session->producer.inlet);
    session_release(session);
}

void session_end(struct session *session, uint64_t number, uint32_t code, const char *message)
{
    struct activation *activation;

    pthread_mutex_lock(&session->lock);
    activation = activation_find(session, number);
    pthread_mutex_unlock(&session->lock);
    if (activation)
        activation_told_end(activation, code, message);
}

/* ---- the whole ---- */

/* Moves all sessions but those that are over: each is put back before anybody is told, and one that ends leaves whichever list it is in. */
static void each_session(struct hub *hub, void (*each)(struct session *session, int64_t deadline_ns), int64_t deadline_ns)
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
    const struct ending ending = {.why = FAULT_DRAINING, .state = PRODUCER_REMOVED};

    if (session->state == SESSION_WAITING) {
        session_over(session, &ending, true);
        return;
    }
    if (session->mode == SESSION_SHARED)
        inlet_move(&session->producer.inlet, INLET_CLOSED);
    session_close(session, FAULT_DRAINING, deadline_ns);
}

static void cut_one(struct session *session, int64_t deadline_ns)
{
    const struct ending ending = {.why = FAULT_DRAINING, .state = PRODUCER_REMOVED, .tell = true};

    (void)deadline_ns;
    session_over(session, &ending, true);
}

void sessions_drain(struct hub *hub, int64_t deadline_ns)
{
    each_session(hub, drain_one, deadline_ns);
}

void sessions_cut(struct hub *hub)
{
    each_session(hub, cut_one, 0);
}
