/* rpc_fixture.c - the fake call and the fake wire thread. call.h and thread.h say what the real
 * ones promise. */
#include "rpc_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/counters.h"
#include "event/chunk.h"
#include "flow/chan_batch.h"
#include "server/rpc/services.h"
#include "server/wire/message.h"
#include "server/wire/wire.h"
#include "tributary/v1/publisher.pb-c.h"

static struct rpc_fixture *fixture_of(struct call *call)
{
    return container_of(call, struct rpc_fixture, call);
}

/* ---- what is counted ---- */

/* The scans of the service, and not those of the hub fixture. */
static struct {
    struct framing_scan *scan; /* the thread's */
    unsigned scanned, gathered, kept;
} counted;

enum fault_reason __real_framing_scan(struct framing_scan *scan, struct bytes message,
                                      const struct framing_limits *limits, struct fault *fault);
struct bytes __real_message_bytes(struct message *message);
struct chunk_memory *__real_message_keep(struct message *message, struct bytes *bytes_out,
                                         uint64_t *pinned_out);

enum fault_reason __wrap_framing_scan(struct framing_scan *scan, struct bytes message,
                                      const struct framing_limits *limits, struct fault *fault)
{
    if (scan == counted.scan)
        counted.scanned++;
    return __real_framing_scan(scan, message, limits, fault);
}

struct bytes __wrap_message_bytes(struct message *message)
{
    counted.gathered++;
    return __real_message_bytes(message);
}

struct chunk_memory *__wrap_message_keep(struct message *message, struct bytes *bytes_out,
                                         uint64_t *pinned_out)
{
    counted.kept++;
    return __real_message_keep(message, bytes_out, pinned_out);
}

void rpc_fixture_expect_scanned_once(struct rpc_fixture *fixture, unsigned kept)
{
    cr_expect_eq(counted.scanned, fixture->messages, "%u messages, %u scans", fixture->messages,
                 counted.scanned);
    cr_expect_eq(counted.gathered, fixture->messages, "%u messages, brought into one piece %u times",
                 fixture->messages, counted.gathered);
    cr_expect_eq(counted.kept, kept, "kept: %u", counted.kept);
}

/* ---- services.h ---- */

enum err rpc_add_method(struct rpc *rpc, const char *path, const struct call_port *port, void *ctx)
{
    CHECK(strcmp(path, "/tributary.v1.Publisher/PublishStream") == 0 && ctx == rpc);
    container_of(rpc, struct rpc_fixture, rpc)->port = port;
    return ERR_OK;
}

/* ---- thread.h ---- */

struct framing_scan *wire_scan(struct wire_thread *thread)
{
    return &thread->scan;
}

struct cq_thread *wire_cq(const struct wire_thread *thread)
{
    return thread->cq;
}

struct cq_thread *call_cq(const struct call *call)
{
    return call->thread->cq;
}

/* ---- cq_thread.h ---- */

void cq_post(struct cq_thread *cq, struct task *task)
{
    task->next = NULL;
    *cq->inbox_end = task;
    cq->inbox_end = &task->next;
}

void cq_timer_set(struct cq_thread *cq, struct cq_timer *timer, int64_t at_ns)
{
    if (at_ns == INT64_MAX)
        cq_timer_stop(cq, timer);
    else
        CHECK(heap_set(&cq->timers, &timer->node, at_ns) == ERR_OK);
}

void cq_timer_stop(struct cq_thread *cq, struct cq_timer *timer)
{
    heap_remove(&cq->timers, &timer->node);
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

/* ---- call.h ---- */

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
    return "fixture:1";
}

struct peer_key call_peer_key(const struct call *call)
{
    (void)call;
    return NO_PEER;
}

bool call_alive(const struct call *call)
{
    return call->state == CALL_OPEN;
}

void call_hold(struct call *call)
{
    call->pins++;
}

void call_unhold(struct call *call)
{
    if (--call->pins > 0)
        return;
    CHECK(call->state == CALL_ENDED);
    fixture_of(call)->port->closed(call, call->fault.reason == FAULT_NONE);
    call->state = CALL_CLOSED;
}

