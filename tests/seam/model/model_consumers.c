/* model_consumers.c - the rules of consumers. */
#include "seam/model/model_internal.h"

#define ALL_ENDED_NS (3600 * NS_PER_S)

static void consumer_off(struct model *model, int c)
{
    for (int source = 0; source < SOURCES; source++)
        model->routes[source][c] = false;
}

int model_live_pairs(const struct model *model, int c)
{
    int count = 0;

    for (int s = 0; s < SESSIONS; s++)
        count += model_is_live(&model->pairs[s][c]);
    return count;
}

void model_end_pairs_now(struct model *model, int c, int reason)
{
    model->consumers[c].held++;
    for (int s = 0; s < SESSIONS; s++)
        model_pair_end_now(model, s, c, reason, true);
    model->consumers[c].held--;
}

/* The state of all consumers that a step affects moves first. Then each is notified. */
bool model_move_to_drain(struct model *model, int c, int reason, int64_t deadline_ns)
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

void model_drain_consumer(struct model *model, int c, int reason, bool first)
{
    struct model_consumer *consumer = &model->consumers[c];

    if (consumer->life != C_DRAINING)
        return;
    consumer_off(model, c);
    if (consumer->deadline_ns <= model->now_ns)
        model_end_pairs_now(model, c, reason);
    if (first) {
        model_expect(model, CONSUMER_CLOSING, -1, c, consumer->closing, consumer->deadline_ns);
        if (consumer->leaves_at_end)
            model_unsubscribe(model, c, FAULT_NONE);
    }
    for (int s = 0; s < SESSIONS && consumer->life == C_DRAINING; s++)
        if (model_is_live(&model->pairs[s][c]))
            model_pair_stop(model, s, c, reason, consumer->deadline_ns);
    if (consumer->life == C_DRAINING && consumer->deadline_ns <= model->now_ns)
        consumer->life = C_CLOSED;
}

void model_update_consumer(struct model *model, int c)
{
    struct model_consumer *consumer = &model->consumers[c];

    if (consumer->life == C_LIVE && consumer->held == 0 && consumer->ends && consumer->begun &&
        model_live_pairs(model, c) == 0)
        model_drain_consumer(model, c, FAULT_FINISHED,
                             model_move_to_drain(model, c, CLOSING_ALL_ENDED, model->now_ns + ALL_ENDED_NS));
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
            model_pair_begin(model, s, c);
        else
            model->routes[s][c] = true;
    }
    for (int name = 0; name < NAMES; name++)
        model->routes[SESSIONS + name][c] =
            model->forget_ns[name] > 0 && model_matches(&consumer->filter, name);
    consumer->held--;
    model_update_consumer(model, c);
}

void model_abort_sessions(struct model *model)
{
    for (int c = 0; c < CONSUMERS; c++)
        if (model->consumers[c].life != C_NONE)
            return;
    model->emptied = true;
    for (int s = 0; s < SESSIONS; s++)
        if (model->sessions[s].life != S_NONE && model->sessions[s].life != S_GONE)
            model_session_over(model, s, FAULT_DRAINING, true, true);
}

void model_unsubscribe(struct model *model, int c, int reason)
{
    struct model_consumer *consumer = &model->consumers[c];

    if (consumer->life == C_NONE)
        return;
    consumer->life = C_CLOSED;
    consumer_off(model, c);
    model_end_pairs_now(model, c, reason != FAULT_NONE ? reason : FAULT_FINISHED);
    consumer->life = C_NONE;
    if (model->draining && !model->emptied)
        model_abort_sessions(model);
}

void model_finish(struct model *model, int c, int reason, int64_t drain_ns)
{
    bool first = model_move_to_drain(model, c, reason, model->now_ns + drain_ns);

    model_drain_consumer(model, c, reason == CLOSING_DISCONNECTED ? FAULT_KICKED : FAULT_FINISHED, first);
}

void model_kick(struct model *model, int c)
{
    struct model_consumer *consumer = &model->consumers[c];

    consumer->life = C_CLOSED;
    consumer_off(model, c);
    model_expect(model, CONSUMER_ABORT, -1, c, FAULT_KICKED, 0);
    model_end_pairs_now(model, c, FAULT_KICKED);
    if (consumer->leaves_at_end)
        model_unsubscribe(model, c, FAULT_KICKED);
}

void model_select(struct model *model, int c, struct model_filter filter)
{
    struct model_consumer *consumer = &model->consumers[c];
    struct model_filter old = consumer->filter;
    bool begins[SESSIONS] = {false}, leaves[SESSIONS] = {false};

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
            leaves[s] = model_pair_end_quietly(model, s, c, FAULT_FINISHED, true);
    /* What follows from these ends comes before the sessions hear of them and leave. */
    for (int s = 0; s < SESSIONS; s++)
        model_update_session(model, s);
    for (int s = 0; s < SESSIONS; s++)
        if (leaves[s])
            model_unregister(model, s);
    consumer->begun = model_live_pairs(model, c) > 0;
    for (int s = 0; s < SESSIONS; s++)
        if (begins[s] && model->sessions[s].life == S_LIVE)
            model_pair_begin(model, s, c);
    consumer->held--;
    model_update_consumer(model, c);
}
