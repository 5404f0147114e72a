/* register.c - Publisher.Register: a producer session on one call.
 *
 *   HELLO --hello--> REGISTERING --registered--> LIVE --ending--> LEAVING --unregistered--> GONE
 *      \--refused, lost----\--refused--------------------------------------------------------^
 *
 * What ends LIVE: the half-close, a lost call, a refused message, or an abort by the hub.
 *
 * One message is handled at a time: its events are offered, then its `end` is carried to the loop,
 * then the message is confirmed and the next one is read. In mode SHARED the call waits where a
 * channel blocks. In mode PER_CONSUMER it never waits: it carries other consumers' events too. */
#include <stdlib.h>

#include "base/counters.h"
#include "base/fsm.h"
#include "proto/field_numbers.h"
#include "server/rpc/decode.h"
#include "server/rpc/register_internal.h"
#include "server/rpc/register_request.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/method_table.h"
#include "server/rpc/services.h"
#include "server/wire/message.h"
#include "tributary/v1/publisher.pb-c.h"

static const struct fsm machine = {
    .name = "registration",
    .states = {[HELLO] = {"HELLO", BIT(REGISTERING) | BIT(GONE)},
               [REGISTERING] = {"REGISTERING", BIT(LIVE) | BIT(GONE)},
               [LIVE] = {"LIVE", BIT(LEAVING)},
               [LEAVING] = {"LEAVING", BIT(GONE)},
               [GONE] = {"GONE", 0}},
};

static void on_left(struct task *task)
{
    struct registration *registration = container_of(task, struct registration, task);

    fsm_move(&machine, registration, GONE);
    call_unhold(registration->call);
}

/* Loop. */
static void unregister(struct task *task)
{
    struct registration *registration = container_of(task, struct registration, task);

    hub_unregister(registration->session, registration->reason);
    registration->task.run = on_left;
    cq_post(call_cq(registration->call), &registration->task);
}

static void leave_when_idle(struct registration *registration)
{
    if (registration->state != LIVE || !registration->ending || registration->on_loop)
        return;
    fsm_move(&machine, registration, LEAVING);
    if (!registration->half_closed && !registration->aborted)
        commands_stop(&registration->commands);
    call_hold(registration->call);
    registration->task.run = unregister;
    loop_post(registration->rpc->loop, &registration->task);
}

static void begin_end(struct registration *registration, enum fault_reason reason)
{
    if (!registration->ending)
        registration->reason = reason;
    registration->ending = true;
    if (registration->state == HELLO) /* the hub does not know it */
        fsm_move(&machine, registration, GONE);
    if (registration->offering && registration->state == LIVE)
        session_give_up(registration->session, 0, &registration->waiter);
    session_store_give_up(registration->store);
    leave_when_idle(registration);
}

/* After a half-close: the last message is confirmed first, then OK ends the call. */
static void finish_when_sent(struct registration *registration)
{
    if (!registration->half_closed || !session_store_is_empty(registration->store) ||
        !commands_all_sent(&registration->commands))
        return;
    commands_stop(&registration->commands);
    call_finish(registration->call, NULL);
}

static void refuse(struct registration *registration, const struct fault *fault)
{
    count_add(COUNT_REFUSED_BATCHES, 1);
    call_finish(registration->call, fault);
    begin_end(registration, fault->reason);
}

/* Reads the next message, once the one before is done. So a blocked session is not read. */
static void read_next(struct registration *registration)
{
    if (!registration_may_read(registration))
        return;
    registration->reading = true;
    call_read(registration->call);
}

static void go_on(struct registration *registration)
{
    if (registration->half_closed && !registration_is_occupied(registration) &&
        session_store_is_empty(registration->store)) {
        begin_end(registration, FAULT_NONE);
        finish_when_sent(registration);
    } else {
        read_next(registration);
    }
}

/* Confirms the current message and reads the next one. */
static void finish_message(struct registration *registration)
{
    decoded_free(registration->end);
    registration->end = NULL;
    registration->handled++;
    commands_confirm(&registration->commands, registration->handled);
    go_on(registration);
}

static void on_ended(struct task *task)
{
    struct registration *registration = container_of(task, struct registration, task);
    struct call *call = registration->call;

    registration->on_loop = false;
    finish_message(registration);
    leave_when_idle(registration);
    call_unhold(call);
}

/* Loop. */
static void end_on_loop(struct task *task)
{
    struct registration *registration = container_of(task, struct registration, task);
    const Tributary__V1__RegisterRequest__End *end =
        (const Tributary__V1__RegisterRequest__End *)(const void *)registration->end;

    session_end(registration->session, end->activation, (uint32_t)end->code, end->message,
                SESSION_END_BY_CODE);
    registration->task.run = on_ended;
    cq_post(call_cq(registration->call), &registration->task);
}

