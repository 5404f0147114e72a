/* fanin_reflection.c - server reflection, v1 and v1alpha, of what endpoints serve to callers of
 * --fan-in. The catalog says who describes what; the answer is written here.
 *
 *   read a request --> look it up, on the loop --> write the answer --> sent --> read ...
 *
 * One request is handled at a time. It is charged to the peer until its answer is written, and the
 * answer until it has left. Where the call is lost, the lookup is withdrawn. */
#include <stdlib.h>

#include "base/shared_bytes.h"
#include "loop/loop.h"
#include "server/fanin/fanin_internal.h"
#include "reflect/catalog.h"
#include "server/wire/message.h"

/* A request has a name in it, and a host. Names have at most 512 bytes. */
#define MAX_REQUEST_BYTES 2048u

struct reflection_call {
    const struct call_port *port; /* the first: see fanin_port.c */
    struct fanin *fanin;
    struct call *call;
    struct shared_bytes *message; /* of the request at hand; NULL: there is none */
    struct reflection_request request;
    struct catalog_lookup *lookup;  /* NULL while there is no request */
    struct task task;               /* goes to the loop and comes back */
    struct task lost_notice;        /* the same, when the call is lost */
    bool is_looking_up;             /* the loop's: the catalog has the lookup */
    struct peer_charge wait_charge; /* for the request that waits */
    struct peer_charge charge;      /* for the answer that leaves */
    bool is_draining;
};

static void finish(struct reflection_call *reflection, enum fault_reason reason)
{
    struct fault fault;

    fault_set(&fault, reason, "", "");
    call_finish(reflection->call, &fault);
}

static void drop_request(struct reflection_call *reflection)
{
    if (reflection->lookup)
        catalog_lookup_fini(reflection->lookup);
    free(reflection->lookup);
    reflection->lookup = NULL;
    shared_bytes_release(reflection->message);
    reflection->message = NULL;
    peer_charge_give_back(&reflection->fanin->messages, &reflection->wait_charge);
}

/* ---- the answer ---- */

static void write_answer(const struct reflection_call *reflection, struct buf *answer)
{
    const struct reflection_request *request = &reflection->request;
    struct catalog_lookup *lookup = reflection->lookup;

    reflection_write_head(request->host, shared_bytes_view(reflection->message), answer);
    if (request->want == REFLECTION_SERVICES) {
        reflection_write_services(&lookup->services, answer);
        return;
    }
    for (size_t i = 0; i < lookup->schema_count; i++) {
        if (reflection_write_found(schema_descriptors(lookup->schemas[i]), request, answer))
            return;
    }
    if (lookup->failure[0] != '\0')
        reflection_write_error(CODE_UNAVAILABLE, lookup->failure, request->name, answer);
    else
        reflection_write_missing(request, answer);
}

/* Wire thread, back from the loop. */
static void on_answered(struct task *task)
{
    struct reflection_call *reflection = container_of(task, struct reflection_call, task);
    struct fanin *fanin = reflection->fanin;
    struct call *call = reflection->call;
    struct buf answer = {0};
    struct fault fault;

    if (call_alive(call) && reflection->is_draining) {
        finish(reflection, FAULT_DRAINING);
    } else if (call_alive(call)) {
        write_answer(reflection, &answer);
        if (answer.broken)
            finish(reflection, FAULT_MEMORY_BUDGET);
        else if (peer_charge_add(&fanin->answers, loop_settings(fanin->loop), &reflection->charge,
                                 call_peer_key(call), answer.size, &fault))
            call_finish(call, &fault);
        else
            (void)call_send(call, &answer);
        buf_fini(&answer);
    }
    drop_request(reflection);
    call_unhold(call);
}

/* Loop. */
static void answered(struct catalog_lookup *lookup)
{
    struct reflection_call *reflection = lookup->ctx;

    reflection->is_looking_up = false;
    reflection->task.run = on_answered;
    cq_post(call_cq(reflection->call), &reflection->task);
}

/* Loop. */
static void look_up(struct task *task)
{
    struct reflection_call *reflection = container_of(task, struct reflection_call, task);

    reflection->is_looking_up = true;
    catalog_look_up(reflection->fanin->catalog, reflection->lookup);
}

