/* model.c - the rules of activations, of the whole and of time. See model.h. */
#include "seam/model/model_internal.h"

#include <string.h>

#include "lib/events.h"
#include "lib/glob_match.h"

const char *const model_names[NAMES] = {"a1", "a2", "b1"};

void notice_add(struct notices *notices, struct notice notice)
{
    CHECK(notices->count < MAX_NOTICES);
    notices->list[notices->count++] = notice;
}

void model_expect(struct model *model, enum kind kind, int s, int c, int reason, int64_t deadline_ns)
{
    struct notice notice = {
        .kind = kind, .session = s, .consumer = c, .reason = reason, .deadline_ns = deadline_ns};

    notice.may = kind == STOP && model->sessions[s].at_stop == LEAVES;
    notice_add(&model->expected, notice);
}

bool model_matches(const struct model_filter *filter, int name)
{
    return glob_match(text_of(filter->producers), text_of(model_names[name]));
}

int model_holder(const struct model *model, int name)
{
    for (int s = 0; s < SESSIONS; s++)
        if (model->sessions[s].life != S_NONE && model->sessions[s].named && model->sessions[s].name == name)
            return s;
    return -1;
}

bool model_asked(const struct model *model, int s, int c)
{
    return model->pairs[s][c].state == P_ACTIVE || model->pairs[s][c].state == P_STOPPING;
}

bool model_is_live(const struct model_pair *pair)
{
    return pair->state == P_ACTIVE || pair->state == P_STOPPING || pair->state == P_RETRYING;
}

void model_pair_over(struct model *model, int s, int c)
{
    model->pairs[s][c].state = P_ENDED;
    model_update_consumer(model, c);
    model_update_session(model, s);
}

static void pair_start(struct model *model, int s, int c)
{
    struct model_pair *pair = &model->pairs[s][c];

    *pair = (struct model_pair){.state = P_ACTIVE, .started_ns = model->now_ns, .failures = pair->failures};
    model->consumers[c].begun = true;
    if (model->sessions[s].ends_at_start)
        model_end(model, s, c, false);
}

void model_pair_begin(struct model *model, int s, int c)
{
    model_expect(model, START, s, c, 0, model->consumers[c].own_deadline_ns);
    model->pairs[s][c].failures = 0;
    pair_start(model, s, c);
}

bool model_pair_end_quietly(struct model *model, int s, int c, int reason, bool notify)
{
    struct model_pair *pair = &model->pairs[s][c];

    if (!model_is_live(pair))
        return false;
    notify = notify && pair->state == P_ACTIVE;
    pair->state = P_ENDED;
    model_update_consumer(model, c);
    if (notify)
        model_expect(model, STOP, s, c, reason, 0);
    return notify && model->sessions[s].at_stop == LEAVES;
}

void model_pair_end_now(struct model *model, int s, int c, int reason, bool notify)
{
    bool live = model_is_live(&model->pairs[s][c]);

    if (model_pair_end_quietly(model, s, c, reason, notify))
        model_unregister(model, s);
    if (live)
        model_update_session(model, s);
}

void model_pair_stop(struct model *model, int s, int c, int reason, int64_t deadline_ns)
{
    struct model_pair *pair = &model->pairs[s][c];

    deadline_ns = MIN_OF(deadline_ns, model->consumers[c].own_deadline_ns);
    if (pair->state == P_STOPPING)
        pair->deadline_ns = MIN_OF(pair->deadline_ns, deadline_ns);
    if (pair->state == P_RETRYING || (pair->state == P_ACTIVE && deadline_ns <= model->now_ns))
        model_pair_end_now(model, s, c, reason, true);
    if (pair->state != P_ACTIVE)
        return;
    pair->state = P_STOPPING;
    pair->deadline_ns = deadline_ns;
    model_expect(model, STOP, s, c, reason, deadline_ns);
    if (model->sessions[s].at_stop == ENDS)
        model_pair_over(model, s, c);
    else if (model->sessions[s].at_stop == LEAVES)
        model_unregister(model, s);
}

