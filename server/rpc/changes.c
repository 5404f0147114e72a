/* changes.c - Admin.Watch: what is there, and then each change.
 *
 * A stream reads the hub's changes on the loop, into one message. Then it sends that on its wire
 * thread, and reads again when the message has left. So a peer that does not read costs its place
 * in the hub's log and one message. The message is charged to the peer (base/peer_charge.h), unless
 * it is small.
 *
 *   wire thread   message()                  on_left(), send()       sent()
 *                    | begin_task             ^ left_task, send_task   | next_task; leave_task
 *   loop             `------> on_begin() -----'<-----------------------'
 *
 * The call is held from message() to on_left(). Each task is posted once at a time: a new message
 * is made only after next_task, and nothing follows leave_task but left_task. */
#include <stdlib.h>

#include "event/filter.h"
#include "hub/changes.h"
#include "server/rpc/change_view.h"
#include "server/rpc/decode.h"
#include "server/rpc/method_table.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/services.h"
#include "tributary/v1/admin.pb-c.h"

/* A message is full beyond this. One entry may have a third of a MiB. */
#define MAX_MESSAGE_BYTES (64u << 10)
/* What is smaller is in what an open call is charged for (--max-kept-bytes). */
#define FREE_MESSAGE_BYTES 4096u

struct changes_call {
    struct rpc *rpc;
    struct call *call;
    ProtobufCMessage *request; /* WatchRequest */

    /* Posted to the loop by the wire thread, and the other way round. */
    struct task begin_task, next_task, leave_task;
    struct task send_task, left_task;

    /* The loop's; with `send_task` the wire thread's, until `next_task`. */
    struct buf message;
    struct fault fault; /* why there is no message */

    /* Loop only. */
    struct changes changes;
    struct peer_work work;
    bool is_open, sending;

    /* Wire thread only. */
    bool is_held, leaves;
    struct fault end; /* for call_finish(); reason NONE: the call is lost */
    struct peer_charge charge;
};

/* ---- the loop ---- */

static void post_message(struct changes_call *stream)
{
    stream->sending = true;
    cq_post(call_cq(stream->call), &stream->send_task);
}

