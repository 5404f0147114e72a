/* chan.c - a channel that is not full: puts by one policy, a take of all, and its landing. */
#include "base/clock.h"
#include "budget.h"
#include "flow/chan_batch.h"
#include "flow/feed.h"
#include "flow/put_waiter.h"
#include "lib/chunks.h"

static struct {
    struct budget_shape shape;
    struct chan *chan;
    struct feed *feed;
    struct source *source;
    struct put_waiter waiter;
    struct chan_batch batch;
    struct chunk *chunks[MAX_BUDGET_MESSAGES];
    uint64_t next;  /* sequence */
    uint64_t taken; /* events, in all rounds */
    bool paused;
} scene;

static void rang(void *ctx)
{
    (void)ctx;
}

static void set_paused(void *ctx, bool pause)
{
    *(bool *)ctx = pause;
}

static void open_scene(const struct budget_shape *shape)
{
    const struct chan_limits limits = {.max_events = 1u << 20,
                                       .max_bytes = 1u << 30,
                                       .overflow = shape->overflow,
                                       .fallback = OVERFLOW_DROP_OLDEST,
                                       .block_timeout_ns = NS_PER_S};
    const struct chan_callbacks callbacks = {.readable = rang};
    const struct pause_port pausable = {set_paused, &scene.paused};

    scene.shape = *shape;
    scene.next = 1;
    scene.taken = 0;
    scene.source = source_named("budget", 1);
    scene.chan = chan_new(&limits, &callbacks);
    CHECK(scene.chan);
    scene.feed = feed_open(scene.chan, scene.source, 3, shape->pausable ? &pausable : NULL);
    CHECK(scene.feed);
}

static void ready(void)
{
    for (uint32_t i = 0; i < scene.shape.messages; i++) {
        scene.chunks[i] = budget_chunk(&scene.shape, i);
        scene.chunks[i]->source = source_retain(scene.source);
        scene.chunks[i]->first_sequence = scene.next;
        scene.chunks[i]->observed_mono_ns = clock_mono_ns();
        scene.next += scene.shape.events;
    }
}

static void chan_round(void)
{
    struct put_waiter *waiter = scene.shape.pausable ? NULL : &scene.waiter;
    bool more = true;

    for (uint32_t i = 0; i < scene.shape.messages; i++) {
        if (waiter)
            put_waiter_begin(waiter);
        if (chan_put(scene.chan, scene.feed, scene.chunks[i], 0, scene.shape.events, waiter) != ERR_OK)
            return;
        if (waiter && put_waiter_end(waiter) != ERR_OK)
            return;
    }
    while (more) {
        more = chan_dequeue(scene.chan, &scene.batch, BUDGET_BATCH_EVENTS, BUDGET_BATCH_BYTES, 0);
        scene.taken += scene.batch.events;
        chan_delivered(scene.chan, &scene.batch);
    }
}

static void settle(void)
{
    CHECK(scene.taken == scene.next - 1 && chan_idle(scene.chan) && !scene.paused);
    for (uint32_t i = 0; i < scene.shape.messages; i++)
        chunk_release(scene.chunks[i]);
}

static void close_scene(void)
{
    feed_close(scene.chan, scene.feed, 0, 0, NULL);
    chan_release(scene.chan);
    chan_batch_fini(&scene.batch);
    source_release(scene.source);
}

const struct budget_work chan_work = {
    .open = open_scene, .ready = ready, .round = chan_round, .settle = settle, .close = close_scene};
