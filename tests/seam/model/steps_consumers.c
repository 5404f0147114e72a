/* steps_consumers.c - the steps of consumers. */
#include "seam/hub_fixture.h"
#include "seam/model/steps.h"

void step_subscribe(struct model_fixture *fixture)
{
    int c = fixture_pick(fixture, CONSUMERS, free_consumer);
    struct model_consumer params = {.filter = some_filter(fixture),
                                    .ends = fixture_roll(fixture, 3) == 0,
                                    .leaves_at_end = fixture_roll(fixture, 4) == 0,
                                    .own_deadline_ns = INT64_MAX};
    enum fault_reason due = fixture->model.draining ? FAULT_DRAINING : FAULT_NONE;
    struct subscription_params real;
    struct fixture_consumer *consumer;
    struct fault fault;

    if (c < 0)
        return;
    /* Activations that end at the same deadline end in either order. Where the end of the last one
     * decides something, that would be ambiguous. */
    if (!params.ends && fixture_roll(fixture, 6) == 0)
        params.own_deadline_ns = clock_mono_ns() + some_time_ns(fixture);
    consumer = &fixture->consumers[c];
    consumer->exact = fixture_roll(fixture, 3) > 0;
    real = model_subscription_params(consumer, &params);
    fixture->model.consumers[c] = params; /* the port reads the behaviour from here */
    model_fixture_line(fixture, "subscribe %d %s %s ends %d leaves %d overflow %d %u %s", c,
                       params.filter.producers, params.filter.topic ? params.filter.topic : "-", params.ends,
                       params.leaves_at_end, (int)real.limits.overflow, real.limits.max_events,
                       transcript_deadline(params.own_deadline_ns));
    CHECK(hub_subscribe(fixture->hub, &real, &consumer->subscription, &consumer->result, &fault) == due);
    if (due == FAULT_NONE)
        transcript("  s%u matched %u", transcript_subscription(consumer->result.id),
                   consumer->result.producers_matched);
    else
        transcript("  %s", transcript_fault(&fault));
    if (due == FAULT_NONE)
        model_subscribe(&fixture->model, c, &params);
    else
        filter_free(real.filter);
}

void step_leave(struct model_fixture *fixture, int c, enum fault_reason reason)
{
    struct fixture_consumer *consumer = &fixture->consumers[c];
    struct subscription *gone = consumer->subscription;
    bool whole =
        fixture->model.consumers[c].life == C_DRAINING && chan_state(consumer->result.chan) == CHAN_DRAINING;

    model_fixture_line(fixture, "unsubscribe %d %s", c, fault_reason_name(reason));
    /* A drain that had its time has delivered everything. */
    if (whole && fixture_roll(fixture, 2) == 0)
        CHECK(model_fixture_read_all(consumer) || !consumer->exact);
    consumer->subscription = NULL;
    hub_unsubscribe(gone, reason);
    model_fixture_forget(consumer);
    model_unsubscribe(&fixture->model, c, (int)reason);
}

void step_unsubscribe(struct model_fixture *fixture)
{
    static const enum fault_reason whys[] = {FAULT_NONE, FAULT_CANCELLED, FAULT_DEADLINE};
    int c = fixture_pick(fixture, CONSUMERS, any_consumer);

    if (c >= 0)
        step_leave(fixture, c, whys[fixture_roll(fixture, ARRAY_LEN(whys))]);
}

void step_finish(struct model_fixture *fixture)
{
    int c = fixture_pick(fixture, CONSUMERS, any_consumer);
    enum closing reason = fixture_roll(fixture, 2) == 0 ? CLOSING_FINISHED : CLOSING_DISCONNECTED;
    int64_t drain_ns = fixture_roll(fixture, 6) == 0 ? 0 : some_time_ns(fixture);
    struct fault fault;

    if (c < 0)
        return;
    model_fixture_line(fixture, "finish %d reason %d in %lld", c, (int)reason, (long long)drain_ns);
    CHECK(hub_finish(fixture->hub, text_of(fixture->consumers[c].result.id), reason, drain_ns, &fault) ==
          FAULT_NONE);
    model_finish(&fixture->model, c, (int)reason, drain_ns);
}

void step_kick(struct model_fixture *fixture)
{
    int c = fixture_pick(fixture, CONSUMERS, live_consumer);
    struct fault fault;

    if (c < 0)
        return;
    model_fixture_line(fixture, "disconnect %d", c);
    CHECK(hub_disconnect(fixture->hub, text_of(fixture->consumers[c].result.id), text_of("off"), &fault) ==
          FAULT_NONE);
    model_kick(&fixture->model, c);
}

void step_select(struct model_fixture *fixture)
{
    int c = fixture_pick(fixture, CONSUMERS, any_consumer);
    struct model_filter params = some_filter(fixture);
    struct filter *filter = filter_of(params.producers, params.topic, NULL);
    uint32_t revision;

    if (c >= 0)
        model_fixture_line(fixture, "select %d %s %s", c, params.producers,
                           params.topic ? params.topic : "-");
    if (c < 0 || fixture->model.consumers[c].life != C_LIVE) {
        CHECK(c < 0 || hub_select(fixture->consumers[c].subscription, filter,
                                  &(struct fault){.reason = FAULT_NONE}) == 0);
        filter_free(filter);
        return;
    }
    revision = hub_select(fixture->consumers[c].subscription, filter, &(struct fault){.reason = FAULT_NONE});
    transcript("  revision %u", revision);
    CHECK(revision > 0);
    if (fixture->consumers[c].subscription) /* the subscription may have ended during the call */
        model_fixture_marked(&fixture->consumers[c], revision);
    model_select(&fixture->model, c, params);
}

void step_read(struct model_fixture *fixture)
{
    int c = fixture_pick(fixture, CONSUMERS, any_consumer);

    if (c < 0)
        return;
    model_fixture_line(fixture, "read %d state %d", c, (int)chan_state(fixture->consumers[c].result.chan));
    if (chan_state(fixture->consumers[c].result.chan) == CHAN_CLOSED)
        fixture->consumers[c].exact = false; /* the rest was lost */
    model_fixture_read(&fixture->consumers[c], 1 + (uint32_t)fixture_roll(fixture, 20));
}
