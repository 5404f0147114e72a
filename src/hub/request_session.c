/* request_session.c - the kind of sessions that publish once for all consumers whose requests are
 * equal (BY_REQUEST). Its own inlet is never open: each shared call has one.
 *
 * Offers go hand over hand, as those of consumer_session.c do. A blocked one is counted at the
 * session's own inlet too, because its shared call may be gone when the wait is over. */
#include "base/clock.h"
#include "flow/producer_state.h"
#include "hub/hub_query.h"
#include "hub/inlet_table.h"
#include "hub/reselection.h"
#include "hub/session_kind.h"
#include "hub/shared_call.h"
#include "route/offer.h"

static void query(struct producer *producer, struct producer_view *view)
{
    struct session *session = session_of(producer);

    session_view(session, view);
    view->subscriptions = session->shared_calls.members;
    pthread_mutex_lock(&session->lock);
    view->activations = session->active_count;
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
    if (session->shared_calls.count == 0)
        return PRODUCER_IDLE;
    if (view->blocked_calls > 0)
        return PRODUCER_BLOCKED;
    return session->endpoint.active_count > 0 ? PRODUCER_ACTIVE : session->endpoint.state;
}

static enum err offer(struct session *session, uint64_t number, struct chunk *chunk,
                      struct put_waiter *waiter, struct offer *offer_out)
{
    enum err err;

    if (number == 0)
        return ERR_INVALID;
    pthread_mutex_lock(&session->lock);
    struct numbered_inlet *numbered = inlet_table_find(session, number);
    const uint64_t last_number = session->last_number;
    if (!numbered || session->is_over) {
        pthread_mutex_unlock(&session->lock);
        return number > last_number ? ERR_NOT_FOUND : session_drop(chunk);
    }
    session->published.events += chunk->count;
    session->published.bytes += chunk_bytes(chunk, 0, chunk->count);
    session->last_event_wall_ns = clock_wall_ns();
    session_retain(session); /* until session_unblocked(), which may come before this returns */
    pthread_mutex_lock(&numbered->inlet.lock);
    pthread_mutex_unlock(&session->lock);
    err = inlet_offer_locked(&numbered->inlet, chunk, waiter, offer_out);
    if (err == ERR_AGAIN)
        atomic_fetch_add_explicit(&session->producer.inlet.blocked, 1, memory_order_relaxed);
    else
        session_release(session);
    return err == ERR_CLOSED || err == ERR_NOT_FOUND ? session_drop(chunk) : err;
}

static void give_up(struct session *session, uint64_t number, const struct put_waiter *waiter)
{
    pthread_mutex_lock(&session->lock);
    struct numbered_inlet *numbered = inlet_table_find(session, number);
    if (numbered)
        inlet_give_up(&numbered->inlet, waiter);
    pthread_mutex_unlock(&session->lock);
}

static void report(struct session *session, uint64_t number, enum producer_state state, uint32_t code,
                   const char *message)
{
    struct ready_list *list = session->ready.list;
    struct shared_call *call = shared_call_find(session, number);

    if (call)
        shared_call_report(call, &(struct source_state){state, code, message});
    ready_run(list);
}

static void end(struct session *session, uint64_t number, uint32_t code, const char *message,
                enum session_end_rule rule)
{
    struct shared_call *call = shared_call_find(session, number);

    /* the endpoint has decided whether another call follows */
    if (call)
        shared_call_end(call, code, message, rule == SESSION_END_EXPIRED);
}

const struct session_kind request_session_kind = {
    .producer = {.name = "BY_REQUEST",
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
    .shared_call_ready = &shared_call_ready_kind,
    .closed = session_has_no_activations,
    .offer = offer,
    .give_up = give_up,
    .report = report,
    .end = end,
};
