/* cascade_life.c - the messages of a cascade, and what they wait for. See cascade.h. */
#include <stdlib.h>

#include "base/clock.h"
#include "event/chunk.h"
#include "grpc/slices.h"
#include "loop/loop.h"
#include "proto/field_numbers.h"
#include "route/offer.h"
#include "server/dial/cascade_internal.h"

/* ---- what a message waits for ---- */

/* Loop. */
static void on_order(struct task *task)
{
    struct cascade *cascade = container_of(task, struct cascade, order_task);
    struct cascade_order *order = &cascade->order;
    const struct source_state state = {order->state.state, order->state.code, order->state.message};
    struct relayed *relayed = NULL;
    struct fault fault;

    if (order->kind == ORDER_OPEN) {
        order->reason = relays_open(cascade->relays, order->source.name, order->source.epoch, cascade->call,
                                    &relayed, &fault);
        relayed_release(relayed);
    } else {
        relayed_report(order->relayed, cascade->call, &state);
    }
    cq_post(cascade->plan->thread->cq, &cascade->ordered_task);
}

static void on_ordered(struct task *task)
{
    struct cascade *cascade = container_of(task, struct cascade, ordered_task);

    relayed_release(cascade->order.relayed);
    cascade->order.relayed = NULL;
    cascade->ready(cascade->ctx);
}

static enum cascade_step wait_for_order(struct cascade *cascade)
{
    loop_post(cascade->plan->loop, &cascade->order_task);
    return CASCADE_WAITS;
}

enum cascade_step cascade_order_open(struct cascade *cascade, const struct inner_name *source)
{
    cascade->order = (struct cascade_order){.kind = ORDER_OPEN, .source = *source};
    return wait_for_order(cascade);
}

enum cascade_step cascade_order_report(struct cascade *cascade, struct relayed *relayed,
                                       const struct inner_state *state)
{
    relayed_mark(relayed)->call = cascade->call;
    cascade->order = (struct cascade_order){.kind = ORDER_REPORT, .relayed = relayed, .state = *state};
    return wait_for_order(cascade);
}

static void on_unblocked(struct task *task)
{
    struct cascade *cascade = container_of(task, struct cascade, unblocked_task);

    inlet_unblocked(relayed_inlet(cascade->blocked));
    relayed_release(cascade->blocked);
    cascade->blocked = NULL;
    cascade->ready(cascade->ctx);
}

/* Any thread. */
static void on_put_done(struct put_waiter *waiter)
{
    struct cascade *cascade = container_of(waiter, struct cascade, waiter);

    cq_post(cascade->plan->thread->cq, &cascade->unblocked_task);
}

/* ---- messages ---- */

static uint32_t pass_of(uint32_t number)
{
    switch (number) {
    case PB_EVENT_BATCH_LOST:
        return PASS_LOSSES;
    case PB_EVENT_BATCH_RUNS:
        return PASS_RUNS;
    case PB_EVENT_BATCH_PRODUCERS:
        return PASS_STATES;
    case PB_EVENT_BATCH_PROGRESS:
    case PB_EVENT_BATCH_CLOSING:
        return PASS_PROGRESS;
    default:
        return PASS_COUNT;
    }
}

/* The whole message is looked at before a part of it is taken. */
static enum fault_reason check(struct cascade *cascade, struct fault *fault)
{
    struct field_reader reader = field_reader_of(cascade->bytes);
    struct bytes token = {NULL, 0};

    while (reader.next < reader.end) {
        struct field field = {0};

        if (!field_next(&reader, &field))
            return fault_set(fault, FAULT_MALFORMED, "message", "an EventBatch");
        const bool is_started = field.number == PB_EVENT_BATCH_STARTED;
        if ((is_started || pass_of(field.number) < PASS_COUNT) && field.type != WIRE_LEN)
            return fault_set(fault, FAULT_WRONG_WIRE_TYPE, "message", "an EventBatch");
        if (is_started && !cascade_read_field(field.bytes, PB_STARTED_RESUME_TOKEN, &token))
            return fault_set(fault, FAULT_MALFORMED, "message.started", "");
    }
    cascade_set_token(cascade, token);
    return FAULT_NONE;
}