/* ---- the call's port ---- */

static void opened(struct call *call, void *ctx)
{
    struct reflection_call *reflection = calloc(1, sizeof(*reflection));
    struct fault fault;

    if (!reflection) {
        fault_set(&fault, FAULT_MEMORY_BUDGET, "", "");
        call_finish(call, &fault);
        return;
    }
    reflection->port = &fanin_reflection_port;
    reflection->fanin = ctx;
    reflection->call = call;
    call_own(call, reflection);
    call_read(call);
}

static enum fault_reason read_request(struct reflection_call *reflection, struct message *message,
                                      struct fault *fault)
{
    if (message_check(message, MAX_REQUEST_BYTES, fault))
        return fault->reason;
    if (message_bytes(message).size > MAX_REQUEST_BYTES)
        return fault_number(fault, FAULT_BATCH_TOO_LARGE, "message", message_bytes(message).size,
                            "at most 2048 bytes");
    if (peer_charge_add(&reflection->fanin->messages, loop_settings(reflection->fanin->loop),
                        &reflection->wait_charge, call_peer_key(reflection->call),
                        message_bytes(message).size + sizeof(*reflection->lookup), fault))
        return fault->reason;
    reflection->message = shared_bytes_new(message_bytes(message));
    reflection->lookup = calloc(1, sizeof(*reflection->lookup));
    if (!reflection->message || !reflection->lookup)
        return fault_set(fault, FAULT_MEMORY_BUDGET, "message", "");
    return reflection_request_read(shared_bytes_view(reflection->message), &reflection->request, fault);
}

static void message(struct call *call, struct message *message)
{
    struct reflection_call *reflection = call_owned(call);
    struct fault fault;

    if (read_request(reflection, message, &fault)) {
        call_finish(call, &fault);
        return;
    }
    reflection->lookup->request = &reflection->request;
    reflection->lookup->answered = answered;
    reflection->lookup->ctx = reflection;
    call_hold(call);
    reflection->task.run = look_up;
    loop_post(reflection->fanin->loop, &reflection->task);
}

static void on_withdrawn(struct task *task)
{
    call_unhold(container_of(task, struct reflection_call, lost_notice)->call);
}

/* Loop. It comes after look_up(). */
static void withdraw(struct task *task)
{
    struct reflection_call *reflection = container_of(task, struct reflection_call, lost_notice);

    if (reflection->is_looking_up)
        catalog_withdraw(reflection->lookup);
    task->run = on_withdrawn;
    cq_post(call_cq(reflection->call), task);
}

static void lost(struct call *call)
{
    struct reflection_call *reflection = call_owned(call);

    if (!reflection || !reflection->lookup)
        return;
    call_hold(call);
    reflection->lost_notice.run = withdraw;
    loop_post(reflection->fanin->loop, &reflection->lost_notice);
}

static void sent(struct call *call, bool ok)
{
    struct reflection_call *reflection = call_owned(call);

    peer_charge_give_back(&reflection->fanin->answers, &reflection->charge);
    if (reflection->is_draining)
        finish(reflection, FAULT_DRAINING);
    else if (ok)
        call_read(call);
}

/* No answer is being sent: the half-close comes in place of a message, and one is asked for only
 * after the previous answer was sent. */
static void half_closed(struct call *call)
{
    call_finish(call, NULL);
}

static void draining(struct call *call)
{
    struct reflection_call *reflection = call_owned(call);

    reflection->is_draining = true;
    if (!reflection->lookup && !reflection->charge.count)
        finish(reflection, FAULT_DRAINING);
}

static void closed(struct call *call, bool ok)
{
    struct reflection_call *reflection = call_owned(call);

    (void)ok;
    peer_charge_give_back(&reflection->fanin->answers, &reflection->charge);
    drop_request(reflection);
    free(reflection);
}

const struct call_port fanin_reflection_port = {.opened = opened,
                                                .message = message,
                                                .half_closed = half_closed,
                                                .sent = sent,
                                                .lost = lost,
                                                .draining = draining,
                                                .closed = closed};
