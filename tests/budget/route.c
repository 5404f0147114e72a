/* route.c - the job of an inlet's offers: number, route, filter, and put into each channel. */
#include "budget.h"

#include <stdio.h>

#include "flow/chan_batch.h"
#include "flow/chan_report.h"
#include "seam/hub_fixture.h"

static struct {
    struct budget_shape shape;
    struct hub_fixture fixture;
    struct putter putter;
    struct consumer consumers[MAX_BUDGET_ROUTES];
    struct chunk *chunks[MAX_BUDGET_MESSAGES];
    uint32_t matched; /* the sum over the messages: routes that took events of it */
} state;

/* The filter of route `number`: it wants everything, or one of the topics, or one of the keys. */
static struct filter *filter_for(enum budget_filter filter, uint32_t number)
{
    struct filter *made = NULL;
    struct fault fault;
    char text[32];

    if (filter == BUDGET_ALL)
        return filter_of("*", NULL, NULL);
    if (filter == BUDGET_BY_TOPIC) {
        snprintf(text, sizeof(text), "orders.%u.*", number);
        return filter_of("*", text, NULL);
    }
    snprintf(text, sizeof(text), "customer-%u", number);
    struct bytes key = text_of(text);
    struct selector selector = {.producer = text_of("*"), .keys = &key, .key_count = 1};
    CHECK(filter_new(&selector, 1, NULL, 0, &made, &fault) == FAULT_NONE);
    return made;
}

/* How many routes want each event. */
static uint32_t wanted_by(const struct budget_shape *shape)
{
    return shape->filter == BUDGET_ALL ? shape->routes : MAX_OF(shape->alike, 1u);
}

static void open_job(const struct budget_shape *shape)
{
    state.shape = *shape;
    hub_fixture_settings.max_subscriptions = MAX_BUDGET_ROUTES;
    hub_fixture_open(&state.fixture);
    for (uint32_t i = 0; i < shape->routes; i++) {
        struct subscription_params params = subscription_params_of(NULL);

        filter_free(params.filter);
        params.filter = filter_for(shape->filter, i / MAX_OF(shape->alike, 1u));
        params.limits = (struct chan_limits){
            .max_events = 1u << 20, .max_bytes = 1u << 30, .fallback = OVERFLOW_DROP_OLDEST};
        consumer_join(&state.consumers[i], &state.fixture, params);
    }
    putter_open(&state.putter, &state.fixture, "budget");
}

static void ready(void)
{
    for (uint32_t i = 0; i < state.shape.messages; i++)
        state.chunks[i] = budget_chunk(&state.shape, i);
    state.matched = 0;
}

static void route_round(void)
{
    for (uint32_t i = 0; i < state.shape.messages; i++) {
        if (inlet_offer(state.putter.inlet, state.chunks[i], &state.putter.waiter, &state.putter.offer) !=
            ERR_OK)
            break;
        state.matched += state.putter.offer.matched;
    }
}

/* Every event that was offered is in the channels that want it, and nothing else is. */
static void finish(void)
{
    const struct budget_shape *shape = &state.shape;
    uint32_t offered = shape->messages * shape->events, dequeued = 0;

    for (uint32_t i = 0; i < shape->routes; i++) {
        struct consumer *consumer = &state.consumers[i];
        bool more = true;

        while (more) {
            more = chan_dequeue(consumer->chan, &consumer->batch, BUDGET_BATCH_EVENTS, BUDGET_BATCH_BYTES,
                                clock_mono_ns());
            dequeued += consumer->batch.events;
            chan_states(consumer->chan, 100, NULL, NULL);
            chan_delivered(consumer->chan, &consumer->batch);
        }
    }
    CHECK(dequeued == offered * wanted_by(shape));
    CHECK(state.matched == shape->messages * MIN_OF(shape->events * wanted_by(shape), shape->routes));
    for (uint32_t i = 0; i < shape->messages; i++)
        chunk_release(state.chunks[i]);
}

static void close_job(void)
{
    putter_leave(&state.putter);
    for (uint32_t i = 0; i < state.shape.routes; i++)
        consumer_leave(&state.consumers[i]);
    hub_fixture_close(&state.fixture);
}

const struct budget_job route_job = {
    .open = open_job, .ready = ready, .round = route_round, .finish = finish, .close = close_job};