/* The events of the current message are in the hub. What is left is its `end`. */
static void finish_offer(struct registration *registration)
{
    if (!registration->end || registration->state != LIVE) {
        finish_message(registration);
        return;
    }
    registration->on_loop = true;
    call_hold(registration->call);
    registration->task.run = end_on_loop;
    loop_post(registration->rpc->loop, &registration->task);
}

/* Of a message that was stored, or of the current one. */
static void finish_some_offer(struct registration *registration)
{
    const bool is_stored = registration->offering_stored;

    registration->offering_stored = false;
    if (is_stored)
        session_store_offered(registration->store, true);
    else
        finish_offer(registration);
}

static void on_unblocked(struct task *task)
{
    struct registration *registration = container_of(task, struct registration, unblocked_task);
    struct call *call = registration->call;

    registration->offering = false;
    session_unblocked(registration->session, 0);
    finish_some_offer(registration);
    call_unhold(call);
}

static void on_put_done(struct put_waiter *waiter)
{
    struct registration *registration = container_of(waiter, struct registration, waiter);

    cq_post(call_cq(registration->call), &registration->unblocked_task);
}

static bool offer_chunk(struct registration *registration, uint64_t activation, struct chunk *chunk,
                        enum err *err_out)
{
    struct offer unused;

    registration->offering = true;
    *err_out = session_offer(registration->session, activation, chunk,
                             activation == 0 ? &registration->waiter : NULL, &unused);
    registration->offering = *err_out == ERR_AGAIN;
    return !registration->offering;
}

static void offer(struct registration *registration, uint64_t activation, struct chunk *chunk)
{
    struct fault fault;
    enum err err;

    call_hold(registration->call);
    const bool is_over = offer_chunk(registration, activation, chunk, &err);
    if (err == ERR_OK || err == ERR_AGAIN)
        count_add(COUNT_MESSAGES_IN, 1);
    if (!is_over)
        return;
    if (err == ERR_NOT_FOUND || err == ERR_INVALID) {
        fault_number(&fault, FAULT_ACTIVATION_UNKNOWN, "activation", activation,
                     "0 for a shared session, else one that was started");
        refuse(registration, &fault);
    } else {
        finish_offer(registration);
    }
    call_unhold(registration->call);
}

static void handle_live(struct registration *registration, uint64_t activation,
                        const struct scanned_message *scanned)
{
    OWNED(chunk_release) struct chunk *chunk = NULL;
    struct fault fault;

    if (scanned->scan->count > 0 && chunk_of_message(scanned->message, scanned->scan, &chunk, &fault))
        refuse(registration, &fault);
    else if (chunk)
        offer(registration, activation, chunk);
    else
        finish_offer(registration);
}

static const struct registration_port registration_port = {handle_live, offer_chunk, go_on};

static void handle_message(struct registration *registration, struct message *message,
                           struct framing_scan *scan)
{
    struct register_request request = {0};
    struct fault fault;
    struct scanned_message scanned = {.message = message, .scan = scan};

    if (register_request_read(scan, &request, &fault)) {
        refuse(registration, &fault);
        return;
    }
    registration->end = request.end;
    if (request.activation > 0 || !registration_stores(registration, scan))
        handle_live(registration, request.activation, &scanned);
    else if (registration_store(registration, &scanned, &fault))
        refuse(registration, &fault);
}

/* Wire thread, back from the loop. */
static void on_registered(struct task *task)
{
    struct registration *registration = container_of(task, struct registration, task);
    struct call *call = registration->call;

    hello_fini(&registration->hello);
    if (!registration->session) {
        fsm_move(&machine, registration, GONE);
        call_finish(call, &registration->refusal);
    } else {
        fsm_move(&machine, registration, LIVE);
        if (registration->ending || !call_alive(call))
            begin_end(registration, call_end_reason(call));
        else if (registration->welcomed)
            finish_message(registration);
    }
    call_unhold(call);
}

static void on_welcomed(struct task *task)
{
    struct registration *registration = container_of(task, struct registration, welcome_task);

    registration->welcomed = true;
    if (registration->state == LIVE)
        finish_message(registration); /* the hello; nothing was read after it */
}

/* The session port: on the loop. */
static void on_abort(struct task *task)
{
    struct registration *registration = container_of(task, struct registration, abort_task);

    registration->aborted = true;
    commands_finish(&registration->commands, &registration->abort_fault);
    begin_end(registration, registration->abort_fault.reason);
}

static void abort_call(void *ctx, const struct fault *fault)
{
    struct registration *registration = ctx;

    registration->abort_fault = *fault;
    cq_post(call_cq(registration->call), &registration->abort_task);
}

