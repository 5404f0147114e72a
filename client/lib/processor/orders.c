/* orders.c - see orders.h. */
#include "client/lib/processor/orders.h"

#include "base/clock.h"
#include "event/field_reader.h"
#include "proto/field_numbers.h"

#define MAX_SECONDS 86400

/* The fields of one order by what they are: the numbers of the fields of each kind. 0: none. */
struct shape {
    enum order_kind kind;
    uint32_t batch, id, operation_id, content, deadline;
};

/* By the number of the field of ProcessResponse. */
static const struct shape shapes[] = {
    [PB_PROCESS_RESPONSE_WELCOME] = {.kind = ORDER_WELCOME, .content = PB_PROCESS_RESPONSE_WELCOME_WORKER},
    [PB_PROCESS_RESPONSE_BEGIN] = {.kind = ORDER_BEGIN,
                                   .batch = PB_PROCESS_RESPONSE_BEGIN_BATCH,
                                   .content = PB_PROCESS_RESPONSE_BEGIN_KEY,
                                   .deadline = PB_PROCESS_RESPONSE_BEGIN_DEADLINE},
    [PB_PROCESS_RESPONSE_OPERATION] = {.kind = ORDER_OPERATION,
                                       .batch = PB_PROCESS_RESPONSE_OPERATION_BATCH,
                                       .id = PB_PROCESS_RESPONSE_OPERATION_ID,
                                       .operation_id = PB_PROCESS_RESPONSE_OPERATION_OPERATION_ID,
                                       .content = PB_PROCESS_RESPONSE_OPERATION_DATA},
    [PB_PROCESS_RESPONSE_FINISH] = {.kind = ORDER_FINISH, .batch = PB_PROCESS_RESPONSE_FINISH_BATCH},
    [PB_PROCESS_RESPONSE_ABORT] = {.kind = ORDER_ABORT,
                                   .batch = PB_PROCESS_RESPONSE_ABORT_BATCH,
                                   .content = PB_PROCESS_RESPONSE_ABORT_REASON},
    [PB_PROCESS_RESPONSE_CLOSING] = {.kind = ORDER_CLOSING,
                                     .content = PB_PROCESS_RESPONSE_CLOSING_REASON,
                                     .deadline = PB_PROCESS_RESPONSE_CLOSING_DEADLINE},
};

_Static_assert(PB_PROTOBUF_DURATION_SECONDS == 1 && PB_PROTOBUF_DURATION_NANOS == 2,
               "google.protobuf.Duration");

static bool read_duration(struct bytes body, int64_t *duration_ns)
{
    struct field_reader reader = field_reader_of(body);
    struct field field = {.number = 0};
    uint64_t seconds = 0, nanos = 0;

    while (reader.next != reader.end) {
        if (!field_next(&reader, &field))
            return false;
        if (field_tag(&field) == WIRE_TAG(PB_PROTOBUF_DURATION_SECONDS, WIRE_VARINT))
            seconds = field.value;
        else if (field_tag(&field) == WIRE_TAG(PB_PROTOBUF_DURATION_NANOS, WIRE_VARINT))
            nanos = field.value;
    }
    if ((int64_t)seconds < 0 || (int64_t)nanos < 0)
        seconds = nanos = 0;
    *duration_ns =
        (int64_t)MIN_OF(seconds, MAX_SECONDS) * NS_PER_S + (int64_t)MIN_OF(nanos, (uint64_t)NS_PER_S - 1);
    return true;
}

static bool read_body(const struct shape *shape, struct bytes body, struct order *order)
{
    struct field_reader reader = field_reader_of(body);
    struct field field = {.number = 0};

    *order = (struct order){.kind = shape->kind};
    while (reader.next != reader.end) {
        if (!field_next(&reader, &field))
            return false;
        if (field.type == WIRE_VARINT) {
            if (field.number == shape->batch)
                order->batch = field.value;
            else if (field.number == shape->id)
                order->id = field.value;
        } else if (field.type == WIRE_LEN) {
            if (field.number == shape->content)
                order->content = field.bytes;
            else if (field.number == shape->operation_id)
                order->operation_id = field.bytes;
            else if (field.number == shape->deadline && !read_duration(field.bytes, &order->deadline_ns))
                return false;
        }
    }
    return true;
}

/* Reads one order, without those in `more`. */
static bool read_one(struct bytes message, struct order *order)
{
    struct field_reader reader = field_reader_of(message);
    struct field field = {.number = 0};

    *order = (struct order){.kind = ORDER_UNKNOWN};
    while (reader.next != reader.end) {
        if (!field_next(&reader, &field))
            return false;
        if (field.type == WIRE_LEN && field.number < ARRAY_LEN(shapes) &&
            shapes[field.number].kind != ORDER_UNKNOWN &&
            !read_body(&shapes[field.number], field.bytes, order))
            return false;
    }
    return true;
}

bool orders_read(struct bytes message, void (*each)(void *ctx, const struct order *order), void *ctx)
{
    struct field_reader reader = field_reader_of(message);
    struct field field = {.number = 0};
    struct order order;

    if (!read_one(message, &order))
        return false;
    each(ctx, &order);
    while (reader.next != reader.end) {
        if (!field_next(&reader, &field))
            return false;
        if (field_tag(&field) != WIRE_TAG(PB_PROCESS_RESPONSE_MORE, WIRE_LEN))
            continue;
        if (!read_one(field.bytes, &order))
            return false;
        each(ctx, &order);
    }
    return true;
}
