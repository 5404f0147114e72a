/* route.c - an inlet's offers, and what they do with each channel behind an outlet: route, filter, push. */
#include <stdio.h>

#include "guard.h"
#include "seam/bench.h"

static struct {
    struct guard_shape shape;
    struct bench bench;
    struct putter putter;
    struct consumer consumers[GUARD_OUTLETS_MOST];
    struct chunk *chunks[GUARD_MESSAGES_MOST];
    uint32_t matched; /* outlets that took some of each message, together */
} scene;

/* Wants one of the keys, or one of the topics. */
static struct filter *filter_nth(enum guard_filter filter, uint32_t number)
{
    struct filter *made = NULL;
    struct fault fault;
    char text[32];

    if (filter == GUARD_ALL)
        return filter_of("*", NULL, NULL);
    if (filter == GUARD_BY_TOPIC) {
        snprintf(text, sizeof(text), "orders.%u.*", number);
        return filter_of("*", text, NULL);
    }
    snprintf(text, sizeof(text), "customer-%u", number);
    struct bytes key = text_of(text);
    struct selector selector = {.producer = text_of("*"), .keys = &key, .key_count = 1};
    CHECK(filter_new(&selector, 1, NULL, 0, &made, &fault) == FAULT_NONE);
    return made;
}

static void open_scene(const struct guard_shape *shape)
{
    scene.shape = *shape;
    bench_limits.subscriptions_most = GUARD_OUTLETS_MOST;
    bench_open(&scene.bench);
    for (uint32_t i = 0; i < shape->outlets; i++) {
        struct subscription_wish wish = wish_of(NULL);

        filter_free(wish.filter);
        wish.filter = filter_nth(shape->filter, i);
        wish.limits = (struct chan_limits){.max_events = 1u << 20, .max_bytes = 1u << 30, .fallback = OVERFLOW_DROP_OLDEST};
        consumer_join(&scene.consumers[i], &scene.bench, wish);
    }
    putter_open(&scene.putter, &scene.bench, "guard");
}

static void ready(void)
{
    for (uint32_t i = 0; i < scene.shape.messages; i++)
        scene.chunks[i] = guard_chunk(&scene.shape, i);
    scene.matched = 0;
}

static void route_round(void)
{
    for (uint32_t i = 0; i < scene.shape.messages; i++) {
        if (inlet_offer(scene.putter.inlet, scene.chunks[i], &scene.putter.stall, &scene.putter.offer) != ERR_OK)
            break;
        scene.matched += scene.putter.offer.matched;
    }
}

/* Everything that was offered is there, and there is nothing else. */
static void settle(void)
{
    const struct guard_shape *shape = &scene.shape;
    uint32_t offered = shape->messages * shape->events, taken = 0;

    for (uint32_t i = 0; i < shape->outlets; i++) {
        struct consumer *consumer = &scene.consumers[i];
        bool more = true;

        while (more) {
            more = chan_take(consumer->chan, &consumer->take, GUARD_BATCH_EVENTS, GUARD_BATCH_BYTES, clock_mono_ns());
            taken += consumer->take.events;
            chan_states(consumer->chan, 100, NULL, NULL);
            chan_delivered(consumer->chan, &consumer->take);
        }
    }
    CHECK(taken == offered * (shape->filter == GUARD_ALL ? shape->outlets : 1));
    CHECK(scene.matched == shape->messages * (shape->filter == GUARD_ALL ? shape->outlets : MIN_OF(shape->events, shape->outlets)));
    for (uint32_t i = 0; i < shape->messages; i++)
        chunk_release(scene.chunks[i]);
}

static void close_scene(void)
{
    putter_leave(&scene.putter);
    for (uint32_t i = 0; i < scene.shape.outlets; i++)
        consumer_leave(&scene.consumers[i]);
    bench_close(&scene.bench);
}

const struct guard_work route_work = {.open = open_scene, .ready = ready, .round = route_round, .settle = settle, .close = close_scene};
