/* publish.c - Publisher.Publish: one batch, one answer. */
#include <stdlib.h>

#include "base/clock.h"
#include "event/field_write.h"
#include "proto/field_numbers.h"
#include "server/rpc/intake.h"
#include "server/rpc/method_table.h"
#include "server/rpc/services.h"

/* A blocked call gives up this long before its deadline, so that its answer still arrives. */
#define BEFORE_DEADLINE_NS (5 * NS_PER_MS)

struct publish {
    struct intake intake;
    struct cq_timer deadline;
};

/* Writes PublishResponse. */
static void answer(struct publish *publish)
{
    const struct offer *offer = &publish->intake.offer;
    struct buf bytes = {0};

    field_fixed64(&bytes, PB_PUBLISH_RESPONSE_FIRST_SEQUENCE, offer->first_sequence);
    field_fixed64(&bytes, PB_PUBLISH_RESPONSE_LAST_SEQUENCE, offer->last_sequence);
    field_varint(&bytes, PB_PUBLISH_RESPONSE_MATCHED_SUBSCRIPTIONS, offer->matched);
    field_fixed64(&bytes, PB_PUBLISH_RESPONSE_EPOCH, offer->epoch);
    call_answer(publish->intake.call, &bytes);
    buf_fini(&bytes);
}

static void on_intake_done(struct intake *intake, enum fault_reason reason)
{
    struct publish *publish = container_of(intake, struct publish, intake);

    cq_timer_stop(call_cq(intake->call), &publish->deadline);
    if (reason)
        call_finish(intake->call, &intake->fault);
    else
        answer(publish);
}

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
    intake_init(&publish->intake, ctx, call, on_intake_done);
    publish->deadline.fired = on_deadline;
    call_own(call, publish);
    call_read(call);
}

static void message(struct call *call, struct message *message)
{
    struct publish *publish = call_owned(call);

    struct scanned_message scanned = intake_scan(&publish->intake, message);
    intake_offer(&publish->intake, &scanned);
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