/* The next part of this pass, or of a later one. The message is well-formed. False: that was
 * all. */
static bool next_item(struct cascade *cascade)
{
    while (cascade->pass < PASS_COUNT) {
        while (cascade->reader.next < cascade->reader.end) {
            struct field field = {0};

            CHECK(field_next(&cascade->reader, &field));
            if (pass_of(field.number) != (uint32_t)cascade->pass)
                continue;
            cascade->item = field.bytes;
            cascade->item_number = field.number;
            return true;
        }
        cascade->pass++;
        cascade->reader = field_reader_of(cascade->bytes);
    }
    return false;
}

void cascade_drop(struct cascade *cascade)
{
    if (!cascade->message)
        return;
    if (cascade->is_copied)
        grpc_slice_unref(cascade->copy);
    grpc_byte_buffer_destroy(cascade->message);
    cascade->message = NULL;
    cascade->item_number = 0;
    cascade->order.kind = ORDER_NONE;
}

enum cascade_step cascade_go_on(struct cascade *cascade, struct fault *fault)
{
    enum cascade_step step = CASCADE_DONE;

    while (step == CASCADE_DONE && cascade->message) {
        if (cascade->item_number == 0 && !next_item(cascade)) {
            cascade_drop(cascade);
            break;
        }
        step = cascade_item(cascade, fault);
        if (step != CASCADE_DONE)
            break;
        cascade->item_number = 0;
        cascade->order.kind = ORDER_NONE;
    }
    if (step == CASCADE_REFUSED)
        cascade_drop(cascade);
    return step;
}

enum cascade_step cascade_begin(struct cascade *cascade, grpc_byte_buffer **message, struct fault *fault)
{
    CHECK(!cascade->message);
    cascade->got_message = true;
    cascade->bytes = message_whole(*message, &cascade->copy, &cascade->is_copied);
    cascade->message = *message;
    *message = NULL;
    cascade->pass = PASS_LOSSES;
    cascade->reader = field_reader_of(cascade->bytes);
    if (check(cascade, fault)) {
        cascade_drop(cascade);
        return CASCADE_REFUSED;
    }
    return cascade_go_on(cascade, fault);
}

void cascade_hurry(struct cascade *cascade)
{
    cascade->hurries = true;
    if (cascade->blocked)
        inlet_give_up(relayed_inlet(cascade->blocked), &cascade->waiter);
}

/* ---- calls ---- */

void cascade_open(struct cascade *cascade, void (*ready)(void *ctx), void *ctx)
{
    CHECK(!cascade->message);
    cascade->call++;
    cascade->ready = ready;
    cascade->ctx = ctx;
    cascade->hurries = false;
    cascade->resumes = cascade_can_resume(cascade);
    cascade->got_message = false;
}

/* A token that the upstream does not take is of no use. */
void cascade_ended(struct cascade *cascade, const struct source_state *state)
{
    const bool is_refused = cascade->resumes && !cascade->got_message && state->code == CODE_INVALID_ARGUMENT;

    if (is_refused)
        buf_clear(&cascade->token);
    if (cascade->call > 0)
        relays_down(cascade->relays, cascade->call, state, is_refused || !cascade_can_resume(cascade));
}

/* ---- making and freeing ---- */

struct cascade *cascade_new(const struct upstream_plan *plan, struct relays *relays)
{
    struct cascade *cascade = calloc(1, sizeof(*cascade));

    if (!cascade)
        return NULL;
    cascade->plan = plan;
    cascade->relays = relays;
    cascade->token_number = 1;
    cascade->order_task.run = on_order;
    cascade->ordered_task.run = on_ordered;
    cascade->unblocked_task.run = on_unblocked;
    cascade->waiter.over = on_put_done;
    return cascade;
}

void cascade_free(struct cascade *cascade)
{
    if (!cascade)
        return;
    CHECK(!cascade->message && !cascade->blocked);
    buf_fini(&cascade->token);
    source_release(cascade->origin);
    buf_fini(&cascade->origin_inner);
    free(cascade);
}

void cascade_set_session(struct cascade *cascade, struct session *session)
{
    cascade->session = session;
}
