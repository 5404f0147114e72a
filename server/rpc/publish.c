/* publish.c - Publisher.Publish: one batch, one answer. */
#include <stdlib.h>

#include "base/clock.h"
#include "event/field_write.h"
#include "proto/field_numbers.h"
#include "server/rpc/held_message.h"
#include "server/rpc/intake.h"
#include "server/rpc/method_table.h"
#include "server/rpc/services.h"

/* A blocked call gives up this long before its deadline, so that its answer still arrives. */
#define BEFORE_DEADLINE_NS (5 * NS_PER_MS)

struct publish {
    struct intake intake;
    struct held_message held; /* while a topic, or the producer, is made */
    struct cq_timer deadline;
};

/* Writes PublishResponse. Without a batch nothing was stored. */
static void answer(struct publish *publish, const struct stored_batch *batch)
{
    static const struct offer nothing;
    const struct offer *offer = batch && !batch->is_offered ? &nothing : &publish->intake.offer;
    struct buf bytes = {0};

    field_fixed64(&bytes, PB_PUBLISH_RESPONSE_FIRST_SEQUENCE, offer->first_sequence);
    field_fixed64(&bytes, PB_PUBLISH_RESPONSE_LAST_SEQUENCE, offer->last_sequence);
    field_varint(&bytes, PB_PUBLISH_RESPONSE_MATCHED_SUBSCRIPTIONS, offer->matched);
    field_fixed64(&bytes, PB_PUBLISH_RESPONSE_EPOCH, offer->epoch);
    if (batch) {
        struct stored_pipeline *pipeline = publish->intake.pipeline;

        stored_ranges_write(&pipeline->ranges, PB_PUBLISH_RESPONSE_RANGES, &bytes);
        field_varint(&bytes, PB_PUBLISH_RESPONSE_DUPLICATES, pipeline->duplicates);
    }
    call_answer(publish->intake.call, &bytes);
    buf_fini(&bytes);
}

static void finish(struct publish *publish, const struct stored_batch *batch, enum fault_reason reason)
{
    cq_timer_stop(call_cq(publish->intake.call), &publish->deadline);
    if (reason)
        call_finish(publish->intake.call, &publish->intake.fault);
    else
        answer(publish, batch);
}

static void on_intake_done(struct intake *intake, enum fault_reason reason)
{
    finish(container_of(intake, struct publish, intake), NULL, reason);
}

static void on_stored(struct intake *intake, const struct stored_batch *batch, enum fault_reason reason)
{
    finish(container_of(intake, struct publish, intake), batch, reason);
}

static void on_moved(struct intake *intake)
{
    (void)intake; /* it was the only batch */
}

static void handle(struct publish *publish, struct scanned_message *scanned)
{
    struct intake *intake = &publish->intake;

    if (intake_may_store(intake, scanned)) {
        struct stored_plan plan;

        switch (intake_sort(intake, scanned, &plan)) {
        case INTAKE_WAITS:
            held_message_keep(&publish->held, scanned, &intake->fault);
            return;
        case INTAKE_STORED:
            scanned->reason = intake_store(intake, scanned, &plan);
            if (!scanned->reason)
                return;
            break;
        case INTAKE_LIVE:
            break;
        }
    }
    intake_offer(intake, scanned);
}

static void on_prepared(struct intake *intake, enum fault_reason reason)
{
    struct publish *publish = container_of(intake, struct publish, intake);
    struct held_message held = publish->held;
    struct scanned_message scanned = held_message_scanned(&held);

    publish->held = (struct held_message){.is_scanned = false};
    scanned.reason = reason;
    if (call_alive(intake->call))
        handle(publish, &scanned);
    held_message_fini(&held);
}

static const struct intake_port intake_port = {
    .done = on_intake_done, .stored = on_stored, .moved = on_moved, .prepared = on_prepared};

static void on_deadline(struct cq_timer *timer, int64_t now_ns)
{
    struct publish *publish = container_of(timer, struct publish, deadline);

    (void)now_ns;
    intake_give_up(&publish->intake);
}

static void opened(struct call *call, void *ctx)
{
    struct publish *publish = calloc(1, sizeof(*publish));
    struct fault fault;

    if (!publish) {
        fault_set(&fault, FAULT_MEMORY_BUDGET, "", "");
        call_finish(call, &fault);
        return;
    }
    intake_init(&publish->intake, ctx, call, &intake_port);
    publish->deadline.fired = on_deadline;
    call_own(call, publish);
    call_read(call);
}

static void message(struct call *call, struct message *message)
{
    struct publish *publish = call_owned(call);

    struct scanned_message scanned = intake_scan(&publish->intake, message);
    handle(publish, &scanned);
    if (call_alive(call) && call_deadline_ns(call) != INT64_MAX)
        cq_timer_set(call_cq(call), &publish->deadline, call_deadline_ns(call) - BEFORE_DEADLINE_NS);
}

static void half_closed(struct call *call)
{
    struct fault fault;

    fault_set(&fault, FAULT_NO_MESSAGE, "", "");
    call_finish(call, &fault);
}

static void lost(struct call *call)
{
    struct publish *publish = call_owned(call);

    if (publish)
        intake_give_up(&publish->intake);
}

static void closed(struct call *call, bool ok)
{
    struct publish *publish = call_owned(call);

    (void)ok;
    if (!publish)
        return;
    cq_timer_stop(call_cq(call), &publish->deadline);
    held_message_fini(&publish->held);
    intake_fini(&publish->intake);
    free(publish);
}

static const struct call_port publish_port = {.opened = opened,
                                              .message = message,
                                              .half_closed = half_closed,
                                              .lost = lost,
                                              .closed = closed,
                                              .unary = true};

enum err publish_serve(struct rpc *rpc)
{
    return rpc_add_method(rpc, "/tributary.v1.Publisher/Publish", &publish_port, rpc);
}
