/* route.c - an inlet's offers, and what they do with each channel behind a route: route, filter,
 * push. */
#include <stdio.h>

#include "budget.h"
#include "flow/chan_batch.h"
#include "flow/chan_report.h"
#include "seam/hub_fixture.h"

static struct {
    struct budget_shape shape;
    struct hub_fixture fixture;
    struct putter putter;
    struct consumer consumers[MAX_BUDGET_OUTLETS];
    struct chunk *chunks[MAX_BUDGET_MESSAGES];
    uint32_t matched; /* routes that took some of each message, together */
} scene;

/* Wants one of the keys, or one of the topics. */
static struct filter *filter_nth(enum budget_filter filter, uint32_t number)
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

static void open_scene(const struct budget_shape *shape)
{
    scene.shape = *shape;
    hub_fixture_limits.max_subscriptions = MAX_BUDGET_OUTLETS;
    hub_fixture_open(&scene.fixture);
    for (uint32_t i = 0; i < shape->routes; i++) {
        struct subscription_params params = subscription_params_of(NULL);

        filter_free(params.filter);
        params.filter = filter_nth(shape->filter, i);
        params.limits = (struct chan_limits){
            .max_events = 1u << 20, .max_bytes = 1u << 30, .fallback = OVERFLOW_DROP_OLDEST};
        consumer_join(&scene.consumers[i], &scene.fixture, params);
    }
    putter_open(&scene.putter, &scene.fixture, "budget");
}

static void ready(void)
{
    for (uint32_t i = 0; i < scene.shape.messages; i++)
        scene.chunks[i] = budget_chunk(&scene.shape, i);
    scene.matched = 0;
}

static void route_round(void)
{
    for (uint32_t i = 0; i < scene.shape.messages; i++) {
        if (inlet_offer(scene.putter.inlet, scene.chunks[i], &scene.putter.waiter, &scene.putter.offer) !=
            ERR_OK)
            break;
        scene.matched += scene.putter.offer.matched;
    }
}

/* Everything that was offered is there, and there is nothing else. */
static void settle(void)
{
    const struct budget_shape *shape = &scene.shape;
    uint32_t offered = shape->messages * shape->events, taken = 0;

    for (uint32_t i = 0; i < shape->routes; i++) {
        struct consumer *consumer = &scene.consumers[i];
        bool more = true;

        while (more) {
            more = chan_dequeue(consumer->chan, &consumer->batch, BUDGET_BATCH_EVENTS, BUDGET_BATCH_BYTES,
                                clock_mono_ns());
            taken += consumer->batch.events;
            chan_states(consumer->chan, 100, NULL, NULL);
            chan_delivered(consumer->chan, &consumer->batch);
        }
    }
    CHECK(taken == offered * (shape->filter == BUDGET_ALL ? shape->routes : 1));
    CHECK(scene.matched ==
          shape->messages *
              (shape->filter == BUDGET_ALL ? shape->routes : MIN_OF(shape->events, shape->routes)));
    for (uint32_t i = 0; i < shape->messages; i++)
        chunk_release(scene.chunks[i]);
}

static void close_scene(void)
{
    putter_leave(&scene.putter);
    for (uint32_t i = 0; i < scene.shape.routes; i++)
        consumer_leave(&scene.consumers[i]);
    hub_fixture_close(&scene.fixture);
}

const struct budget_work route_work = {
    .open = open_scene, .ready = ready, .round = route_round, .settle = settle, .close = close_scene};