static bool step(struct peer_work *work)
{
    struct changes_call *stream = container_of(work, struct changes_call, work);

    if (changes_read(&stream->changes) && stream->message.size < MAX_MESSAGE_BYTES)
        return true;
    if (stream->message.broken)
        fault_set(&stream->fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    if (stream->message.size > 0 || stream->message.broken)
        post_message(stream);
    return false;
}

static void on_readable(void *ctx)
{
    struct changes_call *stream = ctx;

    if (!stream->sending)
        peer_work_wake(&stream->work);
}

static void on_full(struct changes_call *stream)
{
    if (stream->message.size >= MAX_MESSAGE_BYTES)
        changes_full(&stream->changes);
}

static void on_producer(void *ctx, const struct producer_view *view)
{
    struct changes_call *stream = ctx;

    change_write_producer(view, &stream->message);
    on_full(stream);
}

static void on_subscription(void *ctx, const struct subscription_view *view)
{
    struct changes_call *stream = ctx;

    change_write_subscription(view, &stream->message);
    on_full(stream);
}

static void on_complete(void *ctx)
{
    change_write_complete(&((struct changes_call *)ctx)->message);
}

static void on_change(void *ctx, const struct change *change)
{
    change_write(change, &((struct changes_call *)ctx)->message);
}

static void on_missed(void *ctx, uint64_t count)
{
    change_write_missed(count, &((struct changes_call *)ctx)->message);
}

static const struct changes_port changes_port = {.producer = on_producer,
                                                 .subscription = on_subscription,
                                                 .complete = on_complete,
                                                 .change = on_change,
                                                 .missed = on_missed,
                                                 .readable = on_readable};

static void on_begin(struct task *task)
{
    struct changes_call *stream = container_of(task, struct changes_call, begin_task);
    const Tributary__V1__WatchRequest *request =
        (const Tributary__V1__WatchRequest *)(const void *)stream->request;
    const struct changes_params params = {.pattern = text_bytes(request->pattern),
                                          .subscriptions = request->subscriptions,
                                          .snapshot = !request->skip_snapshot,
                                          .peer = call_peer_key(stream->call),
                                          .port = &changes_port,
                                          .ctx = stream};

    peer_work_begin(&stream->rpc->watch_turns, &stream->work, params.peer, step);
    stream->is_open = changes_open(stream->rpc->hub, &stream->changes, &params, &stream->fault) == FAULT_NONE;
    if (stream->is_open)
        peer_work_wake(&stream->work);
    else
        post_message(stream);
}

static void on_next(struct task *task)
{
    struct changes_call *stream = container_of(task, struct changes_call, next_task);

    stream->sending = false;
    if (stream->is_open)
        peer_work_wake(&stream->work);
}

static void on_leave(struct task *task)
{
    struct changes_call *stream = container_of(task, struct changes_call, leave_task);

    peer_work_end(&stream->work);
    if (stream->is_open)
        changes_close(&stream->changes);
    stream->is_open = false;
    cq_post(call_cq(stream->call), &stream->left_task);
}

/* ---- the wire thread ---- */

static void on_left(struct task *task)
{
    struct changes_call *stream = container_of(task, struct changes_call, left_task);

    if (stream->end.reason != FAULT_NONE)
        call_finish(stream->call, &stream->end);
    call_unhold(stream->call);
}

/* The first end counts. */
static void leave(struct changes_call *stream, const struct fault *end)
{
    if (stream->leaves)
        return;
    stream->leaves = true;
    stream->end = *end;
    loop_post(stream->rpc->loop, &stream->leave_task);
}

static void send(struct task *task)
{
    struct changes_call *stream = container_of(task, struct changes_call, send_task);

    if (stream->fault.reason == FAULT_NONE && stream->message.size > FREE_MESSAGE_BYTES)
        (void)!peer_charge_add(&stream->rpc->answers, loop_settings(stream->rpc->loop), &stream->charge,
                               call_peer_key(stream->call), stream->message.size, &stream->fault);
    if (stream->fault.reason != FAULT_NONE)
        leave(stream, &stream->fault);
    else
        (void)call_send(stream->call, &stream->message);
}

static void sent(struct call *call, bool ok)
{
    struct changes_call *stream = call_owned(call);

    peer_charge_give_back(&stream->rpc->answers, &stream->charge);
    stream->charge = (struct peer_charge){0};
    if (ok && !stream->leaves)
        loop_post(stream->rpc->loop, &stream->next_task);
}

static void finish(struct call *call, enum fault_reason reason)
{
    struct changes_call *stream = call_owned(call);
    struct fault fault;

    fault_set(&fault, reason, NULL, NULL);
    if (stream && stream->is_held)
        leave(stream, &fault);
    else
        call_finish(call, &fault);
}

static void opened(struct call *call, void *ctx)
{
    struct changes_call *stream = calloc(1, sizeof(*stream));

    if (!stream) {
        finish(call, FAULT_MEMORY_BUDGET);
        return;
    }
    stream->rpc = ctx;
    stream->call = call;
    stream->begin_task.run = on_begin;
    stream->next_task.run = on_next;
    stream->leave_task.run = on_leave;
    stream->send_task.run = send;
    stream->left_task.run = on_left;
    call_own(call, stream);
    call_read(call);
}

static void message(struct call *call, struct message *message)
{
    struct changes_call *stream = call_owned(call);
    struct fault fault;

    if (decode_message(message, &tributary__v1__watch_request__descriptor, &stream->request, &fault)) {
        call_finish(call, &fault);
        return;
    }
    const struct bytes pattern =
        text_bytes(((const Tributary__V1__WatchRequest *)(const void *)stream->request)->pattern);
    if (pattern.size > MAX_PATTERN_BYTES) {
        fault_bytes(&fault, FAULT_TOO_LONG, "pattern", pattern, "at most 256 bytes");
        call_finish(call, &fault);
        return;
    }
    call_hold(call);
    stream->is_held = true;
    loop_post(stream->rpc->loop, &stream->begin_task);
}

/* Only one message is ever asked for, so this half-close came in place of it. */
static void half_closed(struct call *call)
{
    struct changes_call *stream = call_owned(call);

    if (!stream->is_held)
        finish(call, FAULT_NO_MESSAGE);
}

static void lost(struct call *call)
{
    struct changes_call *stream = call_owned(call);
    const struct fault none = {.reason = FAULT_NONE};

    if (stream && stream->is_held)
        leave(stream, &none);
}

static void draining(struct call *call)
{
    finish(call, FAULT_DRAINING);
}

static void closed(struct call *call, bool ok)
{
    struct changes_call *stream = call_owned(call);

    (void)ok; /* nothing is kept of how it ended */
    if (!stream)
        return;
    peer_charge_give_back(&stream->rpc->answers, &stream->charge);
    decoded_free(stream->request);
    buf_fini(&stream->message);
    free(stream);
}

static const struct call_port changes_call_port = {.opened = opened,
                                                   .message = message,
                                                   .half_closed = half_closed,
                                                   .sent = sent,
                                                   .lost = lost,
                                                   .draining = draining,
                                                   .closed = closed};

enum err changes_serve(struct rpc *rpc)
{
    return rpc_add_method(rpc, "/tributary.v1.Admin/Watch", &changes_call_port, rpc);
}
