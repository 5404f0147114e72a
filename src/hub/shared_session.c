/* shared_session.c - the kind of sessions that publish once for all consumers (SHARED). */
#include "flow/producer_state.h"
#include "hub/binding.h"
#include "hub/hub_query.h"
#include "hub/session_internal.h"
#include "route/offer.h"

static void query(struct producer *producer, struct producer_view *view)
{
    session_view(session_of(producer), view);
}

static unsigned state(const struct producer *producer, const struct producer_view *view)
{
    if (session_of(producer)->state == SESSION_CLOSING)
        return PRODUCER_DRAINING;
    return view->blocked_calls > 0 ? PRODUCER_BLOCKED : PRODUCER_ACTIVE;
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
};
