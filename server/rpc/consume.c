/* consume.c - Subscriber.Consume: the same stream, steered from within.
 *
 *   first message: init --> live --> steps, one after another --> half-close: drain
 *
 *   steps: credit | select | drain | ack, nack, extend (refused: live topics know none)
 *
 * One step is read at a time. A step that needs the loop (select, drain) holds the call, and the
 * next one is read when it is back: after selected(), where the hub accepts a select. A step that
 * cannot be followed is answered in the stream. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "event/field_write.h"
#include "event/filter.h"
#include "hub/subscription.h"
#include "hub/subscription_port.h"
#include "proto/field_numbers.h"
#include "server/rpc/decode.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/method_table.h"
#include "server/rpc/services.h"
#include "server/rpc/subscriber.h"
#include "tributary/v1/subscriber.pb-c.h"

/* Answers that may wait for a consumer that does not read. Beyond that its steps are not read. */
#define MAX_BACKLOG_BYTES (64u * 1024u)

static const struct duration_rule drain_step_rule = {.field = "drain.deadline",
                                                     .default_ns = DEFAULT_DRAIN_NS,
                                                     .min_ns = NS_PER_MS,
                                                     .max_ns = MAX_DRAIN_NS,
                                                     .zero = true};

struct consume {
    struct subscriber subscriber;
    uint64_t steps; /* messages received */
    bool reading, half_closed;
    bool on_loop; /* `task` is at the loop, which owns the fields below */
    struct task task;
    struct filter *filter; /* the new selectors; NULL: the hub has them */
    int64_t drain_ns;
    enum fault_reason refused_for; /* why the new selectors do not count; NONE: they do */
    struct fault *refused;         /* the same in full; NULL: also without memory for it */
};

typedef void step(struct consume *consume, const Tributary__V1__ConsumeRequest *request);

static struct consume *consume_of(struct call *call)
{
    return container_of((struct subscriber *)call_owned(call), struct consume, subscriber);
}

static void read_next(struct consume *consume)
{
    const struct subscriber *subscriber = &consume->subscriber;

    if (consume->reading || consume->on_loop || consume->half_closed || !call_alive(subscriber->call))
        return;
    if (subscriber->sender && sender_backlog(subscriber->sender) > MAX_BACKLOG_BYTES)
        return;
    consume->reading = true;
    call_read(subscriber->call);
}

/* Answers the current step with an AckResult. */
static void answer(struct consume *consume, const struct fault *fault)
{
    OWNED(buf_fini) struct buf body = {0};
    OWNED(buf_fini) struct buf block = {0};
    char text[600];
    size_t length = fault_message(fault, text, sizeof(text));

    field_varint(&body, PB_ACK_RESULT_REQUEST, consume->steps);
    field_varint(&body, PB_ACK_RESULT_CODE, fault_code(fault->reason));
    field_bytes(&body, PB_ACK_RESULT_MESSAGE, (struct bytes){(const uint8_t *)text, length});
    field_text(&body, PB_ACK_RESULT_REASON, fault_reason_name(fault->reason));
    field_message(&block, PB_EVENT_BATCH_ACK_RESULTS, &body);
    sender_add_note(consume->subscriber.sender, &block);
}

static void on_returned(struct task *task)
{
    struct consume *consume = container_of(task, struct consume, task);
    struct call *call = consume->subscriber.call;
    const struct fault in_short = {.reason = consume->refused_for, .field = "select"};

    consume->on_loop = false;
    if (consume->refused_for != FAULT_NONE && call_alive(call))
        answer(consume, consume->refused ? consume->refused : &in_short);
    consume->refused_for = FAULT_NONE;
    free(consume->refused);
    consume->refused = NULL;
    read_next(consume);
    call_unhold(call);
}

static void return_from_loop(struct consume *consume)
{
    consume->task.run = on_returned;
    cq_post(call_cq(consume->subscriber.call), &consume->task);
}

/* Loop. The port's selected(). */
static void on_selected(struct subscriber *subscriber, enum fault_reason reason)
{
    struct consume *consume = container_of(subscriber, struct consume, subscriber);

    consume->refused_for = reason;
    return_from_loop(consume);
}

/* Loop. The subscription still lives: the task that ends it is posted after this one. Where the hub
 * accepts the filter, on_selected() may have come before it says so. */
static void select_on_loop(struct task *task)
{
    struct consume *consume = container_of(task, struct consume, task);
    struct filter *filter = consume->filter;
    struct fault fault;

    consume->filter = NULL;
    if (hub_select(consume->subscriber.subscription, filter, &fault) > 0)
        return;
    filter_free(filter);
    consume->refused_for = fault.reason;
    if ((consume->refused = malloc(sizeof(fault))))
        *consume->refused = fault;
    return_from_loop(consume);
}

/* Loop. */
static void drain_on_loop(struct task *task)
{
    struct consume *consume = container_of(task, struct consume, task);
    const char *id = consume->subscriber.result.id;
    struct fault unused;

    if (hub_finish(consume->subscriber.rpc->hub, (struct bytes){(const uint8_t *)id, strlen(id)},
                   CLOSING_FINISHED, consume->drain_ns, &unused))
        unused.reason = FAULT_NONE; /* the subscription has ended meanwhile */
    return_from_loop(consume);
}

static void run_on_loop(struct consume *consume, void (*run)(struct task *task))
{
    if (consume->subscriber.state != SUBSCRIBER_LIVE)
        return;
    consume->on_loop = true;
    call_hold(consume->subscriber.call);
    consume->task.run = run;
    loop_post(consume->subscriber.rpc->loop, &consume->task);
}