void call_read(struct call *call)
{
    if (call->state != CALL_OPEN)
        return;
    CHECK(!call->reading);
    call->reading = true;
}

static void note_answer(struct rpc_fixture *fixture, struct bytes bytes)
{
    Tributary__V1__PublishStreamResponse *answer =
        tributary__v1__publish_stream_response__unpack(NULL, bytes.size, bytes.data);

    CHECK(answer && answer->confirmed_batch >= fixture->confirmed);
    fixture->confirmed = answer->confirmed_batch;
    fixture->last_sequence = answer->last_sequence;
    fixture->epoch = answer->epoch;
    for (size_t i = 0; i < answer->n_refused; i++) {
        size_t size = strlen(fixture->refused);
        snprintf(fixture->refused + size, sizeof(fixture->refused) - size, "%s%llu %s", size > 0 ? ", " : "",
                 (unsigned long long)answer->refused[i]->batch, answer->refused[i]->reason);
    }
    tributary__v1__publish_stream_response__free_unpacked(answer, NULL);
}

bool call_send(struct call *call, struct buf *bytes)
{
    if (call->state != CALL_OPEN)
        return false;
    CHECK(!call->sending);
    call->sending = true;
    note_answer(fixture_of(call), (struct bytes){bytes->data, bytes->size});
    buf_fini(bytes);
    *bytes = (struct buf){0};
    return true;
}

void call_finish(struct call *call, const struct fault *fault)
{
    if (call->state != CALL_OPEN)
        return;
    call->state = CALL_FINISHED;
    call->fault = *fault;
}

/* ---- rpc_fixture.h ---- */

static void open_call(struct rpc_fixture *fixture)
{
    *fixture = (struct rpc_fixture){.thread.busy = true};
    memset(&counted, 0, sizeof(counted));
    counted.scan = &fixture->thread.scan;
    wire_init();
    hub_fixture_open(&fixture->hub_fixture);
    fixture->rpc = (struct rpc){.loop = fixture->hub_fixture.loop, .hub = fixture->hub_fixture.hub};
    fixture->thread.cq = &fixture->cq;
    list_init(&fixture->cq.early_hooks);
    list_init(&fixture->cq.hooks);
    fixture->cq.inbox_end = &fixture->cq.inbox;
    fixture->cq.now_ns = clock_mono_ns();
    fixture->call = (struct call){.thread = &fixture->thread, .pins = 1};
    CHECK(publish_stream_serve(&fixture->rpc) == ERR_OK);
    fixture->port->opened(&fixture->call, &fixture->rpc);
}

/* Makes a received message of `count` slices. The last one has what the others leave. */
static grpc_byte_buffer *receive(const struct buf *bytes, size_t count)
{
    grpc_slice slices[8];
    size_t begin = 0;

    CHECK(count <= ARRAY_LEN(slices));
    for (size_t i = 0; i < count; i++) {
        size_t size = i + 1 < count ? bytes->size / count : bytes->size - begin;
        slices[i] = grpc_slice_from_copied_buffer((const char *)bytes->data + begin, size);
        begin += size;
    }
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(slices, count);
    for (size_t i = 0; i < count; i++)
        grpc_slice_unref(slices[i]);
    return buffer;
}

/* As message_receive() leaves a message that came compressed. */
static void inflate(struct message *message)
{
    const grpc_slice_buffer *pieces = &message->buffer->data.raw.slice_buffer;
    struct bytes bytes = slice_bytes(&pieces->slices[0]);
    grpc_slice whole = grpc_slice_malloc_large(bytes.size); /* its bytes stay where the slice moves */

    CHECK(pieces->count == 1);
    memcpy(GRPC_SLICE_START_PTR(whole), bytes.data, bytes.size);
    message_fini(message);
    *message = (struct message){.copy = whole, .is_copy = true, .is_whole = true};
    message->bytes = slice_bytes(&message->copy);
}

