/* consumer_session.c - the kind of sessions that publish for each consumer by itself
 * (PER_CONSUMER). Its own inlet is never open: each activation has one.
 *
 * An offer to an activation goes hand over hand: it takes the inlet's lock before it releases the
 * session's. The loop first takes the activation out of the session's table, then takes the inlet's
 * lock. From then on no offer is inside. */
#include "base/clock.h"
#include "flow/producer_state.h"
#include "hub/activation_internal.h"
#include "hub/hub_query.h"
#include "hub/inlet_table.h"
#include "hub/session_internal.h"
#include "hub/session_kind.h"
#include "route/offer.h"

static void query(struct producer *producer, struct producer_view *view)
{
    struct session *session = session_of(producer);

    session_view(session, view);
    view->per_consumer = true;
    pthread_mutex_lock(&session->lock);
    view->activations = session->active_count;
    view->subscriptions = session->active_count;
    view->published = session->published;
    view->lost_upstream = session->lost;
    view->last_event_wall_ns = session->last_event_wall_ns;
    pthread_mutex_unlock(&session->lock);
}

static unsigned state(const struct producer *producer, const struct producer_view *view)
{
    const struct session *session = session_of(producer);

    if (session->state == SESSION_CLOSING)
        return PRODUCER_DRAINING;
    if (session->endpoint.is_endpoint && !list_empty(&session->activations))
        return session->endpoint.active_count > 0 ? PRODUCER_ACTIVE : session->endpoint.state;
    return view->activations > 0 ? PRODUCER_ACTIVE : PRODUCER_IDLE;
}

static enum err offer(struct session *session, uint64_t number, struct chunk *chunk,
                      struct put_waiter *waiter, struct offer *offer_out)
{
    struct numbered_inlet *numbered;
    uint64_t last_number;

    (void)waiter; /* the producer of an activation pauses and never waits */
    if (number == 0)
        return ERR_INVALID;
    pthread_mutex_lock(&session->lock);
    numbered = inlet_table_find(session, number);
    last_number = session->last_number;
    if (!numbered || session->is_over) {
        pthread_mutex_unlock(&session->lock);
        return number > last_number ? ERR_NOT_FOUND : session_drop(chunk);
    }
    session->published.events += chunk->count;
    session->published.bytes += chunk_bytes(chunk, 0, chunk->count);
    session->last_event_wall_ns = clock_wall_ns();
    /* Hand over hand: from here on the loop waits for this lock before it frees the activation. */
    pthread_mutex_lock(&numbered->inlet.lock);
    pthread_mutex_unlock(&session->lock);
    return inlet_offer_locked(&numbered->inlet, chunk, NULL, offer_out);
}

static void give_up(struct session *session, uint64_t number, const struct put_waiter *waiter)
{
    (void)session; /* nobody waits */
    (void)number;
    (void)waiter;
}

/* NULL: it has ended, or ends with its session. */
static struct activation *find(struct session *session, uint64_t number)
{
    struct numbered_inlet *numbered =
        session->state != SESSION_GONE ? inlet_table_get(session, number) : NULL;

    return numbered ? container_of(numbered, struct activation, own) : NULL;
}

static void report(struct session *session, uint64_t number, enum producer_state state, uint32_t code,
                   const char *message)
{
    struct activation *activation = find(session, number);

    (void)code; /* an activation that has failed ends: session_end() */
    (void)message;
    if (activation)
        activation_reported(activation, state);
}

static void end(struct session *session, uint64_t number, uint32_t code, const char *message,
                enum session_end_rule rule)
{
    struct activation *activation = find(session, number);

    if (activation)
        activation_ended_by_producer(activation, code, message, rule);
}

const struct session_kind consumer_session_kind = {
    .producer = {.name = "PER_CONSUMER",
                 .taken = "a registered session has it",
                 .name_rule = NAME_HANDED_OVER,
                 .joinable = session_joinable,
                 .bind = session_bind_activation,
                 .reselect = session_reselect_activation,
                 .remove = session_remove,
                 .query = query,
                 .state = state,
                 .free = session_free_at_end},
    .live_inlet = INLET_CLOSED,
    .closed = session_has_no_activations,
    .offer = offer,
    .give_up = give_up,
    .report = report,
    .end = end,
};
