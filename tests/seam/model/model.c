/* model.c - the rules, see model.h. */
#include "seam/model/model.h"

#include <string.h>

#include "lib/events.h"

#define HANDOVER_NS NS_PER_S
#define ALL_ENDED_NS (3600 * NS_PER_S)

const char *const model_names[NAMES] = {"a1", "a2", "b1"};

static void settle_consumer(struct model *model, int c);
static void settle_session(struct model *model, int s);
static void go_live(struct model *model, int s);

void notice_add(struct notices *notices, struct notice notice)
{
    CHECK(notices->count < MAX_NOTICES);
    notices->list[notices->count++] = notice;
}

static void expect(struct model *model, enum told told, int s, int c, int reason, int64_t deadline_ns)
{
    struct notice notice = {
        .told = told, .session = s, .consumer = c, .reason = reason, .deadline_ns = deadline_ns};

    notice.may = told == STOP && model->sessions[s].at_stop == LEAVES;
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

static bool is_live(const struct model_pair *pair)
{
    return pair->state == P_ACTIVE || pair->state == P_STOPPING || pair->state == P_RETRYING;
}

/* ---- pairs ---- */

static void pair_over(struct model *model, int s, int c)
{
    model->pairs[s][c].state = P_ENDED;
    settle_consumer(model, c);
    settle_session(model, s);
}

static void pair_start(struct model *model, int s, int c)
{
    struct model_pair *pair = &model->pairs[s][c];

    *pair = (struct model_pair){.state = P_ACTIVE, .started_ns = model->now_ns, .failures = pair->failures};
    model->consumers[c].begun = true;
    if (model->sessions[s].ends_at_start)
        model_end(model, s, c, false);
}

static void pair_begin(struct model *model, int s, int c)
{
    expect(model, START, s, c, 0, model->consumers[c].own_deadline_ns);
    model->pairs[s][c].failures = 0;
    pair_start(model, s, c);
}

/* At once, or for want of its time. */
static void pair_cut(struct model *model, int s, int c, int reason, bool notify)
{
    struct model_pair *pair = &model->pairs[s][c];

    if (!is_live(pair))
        return;
    notify = notify && pair->state == P_ACTIVE;
    pair->state = P_ENDED;
    settle_consumer(model, c);
    if (notify)
        expect(model, STOP, s, c, reason, 0);
    if (notify && model->sessions[s].at_stop == LEAVES)
        model_unregister(model, s);
    settle_session(model, s);
}

static void pair_stop(struct model *model, int s, int c, int reason, int64_t deadline_ns)
{
    struct model_pair *pair = &model->pairs[s][c];

    deadline_ns = MIN_OF(deadline_ns, model->consumers[c].own_deadline_ns);
    if (pair->state == P_STOPPING)
        pair->deadline_ns = MIN_OF(pair->deadline_ns, deadline_ns);
    if (pair->state == P_RETRYING || (pair->state == P_ACTIVE && deadline_ns <= model->now_ns))
        pair_cut(model, s, c, reason, true);
    if (pair->state != P_ACTIVE)
        return;
    pair->state = P_STOPPING;
    pair->deadline_ns = deadline_ns;
    expect(model, STOP, s, c, reason, deadline_ns);
    if (model->sessions[s].at_stop == ENDS)
        pair_over(model, s, c);
    else if (model->sessions[s].at_stop == LEAVES)
        model_unregister(model, s);
}

void model_end(struct model *model, int s, int c, bool failed)
{
    struct model_pair *pair = &model->pairs[s][c];
    int64_t wait_ns = NS_PER_S;

    if (!failed || pair->state == P_STOPPING || model->consumers[c].life != C_LIVE ||
        model->consumers[c].ends || model->sessions[s].life != S_LIVE) {
        pair_over(model, s, c);
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

/* ---- sessions ---- */

static void routes_off(struct model *model, int source)
{
    memset(model->routes[source], 0, sizeof(model->routes[source]));
}

/* Who leaves when it is told of one hears of that one only, and nobody says which is the first. */
static void may_stop_any(struct model *model, int s, int reason, int64_t deadline_ns)
{
    for (int c = 0; c < CONSUMERS && model->sessions[s].at_stop == LEAVES; c++)
        if (model->pairs[s][c].state == P_ACTIVE) {
            int64_t at_ns = MIN_OF(deadline_ns, model->consumers[c].deadline_ns);

            expect(model, STOP, s, c, reason, at_ns <= model->now_ns ? 0 : at_ns);
        }
}

static void session_over(struct model *model, int s, int reason, bool notify, bool tell_stops)
{
    struct model_session *session = &model->sessions[s];
    int successor = session->successor;

    session->life = S_GONE;
    if (session->predecessor >= 0)
        model->sessions[session->predecessor].successor = -1;
    session->predecessor = -1;
    session->successor = -1;
    if (tell_stops)
        may_stop_any(model, s, reason, 0);
    for (int c = 0; c < CONSUMERS; c++)
        pair_cut(model, s, c, reason, tell_stops);
    routes_off(model, s);
    if (notify && session->life == S_GONE) { /* it may have left meanwhile */
        expect(model, CUT, s, -1, reason, 0);
        if (session->leaves_at_cut)
            session->life = S_NONE;
    }
    session->named = false;
    if (successor >= 0) {
        model->sessions[successor].predecessor = -1;
        if (model->draining)
            session_over(model, successor, FAULT_DRAINING, true, false);
        else
            go_live(model, successor);
    }
}

static void settle_session(struct model *model, int s)
{
    const struct model_session *session = &model->sessions[s];

    if (session->life != S_CLOSING || !session->per_consumer)
        return;
    for (int c = 0; c < CONSUMERS; c++)
        if (is_live(&model->pairs[s][c]))
            return;
    session_over(model, s, session->reason, true, false);
}

void model_unregister(struct model *model, int s)
{
    if (model->sessions[s].life == S_NONE)
        return;
    if (model->sessions[s].life != S_GONE)
        session_over(model, s, 0, false, false);
    model->sessions[s].life = S_NONE;
}

static void session_close(struct model *model, int s, int reason, int64_t deadline_ns)
{
    struct model_session *session = &model->sessions[s];

    if (session->life == S_LIVE) {
        session->life = S_CLOSING;
        session->reason = reason;
        session->deadline_ns = INT64_MAX;
        expect(model, CLOSING, s, -1, reason, deadline_ns);
        if (session->leaves_at_closing)
            model_unregister(model, s);
    }
    if (session->life != S_CLOSING)
        return;
    session->deadline_ns = MIN_OF(session->deadline_ns, deadline_ns);
    if (session->deadline_ns <= model->now_ns) {
        session_over(model, s, session->reason, true, true);
        return;
    }
    may_stop_any(model, s, session->reason, session->deadline_ns);
    for (int c = 0; c < CONSUMERS && session->life == S_CLOSING; c++)
        if (is_live(&model->pairs[s][c]) && model->pairs[s][c].state != P_STOPPING)
            pair_stop(model, s, c, session->reason, session->deadline_ns);
    settle_session(model, s);
}

static void go_live(struct model *model, int s)
{
    struct model_session *session = &model->sessions[s];

    session->life = S_LIVE;
    session->named = true;
    expect(model, WELCOME, s, -1, 0, 0);
    for (int c = 0; c < CONSUMERS; c++)
        if (model->consumers[c].life == C_LIVE && model_matches(&model->consumers[c].filter, session->name)) {
            if (session->per_consumer)
                pair_begin(model, s, c);
            else
                model->routes[s][c] = true;
        }
}

static void drop_successor(struct model *model, int s, int reason)
{
    if (model->sessions[s].successor >= 0)
        session_over(model, model->sessions[s].successor, reason, true, false);
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
    routes_off(model, SESSIONS + params->name);
    if (older < 0) {
        go_live(model, s);
        return;
    }
    drop_successor(model, older, FAULT_REPLACED);
    if (start_first) {
        model->sessions[older].named = false;
        go_live(model, s);
    } else {
        model->sessions[older].successor = s;
        session->predecessor = older;
    }
    if (model->sessions[older].life == S_LIVE)
        session_close(model, older, FAULT_REPLACED, model->now_ns + HANDOVER_NS);
}

void model_remove(struct model *model, int name, int64_t drain_ns)
{
    int s = model_holder(model, name);

    if (s < 0) {
        model->forget_ns[name] = 0;
        routes_off(model, SESSIONS + name);
        return;
    }
    drop_successor(model, s, FAULT_REMOVED);
    model->sessions[s].named = false;
    if (drain_ns > 0)
        session_close(model, s, FAULT_REMOVED, model->now_ns + drain_ns);
    else
        session_over(model, s, FAULT_REMOVED, true, true);
}

void model_publish(struct model *model, int name)
{
    if (model->forget_ns[name] == 0)
        for (int c = 0; c < CONSUMERS; c++)
            model->routes[SESSIONS + name][c] =
                model->consumers[c].life == C_LIVE && model_matches(&model->consumers[c].filter, name);
    model->forget_ns[name] = model->now_ns + FORGET_NS;
}

/* ---- consumers ---- */

static void consumer_off(struct model *model, int c)
{
    for (int source = 0; source < SOURCES; source++)
        model->routes[source][c] = false;
}

static int live_pairs(const struct model *model, int c)
{
    int count = 0;

    for (int s = 0; s < SESSIONS; s++)
        count += is_live(&model->pairs[s][c]);
    return count;
}

static void cut_pairs(struct model *model, int c, int reason)
{
    model->consumers[c].held++;
    for (int s = 0; s < SESSIONS; s++)
        pair_cut(model, s, c, reason, true);
    model->consumers[c].held--;
}

/* The state moves first, for all whom a verb reaches; then each is told. */
static bool move_to_drain(struct model *model, int c, int reason, int64_t deadline_ns)
{
    struct model_consumer *consumer = &model->consumers[c];
    bool first = consumer->life == C_LIVE;

    if (consumer->life != C_LIVE && consumer->life != C_DRAINING)
        return false;
    consumer->life = C_DRAINING;
    consumer->deadline_ns = MIN_OF(consumer->deadline_ns, deadline_ns);
    if (consumer->closing == 0)
        consumer->closing = reason;
    return first;
}

static void drain(struct model *model, int c, int reason, bool first)
{
    struct model_consumer *consumer = &model->consumers[c];

    if (consumer->life != C_DRAINING)
        return;
    consumer_off(model, c);
    if (consumer->deadline_ns <= model->now_ns)
        cut_pairs(model, c, reason);
    if (first) {
        expect(model, CONSUMER_CLOSING, -1, c, consumer->closing, consumer->deadline_ns);
        if (consumer->leaves_at_end)
            model_unsubscribe(model, c, FAULT_NONE);
    }
    for (int s = 0; s < SESSIONS && consumer->life == C_DRAINING; s++)
        if (is_live(&model->pairs[s][c]))
            pair_stop(model, s, c, reason, consumer->deadline_ns);
    if (consumer->life == C_DRAINING && consumer->deadline_ns <= model->now_ns)
        consumer->life = C_CLOSED;
}

static void settle_consumer(struct model *model, int c)
{
    struct model_consumer *consumer = &model->consumers[c];

    if (consumer->life == C_LIVE && consumer->held == 0 && consumer->ends && consumer->begun &&
        live_pairs(model, c) == 0)
        drain(model, c, FAULT_FINISHED,
              move_to_drain(model, c, CLOSING_ALL_ENDED, model->now_ns + ALL_ENDED_NS));
}

void model_subscribe(struct model *model, int c, const struct model_consumer *params)
{
    struct model_consumer *consumer = &model->consumers[c];

    *consumer = *params;
    consumer->life = C_LIVE;
    consumer->deadline_ns = consumer->own_deadline_ns;
    consumer->held++;
    for (int s = 0; s < SESSIONS; s++) {
        const struct model_session *session = &model->sessions[s];

        model->pairs[s][c] = (struct model_pair){.state = P_NONE};
        if (session->life != S_LIVE || !session->named || !model_matches(&consumer->filter, session->name))
            continue;
        if (session->per_consumer)
            pair_begin(model, s, c);
        else
            model->routes[s][c] = true;
    }
    for (int name = 0; name < NAMES; name++)
        model->routes[SESSIONS + name][c] =
            model->forget_ns[name] > 0 && model_matches(&consumer->filter, name);
    consumer->held--;
    settle_consumer(model, c);
}

static void cut_sessions(struct model *model)
{
    for (int c = 0; c < CONSUMERS; c++)
        if (model->consumers[c].life != C_NONE)
            return;
    model->emptied = true;
    for (int s = 0; s < SESSIONS; s++)
        if (model->sessions[s].life != S_NONE && model->sessions[s].life != S_GONE)
            session_over(model, s, FAULT_DRAINING, true, true);
}

void model_unsubscribe(struct model *model, int c, int reason)
{
    struct model_consumer *consumer = &model->consumers[c];

    if (consumer->life == C_NONE)
        return;
    consumer->life = C_CLOSED;
    consumer_off(model, c);
    cut_pairs(model, c, reason != FAULT_NONE ? reason : FAULT_FINISHED);
    consumer->life = C_NONE;
    if (model->draining && !model->emptied)
        cut_sessions(model);
}

void model_finish(struct model *model, int c, int reason, int64_t drain_ns)
{
    bool first = move_to_drain(model, c, reason, model->now_ns + drain_ns);

    drain(model, c, reason == CLOSING_DISCONNECTED ? FAULT_KICKED : FAULT_FINISHED, first);
}

void model_kick(struct model *model, int c)
{
    struct model_consumer *consumer = &model->consumers[c];

    consumer->life = C_CLOSED;
    consumer_off(model, c);
    expect(model, CONSUMER_CUT, -1, c, FAULT_KICKED, 0);
    cut_pairs(model, c, FAULT_KICKED);
    if (consumer->leaves_at_end)
        model_unsubscribe(model, c, FAULT_KICKED);
}

void model_select(struct model *model, int c, struct model_filter filter)
{
    struct model_consumer *consumer = &model->consumers[c];
    struct model_filter old = consumer->filter;
    bool begins[SESSIONS] = {false};

    consumer->filter = filter;
    consumer->held++;
    for (int s = 0; s < SESSIONS; s++) {
        const struct model_session *session = &model->sessions[s];
        bool was = model_matches(&old, session->name), is = model_matches(&filter, session->name);
        bool open = session->life == S_LIVE && session->named;

        begins[s] = open && session->per_consumer && is && !was;
        if (!session->per_consumer)
            model->routes[s][c] = is && (open || model->routes[s][c]);
    }
    for (int name = 0; name < NAMES; name++)
        model->routes[SESSIONS + name][c] = model->forget_ns[name] > 0 && model_matches(&filter, name);
    for (int s = 0; s < SESSIONS; s++)
        if (model->sessions[s].per_consumer && !model_matches(&filter, model->sessions[s].name))
            pair_cut(model, s, c, FAULT_FINISHED, true);
    consumer->begun = live_pairs(model, c) > 0;
    for (int s = 0; s < SESSIONS; s++)
        if (begins[s] && model->sessions[s].life == S_LIVE)
            pair_begin(model, s, c);
    consumer->held--;
    settle_consumer(model, c);
}

/* ---- the whole, and time ---- */

void model_drain(struct model *model, int64_t drain_ns)
{
    int64_t deadline_ns = model->now_ns + drain_ns;
    bool first = !model->draining, moved[CONSUMERS];

    model->draining = true;
    model->emptied = model->emptied || first; /* nobody is cut before all were told */
    for (int c = 0; c < CONSUMERS; c++)
        moved[c] = move_to_drain(model, c, CLOSING_SERVER_DRAINING, deadline_ns);
    for (int s = 0; s < SESSIONS; s++) {
        may_stop_any(model, s, FAULT_DRAINING, deadline_ns);
        may_stop_any(model, s, FAULT_FINISHED, 0); /* of a consumer that leaves when it is told */
    }
    for (int c = 0; c < CONSUMERS; c++)
        drain(model, c, FAULT_DRAINING, moved[c]);
    for (int s = 0; s < SESSIONS; s++) {
        if (model->sessions[s].life == S_WAITING)
            session_over(model, s, FAULT_DRAINING, true, false);
        else if (model->sessions[s].life == S_LIVE || model->sessions[s].life == S_CLOSING)
            session_close(model, s, FAULT_DRAINING, deadline_ns);
    }
    if (first) {
        model->emptied = false;
        cut_sessions(model);
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
            cut_pairs(model, c, FAULT_NONE);
            model->consumers[c].life = C_CLOSED;
        }
    for (int s = 0; s < SESSIONS; s++) {
        for (int c = 0; c < CONSUMERS; c++)
            if (model->pairs[s][c].state == P_STOPPING && model->pairs[s][c].deadline_ns <= now_ns)
                pair_over(model, s, c);
        if (model->sessions[s].life == S_CLOSING && model->sessions[s].deadline_ns <= now_ns)
            session_over(model, s, model->sessions[s].reason, true, true);
    }
    for (int name = 0; name < NAMES; name++)
        if (model->forget_ns[name] > 0 && model->forget_ns[name] <= now_ns) {
            model->forget_ns[name] = 0;
            routes_off(model, SESSIONS + name);
        }
}
