/* upstream_request.c - the messages that this side of an upstream call sends. */
#include "server/dial/upstream_request.h"

#include "base/clock.h"
#include "event/field_write.h"
#include "grpc/slices.h"
#include "proto/field_numbers.h"

/* How long it is until then; a deadline that has passed is an explicit zero. */
static void write_until(struct buf *buf, uint32_t number, int64_t at_ns)
{
    int64_t left_ns = at_ns - clock_mono_ns();

    if (at_ns != INT64_MAX)
        field_duration(buf, number, left_ns > 0 ? left_ns : -1);
}

static grpc_slice control(uint32_t kind, struct buf *body)
{
    struct buf message = {0};

    field_message(&message, kind, body);
    return slice_of_buf(&message);
}

grpc_slice upstream_start(struct bytes request, const char *subscription_id, int64_t deadline_ns)
{
    struct buf body = {0};

    field_bytes(&body, PB_PRODUCE_CONTROL_START_REQUEST, request);
    field_text(&body, PB_PRODUCE_CONTROL_START_SUBSCRIPTION_ID, subscription_id);
    write_until(&body, PB_PRODUCE_CONTROL_START_DEADLINE, deadline_ns);
    return control(PB_PRODUCE_CONTROL_START, &body);
}

grpc_slice upstream_stop_message(enum fault_reason reason, int64_t deadline_ns)
{
    struct buf body = {0};

    field_text(&body, PB_PRODUCE_CONTROL_STOP_REASON, fault_reason_name(reason));
    write_until(&body, PB_PRODUCE_CONTROL_STOP_DEADLINE, deadline_ns);
    return control(PB_PRODUCE_CONTROL_STOP, &body);
}
