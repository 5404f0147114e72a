/* budget_publish.c - the cases of a publishing stream: from the received message to the channel,
 * with the real service and the real hub. Only the call and the wire thread are replaced, by the
 * few functions of call.h, thread.h and cq_thread.h that the service calls. */
#include "budget.h"

#include <string.h>

#include "base/clock.h"
#include "flow/chan_batch.h"
#include "seam/hub_fixture.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/services.h"
#include "server/wire/message.h"
#include "server/wire/thread.h"
#include "server/wire/wire.h"

struct cq_thread {
    struct list early_hooks, hooks;
    struct task *posted; /* one at most */
};

struct wire_thread {
    bool busy;
    struct framing_scan scan;
};

struct call {
    struct wire_thread *thread;
    const struct call_port *port;
    void *own;
    bool open, sending;
};

static struct {
    struct budget_shape shape;
    struct hub_fixture fixture;
    struct consumer consumer;
    struct rpc rpc;
    struct wire_thread thread;
    struct cq_thread cq;
    struct call call;
    grpc_byte_buffer *received[MAX_BUDGET_MESSAGES];
} state;

/* ---- services.h, thread.h, cq_thread.h, call.h ---- */

enum err rpc_add_method(struct rpc *rpc, const char *path, const struct call_port *port, void *ctx)
{
    (void)path;
    CHECK(ctx == rpc);
    state.call.port = port;
    return ERR_OK;
}

struct framing_scan *wire_scan(struct wire_thread *thread)
{
    return &thread->scan;
}

struct cq_thread *wire_cq(const struct wire_thread *thread)
{
    (void)thread;
    return &state.cq;
}

struct cq_thread *call_cq(const struct call *call)
{
    (void)call;
    return &state.cq;
}

void cq_post(struct cq_thread *cq, struct task *task)
{
    CHECK(!cq->posted);
    cq->posted = task;
}

void cq_timer_set(struct cq_thread *cq, struct cq_timer *timer, int64_t at_ns)
{
    (void)cq;
    (void)timer;
    (void)at_ns;
}

void cq_timer_stop(struct cq_thread *cq, struct cq_timer *timer)
{
    (void)cq;
    (void)timer;
}

void cq_add_post_poll_hook(struct cq_thread *cq, struct post_poll_hook *hook)
{
    if (list_empty(&hook->link))
        list_append(&cq->hooks, &hook->link);
}

void cq_add_early_post_poll_hook(struct cq_thread *cq, struct post_poll_hook *hook)
{
    if (list_empty(&hook->link))
        list_append(&cq->early_hooks, &hook->link);
}

bool wire_busy(const struct wire_thread *thread)
{
    return thread->busy;
}

void call_own(struct call *call, void *own)
{
    call->own = own;
}

void *call_owned(const struct call *call)
{
    return call->own;
}

struct wire_thread *call_thread(const struct call *call)
{
    return call->thread;
}

const char *call_peer(const struct call *call)
{
    (void)call;
    return "budget:1";
}

struct peer_key call_peer_key(const struct call *call)
{
    (void)call;
    return NO_PEER;
}

bool call_alive(const struct call *call)
{
    return call->open;
}

void call_hold(struct call *call)
{
    (void)call;
}

void call_unhold(struct call *call)
{
    (void)call;
}

void call_read(struct call *call)
{
    (void)call;
}

bool call_send(struct call *call, struct buf *bytes)
{
    (void)bytes;
    call->sending = true;
    return true;
}

void call_finish(struct call *call, const struct fault *fault)
{
    CHECK(fault->reason == FAULT_NONE);
    call->open = false;
}

/* ---- the job ---- */

static void run_hooks(struct list *hooks)
{
    struct list *link;

    while ((link = list_first(hooks))) {
        struct post_poll_hook *hook = container_of(link, struct post_poll_hook, link);
        list_remove(link);
        hook->post_poll(hook, 0);
    }
}

/* What follows the messages of one turn. */
static void end_turn(void)
{
    run_hooks(&state.cq.early_hooks);
    run_hooks(&state.cq.hooks);
}

