/* steps_sessions.c - the steps of sessions and of transient producers. */
#include "seam/hub_fixture.h"
#include "seam/model/steps.h"
#include "seam/virtual_clock.h"

/* ---- sessions ---- */

void step_register(struct model_fixture *fixture)
{
    int s = fixture_pick(fixture, SESSIONS, free_session);
    struct model_session params = {.name = (int)fixture_roll(fixture, NAMES),
                                   .per_consumer = fixture_roll(fixture, 3) > 0,
                                   .ends_at_start = fixture_roll(fixture, 12) == 0,
                                   .leaves_at_closing = fixture_roll(fixture, 8) == 0,
                                   .leaves_at_abort = fixture_roll(fixture, 2) == 0,
                                   .at_stop = ENDS};
    struct session_params real;
    struct fault fault;
    enum fault_reason due = FAULT_NONE;
    struct fixture_session *session;

    if (s < 0)
        return;
    if (fixture_roll(fixture, 2) == 0)
        params.at_stop = fixture_roll(fixture, 4) == 0 ? LEAVES : IGNORES;
    session = &fixture->sessions[s];
    real = model_session_params(session, &params);
    real.reject_duplicate = fixture_roll(fixture, 6) == 0;
    real.start_first = fixture_roll(fixture, 3) == 0;
    if (real.reject_duplicate && model_holder(&fixture->model, params.name) >= 0)
        due = FAULT_NAME_TAKEN;
    if (fixture->model.draining)
        due = FAULT_DRAINING;
    fixture->model.sessions[s] = params; /* the port reads the behaviour from here */
    model_fixture_line(fixture, "register %d %s %s reject %d start_first %d behaviour %d%d%d%d", s,
                       model_names[params.name], params.per_consumer ? "PER_CONSUMER" : "SHARED",
                       real.reject_duplicate, real.start_first, params.ends_at_start, (int)params.at_stop,
                       params.leaves_at_closing, params.leaves_at_abort);
    CHECK(hub_register(fixture->hub, &real, &session->session, &fault) == due);
    if (due != FAULT_NONE)
        transcript("  %s", transcript_fault(&fault));
    if (due == FAULT_NONE)
        model_register(&fixture->model, s, &params, real.start_first);
}

void step_unregister(struct model_fixture *fixture)
{
    int s = fixture_pick(fixture, SESSIONS, any_session);
    enum fault_reason reason;
    struct session *gone;

    if (s < 0)
        return;
    gone = fixture->sessions[s].session;
    fixture->sessions[s].session = NULL;
    reason = fixture_roll(fixture, 2) == 0 ? FAULT_NONE : FAULT_CANCELLED;
    model_fixture_line(fixture, "unregister %d %s", s, fault_reason_name(reason));
    hub_unregister(gone, reason);
    model_unregister(&fixture->model, s);
}

static void some_topics(struct model_fixture *fixture, char topics[8])
{
    size_t count = 1 + fixture_roll(fixture, 6);

    for (size_t i = 0; i < count; i++)
        topics[i] = "xy"[fixture_roll(fixture, 2)];
    topics[count] = '\0';
}

static bool is_open(const struct model_fixture *fixture, int s, uint64_t number)
{
    int c = number <= fixture->sessions[s].latest ? fixture->sessions[s].starts[number].consumer : -1;

    return c >= 0 && model_asked(&fixture->model, s, c) && fixture->model.pairs[s][c].number == number;
}

static enum err offered(struct fixture_session *session, uint64_t number, struct chunk *chunk,
                        struct put_waiter *waiter, struct offer *offer_out)
{
    return model_fixture_offered(session_offer(session->session, number, chunk, waiter, offer_out),
                                 offer_out);
}

void step_offer(struct model_fixture *fixture)
{
    int s = fixture_pick(fixture, SESSIONS, asked_session);
    OWNED(chunk_release) struct chunk *chunk = NULL;
    struct fixture_session *session = s >= 0 ? &fixture->sessions[s] : NULL;
    struct start *start;
    struct offer offer;
    char topics[8];
    uint64_t number;

    if (!session)
        return;
    some_topics(fixture, topics);
    chunk = chunk_of_letters(topics, fixture_roll(fixture, 20));
    number = fixture_roll(fixture, 6);
    number = session->latest - MIN_OF(number, session->latest - 1);
    if (fixture_roll(fixture, 40) == 0)
        number = session->latest + 1 + fixture_roll(fixture, 10);
    model_fixture_line(fixture, "offer %d %llu %s", s, (unsigned long long)number, topics);
    if (number > session->latest) {
        CHECK(offered(session, number, chunk, NULL, &offer) == ERR_NOT_FOUND);
        return;
    }
    start = &session->starts[number];
    if (!is_open(fixture, s, number)) {
        CHECK(offered(session, number, chunk, NULL, &offer) == ERR_CLOSED);
        return;
    }
    CHECK(offered(session, number, chunk, NULL, &offer) == ERR_OK);
    CHECK(start->sequence == 0 ? offer.epoch > session->epoch : offer.epoch == start->epoch);
    CHECK(offer.first_sequence == start->sequence + 1);
    start->epoch = offer.epoch;
    start->sequence = offer.last_sequence;
    model_fixture_accepted(fixture, s, start->consumer, topics, &offer);
}

