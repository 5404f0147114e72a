/* session_state.c - the states of a session, and the moves that several files make. */
#include "client/lib/session/session_state.h"

#include "base/fsm.h"

const struct fsm session_machine = {
    .name = "client.session",
    .states = {[SESSION_OPENING] = {"OPENING", BIT(SESSION_LIVE) | BIT(SESSION_BACKOFF) |
                                                   BIT(SESSION_CANCELLING) | BIT(SESSION_ENDED)},
               [SESSION_LIVE] = {"LIVE", BIT(SESSION_LEAVING) | BIT(SESSION_BACKOFF) |
                                             BIT(SESSION_CANCELLING) | BIT(SESSION_ENDED)},
               [SESSION_LEAVING] = {"LEAVING",
                                    BIT(SESSION_BACKOFF) | BIT(SESSION_CANCELLING) | BIT(SESSION_ENDED)},
               [SESSION_BACKOFF] = {"BACKOFF", BIT(SESSION_OPENING) | BIT(SESSION_ENDED)},
               [SESSION_CANCELLING] = {"CANCELLING", BIT(SESSION_ENDED)},
               [SESSION_ENDED] = {"ENDED", 0}},
};

void session_welcomed(struct tributary_session *session, uint64_t epoch)
{
    if (session->state != SESSION_OPENING)
        return;
    fsm_move(&session_machine, session, SESSION_LIVE);
    cq_timer_stop(session->client->thread, &session->retry);
    session->attempt = 0;
    pthread_mutex_lock(&session->lock);
    session->stats.registrations++;
    session->stats.epoch = epoch;
    pthread_mutex_unlock(&session->lock);
    if (session->callbacks.registered)
        session->callbacks.registered(session->callbacks.ctx, epoch);
}

void session_leave_within(struct tributary_session *session, int64_t limit_ns)
{
    if (session->state == SESSION_LIVE)
        fsm_move(&session_machine, session, SESSION_LEAVING);
    session->expired = false;
    cq_timer_set(session->client->thread, &session->retry, clock_from_now_ns(MAX_OF(limit_ns, 0)));
}
