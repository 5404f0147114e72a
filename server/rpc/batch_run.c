/* batch_run.c - Batch.Run: one operation, one answer.
 *
 * The call is held while its operation is in a processor. */
#include <stdlib.h>

#include "server/rpc/batch_read.h"
#include "server/rpc/batch_write.h"
#include "server/rpc/method_table.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/services.h"
#include "server/wire/message.h"

struct run_call {
    struct rpc *rpc;
    struct call *call;
    struct batch_processor *processor; /* NULL: the operation is in none */
    struct processor_operation operation;
    uint8_t *data; /* of the operation */
    struct peer_charge charge;
    struct cq_wake wake;
    struct post_poll_hook answer_hook;
};

static void answer(struct run_call *run)
{
    OWNED(buf_fini) struct buf bytes = {0};

    if (run->operation.reason || run->operation.error) {
        finish_with_error(run->call, &run->operation);
        return;
    }
    write_run_response(&bytes, &run->operation);
    call_answer(run->call, &bytes);
}

static void leave(struct run_call *run)
{
    struct call *call = run->call;

    batch_processor_release(run->processor);
    run->processor = NULL;
    call_unhold(call);
}

static void on_answer(struct post_poll_hook *hook, int64_t now_ns)
{
    struct run_call *run = container_of(hook, struct run_call, answer_hook);

    (void)now_ns;
    batch_processor_lock(run->processor); /* whoever has ended the operation has done so */
    batch_processor_unlock(run->processor);
    answer(run);
    leave(run);
}

static void on_woken(struct cq_wake *wake)
{
    struct run_call *run = container_of(wake, struct run_call, wake);

    cq_add_post_poll_hook(call_cq(run->call), &run->answer_hook);
}

/* Any thread, within the processor's lock. */
static void on_ended(struct processor_operation *operation)
{
    cq_wake_up(&container_of(operation, struct run_call, operation)->wake);
}

static enum fault_reason keep(struct run_call *run, const struct run_request *request, struct fault *fault)
{
    struct bytes id = request->operation_id, data = request->data;

    run->data = malloc(id.size + data.size + 1);
    if (!run->data)
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    if (peer_charge_add(&run->rpc->batch_memory, loop_settings(run->rpc->loop), &run->charge,
                        call_peer_key(run->call), sizeof(*run) + id.size + data.size, fault))
        return fault->reason;
    if (id.size > 0)
        memcpy(run->data, id.data, id.size);
    if (data.size > 0)
        memcpy(run->data + id.size, data.data, data.size);
    run->operation.id = (struct bytes){run->data, id.size};
    run->operation.data = (struct bytes){run->data + id.size, data.size};
    return FAULT_NONE;
}

static enum fault_reason begin(struct run_call *run, struct message *message, struct fault *fault)
{
    struct run_request request;

    if (message_check(message, UINT64_MAX, fault) ||
        run_request_read(message_bytes(message), &request, fault) || keep(run, &request, fault) ||
        batch_processors_find(run->rpc->batches, request.processor, &run->processor, fault))
        return fault->reason;
    run->operation.ended = on_ended;
    call_hold(run->call);
    batch_processor_lock(run->processor);
    enum fault_reason reason = batch_processor_run(run->processor, request.key, &run->operation, fault);

    batch_processor_unlock(run->processor);
    return reason;
}

static void message(struct call *call, struct message *message)
{
    struct run_call *run = call_owned(call);
    struct fault fault;

    if (!begin(run, message, &fault))
        return;
    call_finish(call, &fault);
    if (run->processor)
        leave(run);
}

static void half_closed(struct call *call)
{
    struct fault fault;

    fault_set(&fault, FAULT_NO_MESSAGE, NULL, NULL);
    call_finish(call, &fault);
}

static void freed(struct cq_wake *wake)
{
    struct run_call *run = container_of(wake, struct run_call, wake);

    peer_charge_give_back(&run->rpc->batch_memory, &run->charge);
    processor_operation_fini(&run->operation);
    free(run->data);
    free(run);
}

static void opened(struct call *call, void *ctx)
{
    struct run_call *run = calloc(1, sizeof(*run));
    struct fault fault;

    if (!run) {
        fault_set(&fault, FAULT_MEMORY_BUDGET, NULL, NULL);
        call_finish(call, &fault);
        return;
    }
    run->rpc = ctx;
    run->call = call;
    cq_wake_init(&run->wake, call_cq(call), on_woken, freed);
    list_init(&run->answer_hook.link);
    run->answer_hook.post_poll = on_answer;
    call_own(call, run);
    call_read(call);
}

/* An operation that has started waits for its save. */
static void lost(struct call *call)
{
    struct run_call *run = call_owned(call);
    bool cancelled = false;

    if (!run || !run->processor)
        return;
    batch_processor_lock(run->processor);
    cancelled = batch_processor_cancel(&run->operation);
    batch_processor_unlock(run->processor);
    if (cancelled)
        leave(run);
}

static void closed(struct call *call, bool ok)
{
    struct run_call *run = call_owned(call);

    (void)ok; /* nothing is kept of how it ended */
    if (!run)
        return;
    list_remove(&run->answer_hook.link);
    cq_wake_free(&run->wake);
}

static const struct call_port run_port = {.opened = opened,
                                          .message = message,
                                          .half_closed = half_closed,
                                          .lost = lost,
                                          .closed = closed,
                                          .unary = true};

enum err batch_run_serve(struct rpc *rpc)
{
    return rpc_add_method(rpc, "/tributary.v1.Batch/Run", &run_port, rpc);
}
