/* ask.c - a unary question: decoded on its wire thread, answered on the loop, sent on its wire
 * thread.
 *
 * The ask belongs to neither thread but travels: it holds the call, and goes from task to task
 * until the last one frees it. */
#include "server/rpc/rpc_internal.h"
#include "server/wire/message.h"

#include <stdlib.h>

static void unary_call_free(struct unary_call *unary)
{
    struct call *call = unary->call;

    decoded_free(unary->request);
    buf_fini(&unary->answer);
    free(unary);
    call_drop(call);
}

/* Wire thread. A call that was lost meanwhile ignores what it is given. */
static void reply(struct task *task)
{
    struct unary_call *unary = container_of(task, struct unary_call, task);

    if (!unary->fault.reason && unary->answer.broken)
        fault_set(&unary->fault, FAULT_MEMORY_BUDGET, "", "");
    if (unary->fault.reason)
        call_finish(unary->call, &unary->fault);
    else
        call_answer(unary->call, &unary->answer);
    unary_call_free(unary);
}

/* Loop. */
static void run_on_loop(struct task *task)
{
    struct unary_call *unary = container_of(task, struct unary_call, task);

    unary->on_loop(unary);
    unary->task.run = reply;
    wire_post(call_thread(unary->call), &unary->task);
}

static void opened(struct call *call, void *ctx)
{
    call_own(call, ctx);
    call_read(call);
}

static void message(struct call *call, struct message *message)
{
    const struct unary_method *unary_method = call_owned(call);
    ProtobufCMessage *request = NULL;
    struct fault fault;
    struct unary_call *unary;

    if (decode(message_bytes(message), unary_method->type, &request, &fault)) {
        call_finish(call, &fault);
        return;
    }
    unary = calloc(1, sizeof *unary);
    if (!unary) {
        decoded_free(request);
        fault_set(&fault, FAULT_MEMORY_BUDGET, "", "");
        call_finish(call, &fault);
        return;
    }
    unary->rpc = unary_method->rpc;
    unary->call = call;
    unary->request = request;
    unary->on_loop = unary_method->on_loop;
    unary->task.run = run_on_loop;
    call_hold(call);
    loop_post(unary->rpc->loop, &unary->task);
}

/* The next message is never asked for, so a half-close that is told came in place of the first. */
static void half_closed(struct call *call)
{
    struct fault fault;

    fault_set(&fault, FAULT_NO_MESSAGE, "", "");
    call_finish(call, &fault);
}

const struct call_port unary_port = {
    .opened = opened, .message = message, .half_closed = half_closed, .unary = true};