void model_end(struct model *model, int s, int c, bool failed)
{
    struct model_pair *pair = &model->pairs[s][c];
    int64_t wait_ns = NS_PER_S;

    if (!failed || pair->state == P_STOPPING || model->consumers[c].life != C_LIVE ||
        model->consumers[c].ends || model->sessions[s].life != S_LIVE) {
        model_pair_over(model, s, c);
        return;
    }
    if (model->now_ns - pair->started_ns >= 60 * NS_PER_S)
        pair->failures = 0;
    for (int i = 0; i < pair->failures; i++)
        wait_ns = MIN_OF(wait_ns * 2, 30 * NS_PER_S);
    pair->failures++;
    pair->state = P_RETRYING;
    pair->retry_from_ns = model->now_ns + wait_ns / 4 * 3;
    pair->retry_until_ns = model->now_ns + wait_ns;
}

void model_retried(struct model *model, int s, int c, int64_t at_ns)
{
    int64_t now_ns = model->now_ns;

    CHECK(model->pairs[s][c].state == P_RETRYING);
    CHECK(at_ns >= model->pairs[s][c].retry_from_ns && at_ns <= model->pairs[s][c].retry_until_ns);
    model->now_ns = at_ns;
    pair_start(model, s, c);
    model->now_ns = now_ns;
}

/* ---- the whole, and time ---- */

void model_drain(struct model *model, int64_t drain_ns)
{
    int64_t deadline_ns = model->now_ns + drain_ns;
    bool first = !model->draining, moved[CONSUMERS];

    model->draining = true;
    model->emptied = model->emptied || first; /* no session is aborted before every consumer was notified */
    for (int c = 0; c < CONSUMERS; c++)
        moved[c] = model_move_to_drain(model, c, CLOSING_SERVER_DRAINING, deadline_ns);
    for (int s = 0; s < SESSIONS; s++) {
        model_may_stop_any(model, s, FAULT_DRAINING, deadline_ns);
        model_may_stop_any(model, s, FAULT_FINISHED, 0); /* for a consumer that leaves when it is notified */
    }
    for (int c = 0; c < CONSUMERS; c++)
        model_drain_consumer(model, c, FAULT_DRAINING, moved[c]);
    for (int s = 0; s < SESSIONS; s++) {
        if (model->sessions[s].life == S_WAITING)
            model_session_over(model, s, FAULT_DRAINING, true, false);
        else if (model->sessions[s].life == S_LIVE || model->sessions[s].life == S_CLOSING)
            model_session_close(model, s, FAULT_DRAINING, deadline_ns);
    }
    if (first) {
        model->emptied = false;
        model_abort_sessions(model);
    }
}

int64_t model_next(const struct model *model)
{
    int64_t next_ns = INT64_MAX;

    for (int s = 0; s < SESSIONS; s++) {
        if (model->sessions[s].life == S_CLOSING)
            next_ns = MIN_OF(next_ns, model->sessions[s].deadline_ns);
        for (int c = 0; c < CONSUMERS; c++) {
            if (model->pairs[s][c].state == P_STOPPING)
                next_ns = MIN_OF(next_ns, model->pairs[s][c].deadline_ns);
            if (model->pairs[s][c].state == P_RETRYING)
                next_ns = MIN_OF(next_ns, model->pairs[s][c].retry_until_ns);
        }
    }
    for (int c = 0; c < CONSUMERS; c++)
        if (model->consumers[c].life == C_DRAINING)
            next_ns = MIN_OF(next_ns, model->consumers[c].deadline_ns);
    for (int name = 0; name < NAMES; name++)
        if (model->forget_ns[name] > 0)
            next_ns = MIN_OF(next_ns, model->forget_ns[name]);
    return next_ns;
}

void model_time(struct model *model, int64_t now_ns)
{
    model->now_ns = now_ns;
    for (int c = 0; c < CONSUMERS; c++)
        if (model->consumers[c].life == C_DRAINING && model->consumers[c].deadline_ns <= now_ns) {
            model_end_pairs_now(model, c, FAULT_NONE);
            model->consumers[c].life = C_CLOSED;
        }
    for (int s = 0; s < SESSIONS; s++) {
        for (int c = 0; c < CONSUMERS; c++)
            if (model->pairs[s][c].state == P_STOPPING && model->pairs[s][c].deadline_ns <= now_ns)
                model_pair_over(model, s, c);
        if (model->sessions[s].life == S_CLOSING && model->sessions[s].deadline_ns <= now_ns)
            model_session_over(model, s, model->sessions[s].reason, true, true);
    }
    for (int name = 0; name < NAMES; name++)
        if (model->forget_ns[name] > 0 && model->forget_ns[name] <= now_ns) {
            model->forget_ns[name] = 0;
            model_routes_off(model, SESSIONS + name);
        }
}