static void publish_one(uint32_t number)
{
    struct message message = {.buffer = state.received[number]};

    state.call.port->message(&state.call, &message);
    message_fini(&message);
}

static void ready(void)
{
    for (uint32_t i = 0; i < state.shape.messages; i++) {
        OWNED(buf_fini) struct buf bytes = {0};

        budget_message(&state.shape, i, &bytes);
        grpc_slice slice = grpc_slice_from_copied_buffer((const char *)bytes.data, bytes.size);
        state.received[i] = grpc_raw_byte_buffer_create(&slice, 1);
        grpc_slice_unref(slice);
    }
}

static void publish_round(void)
{
    for (uint32_t i = 0; i < state.shape.messages; i++) {
        publish_one(i);
        if (!state.thread.busy)
            end_turn();
    }
    end_turn();
}

/* Empties the channel, and answers have been sent. */
static uint32_t empty_channel(void)
{
    struct consumer *consumer = &state.consumer;
    uint32_t events = 0;
    bool more = true;

    while (more) {
        more = chan_dequeue(consumer->chan, &consumer->batch, BUDGET_BATCH_EVENTS, BUDGET_BATCH_BYTES, 0);
        events += consumer->batch.events;
        chan_delivered(consumer->chan, &consumer->batch);
    }
    if (state.call.sending) {
        state.call.sending = false;
        state.call.port->sent(&state.call, true);
    }
    return events;
}

static void finish(void)
{
    CHECK(empty_channel() == state.shape.messages * state.shape.events);
}

static bool is_posted(void *ctx)
{
    (void)ctx;
    return state.cq.posted;
}

/* The first message goes to the loop and back, which makes the producer. */
static void open_job(const struct budget_shape *shape)
{
    struct subscription_params params = subscription_params_of(NULL);

    params.limits =
        (struct chan_limits){.max_events = 1u << 20, .max_bytes = 1u << 30, .fallback = OVERFLOW_DROP_OLDEST};
    wire_init();
    hub_fixture_open(&state.fixture);
    consumer_join(&state.consumer, &state.fixture, params);
    state.rpc = (struct rpc){.loop = state.fixture.loop, .hub = state.fixture.hub};
    list_init(&state.cq.early_hooks);
    list_init(&state.cq.hooks);
    state.call.thread = &state.thread;
    state.call.open = true;
    CHECK(publish_stream_serve(&state.rpc) == ERR_OK);
    state.call.port->opened(&state.call, &state.rpc);
    state.shape = *shape;
    state.shape.messages = 1;
    ready();
    publish_one(0);
    CHECK(hub_fixture_until(&state.fixture, is_posted, NULL));
    state.cq.posted->run(state.cq.posted);
    state.cq.posted = NULL;
    end_turn();
    finish();
    state.shape = *shape;
    state.thread.busy = shape->busy;
}

static void close_job(void)
{
    state.call.open = false;
    state.call.port->closed(&state.call, true);
    framing_fini(&state.thread.scan);
    consumer_leave(&state.consumer);
    hub_fixture_close(&state.fixture);
    wire_fini();
}

static const struct budget_job publish_job = {open_job, ready, publish_round, finish, close_job};

/* Busy: messages below 4 KiB share a chunk of 16 KiB and 128 events, if they fit. Of the messages
 * of 24 events every sixth finds it full, and those of 150 events find no place in any. */
static const struct budget_case cases[] = {
    {"publish-1", &publish_job, {.messages = 64, .events = 1}},
    {"publish-64", &publish_job, {.messages = 16, .events = 64}},
    {"publish-1-busy", &publish_job, {.messages = 64, .events = 1, .busy = true}},
    {"publish-24-busy", &publish_job, {.messages = 30, .events = 24, .busy = true}},
    {"publish-150-busy", &publish_job, {.messages = 16, .events = 150, BUDGET_BARE, .busy = true}},
};

int main(int argc, char **argv)
{
    return budget_main(cases, ARRAY_LEN(cases), argc, argv);
}
