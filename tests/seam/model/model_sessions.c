/* model_sessions.c - the rules of sessions and of transient producers. */
#include "seam/model/model_internal.h"

#include <string.h>

#define HANDOVER_NS NS_PER_S

void model_routes_off(struct model *model, int source)
{
    memset(model->routes[source], 0, sizeof(model->routes[source]));
}

/* A session that leaves at its first stop() is notified of that one only, and nothing says which
 * activation comes first. */
void model_may_stop_any(struct model *model, int s, int reason, int64_t deadline_ns)
{
    for (int c = 0; c < CONSUMERS && model->sessions[s].at_stop == LEAVES; c++)
        if (model->pairs[s][c].state == P_ACTIVE) {
            int64_t at_ns = MIN_OF(deadline_ns, model->consumers[c].deadline_ns);

            model_expect(model, STOP, s, c, reason, at_ns <= model->now_ns ? 0 : at_ns);
        }
}

void model_session_over(struct model *model, int s, int reason, bool notify, bool notify_stops)
{
    struct model_session *session = &model->sessions[s];
    int successor = session->successor;

    session->life = S_GONE;
    if (session->predecessor >= 0)
        model->sessions[session->predecessor].successor = -1;
    session->predecessor = -1;
    session->successor = -1;
    if (notify_stops)
        model_may_stop_any(model, s, reason, 0);
    for (int c = 0; c < CONSUMERS; c++)
        model_pair_end_now(model, s, c, reason, notify_stops);
    model_routes_off(model, s);
    if (notify && session->life == S_GONE) { /* it may have left meanwhile */
        model_expect(model, ABORT, s, -1, reason, 0);
        if (session->leaves_at_abort)
            session->life = S_NONE;
    }
    session->named = false;
    if (successor >= 0) {
        model->sessions[successor].predecessor = -1;
        if (model->draining)
            model_session_over(model, successor, FAULT_DRAINING, true, false);
        else
            model_go_live(model, successor);
    }
}

void model_update_session(struct model *model, int s)
{
    const struct model_session *session = &model->sessions[s];

    if (session->life != S_CLOSING || !session->per_consumer)
        return;
    for (int c = 0; c < CONSUMERS; c++)
        if (model_is_live(&model->pairs[s][c]))
            return;
    model_session_over(model, s, session->reason, true, false);
}

void model_unregister(struct model *model, int s)
{
    if (model->sessions[s].life == S_NONE)
        return;
    if (model->sessions[s].life != S_GONE)
        model_session_over(model, s, 0, false, false);
    model->sessions[s].life = S_NONE;
}

void model_session_close(struct model *model, int s, int reason, int64_t deadline_ns)
{
    struct model_session *session = &model->sessions[s];

    if (session->life == S_LIVE) {
        session->life = S_CLOSING;
        session->reason = reason;
        session->deadline_ns = INT64_MAX;
        model_expect(model, CLOSING, s, -1, reason, deadline_ns);
        if (session->leaves_at_closing)
            model_unregister(model, s);
    }
    if (session->life != S_CLOSING)
        return;
    session->deadline_ns = MIN_OF(session->deadline_ns, deadline_ns);
    if (session->deadline_ns <= model->now_ns) {
        model_session_over(model, s, session->reason, true, true);
        return;
    }
    model_may_stop_any(model, s, session->reason, session->deadline_ns);
    for (int c = 0; c < CONSUMERS && session->life == S_CLOSING; c++)
        if (model_is_live(&model->pairs[s][c]) && model->pairs[s][c].state != P_STOPPING)
            model_pair_stop(model, s, c, session->reason, session->deadline_ns);
    model_update_session(model, s);
}

void model_go_live(struct model *model, int s)
{
    struct model_session *session = &model->sessions[s];

    session->life = S_LIVE;
    session->named = true;
    model_expect(model, WELCOME, s, -1, 0, 0);
    for (int c = 0; c < CONSUMERS; c++)
        if (model->consumers[c].life == C_LIVE && model_matches(&model->consumers[c].filter, session->name)) {
            if (session->per_consumer)
                model_pair_begin(model, s, c);
            else
                model->routes[s][c] = true;
        }
}

static void drop_successor(struct model *model, int s, int reason)
{
    if (model->sessions[s].successor >= 0)
        model_session_over(model, model->sessions[s].successor, reason, true, false);
}

void model_register(struct model *model, int s, const struct model_session *params, bool start_first)
{
    int older = model_holder(model, params->name);
    struct model_session *session = &model->sessions[s];

    *session = *params;
    session->life = S_WAITING;
    session->named = false;
    session->successor = session->predecessor = -1;
    memset(model->pairs[s], 0, sizeof(model->pairs[s]));
    model->forget_ns[params->name] = 0;
    model_routes_off(model, SESSIONS + params->name);
    if (older < 0) {
        model_go_live(model, s);
        return;
    }
    drop_successor(model, older, FAULT_REPLACED);
    if (start_first) {
        model->sessions[older].named = false;
        model_go_live(model, s);
    } else {
        model->sessions[older].successor = s;
        session->predecessor = older;
    }
    if (model->sessions[older].life == S_LIVE)
        model_session_close(model, older, FAULT_REPLACED, model->now_ns + HANDOVER_NS);
}

void model_remove(struct model *model, int name, int64_t drain_ns)
{
    int s = model_holder(model, name);

    if (s < 0) {
        model->forget_ns[name] = 0;
        model_routes_off(model, SESSIONS + name);
        return;
    }
    drop_successor(model, s, FAULT_REMOVED);
    model->sessions[s].named = false;
    if (drain_ns > 0)
        model_session_close(model, s, FAULT_REMOVED, model->now_ns + drain_ns);
    else
        model_session_over(model, s, FAULT_REMOVED, true, true);
}

void model_publish(struct model *model, int name)
{
    if (model->forget_ns[name] == 0)
        for (int c = 0; c < CONSUMERS; c++)
            model->routes[SESSIONS + name][c] =
                model->consumers[c].life == C_LIVE && model_matches(&model->consumers[c].filter, name);
    model->forget_ns[name] = model->now_ns + FORGET_NS;
}
