/* desk.c - the played call and the played wire thread. What the real ones promise, call.h and
 * thread.h say. */
#include "desk.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/counters.h"
#include "event/chunk.h"
#include "flow/chan_batch.h"
#include "server/rpc/publisher.h"
#include "server/wire/message.h"
#include "server/wire/wire.h"
#include "tributary/v1/publisher.pb-c.h"

/* ---- thread.h ---- */

struct framing_scan *wire_scan(struct wire_thread *thread)
{
    return &thread->scan;
}

void wire_post(struct wire_thread *thread, struct task *task)
{
    task->next = NULL;
    *thread->inbox_end = task;
    thread->inbox_end = &task->next;
}

void wire_timer_set(struct wire_thread *thread, struct wire_timer *timer, int64_t at_ns)
{
    if (at_ns == INT64_MAX)
        heap_remove(&thread->timers, &timer->node);
    else
        CHECK(heap_set(&thread->timers, &timer->node, at_ns) == ERR_OK);
}

void wire_post_poll(struct wire_thread *thread, struct post_poll_hook *ready)
{
    if (list_empty(&ready->link))
        list_append(&thread->ready, &ready->link);
}

void wire_post_poll_early(struct wire_thread *thread, struct post_poll_hook *ready)
{
    if (list_empty(&ready->link))
        list_append(&thread->early, &ready->link);
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
    return "desk:1";
}

bool call_alive(const struct call *call)
{
    return call->state == DESK_OPEN;
}

void call_hold(struct call *call)
{
    call->pins++;
}

void call_drop(struct call *call)
{
    if (--call->pins > 0)
        return;
    CHECK(call->state == DESK_ENDED);
    publish_stream_port.closed(call, call->fault.reason == FAULT_NONE);
    call->state = DESK_CLOSED;
}

void call_read(struct call *call)
{
    if (call->state != DESK_OPEN)
        return;
    CHECK(!call->reading);
    call->reading = true;
}

static void note_answer(struct desk *desk, struct bytes bytes)
{
    Tributary__V1__PublishStreamResponse *answer =
        tributary__v1__publish_stream_response__unpack(NULL, bytes.size, bytes.data);

    CHECK(answer && answer->confirmed_batch >= desk->confirmed);
    desk->confirmed = answer->confirmed_batch;
    desk->last_sequence = answer->last_sequence;
    desk->epoch = answer->epoch;
    for (size_t i = 0; i < answer->n_refused; i++) {
        size_t size = strlen(desk->refused);
        snprintf(desk->refused + size, sizeof(desk->refused) - size, "%s%llu %s", size > 0 ? ", " : "",
                 (unsigned long long)answer->refused[i]->batch, answer->refused[i]->reason);
    }
    tributary__v1__publish_stream_response__free_unpacked(answer, NULL);
}

bool call_send(struct call *call, struct buf *bytes)
{
    if (call->state != DESK_OPEN)
        return false;
    CHECK(!call->sending);
    call->sending = true;
    note_answer(container_of(call, struct desk, call), (struct bytes){bytes->data, bytes->size});
    buf_fini(bytes);
    *bytes = (struct buf){0};
    return true;
}

void call_finish(struct call *call, const struct fault *fault)
{
    if (call->state != DESK_OPEN)
        return;
    call->state = DESK_FINISHED;
    call->fault = *fault;
}

/* ---- the desk ---- */

static void open_call(struct desk *desk)
{
    *desk = (struct desk){.thread.busy = true};
    wire_init();
    hub_fixture_open(&desk->fixture);
    desk->rpc = (struct rpc){
        .loop = desk->fixture.loop, .hub = desk->fixture.hub, .settings.framing = framing_defaults};
    list_init(&desk->thread.early);
    list_init(&desk->thread.ready);
    desk->thread.inbox_end = &desk->thread.inbox;
    desk->thread.now_ns = clock_mono_ns();
    desk->call = (struct call){.thread = &desk->thread, .pins = 1};
    publish_stream_port.opened(&desk->call, &desk->rpc);
}

void desk_say_bytes(struct desk *desk, struct buf *bytes)
{
    grpc_slice slice = grpc_slice_from_copied_buffer((const char *)bytes->data, bytes->size);
    struct message message = {.buffer = grpc_raw_byte_buffer_create(&slice, 1)};

    grpc_slice_unref(slice);
    buf_fini(bytes);
    cr_assert(desk->call.reading, "nobody reads");
    desk->call.reading = false;
    publish_stream_port.message(&desk->call, &message);
    message_fini(&message);
}

void desk_say(struct desk *desk, const char *letters)
{
    struct buf message = {0};

    for (const char *at = letters; *at; at++)
        put_event(&message, &(struct event_view){.key = {(const uint8_t *)at, 1}}, NULL, 0);
    put_field(&message, 2, text_of("web"));
    desk_say_bytes(desk, &message);
}

void desk_say_each(struct desk *desk, const char *letters)
{
    for (const char *at = letters; *at; at++)
        desk_say(desk, (char[]){*at, '\0'});
}

