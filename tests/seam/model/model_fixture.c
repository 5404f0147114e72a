/* model_fixture.c - random steps, each made on the hub and on the model. */
#include "seam/model/model_fixture.h"

#include <string.h>

#include "base/counters.h"
#include "seam/model/steps.h"

static void emptied(void *ctx)
{
    transcript("  emptied");
    ((struct model_fixture *)ctx)->emptied = true;
}

static void step_drain(struct model_fixture *fixture)
{
    int64_t drain_ns = fixture_roll(fixture, 4) == 0 ? 0 : some_time_ns(fixture);

    model_fixture_line(fixture, "drain %s", transcript_deadline(clock_mono_ns() + drain_ns));
    hub_drain(fixture->hub, drain_ns, emptied, fixture);
    model_drain(&fixture->model, drain_ns);
}

static void step_time(struct model_fixture *fixture)
{
    int64_t time_ns = some_time_ns(fixture);

    model_fixture_line(fixture, "time %lld", (long long)time_ns);
    model_fixture_pass(fixture, time_ns);
}

enum err model_fixture_offered(enum err err, const struct offer *offer)
{
    if (err == ERR_OK)
        transcript("  OK e%u %llu-%llu matched %u", transcript_epoch(offer->epoch),
                   (unsigned long long)offer->first_sequence, (unsigned long long)offer->last_sequence,
                   offer->matched);
    else
        transcript("  %s", err_name(err));
    return err;
}

void model_fixture_step(struct model_fixture *fixture)
{
    static const struct {
        unsigned weight;
        void (*step)(struct model_fixture *fixture);
    } steps[] = {{14, step_register},   {6, step_unregister}, {30, step_offer}, {12, step_offer_shared},
                 {10, step_end},        {8, step_publish},    {4, step_remove}, {14, step_subscribe},
                 {4, step_unsubscribe}, {5, step_finish},     {3, step_kick},   {6, step_select},
                 {24, step_read},       {12, step_time}};
    unsigned sum = 0;
    uint64_t at;

    fixture->step++;
    /* No two steps at the same moment: what they make due together could come in either order. */
    model_fixture_pass(fixture, 1 + (int64_t)fixture_roll(fixture, 1000));
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        sum += steps[i].weight;
    at = fixture_roll(fixture, sum * 20 + 1);
    if (at == sum * 20) {
        step_drain(fixture);
    } else {
        size_t i = 0;

        for (at %= sum; at >= steps[i].weight; i++)
            at -= steps[i].weight;
        steps[i].step(fixture);
    }
    model_fixture_compare(fixture);
}

void model_fixture_open(struct model_fixture *fixture, uint64_t seed)
{
    struct settings settings = settings_defaults;

    settings.max_producers = 64;
    settings.max_subscriptions = 64;
    settings.transient_forget_ns = FORGET_NS;
    memset(fixture, 0, sizeof(*fixture));
    fixture->dice.state = seed;
    dice_roll(&fixture->dice, 2);
    for (int s = 0; s < SESSIONS; s++)
        fixture->sessions[s] = (struct fixture_session){.fixture = fixture, .index = s};
    for (int c = 0; c < CONSUMERS; c++)
        fixture->consumers[c] = (struct fixture_consumer){.fixture = fixture, .index = c};
    CHECK(loop_new(&fixture->loop).code == ERR_OK);
    CHECK(loop_publish_settings(fixture->loop, &settings) == ERR_OK);
    CHECK(hub_new(fixture->loop, &fixture->hub).code == ERR_OK);
    fixture->model.now_ns = clock_mono_ns();
}

void model_fixture_close(struct model_fixture *fixture)
{
    int index;

    fixture->step++;
    if (fixture_roll(fixture, 2) == 0) {
        step_drain(fixture);
        model_fixture_compare(fixture);
        step_time(fixture);
    }
    while ((index = fixture_pick(fixture, CONSUMERS, any_consumer)) >= 0) {
        step_leave(fixture, index, FAULT_NONE);
        model_fixture_compare(fixture);
    }
    while (fixture_pick(fixture, SESSIONS, any_session) >= 0) {
        step_unregister(fixture);
        model_fixture_compare(fixture);
    }
    transcript("free");
    hub_free(fixture->hub);
    loop_free(fixture->loop);
    for (enum counter i = COUNT_LIVE_CHUNKS; i <= COUNT_LIVE_CHANNELS; i++)
        CHECK(count_get(i) == 0);
}
