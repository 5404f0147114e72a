/* chan.c - a channel that is not full: puts by one policy, a take of all, and its landing. */
#include "base/clock.h"
#include "guard.h"
#include "lib/chunks.h"

static struct {
    struct guard_shape shape;
    struct chan *chan;
    struct feed *feed;
    struct source *source;
    struct stall stall;
    struct take take;
    struct chunk *chunks[GUARD_MESSAGES_MOST];
    uint64_t next;  /* sequence */
    uint64_t taken; /* events, in all rounds */
    bool paused;
} scene;

static void rang(void *ctx)
{
    (void)ctx;
}

static void pace(void *ctx, bool pause)
{
    *(bool *)ctx = pause;
}

static void open_scene(const struct guard_shape *shape)
{
    const struct chan_limits limits = {.max_events = 1u << 20,
                                       .max_bytes = 1u << 30,
                                       .overflow = shape->overflow,
                                       .fallback = OVERFLOW_DROP_OLDEST,
                                       .block_timeout_ns = NS_PER_S};
    const struct chan_watch watch = {.readable = rang};
    const struct feed_pace paced = {pace, &scene.paused};

    scene.shape = *shape;
    scene.next = 1;
    scene.taken = 0;
    scene.source = source_named("guard", 1);
    scene.chan = chan_new(&limits, &watch);
    CHECK(scene.chan);
    scene.feed = feed_open(scene.chan, scene.source, 3, shape->paced ? &paced : NULL);
    CHECK(scene.feed);
}

static void ready(void)
{
    for (uint32_t i = 0; i < scene.shape.messages; i++) {
        scene.chunks[i] = guard_chunk(&scene.shape, i);
        scene.chunks[i]->source = source_retain(scene.source);
        scene.chunks[i]->first_sequence = scene.next;
        scene.chunks[i]->observed_mono_ns = clock_mono_ns();
        scene.next += scene.shape.events;
    }
}

static void chan_round(void)
{
    struct stall *stall = scene.shape.paced ? NULL : &scene.stall;
    bool more = true;

    for (uint32_t i = 0; i < scene.shape.messages; i++) {
        if (stall)
            stall_begin(stall);
        if (chan_put(scene.chan, scene.feed, scene.chunks[i], 0, scene.shape.events, stall) != ERR_OK)
            return;
        if (stall && stall_end(stall) != ERR_OK)
            return;
    }
    while (more) {
        more = chan_take(scene.chan, &scene.take, GUARD_BATCH_EVENTS, GUARD_BATCH_BYTES, 0);
        scene.taken += scene.take.events;
        chan_delivered(scene.chan, &scene.take);
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
    take_fini(&scene.take);
    source_release(scene.source);
}

const struct guard_work chan_work = {.open = open_scene, .ready = ready, .round = chan_round, .settle = settle, .close = close_scene};
