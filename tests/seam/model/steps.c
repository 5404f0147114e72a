/* steps.c - random choices for the steps. */
#include "seam/model/steps.h"

uint64_t fixture_roll(struct model_fixture *fixture, uint64_t sides)
{
    return dice_roll(&fixture->dice, sides);
}

/* An index for which `wanted` holds; -1: there is none. */
int fixture_pick(struct model_fixture *fixture, int places,
                 bool (*wanted)(const struct model_fixture *fixture, int index))
{
    int first = (int)fixture_roll(fixture, (uint64_t)places);

    for (int i = 0; i < places; i++)
        if (wanted(fixture, (first + i) % places))
            return (first + i) % places;
    return -1;
}

bool free_session(const struct model_fixture *fixture, int s)
{
    return fixture->model.sessions[s].life == S_NONE;
}

bool any_session(const struct model_fixture *fixture, int s)
{
    return fixture->model.sessions[s].life != S_NONE;
}

bool asked_session(const struct model_fixture *fixture, int s)
{
    return any_session(fixture, s) && fixture->sessions[s].latest > 0;
}

bool shared_session(const struct model_fixture *fixture, int s)
{
    return any_session(fixture, s) && !fixture->model.sessions[s].per_consumer;
}

bool free_consumer(const struct model_fixture *fixture, int c)
{
    return fixture->model.consumers[c].life == C_NONE;
}

bool any_consumer(const struct model_fixture *fixture, int c)
{
    return fixture->model.consumers[c].life != C_NONE;
}

bool live_consumer(const struct model_fixture *fixture, int c)
{
    return fixture->model.consumers[c].life == C_LIVE;
}

struct model_filter some_filter(struct model_fixture *fixture)
{
    static const char *const producers[] = {"*", "*", "a*", "b1", "a1"};
    static const char *const topics[] = {NULL, NULL, "x", "y"};

    return (struct model_filter){producers[fixture_roll(fixture, ARRAY_LEN(producers))],
                                 topics[fixture_roll(fixture, ARRAY_LEN(topics))]};
}

int64_t some_time_ns(struct model_fixture *fixture)
{
    static const int64_t max_ns[] = {NS_PER_MS, NS_PER_S / 2, 2 * NS_PER_S, 15 * NS_PER_S, 70 * NS_PER_S};

    return 1 + (int64_t)fixture_roll(fixture, (uint64_t)max_ns[fixture_roll(fixture, ARRAY_LEN(max_ns))]);
}
