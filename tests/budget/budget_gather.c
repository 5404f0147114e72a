/* budget_gather.c - the cases that use the transport's slices: a received message becomes a chunk,
 * and queued events become a message to a consumer. Only the call itself is replaced:
 * __wrap_call_send_slices() takes what batch.c has laid out, as call.c does. */
#include "budget.h"

#include "base/clock.h"
#include "event/encode.h"
#include "flow/chan_batch.h"
#include "flow/chan_report.h"
#include "flow/feed.h"
#include "lib/chunks.h"
#include "lib/events.h"
#include "server/rpc/intake.h"
#include "server/wire/batch.h"
#include "server/wire/message.h"

static struct {
    struct budget_shape shape;
    struct framing_scan scan;
    grpc_byte_buffer *received[MAX_BUDGET_MESSAGES];
    uint32_t kept; /* how many chunks the round made */
    struct chan *chan;
    struct source *sources[MAX_BUDGET_SOURCES];
    struct feed *feeds[MAX_BUDGET_SOURCES];
    uint64_t next[MAX_BUDGET_SOURCES]; /* sequence */
    struct chan_batch batch;
    struct buf notes;
    size_t sent_bytes, queued_bytes;
} state;

/* ---- received messages ---- */

/* Makes a received message in one slice, as the core hands it over. */
static grpc_byte_buffer *receive(uint32_t number)
{
    OWNED(buf_fini) struct buf bytes = {0};

    budget_message(&state.shape, number, &bytes);
    grpc_slice slice = grpc_slice_from_copied_buffer((const char *)bytes.data, bytes.size);
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

static void open_keep(const struct budget_shape *shape)
{
    OWNED(buf_fini) struct buf bytes = {0};
    struct fault fault;

    state.shape = *shape;
    budget_message(shape, 0, &bytes);
    CHECK(framing_scan(&state.scan, (struct bytes){bytes.data, bytes.size}, &settings_defaults.framing,
                       &fault) == FAULT_NONE);
}

static void ready_keep(void)
{
    for (uint32_t i = 0; i < state.shape.messages; i++)
        state.received[i] = receive(i);
    state.kept = 0;
}

static void keep_round(void)
{
    struct fault fault;

    for (uint32_t i = 0; i < state.shape.messages; i++) {
        struct message message = {.buffer = state.received[i]};
        struct chunk *chunk = NULL;

        (void)message_bytes(&message);
        if (chunk_of_message(&message, &state.scan, &chunk, &fault) == FAULT_NONE)
            state.kept++;
        message_fini(&message);
        chunk_release(chunk);
    }
}

static void finish_keep(void)
{
    CHECK(state.kept == state.shape.messages);
}

static void close_keep(void)
{
    framing_fini(&state.scan);
}

static const struct budget_job keep_job = {open_keep, ready_keep, keep_round, finish_keep, close_keep};

/* ---- messages to a consumer ---- */

/* Does what call_send_slices() does before it calls the core. */
bool __wrap_call_send_slices(struct call *call, grpc_slice *slices, size_t count)
{
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(slices, count);

    (void)call;
    for (size_t i = 0; i < count; i++)
        state.sent_bytes += GRPC_SLICE_LENGTH(slices[i]);
    grpc_byte_buffer_destroy(buffer);
    return true;
}

static void on_readable(void *ctx)
{
    (void)ctx;
}

static void open_gather(const struct budget_shape *shape)
{
    const struct chan_limits limits = {
        .max_events = 1u << 20, .max_bytes = 1u << 30, .fallback = OVERFLOW_DROP_OLDEST};
    const struct chan_callbacks callbacks = {.readable = on_readable};
    char name[] = "meter-0";

    state.shape = *shape;
    state.chan = chan_new(&limits, &callbacks);
    CHECK(state.chan);
    for (uint32_t i = 0; i < shape->sources; i++) {
        name[sizeof(name) - 2] = (char)('0' + i);
        state.sources[i] = source_named(name, UINT64_C(1800000000123456789) + i);
        state.feeds[i] = feed_open(state.chan, state.sources[i], 3, NULL);
        state.next[i] = 1000000; /* the same number of digits in every round */
        CHECK(state.feeds[i]);
    }
}

static struct chunk *chunk_received(uint32_t number)
{
    struct message message = {.buffer = receive(number)};
    struct chunk *chunk = NULL;
    struct fault fault;

    CHECK(framing_scan(&state.scan, message_bytes(&message), &settings_defaults.framing, &fault) ==
          FAULT_NONE);
    CHECK(chunk_of_message(&message, &state.scan, &chunk, &fault) == FAULT_NONE);
    message_fini(&message);
    return chunk;
}

static struct chunk *pick_all(struct chunk *chunk)
{
    struct chunk *picked = chunk_picked(chunk->count, chunk_bytes(chunk, 0, chunk->count));

    CHECK(picked);
    for (uint32_t i = 0; i < chunk->count; i++)
        chunk_pick(picked, chunk, i, i + 1);
    chunk_release(chunk);
    return picked;
}

static void ready_gather(void)
{
    state.sent_bytes = 0;
    state.queued_bytes = 0;
    for (uint32_t i = 0; i < state.shape.messages; i++) {
        uint32_t place = i % state.shape.sources;
        struct chunk *chunk = chunk_received(i);

        chunk->source = source_retain(state.sources[place]);
        chunk->first_sequence = state.next[place];
        chunk->observed_wall_ns = INT64_C(1800000000123456789);
        chunk->observed_mono_ns = clock_mono_ns();
        state.next[place] += chunk->count;
        if (state.shape.picked)
            chunk = pick_all(chunk);
        state.queued_bytes += chunk_bytes(chunk, 0, chunk->count);
        CHECK(chan_put(state.chan, state.feeds[place], chunk, 0, chunk->count, NULL) == ERR_OK);
        chunk_release(chunk);
    }
}

static void note_loss(void *ctx, const struct lost_note *note)
{
    lost_write(ctx, note);
}

static void note_state(void *ctx, const struct feed_change *change)
{
    status_write(ctx, change->source, change->state, change->code, change->message);
}

/* Does what the sender does, without its clock and timers. */
static void gather_round(void)
{
    bool more = true;

    while (more) {
        (void)chan_marked(state.chan);
        more = chan_dequeue(state.chan, &state.batch, BUDGET_BATCH_EVENTS, BUDGET_BATCH_BYTES, 0);
        chan_losses(state.chan, 1000, note_loss, &state.notes);
        chan_states(state.chan, 1000, note_state, &state.notes);
        if (!batch_send(NULL, &state.notes, &state.batch))
            return;
        chan_delivered(state.chan, &state.batch);
    }
}

static void finish_gather(void)
{
    CHECK(chan_idle(state.chan) && state.sent_bytes > state.queued_bytes);
}

static void close_gather(void)
{
    for (uint32_t i = 0; i < state.shape.sources; i++) {
        feed_close(state.chan, state.feeds[i], 0, 0, NULL);
        source_release(state.sources[i]);
    }
    chan_release(state.chan);
    chan_batch_fini(&state.batch);
    buf_fini(&state.notes);
    framing_fini(&state.scan);
}

static const struct budget_job gather_job = {open_gather, ready_gather, gather_round, finish_gather,
                                             close_gather};

static const struct budget_case cases[] = {
    {"chunk-64", &keep_job, {.messages = 16, .events = 64}},
    {"chunk-1", &keep_job, {.messages = 64, .events = 1}},
    {"gather-64", &gather_job, {.messages = 16, .events = 64, .sources = 1}},
    {"gather-64-of-4", &gather_job, {.messages = 16, .events = 64, .sources = 4}},
    {"gather-8-picked", &gather_job, {.messages = 16, .events = 8, .sources = 1, .picked = true}},
    {"gather-1", &gather_job, {.messages = 64, .events = 1, .sources = 1}},
    {"gather-1-of-4", &gather_job, {.messages = 64, .events = 1, .sources = 4}},
};

int main(int argc, char **argv)
{
    return budget_main(cases, ARRAY_LEN(cases), argc, argv);
}
