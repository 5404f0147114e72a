/* batch_process.c - Batch.Process: a worker at the other end of a call.
 *
 * What the worker is to be sent stays with its batches until the call can send it (worker.h). So a
 * worker that does not read makes nothing grow here, and what it was not sent goes to another one
 * when it is lost. */
#include <stdlib.h>

#include "base/clock.h"
#include "event/field_write.h"
#include "proto/field_numbers.h"
#include "server/rpc/batch_hello.h"
#include "server/rpc/batch_read.h"
#include "server/rpc/batch_write.h"
#include "server/rpc/method_table.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/services.h"
#include "server/wire/message.h"

/* About what a worker and a processor take. */
#define WORKER_BYTES 4096u
/* Reports in `more`, in one turn of the thread: about a millisecond. */
#define MAX_PART 256u

struct process_call {
    struct rpc *rpc;
    struct call *call;
    struct batch_worker *worker; /* NULL: before the hello, and after the end */
    struct peer_charge charge;
    struct cq_wake wake;
    struct post_poll_hook turn_hook;
    struct cq_timer write_timer;
    struct message message; /* the reports in its `more` are handled in parts; zeroed: none */
    const uint8_t *more_at; /* how far that has come */
    bool packed, reading, sending, closing_sent;
    bool welcome; /* it is to be sent */
};

static void read_next(struct process_call *process)
{
    if (process->reading || message_is_there(&process->message) || !call_alive(process->call))
        return;
    process->reading = true;
    call_read(process->call);
}

/* The call has ended, or does so now: its batches are lost. */
static void leave(struct process_call *process)
{
    struct batch_worker *worker = process->worker;

    process->worker = NULL;
    message_fini(&process->message);
    batch_worker_leave(worker);
}

static void finish(struct process_call *process, const struct fault *fault)
{
    call_finish(process->call, fault);
    leave(process);
}

/* ---- what is sent ---- */

static void write_welcome(struct process_call *process, struct buf *buf)
{
    struct buf body = {0}, policy = {0};
    struct batch_worker_view view;

    batch_worker_view(process->worker, &view);
    field_bytes(&body, PB_PROCESS_RESPONSE_WELCOME_WORKER, view.name);
    batch_policy_write(&policy, view.settings);
    field_message(&body, PB_PROCESS_RESPONSE_WELCOME_POLICY, &policy);
    field_varint(&body, PB_PROCESS_RESPONSE_WELCOME_MAX_BATCHES, view.max_batches);
    field_message(buf, PB_PROCESS_RESPONSE_WELCOME, &body);
    process->welcome = false;
}

static void write_closing(struct process_call *process, struct buf *buf)
{
    struct buf body = {0};
    const int64_t left_ns = batch_worker_stop_ns(process->worker) - clock_mono_ns();

    field_text(&body, PB_PROCESS_RESPONSE_CLOSING_REASON, fault_reason_name(FAULT_DRAINING));
    field_duration(&body, PB_PROCESS_RESPONSE_CLOSING_DEADLINE, MAX_OF(left_ns, 1));
    field_message(buf, PB_PROCESS_RESPONSE_CLOSING, &body);
    process->closing_sent = true;
}

/* Within the lock. */
static void write_commands(struct process_call *process, struct buf *buf)
{
    struct worker_command command;

    do {
        if (!batch_worker_next(process->worker, &command))
            return;
        write_worker_command(buf, process->packed, &command);
    } while (process->packed && buf->size < MAX_PACKED_BYTES && !buf->broken);
}

/* Within the lock. Writes what is sent next, or returns true: the call ends with *fault. */
static bool write_next(struct process_call *process, struct buf *buf, struct fault *fault)
{
    struct batch_worker *worker = process->worker;

    fault_set(fault, batch_worker_fault(worker), NULL, NULL);
    if (fault->reason)
        return true;
    if (process->welcome)
        write_welcome(process, buf);
    else if (batch_worker_closes(worker) && !process->closing_sent)
        write_closing(process, buf);
    else
        write_commands(process, buf);
    if (buf->broken)
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL) != FAULT_NONE;
    if (buf->size > 0)
        return false;
    if (batch_worker_is_over(worker)) {
        fault_set(fault, FAULT_DRAINING, NULL, NULL);
        return true;
    }
    return batch_worker_is_drained(worker);
}

/* A worker that has no answer for us may not read either: then nothing more can be sent to it. */
static bool is_silent(struct process_call *process, struct fault *fault)
{
    struct batch_processor *processor = batch_worker_processor(process->worker);

    batch_processor_lock(processor);
    fault_set(fault, batch_worker_fault(process->worker), NULL, NULL);
    batch_processor_unlock(processor);
    return fault->reason != FAULT_NONE;
}

