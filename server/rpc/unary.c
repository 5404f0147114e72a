/* unary.c - a unary call that the loop answers: decoded on its wire thread, answered on the loop,
 * sent on its wire thread.
 *
 * The struct unary_call is the call's own. It belongs to neither thread: it holds the call, and
 * moves from task to task. An answer is charged to the peer until it has left
 * (base/peer_charge.h), unless it is small. */
#include "server/rpc/unary.h"

#include <stdlib.h>

#include "server/rpc/decode.h"
#include "server/rpc/rpc_internal.h"

/* What is smaller is in what an open call is charged for (--max-kept-bytes). */
#define FREE_ANSWER_BYTES 4096u

/* Sets unary->fault where the peer has no space for the answer. */
static void charge_answer(struct unary_call *unary)
{
    struct rpc *rpc = unary->rpc;

    if (unary->charge.count)
        peer_charge_set(&rpc->answers, &unary->charge, unary->answer.size);
    else if (unary->answer.size > FREE_ANSWER_BYTES)
        (void)!peer_charge_add(&rpc->answers, loop_settings(rpc->loop), &unary->charge,
                               call_peer_key(unary->call), unary->answer.size, &unary->fault);
}

/* Wire thread. A call that was lost meanwhile ignores the answer. */
static void reply(struct task *task)
{
    struct unary_call *unary = container_of(task, struct unary_call, task);
    struct call *call = unary->call;

    if (!unary->fault.reason && unary->answer.broken)
        fault_set(&unary->fault, FAULT_MEMORY_BUDGET, "", "");
    if (!unary->fault.reason)
        charge_answer(unary);
    if (unary->fault.reason)
        call_finish(call, &unary->fault);
    else
        call_answer(call, &unary->answer);
    call_unhold(call);
}

void rpc_unary_finish(struct unary_call *unary)
{
    unary->task.run = reply;
    cq_post(call_cq(unary->call), &unary->task);
}

/* Loop. */
static bool step(struct peer_work *work)
{
    struct unary_call *unary = container_of(work, struct unary_call, work);

    if (!unary->fault.reason && unary->step(unary))
        return true;
    peer_work_end(work);
    rpc_unary_finish(unary);
    return false;
}

/* Loop. Its steps take turns with those of other calls. */
static enum fault_reason take_turns(struct unary_call *unary)
{
    const struct peer_key peer = call_peer_key(unary->call);
    struct rpc *rpc = unary->rpc;

    if (peer_charge_add(&rpc->answers, loop_settings(rpc->loop), &unary->charge, peer, unary->max_bytes,
                        &unary->fault))
        return unary->fault.reason;
    peer_work_begin(&rpc->unary_turns, &unary->work, peer, step);
    peer_work_wake(&unary->work);
    return FAULT_NONE;
}

/* Loop. */
static void run_on_loop(struct task *task)
{
    struct unary_call *unary = container_of(task, struct unary_call, task);

    unary->method->on_loop(unary);
    if (unary->waits)
        return;
    if (!unary->step || unary->fault.reason || take_turns(unary))
        rpc_unary_finish(unary);
}

static void opened(struct call *call, void *ctx)
{
    const struct unary_method *method = ctx;
    struct unary_call *unary = calloc(1, sizeof(*unary));
    struct fault fault;

    if (!unary) {
        fault_set(&fault, FAULT_MEMORY_BUDGET, "", "");
        call_finish(call, &fault);
        return;
    }
    unary->rpc = method->rpc;
    unary->call = call;
    unary->method = method;
    unary->task.run = run_on_loop;
    call_own(call, unary);
    call_read(call);
}

static void message(struct call *call, struct message *message)
{
    struct unary_call *unary = call_owned(call);
    struct fault fault;

    if (decode_message(message, unary->method->type, &unary->request, &fault)) {
        call_finish(call, &fault);
        return;
    }
    if (unary->method->prepare)
        unary->method->prepare(unary);
    if (unary->fault.reason) {
        call_finish(call, &unary->fault);
        return;
    }
    call_hold(call);
    loop_post(unary->rpc->loop, &unary->task);
}

static void closed(struct call *call, bool ok)
{
    struct unary_call *unary = call_owned(call);

    (void)ok;
    if (!unary)
        return;
    peer_charge_give_back(&unary->rpc->answers, &unary->charge);
    decoded_free(unary->request);
    if (unary->method->discard)
        unary->method->discard(unary->prepared);
    buf_fini(&unary->answer);
    free(unary->state);
    free(unary);
}

/* Only one message is ever asked for, so this half-close came in place of it. */
static void half_closed(struct call *call)
{
    struct fault fault;

    fault_set(&fault, FAULT_NO_MESSAGE, "", "");
    call_finish(call, &fault);
}

const struct call_port rpc_unary_port = {
    .opened = opened, .message = message, .half_closed = half_closed, .closed = closed, .unary = true};