static const struct session_port session_port = {.welcome = registration_welcome,
                                                 .start = registration_start,
                                                 .stop = registration_stop,
                                                 .set_paused = registration_set_paused,
                                                 .closing = registration_closing,
                                                 .abort_call = abort_call};

/* Loop. */
static void register_on_loop(struct task *task)
{
    struct registration *registration = container_of(task, struct registration, task);

    if (hub_register(registration->rpc->hub, &registration->hello.params, &registration->session,
                     &registration->refusal))
        registration->session = NULL;
    registration->task.run = on_registered;
    cq_post(call_cq(registration->call), &registration->task);
}

static void handle_hello(struct registration *registration, const struct framing_scan *scan)
{
    const struct framing_field *hello = &scan->fields[PB_REGISTER_REQUEST_HELLO];
    const bool is_hello = hello->present && hello->type == WIRE_LEN && scan->count == 0;
    struct fault fault;

    if (!is_hello)
        fault_set(&fault, FAULT_NO_HELLO, scan->count > 0 ? "events" : "hello",
                  scan->count > 0 ? "events come after it" : "");
    if (!is_hello || hello_read(hello->bytes, &registration->hello, &fault)) {
        refuse(registration, &fault);
        return;
    }
    registration->hello.params.peer = call_peer(registration->call);
    registration->hello.params.peer_key = call_peer_key(registration->call);
    registration->hello.params.port = &session_port;
    registration->hello.params.ctx = registration;
    commands_beat(&registration->commands, registration->hello.heartbeat_ns);
    if (registration->hello.params.mode == SESSION_SHARED)
        registration->name = source_new(registration->hello.params.name, 0);
    fsm_move(&machine, registration, REGISTERING);
    call_hold(registration->call);
    registration->task.run = register_on_loop;
    loop_post(registration->rpc->loop, &registration->task);
}

static void message(struct call *call, struct message *message)
{
    struct registration *registration = call_owned(call);
    const struct framing_limits *limits = &loop_settings(registration->rpc->loop)->framing;
    struct framing_scan *scan = wire_scan(call_thread(call));
    struct fault fault;

    registration->reading = false;
    if (registration->ending)
        return;
    if (message_check(message, limits->max_batch_bytes, &fault) ||
        framing_scan(scan, message_bytes(message), limits, &fault))
        refuse(registration, &fault);
    else if (registration->state == HELLO)
        handle_hello(registration, scan);
    else if (registration->state == LIVE)
        handle_message(registration, message, scan);
}

static void half_closed(struct call *call)
{
    struct registration *registration = call_owned(call);
    struct fault fault;

    registration->reading = false;
    if (registration->state == HELLO) {
        fault_set(&fault, FAULT_NO_HELLO, "hello", "");
        call_finish(call, &fault);
    }
    registration->half_closed = !registration->ending;
    go_on(registration);
}

static void opened(struct call *call, void *ctx)
{
    struct registration *registration = calloc(1, sizeof(*registration));
    struct fault fault;

    if (!registration) {
        fault_set(&fault, FAULT_MEMORY_BUDGET, "", "");
        call_finish(call, &fault);
        return;
    }
    registration->port = &registration_port;
    registration->rpc = ctx;
    registration->call = call;
    registration->waiter.over = on_put_done;
    registration->unblocked_task.run = on_unblocked;
    registration->welcome_task.run = on_welcomed;
    registration->abort_task.run = on_abort;
    commands_init(&registration->commands, call, loop_settings(registration->rpc->loop)->write_timeout_ns);
    call_own(call, registration);
    read_next(registration);
}

static void sent(struct call *call, bool ok)
{
    struct registration *registration = call_owned(call);

    commands_sent(&registration->commands, ok);
    finish_when_sent(registration);
    if (registration->store) /* refusals may have left */
        read_next(registration);
}

static void lost(struct call *call)
{
    struct registration *registration = call_owned(call);

    if (!registration)
        return;
    commands_stop(&registration->commands);
    begin_end(registration, call_end_reason(call));
}

static void closed(struct call *call, bool ok)
{
    struct registration *registration = call_owned(call);

    (void)ok;
    if (!registration)
        return;
    commands_fini(&registration->commands);
    hello_fini(&registration->hello);
    decoded_free(registration->end);
    session_store_free(registration->store);
    source_release(registration->name);
    free(registration);
}

static const struct call_port register_port = {.opened = opened,
                                               .message = message,
                                               .half_closed = half_closed,
                                               .sent = sent,
                                               .lost = lost,
                                               .closed = closed};

enum err register_serve(struct rpc *rpc)
{
    return rpc_add_method(rpc, "/tributary.v1.Publisher/Register", &register_port, rpc);
}
