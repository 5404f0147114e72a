/* shared_session.c - the kind of sessions that publish once for all consumers (SHARED). */
#include "flow/producer_state.h"
#include "hub/binding.h"
#include "hub/hub_parts.h"
#include "hub/hub_query.h"
#include "hub/producer_change.h"
#include "hub/session_internal.h"
#include "hub/session_kind.h"
#include "route/inlet_report.h"
#include "route/offer.h"

static void query(struct producer *producer, struct producer_view *view)
{
    session_view(session_of(producer), view);
}

static unsigned state(const struct producer *producer, const struct producer_view *view)
{
    const struct session *session = session_of(producer);

    if (session->state == SESSION_CLOSING)
        return PRODUCER_DRAINING;
    if (session->endpoint.state == PRODUCER_ACTIVE && view->blocked_calls > 0)
        return PRODUCER_BLOCKED;
    return session->endpoint.state;
}

/* It may publish until its deadline, or until it leaves. */
static bool closed(const struct session *session)
{
    (void)session;
    return false;
}

static enum err offer(struct session *session, uint64_t activation, struct chunk *chunk,
                      struct put_waiter *waiter, struct offer *offer_out)
{
    enum err err;

    if (activation != 0)
        return ERR_INVALID;
    session_retain(session); /* until session_unblocked(), which may come before this returns */
    err = inlet_offer(&session->producer.inlet, chunk, waiter, offer_out);
    if (err != ERR_AGAIN)
        session_release(session);
    return err == ERR_CLOSED || err == ERR_NOT_FOUND ? session_drop(chunk) : err;
}

static void report(struct session *session, uint64_t activation, enum producer_state state, uint32_t code,
                   const char *message)
{
    struct hub *hub = session->producer.hub;

    CHECK(activation == 0);
    session->endpoint.state = state;
    inlet_report_change(hub_wildcards(hub), &session->producer.inlet,
                        &(struct source_state){state, code, message});
    producer_changed(&session->producer);
    loop_slice_later(hub_loop(hub), hub_report(hub));
}

static void give_up(struct session *session, uint64_t activation, const struct put_waiter *waiter)
{
    (void)activation;
    inlet_give_up(&session->producer.inlet, waiter);
}

/* It has no activations. */
static void end(struct session *session, uint64_t number, uint32_t code, const char *message,
                enum session_end_rule rule)
{
    (void)session;
    (void)number;
    (void)code;
    (void)message;
    (void)rule;
}

const struct session_kind shared_session_kind = {
    .producer = {.name = "SHARED",
                 .taken = "a registered session has it",
                 .name_rule = NAME_HANDED_OVER,
                 .wildcards = true,
                 .joinable = session_joinable,
                 .bind = binding_bind,
                 .reselect = binding_reselect,
                 .remove = session_remove,
                 .query = query,
                 .state = state,
                 .free = session_free_at_end},
    .live_inlet = INLET_OPEN,
    .closed = closed,
    .offer = offer,
    .give_up = give_up,
    .report = report,
    .end = end,
};