static void never_over(struct put_waiter *waiter)
{
    (void)waiter;
    CHECK(false); /* no consumer blocks shared producers here */
}

void step_offer_shared(struct model_fixture *fixture)
{
    int s = fixture_pick(fixture, SESSIONS, shared_session);
    OWNED(chunk_release) struct chunk *chunk = NULL;
    struct put_waiter waiter = {.over = never_over};
    struct fixture_session *session = s >= 0 ? &fixture->sessions[s] : NULL;
    struct offer offer;
    char topics[8];
    unsigned life;

    if (!session)
        return;
    some_topics(fixture, topics);
    chunk = chunk_of_letters(topics, fixture_roll(fixture, 20));
    model_fixture_line(fixture, "offer %d shared %s", s, topics);
    life = (unsigned)fixture->model.sessions[s].life;
    if (fixture->model.draining || (life != S_LIVE && life != S_CLOSING)) {
        CHECK(offered(session, 0, chunk, &waiter, &offer) == ERR_CLOSED);
        return;
    }
    CHECK(offered(session, 0, chunk, &waiter, &offer) == ERR_OK);
    CHECK(offer.epoch == session->epoch && offer.first_sequence == session->sequence + 1);
    session->sequence = offer.last_sequence;
    model_fixture_accepted(fixture, s, -1, topics, &offer);
}

void step_end(struct model_fixture *fixture)
{
    int s = fixture_pick(fixture, SESSIONS, asked_session);
    bool failed = fixture_roll(fixture, 2) == 0;
    uint64_t number;
    bool open;

    if (s < 0)
        return;
    number = 1 + fixture_roll(fixture, fixture->sessions[s].latest);
    open = is_open(fixture, s, number);
    model_fixture_line(fixture, "end %d %llu %s", s, (unsigned long long)number, failed ? "failed" : "ok");
    session_end(fixture->sessions[s].session, number, failed ? CODE_INTERNAL : CODE_OK, "no luck",
                SESSION_END_BY_CODE);
    if (open)
        model_end(&fixture->model, s, fixture->sessions[s].starts[number].consumer, failed);
}

/* ---- transient producers ---- */

void step_publish(struct model_fixture *fixture)
{
    int name = (int)fixture_roll(fixture, NAMES);
    struct bytes text = text_of(model_names[name]);
    struct inlet *inlet = hub_inlet_find(fixture->hub, text, "putter");
    OWNED(chunk_release) struct chunk *chunk = NULL;
    struct put_waiter waiter = {.over = never_over};
    struct fault fault;
    struct offer offer;
    char topics[8];

    model_fixture_line(fixture, "publish %s", model_names[name]);
    CHECK(!!inlet == (fixture->model.forget_ns[name] > 0));
    if (!inlet && (fixture->model.draining || model_holder(&fixture->model, name) >= 0)) {
        CHECK(hub_inlet_open(fixture->hub, text, "putter", NO_PEER, &inlet, &fault) ==
              (fixture->model.draining ? FAULT_DRAINING : FAULT_NAME_TAKEN));
        return;
    }
    if (!inlet)
        CHECK(hub_inlet_open(fixture->hub, text, "putter", NO_PEER, &inlet, &fault) == FAULT_NONE);
    model_publish(&fixture->model, name);
    some_topics(fixture, topics);
    chunk = chunk_of_letters(topics, 4);
    if (fixture->model.draining) {
        CHECK(model_fixture_offered(inlet_offer(inlet, chunk, &waiter, &offer), &offer) == ERR_CLOSED);
    } else {
        CHECK(model_fixture_offered(inlet_offer(inlet, chunk, &waiter, &offer), &offer) == ERR_OK);
        CHECK(offer.first_sequence ==
              (offer.epoch == fixture->transient_epoch[name] ? fixture->transient_sequence[name] + 1 : 1));
        fixture->transient_epoch[name] = offer.epoch;
        fixture->transient_sequence[name] = offer.last_sequence;
        model_fixture_accepted(fixture, SESSIONS + name, -1, topics, &offer);
    }
    inlet_leave(inlet);
    virtual_time_pass(fixture->loop, 0);
}

void step_remove(struct model_fixture *fixture)
{
    static const int64_t drains_ns[] = {0, 0, NS_PER_S / 2, 3 * NS_PER_S};
    int name = (int)fixture_roll(fixture, NAMES);
    int64_t drain_ns = drains_ns[fixture_roll(fixture, ARRAY_LEN(drains_ns))];
    bool known = model_holder(&fixture->model, name) >= 0 || fixture->model.forget_ns[name] > 0;
    struct producer_view view;
    struct fault fault;

    model_fixture_line(fixture, "remove %s in %lld", model_names[name], (long long)drain_ns);
    CHECK(hub_remove(fixture->hub, text_of(model_names[name]), drain_ns, hub_fixture_copy_view, &view,
                     &fault) == (known ? FAULT_NONE : FAULT_PRODUCER_NOT_FOUND));
    if (known)
        model_remove(&fixture->model, name, drain_ns);
}
