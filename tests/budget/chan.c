/* chan.c - the job of a channel that is not full: puts by one policy, a dequeue of everything, its
 * completion. */
#include "budget.h"

#include "base/clock.h"
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
    uint64_t next;     /* sequence */
    uint64_t dequeued; /* events of all rounds */
    bool paused;
} state;

static void on_readable(void *ctx)
{
    (void)ctx;
}

static void set_paused(void *ctx, bool pause)
{
    *(bool *)ctx = pause;
}

static void open_job(const struct budget_shape *shape)
{
    const struct chan_limits limits = {.max_events = 1u << 20,
                                       .max_bytes = 1u << 30,
                                       .overflow = shape->overflow,
                                       .fallback = OVERFLOW_DROP_OLDEST,
                                       .block_timeout_ns = NS_PER_S};
    const struct chan_callbacks callbacks = {.readable = on_readable};
    const struct pause_port pausable = {.set_paused = set_paused, .ctx = &state.paused};

    state.shape = *shape;
    state.next = 1;
    state.dequeued = 0;
    state.source = source_named("budget", 1);
    state.chan = chan_new(&limits, &callbacks);
    CHECK(state.chan);
    state.feed = feed_open(state.chan, state.source, 3, shape->pausable ? &pausable : NULL);
    CHECK(state.feed);
}

static void ready(void)
{
    for (uint32_t i = 0; i < state.shape.messages; i++) {
        state.chunks[i] = budget_chunk(&state.shape, i);
        state.chunks[i]->source = source_retain(state.source);
        state.chunks[i]->first_sequence = state.next;
        state.chunks[i]->observed_mono_ns = clock_mono_ns();
        state.next += state.shape.events;
    }
}

static void chan_round(void)
{
    struct put_waiter *waiter = state.shape.pausable ? NULL : &state.waiter;
    bool more = true;

    for (uint32_t i = 0; i < state.shape.messages; i++) {
        if (waiter)
            put_waiter_begin(waiter);
        if (chan_put(state.chan, state.feed, state.chunks[i], 0, state.shape.events, waiter) != ERR_OK)
            return;
        if (waiter && put_waiter_end(waiter) != ERR_OK)
            return;
    }
    while (more) {
        more = chan_dequeue(state.chan, &state.batch, BUDGET_BATCH_EVENTS, BUDGET_BATCH_BYTES, 0);
        state.dequeued += state.batch.events;
        chan_delivered(state.chan, &state.batch);
    }
}

static void finish(void)
{
    CHECK(state.dequeued == state.next - 1 && chan_idle(state.chan) && !state.paused);
    for (uint32_t i = 0; i < state.shape.messages; i++)
        chunk_release(state.chunks[i]);
}

static void close_job(void)
{
    feed_close(state.chan, state.feed, 0, 0, NULL);
    chan_release(state.chan);
    chan_batch_fini(&state.batch);
    source_release(state.source);
}

const struct budget_job chan_job = {
    .open = open_job, .ready = ready, .round = chan_round, .finish = finish, .close = close_job};