static void send_next(struct process_call *process, int64_t now_ns)
{
    OWNED(buf_fini) struct buf buf = {0};
    struct fault fault;

    if (process->sending) {
        if (is_silent(process, &fault)) {
            call_abort(process->call, &fault);
            leave(process);
        }
        return;
    }
    struct batch_processor *processor = batch_worker_processor(process->worker);

    batch_processor_lock(processor);
    const bool ends = write_next(process, &buf, &fault);

    batch_processor_unlock(processor);
    if (ends) {
        finish(process, &fault);
    } else if (buf.size > 0) {
        process->sending = call_send(process->call, &buf);
        cq_timer_set(call_cq(process->call), &process->write_timer,
                     clock_add_ns(now_ns, loop_settings(process->rpc->loop)->write_timeout_ns));
    }
}

/* Any thread, within the lock. */
static void wake(void *ctx)
{
    cq_wake_up(&((struct process_call *)ctx)->wake);
}

static void on_write_timeout(struct cq_timer *timer, int64_t now_ns)
{
    struct process_call *process = container_of(timer, struct process_call, write_timer);
    struct fault fault;

    (void)now_ns;
    fault_not_reading(&fault, "write", loop_settings(process->rpc->loop)->write_timeout_ns);
    call_abort(process->call, &fault);
    leave(process);
}

static void sent(struct call *call, bool ok)
{
    struct process_call *process = call_owned(call);

    (void)ok; /* after a failure the call is about to end */
    process->sending = false;
    cq_timer_stop(call_cq(call), &process->write_timer);
    cq_add_post_poll_hook(call_cq(call), &process->turn_hook);
}

/* ---- what is received ---- */

static enum fault_reason read_hello(struct process_call *process, const struct process_request *request,
                                    struct fault *fault)
{
    struct batch_hello hello;

    if (request->kind != PROCESS_HELLO)
        return fault_set(fault, FAULT_NO_HELLO, "hello", NULL);
    if (peer_charge_add(&process->rpc->batch_memory, loop_settings(process->rpc->loop), &process->charge,
                        call_peer_key(process->call), WORKER_BYTES, fault) ||
        batch_hello_read(request->hello, &hello, fault))
        return fault->reason;
    hello.params.peer = call_peer(process->call);
    hello.params.peer_key = call_peer_key(process->call);
    hello.params.port = (struct batch_worker_port){.wake = wake, .ctx = process};
    process->packed = hello.packed;
    process->welcome = true;
    enum fault_reason reason =
        batch_worker_join(process->rpc->batches, &hello.params, &process->worker, fault);

    batch_hello_fini(&hello);
    cq_add_post_poll_hook(call_cq(process->call), &process->turn_hook);
    return reason;
}

/* Within the lock. */
static enum fault_reason report(struct process_call *process, const struct process_request *request,
                                struct fault *fault)
{
    struct batch_worker *worker = process->worker;
    const struct batch_error_text error = {
        .code = request->code, .message = request->text, .reason = request->reason};

    switch (request->kind) {
    case PROCESS_NOTHING:
        return FAULT_NONE;
    case PROCESS_HELLO:
        return fault_set(fault, FAULT_NO_HELLO, "hello", NULL);
    case PROCESS_LOADED:
        return batch_worker_loaded(worker, request->batch, request->generation, fault);
    case PROCESS_RESULT:
        return batch_worker_result(worker, request->batch, request->id, request->data,
                                   request->has_error ? &error : NULL, fault);
    case PROCESS_SAVED:
        return batch_worker_saved(worker, request->batch, fault);
    case PROCESS_FAILED:
        return batch_worker_failed(worker, request->batch, &error, fault);
    case PROCESS_ABORTED:
        return batch_worker_aborted(worker, request->batch, fault);
    case PROCESS_DRAINING:
        batch_worker_drain(worker);
        break;
    }
    cq_add_post_poll_hook(call_cq(process->call), &process->turn_hook);
    return FAULT_NONE;
}

/* The next part of what is in `more`. *done_out: it was the last one. */
static enum fault_reason report_more(struct process_call *process, bool *done_out, struct fault *fault)
{
    const struct bytes bytes = message_bytes(&process->message);
    struct process_request request;
    struct bytes more;

    for (unsigned i = 0; i < MAX_PART; i++) {
        if (!more_next(bytes, PB_PROCESS_REQUEST_MORE, &process->more_at, &more))
            return FAULT_NONE;
        if (process_request_read(more, true, &request, fault) || report(process, &request, fault)) {
            fault_within(fault, "more.");
            return fault->reason;
        }
    }
    *done_out = false;
    return FAULT_NONE;
}

