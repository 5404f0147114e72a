/* h2guard.c - the jobs of the guard: frames of one kind, read in one piece, or sent. The events of
 * the shape are frames. */
#include "h2guard/h2guard.h"

#include "budget.h"
#include "lib/frames.h"

#define LARGE_MESSAGE (64u << 10)
#define LARGE_FRAME (16u << 10)

static struct {
    struct h2guard_limits limits;
    struct h2guard_counters counters;
    struct h2guard *guard;
    struct buf bytes;
    int64_t now_ns;
    uint64_t frames; /* of a round */
    uint64_t before; /* frames that the guard had seen before the round */
} state;

static void feed(struct buf *buf)
{
    struct h2guard_verdict verdict = h2guard_in(state.guard, (struct bytes){buf->data, buf->size});

    CHECK(verdict.decision == H2GUARD_PASS && verdict.passed == buf->size);
}

/* A started connection with stream 1 open. */
static void start(const struct budget_shape *shape)
{
    state.limits = h2guard_defaults;
    state.limits.turn_cost = state.limits.second_cost;
    state.limits.waste_burst = state.limits.second_cost;
    state.frames = (uint64_t)shape->messages * shape->events;
    state.guard = h2guard_new(H2GUARD_SERVER, &state.limits, &state.counters, 0);
    CHECK(state.guard);
    h2guard_turn(state.guard, 0);
    put_client_start(&state.bytes, 0);
    put_headers(&state.bytes, 1, 0);
    feed(&state.bytes);
    buf_clear(&state.bytes);
}

/* Messages of 64 KiB in frames of 16 KiB; the events of a message are its frames. */
static void open_large(const struct budget_shape *shape)
{
    start(shape);
    for (uint32_t i = 0; i < shape->messages; i++) {
        put_frame_head(&state.bytes, FRAME_DATA, 0, 1, LARGE_FRAME);
        put_prefix(&state.bytes, 0, LARGE_MESSAGE - 5);
        buf_extend(&state.bytes, LARGE_FRAME - 5);
        for (uint32_t j = 1; j < shape->events; j++)
            put_zeros(&state.bytes, FRAME_DATA, 0, 1, LARGE_FRAME);
    }
}

/* A message of 100 bytes in each frame. */
static void open_small(const struct budget_shape *shape)
{
    start(shape);
    for (uint64_t i = 0; i < state.frames; i++)
        put_message_frame(&state.bytes, 1, 0, 100);
}

static void open_updates(const struct budget_shape *shape)
{
    start(shape);
    for (uint64_t i = 0; i < state.frames; i++)
        put_zeros(&state.bytes, FRAME_WINDOW_UPDATE, 0, i % 2, 4);
}

static void open_outward(const struct budget_shape *shape)
{
    start(shape);
    for (uint64_t i = 0; i < state.frames; i++)
        put_zeros(&state.bytes, FRAME_DATA, 0, 1, 1000);
}

static void ready(void)
{
    const struct h2guard_stats *stats = h2guard_stats(state.guard);

    state.now_ns += INT64_C(10000000000);
    h2guard_turn(state.guard, state.now_ns);
    state.before = stats->frames_in + stats->frames_out;
}

static void run_in(void)
{
    feed(&state.bytes);
}

static void run_out(void)
{
    h2guard_out(state.guard, (struct bytes){state.bytes.data, state.bytes.size});
}

static void finish(void)
{
    const struct h2guard_stats *stats = h2guard_stats(state.guard);

    CHECK(stats->frames_in + stats->frames_out - state.before == state.frames);
    CHECK(stats->unfinished_bytes == 0);
}

static void close_job(void)
{
    h2guard_free(state.guard);
    buf_fini(&state.bytes);
}

#define JOB(opens, runs)                                                                                     \
    {                                                                                                        \
        .open = (opens), .ready = ready, .round = (runs), .finish = finish, .close = close_job               \
    }

const struct budget_job guard_large_job = JOB(open_large, run_in);
const struct budget_job guard_small_job = JOB(open_small, run_in);
const struct budget_job guard_updates_job = JOB(open_updates, run_in);
const struct budget_job guard_out_job = JOB(open_outward, run_out);