void rpc_fixture_publish_bytes(struct rpc_fixture *fixture, struct buf *bytes)
{
    struct message message = {.buffer = receive(bytes, MAX_OF(fixture->pieces, 1u))};

    buf_fini(bytes);
    if (fixture->is_inflated)
        inflate(&message);
    fixture->messages++;
    cr_assert(fixture->call.reading, "the call is not reading");
    fixture->call.reading = false;
    fixture->port->message(&fixture->call, &message);
    message_fini(&message);
}

void rpc_fixture_publish(struct rpc_fixture *fixture, const char *letters)
{
    struct buf message = {0};

    for (const char *at = letters; *at; at++)
        put_event(&message, &(struct event_view){.key = {(const uint8_t *)at, 1}}, NULL, 0);
    put_field(&message, 2, text_of("web"));
    rpc_fixture_publish_bytes(fixture, &message);
}

void rpc_fixture_publish_each(struct rpc_fixture *fixture, const char *letters)
{
    for (const char *at = letters; *at; at++)
        rpc_fixture_publish(fixture, (char[]){*at, '\0'});
}

void rpc_fixture_publish_bad_text(struct rpc_fixture *fixture)
{
    struct buf message = {0};

    put_event(&message, &(struct event_view){.topic = {(const uint8_t *)"\xff", 1}}, NULL, 0);
    rpc_fixture_publish_bytes(fixture, &message);
}

void rpc_fixture_half_close(struct rpc_fixture *fixture)
{
    cr_assert(fixture->call.reading, "the call is not reading");
    fixture->call.reading = false;
    fixture->port->half_closed(&fixture->call);
}

void rpc_fixture_lose_call(struct rpc_fixture *fixture)
{
    cr_assert_eq(fixture->call.state, CALL_OPEN);
    fixture->call.state = CALL_ENDED;
    fixture->port->lost(&fixture->call);
    call_unhold(&fixture->call);
}

void rpc_fixture_drain(struct rpc_fixture *fixture)
{
    hub_drain(fixture->hub_fixture.hub, 60 * NS_PER_S, hub_fixture_emptied, &fixture->hub_fixture);
    fixture->port->draining(&fixture->call);
}

static void run_inbox(struct cq_thread *cq)
{
    struct task *task = cq->inbox;

    cq->inbox = NULL;
    cq->inbox_end = &cq->inbox;
    while (task) {
        struct task *next = task->next;
        task->run(task);
        task = next;
    }
}

static void run_hooks(struct cq_thread *cq, struct list *hooks)
{
    struct list *link;

    while ((link = list_first(hooks))) {
        struct post_poll_hook *hook = container_of(link, struct post_poll_hook, link);
        list_remove(link);
        hook->post_poll(hook, cq->now_ns);
    }
}

void rpc_fixture_poll(struct rpc_fixture *fixture)
{
    struct cq_thread *cq = &fixture->cq;
    const struct heap_node *due;

    cq->now_ns += NS_PER_MS;
    if (fixture->call.sending && !fixture->peer_reads_nothing && fixture->call.state != CALL_CLOSED) {
        fixture->call.sending = false;
        fixture->port->sent(&fixture->call, fixture->call.state == CALL_OPEN);
    }
    run_inbox(cq);
    while ((due = heap_first(&cq->timers)) && due->key <= cq->now_ns) {
        struct cq_timer *timer = container_of(due, struct cq_timer, node);
        heap_remove(&cq->timers, &timer->node);
        timer->fired(timer, cq->now_ns);
    }
    run_hooks(cq, &cq->early_hooks);
    run_hooks(cq, &cq->hooks);
    if (fixture->call.state == CALL_FINISHED) { /* its status was sent */
        fixture->call.state = CALL_ENDED;
        call_unhold(&fixture->call);
    }
}

/* A message takes a few turns: to the loop and back, offered, answered, the answer sent. */
void rpc_fixture_run(struct rpc_fixture *fixture)
{
    for (int i = 0; i < 12; i++) {
        loop_turn(fixture->hub_fixture.loop);
        rpc_fixture_poll(fixture);
    }
}

