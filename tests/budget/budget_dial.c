/* budget_dial.c - the cases of what upstreams send: from the received message to the chunk. */
#include "budget.h"

#include <grpc/grpc.h>

#include "event/chunk.h"
#include "lib/events.h"
#include "loop/loop.h"
#include "server/dial/upstream_losses.h"
#include "server/dial/upstream_message.h"
#include "server/dial/upstream_plan.h"

enum { RUNS = 1 }; /* a field of EventBatch */

static struct {
    struct budget_shape shape;
    struct upstream_thread thread;
    struct upstream_plan plan;
    grpc_byte_buffer *received[MAX_BUDGET_MESSAGES];
    uint32_t events;
} state;

static void open_job(const struct budget_shape *shape)
{
    grpc_init();
    state.shape = *shape;
    state.plan = (struct upstream_plan){.thread = &state.thread, .event_batch = true};
    CHECK(loop_new(&state.plan.loop).code == ERR_OK);
}

static void open_raw(const struct budget_shape *shape)
{
    open_job(shape);
    state.plan.event_batch = false;
    state.plan.content_type = text_of("application/grpc; method=/package.Service/Method");
}

static void close_job(void)
{
    framing_fini(&state.thread.scan);
    loop_free(state.plan.loop);
    grpc_shutdown_blocking();
}

/* As the core hands it over: a message that is larger than a read comes in two pieces. */
static void receive(uint32_t number, struct bytes bytes)
{
    const size_t first = state.shape.events > 1 ? bytes.size / 2 : bytes.size;
    grpc_slice slices[] = {
        grpc_slice_from_copied_buffer((const char *)bytes.data, first),
        grpc_slice_from_copied_buffer((const char *)bytes.data + first, bytes.size - first)};

    state.received[number] = grpc_raw_byte_buffer_create(slices, state.shape.events > 1 ? 2 : 1);
    grpc_slice_unref(slices[0]);
    grpc_slice_unref(slices[1]);
}

/* An EventBatch of so many runs. */
static void make_batches(uint32_t runs)
{
    for (uint32_t i = 0; i < state.shape.messages; i++) {
        OWNED(buf_fini) struct buf batch = {0};
        struct budget_shape of_run = state.shape;

        of_run.events /= runs;
        for (uint32_t run = 0; run < runs; run++) {
            OWNED(buf_fini) struct buf events = {0};

            budget_message(&of_run, 0, &events);
            put_field(&batch, RUNS, (struct bytes){events.data, events.size});
        }
        receive(i, (struct bytes){batch.data, batch.size});
    }
}

static void ready_batches(void)
{
    make_batches(1);
}

static void ready_runs(void)
{
    make_batches(2);
}

static void ready_raw(void)
{
    static uint8_t data[128];

    for (uint32_t i = 0; i < state.shape.messages; i++)
        receive(i, (struct bytes){data, sizeof(data)});
}

static void dial_round(void)
{
    for (uint32_t i = 0; i < state.shape.messages; i++) {
        SCRATCH struct upstream_losses losses;
        struct chunk *chunk;
        struct fault fault;

        if (upstream_message(&state.plan, state.received[i], NULL, &chunk, &losses, &fault))
            break;
        state.events += chunk->count;
        chunk_release(chunk);
    }
}

static void finish(void)
{
    CHECK(state.events == state.shape.messages * state.shape.events);
    state.events = 0;
    for (uint32_t i = 0; i < state.shape.messages; i++)
        grpc_byte_buffer_destroy(state.received[i]);
}

static const struct budget_job batch_job = {
    .open = open_job, .ready = ready_batches, .round = dial_round, .finish = finish, .close = close_job};
static const struct budget_job runs_job = {
    .open = open_job, .ready = ready_runs, .round = dial_round, .finish = finish, .close = close_job};
static const struct budget_job raw_job = {
    .open = open_raw, .ready = ready_raw, .round = dial_round, .finish = finish, .close = close_job};

static const struct budget_case cases[] = {
    {"dial-64", &batch_job, {.messages = 16, .events = 64}},
    {"dial-64-two-runs", &runs_job, {.messages = 16, .events = 64}},
    {"dial-1", &batch_job, {.messages = 64, .events = 1}},
    {"dial-raw", &raw_job, {.messages = 64, .events = 1}},
};

int main(int argc, char **argv)
{
    return budget_main(cases, ARRAY_LEN(cases), argc, argv);
}
