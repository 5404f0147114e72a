/* unary.c - a unary call that the loop answers: decoded on its wire thread, answered on the loop,
 * sent on its wire thread.
 *
 * The struct unary_call belongs to neither thread. It holds the call, moves from task to task, and
 * the last task frees it. */
#include "server/rpc/unary.h"

#include <stdlib.h>

#include "server/rpc/decode.h"
#include "server/rpc/rpc_internal.h"
#include "server/wire/message.h"

static void unary_call_free(struct unary_call *unary)
{
    struct call *call = unary->call;

    decoded_free(unary->request);
    buf_fini(&unary->answer);
    free(unary->state);
    free(unary);
    call_unhold(call);
}

/* Wire thread. A call that was lost meanwhile ignores the answer. */
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
static bool step(struct slice *slice)
{
    struct unary_call *unary = container_of(slice, struct unary_call, slice);

    if (!unary->fault.reason && unary->step && unary->step(unary))
        return true;
    unary->task.run = reply;
    cq_post(call_cq(unary->call), &unary->task);
    return false;
}

/* Loop. */
static void run_on_loop(struct task *task)
{
    struct unary_call *unary = container_of(task, struct unary_call, task);

    unary->on_loop(unary);
    slice_init(&unary->slice, step);
    if (unary->step)
        loop_slice(unary->rpc->loop, &unary->slice);
    else
        (void)step(&unary->slice);
}

static void opened(struct call *call, void *ctx)
{
    call_own(call, ctx);
    call_read(call);
}

static void message(struct call *call, struct message *message)
{
    const struct unary_method *method = call_owned(call);
    ProtobufCMessage *request = NULL;
    struct fault fault;

    if (decode(message_bytes(message), method->type, &request, &fault)) {
        call_finish(call, &fault);
        return;
    }
    struct unary_call *unary = calloc(1, sizeof(*unary));
    if (!unary) {
        decoded_free(request);
        fault_set(&fault, FAULT_MEMORY_BUDGET, "", "");
        call_finish(call, &fault);
        return;
    }
    unary->rpc = method->rpc;
    unary->call = call;
    unary->request = request;
    unary->on_loop = method->on_loop;
    unary->task.run = run_on_loop;
    call_hold(call);
    loop_post(unary->rpc->loop, &unary->task);
}

/* Only one message is ever asked for, so this half-close came in place of it. */
static void half_closed(struct call *call)
{
    struct fault fault;

    fault_set(&fault, FAULT_NO_MESSAGE, "", "");
    call_finish(call, &fault);
}

const struct call_port rpc_unary_port = {
    .opened = opened, .message = message, .half_closed = half_closed, .unary = true};