void desk_say_bad_text(struct desk *desk)
{
    struct buf message = {0};

    put_event(&message, &(struct event_view){.topic = {(const uint8_t *)"\xff", 1}}, NULL, 0);
    desk_say_bytes(desk, &message);
}

void desk_half_close(struct desk *desk)
{
    cr_assert(desk->call.reading, "nobody reads");
    desk->call.reading = false;
    publish_stream_port.half_closed(&desk->call);
}

void desk_lose(struct desk *desk)
{
    cr_assert_eq(desk->call.state, DESK_OPEN);
    desk->call.state = DESK_ENDED;
    publish_stream_port.lost(&desk->call);
    call_drop(&desk->call);
}

void desk_drain(struct desk *desk)
{
    hub_drain(desk->fixture.hub, 60 * NS_PER_S, hub_fixture_emptied, &desk->fixture);
    publish_stream_port.draining(&desk->call);
}

static void run_inbox(struct wire_thread *thread)
{
    struct task *task = thread->inbox;

    thread->inbox = NULL;
    thread->inbox_end = &thread->inbox;
    while (task) {
        struct task *next = task->next;
        task->run(task);
        task = next;
    }
}

static void do_noted(struct wire_thread *thread, struct list *noted)
{
    struct list *link;

    while ((link = list_first(noted))) {
        struct post_poll_hook *ready = container_of(link, struct post_poll_hook, link);
        list_remove(link);
        ready->post_poll(ready, thread->now_ns);
    }
}

void desk_tick(struct desk *desk)
{
    struct wire_thread *thread = &desk->thread;
    const struct heap_node *due;

    thread->now_ns += NS_PER_MS;
    if (desk->call.sending && !desk->deaf && desk->call.state != DESK_CLOSED) {
        desk->call.sending = false;
        publish_stream_port.sent(&desk->call, desk->call.state == DESK_OPEN);
    }
    run_inbox(thread);
    while ((due = heap_first(&thread->timers)) && due->key <= thread->now_ns) {
        struct wire_timer *timer = container_of(due, struct wire_timer, node);
        heap_remove(&thread->timers, &timer->node);
        timer->fired(timer, thread->now_ns);
    }
    do_noted(thread, &thread->early);
    do_noted(thread, &thread->ready);
    if (desk->call.state == DESK_FINISHED) { /* its status is out */
        desk->call.state = DESK_ENDED;
        call_drop(&desk->call);
    }
}

/* What one step moves the next one sees: a message goes to the loop and back, is offered, answered,
 * and the answer lands. */
void desk_settle(struct desk *desk)
{
    for (int i = 0; i < 12; i++) {
        loop_turn(desk->fixture.loop);
        desk_tick(desk);
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

const char *desk_read(struct desk *desk)
{
    struct consumer *consumer = &desk->consumer;
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

void desk_open(struct desk *desk, bool blocks)
{
    struct subscription_params checked = subscription_params_of(NULL);

    if (blocks) {
        checked.limits.max_events = 2;
        checked.limits.overflow = OVERFLOW_BLOCK;
        checked.limits.fallback = OVERFLOW_DROP_NEWEST;
        checked.limits.block_timeout_ns = 3600 * NS_PER_S;
    }
    open_call(desk);
    consumer_join(&desk->consumer, &desk->fixture, checked);
    desk_say(desk, "-");
    desk_settle(desk);
    cr_assert_str_eq(desk_read(desk), "-");
    cr_assert_eq(desk->confirmed, 1);
}

void desk_close(struct desk *desk, enum fault_reason status)
{
    desk_settle(desk);
    if (desk->call.state == DESK_OPEN)
        desk_half_close(desk);
    desk_settle(desk);
    cr_assert_eq(desk->call.state, DESK_CLOSED, "the call has not ended");
    cr_expect_eq(desk->call.fault.reason, status, "%s", fault_reason_name(desk->call.fault.reason));
    cr_assert(list_empty(&desk->thread.early) && list_empty(&desk->thread.ready) && !desk->thread.inbox);
    cr_assert_eq(desk->thread.timers.count, 0);
    framing_fini(&desk->thread.scan);
    heap_fini(&desk->thread.timers);
    consumer_leave(&desk->consumer);
    hub_fixture_close(&desk->fixture);
    wire_fini();
}

void desk_counted(int64_t messages, int64_t chunks, int64_t refused)
{
    cr_expect_eq(count_get(COUNT_MESSAGES_IN), messages, "messages: %lld",
                 (long long)count_get(COUNT_MESSAGES_IN));
    cr_expect_eq(count_get(COUNT_CHUNKS_IN), chunks, "chunks: %lld", (long long)count_get(COUNT_CHUNKS_IN));
    cr_expect_eq(count_get(COUNT_REFUSED_BATCHES), refused, "refused: %lld",
                 (long long)count_get(COUNT_REFUSED_BATCHES));
}
