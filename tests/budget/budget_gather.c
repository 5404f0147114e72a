/* budget_gather.c - the cases that touch the transport's slices: a received message becomes a
 * chunk, and what waits becomes a message to a consumer. Only the call itself is left out: it takes
 * what batch.c laid out, as call.c would. */
#include "base/clock.h"
#include "event/encode.h"
#include "budget.h"
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
    uint32_t kept; /* chunks that a round made */
    struct chan *chan;
    struct source *sources[MAX_BUDGET_SOURCES];
    struct feed *feeds[MAX_BUDGET_SOURCES];
    uint64_t next[MAX_BUDGET_SOURCES];
    struct chan_batch batch;
    struct buf notes;
    size_t sent_bytes, waiting_bytes;
} scene;

/* ---- received messages ---- */

/* A message in one piece, as the core hands it over. */
static grpc_byte_buffer *receive(uint32_t number)
{
    OWNED(buf_fini) struct buf bytes = {0};

    budget_message(&scene.shape, number, &bytes);
    grpc_slice slice = grpc_slice_from_copied_buffer((const char *)bytes.data, bytes.size);
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

static void open_keep(const struct budget_shape *shape)
{
    OWNED(buf_fini) struct buf bytes = {0};
    struct fault fault;

    scene.shape = *shape;
    budget_message(shape, 0, &bytes);
    CHECK(framing_scan(&scene.scan, (struct bytes){bytes.data, bytes.size}, &framing_defaults, &fault) ==
          FAULT_NONE);
}

static void ready_keep(void)
{
    for (uint32_t i = 0; i < scene.shape.messages; i++)
        scene.received[i] = receive(i);
    scene.kept = 0;
}

static void keep_round(void)
{
    struct fault fault;

    for (uint32_t i = 0; i < scene.shape.messages; i++) {
        struct message message = {.buffer = scene.received[i]};
        struct chunk *chunk = NULL;

        if (chunk_of_message(&message, &scene.scan, &chunk, &fault) == FAULT_NONE)
            scene.kept++;
        message_fini(&message);
        chunk_release(chunk);
    }
}

static void settle_keep(void)
{
    CHECK(scene.kept == scene.shape.messages);
}

static void close_keep(void)
{
    framing_fini(&scene.scan);
}

static const struct budget_work keep_work = {open_keep, ready_keep, keep_round, settle_keep, close_keep};

/* ---- messages to a consumer ---- */

/* What call_send_slices() does before it hands over to the core. */
bool __wrap_call_send_slices(struct call *call, grpc_slice *slices, size_t count)
{
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(slices, count);

    (void)call;
    for (size_t i = 0; i < count; i++)
        scene.sent_bytes += GRPC_SLICE_LENGTH(slices[i]);
    grpc_byte_buffer_destroy(buffer);
    return true;
}

static void rang(void *ctx)
{
    (void)ctx;
}

static void open_gather(const struct budget_shape *shape)
{
    const struct chan_limits limits = {
        .max_events = 1u << 20, .max_bytes = 1u << 30, .fallback = OVERFLOW_DROP_OLDEST};
    const struct chan_callbacks callbacks = {.readable = rang};
    char name[] = "budget-0";

    scene.shape = *shape;
    scene.chan = chan_new(&limits, &callbacks);
    CHECK(scene.chan);
    for (uint32_t i = 0; i < shape->sources; i++) {
        name[sizeof(name) - 2] = (char)('0' + i);
        scene.sources[i] = source_named(name, UINT64_C(1800000000123456789) + i);
        scene.feeds[i] = feed_open(scene.chan, scene.sources[i], 3, NULL);
        scene.next[i] = 1000000; /* as many digits in every round */
        CHECK(scene.feeds[i]);
    }
}

static struct chunk *chunk_received(uint32_t number)
{
    struct message message = {.buffer = receive(number)};
    struct chunk *chunk = NULL;
    struct fault fault;

    CHECK(framing_scan(&scene.scan, message_bytes(&message), &framing_defaults, &fault) == FAULT_NONE);
    CHECK(chunk_of_message(&message, &scene.scan, &chunk, &fault) == FAULT_NONE);
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
    scene.sent_bytes = 0;
    scene.waiting_bytes = 0;
    for (uint32_t i = 0; i < scene.shape.messages; i++) {
        uint32_t place = i % scene.shape.sources;
        struct chunk *chunk = chunk_received(i);

        chunk->source = source_retain(scene.sources[place]);
        chunk->first_sequence = scene.next[place];
        chunk->observed_wall_ns = INT64_C(1800000000123456789);
        chunk->observed_mono_ns = clock_mono_ns();
        scene.next[place] += chunk->count;
        if (scene.shape.picked)
            chunk = pick_all(chunk);
        scene.waiting_bytes += chunk_bytes(chunk, 0, chunk->count);
        CHECK(chan_put(scene.chan, scene.feeds[place], chunk, 0, chunk->count, NULL) == ERR_OK);
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

/* As send() of deliver.c, without the pump's clock. */
static void gather_round(void)
{
    bool more = true;

    while (more) {
        (void)chan_marked(scene.chan);
        more = chan_dequeue(scene.chan, &scene.batch, BUDGET_BATCH_EVENTS, BUDGET_BATCH_BYTES, 0);
        chan_losses(scene.chan, 1000, note_loss, &scene.notes);
        chan_states(scene.chan, 1000, note_state, &scene.notes);
        if (!batch_send(NULL, &scene.notes, &scene.batch))
            return;
        chan_delivered(scene.chan, &scene.batch);
    }
}

static void settle_gather(void)
{
    CHECK(chan_idle(scene.chan) && scene.sent_bytes > scene.waiting_bytes);
}

static void close_gather(void)
{
    for (uint32_t i = 0; i < scene.shape.sources; i++) {
        feed_close(scene.chan, scene.feeds[i], 0, 0, NULL);
        source_release(scene.sources[i]);
    }
    chan_release(scene.chan);
    chan_batch_fini(&scene.batch);
    buf_fini(&scene.notes);
    framing_fini(&scene.scan);
}

static const struct budget_work gather_work = {open_gather, ready_gather, gather_round, settle_gather,
                                               close_gather};

static const struct budget_case cases[] = {
    {"chunk-64", &keep_work, {.messages = 16, .events = 64}},
    {"chunk-1", &keep_work, {.messages = 64, .events = 1}},
    {"gather-64", &gather_work, {.messages = 16, .events = 64, .sources = 1}},
    {"gather-64-of-4", &gather_work, {.messages = 16, .events = 64, .sources = 4}},
    {"gather-8-picked", &gather_work, {.messages = 16, .events = 8, .sources = 1, .picked = true}},
    {"gather-1", &gather_work, {.messages = 64, .events = 1, .sources = 1}},
    {"gather-1-of-4", &gather_work, {.messages = 64, .events = 1, .sources = 4}},
};

int main(int argc, char **argv)
{
    return budget_main(cases, ARRAY_LEN(cases), argc, argv);
}