/* Within the lock. */
static enum fault_reason report_part(struct process_call *process, struct process_request *request,
                                     struct fault *fault)
{
    enum fault_reason reason = FAULT_NONE;
    bool done = true;

    if (!process->more_at)
        reason = report(process, request, fault);
    if (!reason && request->has_more)
        reason = report_more(process, &done, fault);
    if (done || reason) {
        message_fini(&process->message);
        process->more_at = NULL;
    }
    return reason;
}

/* Handles process->message, or the next part of it. */
static enum fault_reason handle(struct process_call *process, struct fault *fault)
{
    struct process_request request = {.has_more = true};

    if (!process->more_at && process_request_read(message_bytes(&process->message), false, &request, fault))
        return fault->reason;
    if (!process->worker) {
        if (read_hello(process, &request, fault))
            return fault->reason;
        request.kind = PROCESS_NOTHING;
    }
    struct batch_processor *processor = batch_worker_processor(process->worker);

    batch_processor_lock(processor);
    enum fault_reason reason = report_part(process, &request, fault);
    const bool drained = batch_worker_is_drained(process->worker);

    batch_processor_unlock(processor);
    if (drained || message_is_there(&process->message))
        cq_add_post_poll_hook(call_cq(process->call), &process->turn_hook);
    return reason;
}

static void go_on(struct process_call *process)
{
    struct fault fault;

    if (handle(process, &fault))
        finish(process, &fault);
    else
        read_next(process);
}

static void message(struct call *call, struct message *message)
{
    struct process_call *process = call_owned(call);
    struct fault fault;

    process->reading = false;
    if (message_check(message, UINT64_MAX, &fault)) {
        finish(process, &fault);
        return;
    }
    process->message = message_move(message);
    process->more_at = NULL;
    go_on(process);
}

static bool has_batches(const struct batch_worker *worker)
{
    struct batch_processor *processor = batch_worker_processor(worker);

    batch_processor_lock(processor);
    const bool has = batch_worker_has_batches(worker);

    batch_processor_unlock(processor);
    return has;
}

static void half_closed(struct call *call)
{
    struct process_call *process = call_owned(call);
    struct fault fault = {.reason = FAULT_NONE};

    process->reading = false;
    if (!process->worker)
        fault_set(&fault, FAULT_NO_HELLO, "hello", NULL);
    else if (has_batches(process->worker))
        fault_set(&fault, FAULT_BAD_REPORT, "half-close", "after the last batch");
    finish(process, &fault);
}

/* ---- the call ---- */

static void on_turn(struct post_poll_hook *hook, int64_t now_ns)
{
    struct process_call *process = container_of(hook, struct process_call, turn_hook);

    if (process->worker && call_alive(process->call) && message_is_there(&process->message))
        go_on(process);
    if (process->worker && call_alive(process->call))
        send_next(process, now_ns);
}

static void on_woken(struct cq_wake *wake)
{
    struct process_call *process = container_of(wake, struct process_call, wake);

    cq_add_post_poll_hook(call_cq(process->call), &process->turn_hook);
}

static void freed(struct cq_wake *wake)
{
    struct process_call *process = container_of(wake, struct process_call, wake);

    peer_charge_give_back(&process->rpc->batch_memory, &process->charge);
    free(process);
}

static void opened(struct call *call, void *ctx)
{
    struct process_call *process = calloc(1, sizeof(*process));
    struct fault fault;

    if (!process) {
        fault_set(&fault, FAULT_MEMORY_BUDGET, NULL, NULL);
        call_finish(call, &fault);
        return;
    }
    process->rpc = ctx;
    process->call = call;
    cq_wake_init(&process->wake, call_cq(call), on_woken, freed);
    list_init(&process->turn_hook.link);
    process->turn_hook.post_poll = on_turn;
    process->write_timer.fired = on_write_timeout;
    call_own(call, process);
    read_next(process);
}

static void lost(struct call *call)
{
    struct process_call *process = call_owned(call);

    if (process)
        leave(process);
}

static void closed(struct call *call, bool ok)
{
    struct process_call *process = call_owned(call);

    (void)ok; /* nothing is kept of how it ended */
    if (!process)
        return;
    leave(process);
    cq_timer_stop(call_cq(call), &process->write_timer);
    list_remove(&process->turn_hook.link);
    cq_wake_free(&process->wake);
}

static const struct call_port process_port = {.opened = opened,
                                              .message = message,
                                              .half_closed = half_closed,
                                              .sent = sent,
                                              .lost = lost,
                                              .closed = closed};

enum err batch_process_serve(struct rpc *rpc)
{
    return rpc_add_method(rpc, "/tributary.v1.Batch/Process", &process_port, rpc);
}
