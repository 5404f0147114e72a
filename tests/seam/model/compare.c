/* compare.c - checks that hub and model agree. */
#include "seam/model/model_fixture.h"

#include <stdio.h>
#include <string.h>

#include "base/counters.h"
#include "seam/virtual_clock.h"

static bool same(const struct notice *a, const struct notice *b)
{
    return a->kind == b->kind && a->session == b->session && a->consumer == b->consumer &&
           a->reason == b->reason && a->deadline_ns == b->deadline_ns;
}

static void print(const char *whose, const struct notice *notice)
{
    static const char *const names[] = {"WELCOME",          "START",       "STOP", "CLOSING", "CUT",
                                        "CONSUMER_CLOSING", "CONSUMER_CUT"};

    fprintf(stderr, "%s: %s session %d consumer %d why %d deadline %lld\n", whose, names[notice->kind],
            notice->session, notice->consumer, notice->reason, (long long)notice->deadline_ns);
}

static void remember_start(struct model_fixture *fixture, const struct notice *notice)
{
    fixture->model.pairs[notice->session][notice->consumer].number = notice->number;
}

/* Removes the notice from the expected ones. Returns false where it is not among them. */
static bool was_expected(struct model_fixture *fixture, const struct notice *actual)
{
    struct notices *expected = &fixture->model.expected;

    for (unsigned i = 0; i < expected->count; i++)
        if (same(&expected->list[i], actual)) {
            expected->list[i] = expected->list[--expected->count];
            if (actual->kind == START)
                remember_start(fixture, actual);
            return true;
        }
    return false;
}

static bool was_retried(struct model_fixture *fixture, const struct notice *actual)
{
    if (actual->kind != START || fixture->model.pairs[actual->session][actual->consumer].state != P_RETRYING)
        return false;
    CHECK(actual->deadline_ns == fixture->model.consumers[actual->consumer].own_deadline_ns);
    model_retried(&fixture->model, actual->session, actual->consumer, actual->at_ns);
    remember_start(fixture, actual);
    return true;
}

static void compare_notices(struct model_fixture *fixture)
{
    struct notices *expected = &fixture->model.expected;
    bool agree = true;

    for (unsigned i = 0; i < fixture->actual.count; i++)
        if (!was_expected(fixture, &fixture->actual.list[i]) &&
            !was_retried(fixture, &fixture->actual.list[i])) {
            print("not expected", &fixture->actual.list[i]);
            agree = false;
        }
    for (unsigned i = 0; i < expected->count; i++)
        if (!expected->list[i].may) {
            print("did not come", &expected->list[i]);
            agree = false;
        }
    CHECK(agree);
    expected->count = 0;
    fixture->actual.count = 0;
}

static enum chan_state due_state(const struct model *model, int c)
{
    if (model->consumers[c].life == C_LIVE)
        return CHAN_OPEN;
    if (model->consumers[c].life == C_CLOSED)
        return CHAN_CLOSED;
    for (int s = 0; s < SESSIONS; s++)
        if (model_asked(model, s, c))
            return CHAN_OPEN;
    return CHAN_DRAINING;
}

static void compare_counts(const struct model_fixture *fixture)
{
    const struct model *model = &fixture->model;
    int64_t asked = 0, routes = 0, sessions = 0, producers = 0, consumers = 0;

    for (int c = 0; c < CONSUMERS; c++) {
        CHECK((model->consumers[c].life != C_NONE) == !!fixture->consumers[c].subscription);
        if (fixture->consumers[c].subscription)
            CHECK(chan_state(fixture->consumers[c].result.chan) == due_state(model, c));
        consumers += model->consumers[c].life != C_NONE;
        for (int source = 0; source < SOURCES; source++)
            routes += model->routes[source][c];
        for (int s = 0; s < SESSIONS; s++) {
            asked += model_asked(model, s, c);
            CHECK(model->pairs[s][c].state != P_RETRYING ||
                  model->now_ns < model->pairs[s][c].retry_until_ns);
        }
    }
    for (int s = 0; s < SESSIONS; s++) {
        CHECK((model->sessions[s].life != S_NONE) == !!fixture->sessions[s].session);
        sessions += model->sessions[s].life != S_NONE;
        producers += model->sessions[s].life != S_NONE && model->sessions[s].named;
    }
    for (int name = 0; name < NAMES; name++)
        producers += model->forget_ns[name] > 0;
    CHECK(count_get(COUNT_LIVE_ACTIVATIONS) == asked);
    CHECK(count_get(COUNT_LIVE_ROUTES) == asked + routes);
    CHECK(count_get(COUNT_LIVE_SESSIONS) == sessions);
    CHECK(count_get(COUNT_LIVE_PRODUCERS) == producers);
    CHECK(count_get(COUNT_LIVE_SUBSCRIPTIONS) == consumers);
    CHECK(fixture->emptied == model->emptied);
}

void model_fixture_compare(struct model_fixture *fixture)
{
    compare_notices(fixture);
    compare_counts(fixture);
}

/* Goes in steps that end where something comes due in the model. */
void model_fixture_pass(struct model_fixture *fixture, int64_t ns)
{
    int64_t until_ns = clock_mono_ns() + ns;

    while (clock_mono_ns() < until_ns) {
        int64_t step_ns = MIN_OF(model_next(&fixture->model), until_ns) - clock_mono_ns();

        virtual_time_pass(fixture->loop, step_ns);
        for (unsigned i = 0; i < fixture->actual.count; i++)
            if (was_retried(fixture, &fixture->actual.list[i]))
                fixture->actual.list[i--] = fixture->actual.list[--fixture->actual.count];
        model_time(&fixture->model, clock_mono_ns());
        model_fixture_compare(fixture);
    }
}