/* Only the first message may carry init. */
static void step_init(struct consume *consume, const Tributary__V1__ConsumeRequest *request)
{
    struct fault fault;

    (void)request;
    fault_set(&fault, FAULT_NO_INIT, "", "");
    answer(consume, &fault);
}

static void step_credit(struct consume *consume, const Tributary__V1__ConsumeRequest *request)
{
    sender_credit(consume->subscriber.sender, request->credit->events, request->credit->bytes);
}

/* Live topics know no acknowledgement. */
static void step_ack(struct consume *consume, const Tributary__V1__ConsumeRequest *request)
{
    struct fault fault;

    (void)request;
    fault_set(&fault, FAULT_NOT_DURABLE, "", "");
    answer(consume, &fault);
}

static void step_select(struct consume *consume, const Tributary__V1__ConsumeRequest *request)
{
    struct fault fault;

    if (select_read(&request->select->base, &consume->filter, &fault)) {
        fault_within(&fault, "select.");
        answer(consume, &fault);
    } else {
        run_on_loop(consume, select_on_loop);
    }
}

static void step_drain(struct consume *consume, const Tributary__V1__ConsumeRequest *request)
{
    const ProtobufCMessage *deadline = request->drain->deadline ? &request->drain->deadline->base : NULL;
    struct fault fault;

    if (decode_duration(deadline, &drain_step_rule, &consume->drain_ns, &fault))
        answer(consume, &fault);
    else
        run_on_loop(consume, drain_on_loop);
}

static step *const steps[] = {
    [TRIBUTARY__V1__CONSUME_REQUEST__STEP_INIT] = step_init,
    [TRIBUTARY__V1__CONSUME_REQUEST__STEP_CREDIT] = step_credit,
    [TRIBUTARY__V1__CONSUME_REQUEST__STEP_ACK] = step_ack,
    [TRIBUTARY__V1__CONSUME_REQUEST__STEP_NACK] = step_ack,
    [TRIBUTARY__V1__CONSUME_REQUEST__STEP_EXTEND] = step_ack,
    [TRIBUTARY__V1__CONSUME_REQUEST__STEP_SELECT] = step_select,
    [TRIBUTARY__V1__CONSUME_REQUEST__STEP_DRAIN] = step_drain,
};

static void on_live(struct subscriber *subscriber)
{
    read_next(container_of(subscriber, struct consume, subscriber));
}

/* The first message. Takes over `request`. */
static void begin(struct consume *consume, Tributary__V1__ConsumeRequest *request)
{
    struct fault fault;

    if (request->step_case == TRIBUTARY__V1__CONSUME_REQUEST__STEP_INIT) {
        subscriber_begin(&consume->subscriber, &request->init->base, &request->base);
        return;
    }
    decoded_free(&request->base);
    fault_set(&fault, FAULT_NO_INIT, "init", "");
    subscriber_refuse(&consume->subscriber, &fault);
}

static void message(struct call *call, struct message *message)
{
    struct consume *consume = consume_of(call);
    ProtobufCMessage *decoded;
    struct fault fault;

    consume->reading = false;
    consume->steps++;
    if (decode_message(message, &tributary__v1__consume_request__descriptor, &decoded, &fault)) {
        subscriber_refuse(&consume->subscriber, &fault);
        return;
    }
    Tributary__V1__ConsumeRequest *request = (Tributary__V1__ConsumeRequest *)(void *)decoded;
    if (consume->steps == 1) {
        begin(consume, request);
        return;
    }
    if ((size_t)request->step_case < ARRAY_LEN(steps) && steps[request->step_case])
        steps[request->step_case](consume, request);
    decoded_free(decoded);
    read_next(consume);
}

static void half_closed(struct call *call)
{
    struct consume *consume = consume_of(call);
    struct fault fault;

    consume->reading = false;
    consume->half_closed = true;
    if (consume->steps == 0) {
        fault_set(&fault, FAULT_NO_MESSAGE, "", "");
        subscriber_refuse(&consume->subscriber, &fault);
        return;
    }
    consume->drain_ns = DEFAULT_DRAIN_NS;
    run_on_loop(consume, drain_on_loop);
    if (consume->subscriber.sender)
        sender_end_credit(consume->subscriber.sender);
}

static void opened(struct call *call, void *ctx)
{
    struct consume *consume = calloc(1, sizeof(*consume));
    struct fault fault;

    if (!consume) {
        fault_set(&fault, FAULT_MEMORY_BUDGET, "", "");
        call_finish(call, &fault);
        return;
    }
    consume->subscriber.rpc = ctx;
    consume->subscriber.call = call;
    consume->subscriber.on_live = on_live;
    consume->subscriber.on_selected = on_selected;
    consume->subscriber.field_prefix = "init.";
    call_own(call, &consume->subscriber);
    read_next(consume);
}

static void sent(struct call *call, bool ok)
{
    struct consume *consume = consume_of(call);

    subscriber_sent(&consume->subscriber, ok);
    if (consume->subscriber.state == SUBSCRIBER_LIVE)
        read_next(consume);
}

static void lost(struct call *call)
{
    if (call_owned(call))
        subscriber_lost(call_owned(call));
}

static void closed(struct call *call, bool ok)
{
    (void)ok;
    if (!call_owned(call))
        return;
    struct consume *consume = consume_of(call);
    subscriber_fini(&consume->subscriber);
    filter_free(consume->filter);
    free(consume);
}

static const struct call_port consume_port = {.leads_to_calls = true,
                                              .opened = opened,
                                              .message = message,
                                              .half_closed = half_closed,
                                              .sent = sent,
                                              .lost = lost,
                                              .closed = closed};

enum err consume_serve(struct rpc *rpc)
{
    return rpc_add_method(rpc, "/tributary.v1.Subscriber/Consume", &consume_port, rpc);
}
