/* ask.c - a unary question: decoded on its wire thread, answered on the loop, sent on its wire thread.
 *
 * The ask belongs to neither thread but travels: it holds the call, and goes from task to task until the last one frees it. */
#include "server/rpc/ask.h"
#include "server/wire/message.h"

#include <stdlib.h>

static void ask_free(struct ask *ask)
{
    struct call *call = ask->call;

    decoded_free(ask->request);
    buf_fini(&ask->answer);
    free(ask);
    call_drop(call);
}

/* Wire thread. A call that was lost meanwhile ignores what it is given. */
static void say(struct task *task)
{
    struct ask *ask = container_of(task, struct ask, task);

    if (!ask->fault.reason && ask->answer.broken)
        fault_set(&ask->fault, FAULT_MEMORY_BUDGET, "", "");
    if (ask->fault.reason)
        call_finish(ask->call, &ask->fault);
    else
        call_answer(ask->call, &ask->answer);
    ask_free(ask);
}

/* Loop. */
static void think(struct task *task)
{
    struct ask *ask = container_of(task, struct ask, task);

    ask->on_loop(ask);
    ask->task.run = say;
    wire_post(call_thread(ask->call), &ask->task);
}

static void opened(struct call *call, void *ctx)
{
    call_own(call, ctx);
    call_read(call);
}

static void message(struct call *call, struct message *message)
{
    const struct question *question = call_owned(call);
    ProtobufCMessage *request = NULL;
    struct fault fault;
    struct ask *ask;

    if (decode(message_bytes(message), question->type, &request, &fault)) {
        call_finish(call, &fault);
        return;
    }
    ask = calloc(1, sizeof *ask);
    if (!ask) {
        decoded_free(request);
        fault_set(&fault, FAULT_MEMORY_BUDGET, "", "");
        call_finish(call, &fault);
        return;
    }
    ask->rpc = question->rpc;
    ask->call = call;
    ask->request = request;
    ask->on_loop = question->on_loop;
    ask->task.run = think;
    call_hold(call);
    loop_post(ask->rpc->loop, &ask->task);
}

/* The next message is never asked for, so a half-close that is told came in place of the first. */
static void half_closed(struct call *call)
{
    struct fault fault;

    fault_set(&fault, FAULT_NO_MESSAGE, "", "");
    call_finish(call, &fault);
}

const struct call_port ask_port = {.opened = opened, .message = message, .half_closed = half_closed, .unary = true};