static void note_events(const struct chan_batch_entry *entry, uint64_t *epoch, uint64_t *sequence, char *text)
{
    const struct chunk *chunk = entry->chunk;

    for (uint32_t i = entry->first; i < entry->last; i++) {
        struct event_view view;
        bool fresh = chunk->source->epoch != *epoch;

        event_view(chunk_range(chunk, i, i + 1), &view);
        cr_assert(*sequence == 0 || chunk->first_sequence + i == (fresh ? 1 : *sequence + 1),
                  "a hole, or out of order");
        *epoch = chunk->source->epoch;
        *sequence = chunk->first_sequence + i;
        cr_assert_eq(view.key.size, 1);
        size_t size = strlen(text);
        text[size] = (char)view.key.data[0];
        text[size + 1] = '\0';
    }
}

const char *rpc_fixture_read(struct rpc_fixture *fixture)
{
    struct consumer *consumer = &fixture->consumer;
    static char text[4096];
    static uint64_t epoch, sequence;
    bool more = true;

    text[0] = '\0';
    while (more) {
        more = chan_dequeue(consumer->chan, &consumer->batch, 1024, 256 << 10, clock_mono_ns());
        for (uint32_t i = 0; i < consumer->batch.count; i++)
            note_events(&consumer->batch.entries[i], &epoch, &sequence, text);
        chan_delivered(consumer->chan, &consumer->batch);
    }
    return text;
}

void rpc_fixture_open(struct rpc_fixture *fixture, bool blocks)
{
    struct subscription_params params = subscription_params_of(NULL);

    params.limits.max_events = 2000;
    if (blocks) {
        params.limits.max_events = 2;
        params.limits.overflow = OVERFLOW_BLOCK;
        params.limits.fallback = OVERFLOW_DROP_NEWEST;
        params.limits.block_timeout_ns = 3600 * NS_PER_S;
    }
    open_call(fixture);
    consumer_join(&fixture->consumer, &fixture->hub_fixture, params);
    rpc_fixture_publish(fixture, "-");
    rpc_fixture_run(fixture);
    cr_assert_str_eq(rpc_fixture_read(fixture), "-");
    cr_assert_eq(fixture->confirmed, 1);
}

void rpc_fixture_close(struct rpc_fixture *fixture, enum fault_reason status)
{
    rpc_fixture_run(fixture);
    if (fixture->call.state == CALL_OPEN)
        rpc_fixture_half_close(fixture);
    rpc_fixture_run(fixture);
    cr_assert_eq(fixture->call.state, CALL_CLOSED, "the call has not ended");
    cr_expect_eq(fixture->call.fault.reason, status, "%s", fault_reason_name(fixture->call.fault.reason));
    cr_assert(list_empty(&fixture->cq.early_hooks) && list_empty(&fixture->cq.hooks) && !fixture->cq.inbox);
    cr_assert_eq(fixture->cq.timers.count, 0);
    cr_expect_leq(counted.scanned, fixture->messages);
    cr_expect_leq(counted.gathered, fixture->messages);
    framing_fini(&fixture->thread.scan);
    heap_fini(&fixture->cq.timers);
    consumer_leave(&fixture->consumer);
    hub_fixture_close(&fixture->hub_fixture);
    wire_fini();
}

void rpc_fixture_expect_counts(int64_t messages, int64_t chunks, int64_t refused)
{
    cr_expect_eq(count_get(COUNT_MESSAGES_IN), messages, "messages: %lld",
                 (long long)count_get(COUNT_MESSAGES_IN));
    cr_expect_eq(count_get(COUNT_CHUNKS_IN), chunks, "chunks: %lld", (long long)count_get(COUNT_CHUNKS_IN));
    cr_expect_eq(count_get(COUNT_REFUSED_BATCHES), refused, "refused: %lld",
                 (long long)count_get(COUNT_REFUSED_BATCHES));
}
