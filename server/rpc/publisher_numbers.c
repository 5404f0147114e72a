/* publisher_numbers.c - the numbers of a batch, and their order on one call. */
#include "server/rpc/publisher_numbers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "event/field.h"
#include "proto/field_numbers.h"

static enum fault_reason check(const struct publisher_numbers *numbers, size_t id_size, uint32_t count,
                               struct fault *fault)
{
    if (id_size == 0)
        return fault_set(fault, FAULT_EMPTY, "publisher.id", "1 to 64 bytes");
    if (id_size > MAX_PUBLISHER_ID_BYTES)
        return fault_number(fault, FAULT_TOO_LONG, "publisher.id", id_size, "1 to 64 bytes");
    if (numbers->first == 0)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, "publisher.first_number", 0, "at least 1");
    if (numbers->first > UINT64_MAX - count) /* as publisher_decide() has it */
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, "publisher.first_number", numbers->first,
                            "the last event's number is less than 2^64 - 1");
    return FAULT_NONE;
}

static enum fault_reason read_one(const struct field *field, struct publisher_numbers *numbers,
                                  struct bytes *id, struct fault *fault)
{
    switch (field->number) {
    case PB_PUBLISHER_NUMBERS_ID:
        if (field->type != WIRE_LEN)
            return fault_set(fault, FAULT_WRONG_WIRE_TYPE, "publisher.id", "bytes are length-delimited");
        *id = field->bytes;
        break;
    case PB_PUBLISHER_NUMBERS_FIRST_NUMBER:
        if (field->type != WIRE_FIXED64)
            return fault_set(fault, FAULT_WRONG_WIRE_TYPE, "publisher.first_number", "it is a fixed64");
        numbers->first = field->value;
        break;
    case PB_PUBLISHER_NUMBERS_LIFE:
        if (field->type != WIRE_FIXED64)
            return fault_set(fault, FAULT_WRONG_WIRE_TYPE, "publisher.life", "it is a fixed64");
        numbers->life = field->value;
        break;
    default:
        break; /* of a later version */
    }
    return FAULT_NONE;
}

static enum fault_reason read_fields(struct bytes message, struct publisher_numbers *numbers,
                                     struct bytes *id, struct fault *fault)
{
    const uint8_t *at = message.data, *end = message.data + message.size;
    struct field field = {.number = 0};

    while (at < end) {
        enum fault_reason reason = field_read(&at, end, &field);
        if (reason)
            return fault_set(fault, reason, "publisher", "");
        reason = read_one(&field, numbers, id, fault);
        if (reason)
            return reason;
    }
    return FAULT_NONE;
}

enum fault_reason publisher_numbers_read(const struct framing_field *field, uint32_t count,
                                         struct publisher_numbers *numbers_out, struct fault *fault)
{
    struct publisher_numbers numbers = {.id_size = 0};
    struct bytes id = {NULL, 0};

    if (!field->present) {
        numbers_out->id_size = 0;
        return FAULT_NONE;
    }
    if (field->type != WIRE_LEN)
        return fault_set(fault, FAULT_WRONG_WIRE_TYPE, "publisher", "a message is length-delimited");
    enum fault_reason reason = read_fields(field->bytes, &numbers, &id, fault);
    if (!reason)
        reason = check(&numbers, id.size, count, fault);
    if (reason)
        return reason;
    memcpy(numbers.id, id.data, id.size);
    numbers.id_size = (uint32_t)id.size;
    *numbers_out = numbers;
    return FAULT_NONE;
}

static bool same_id(const struct publisher_numbers *one, const struct publisher_numbers *other)
{
    return one->id_size == other->id_size && memcmp(one->id, other->id, one->id_size) == 0;
}

enum publisher_turn publisher_order_turn(const struct publisher_order *order,
                                         const struct publisher_numbers *numbers, struct fault *fault)
{
    char bound[64];

    if (order->begun.id_size == 0)
        return TURN_ALONE;
    if (!same_id(&order->begun, numbers)) {
        fault_bytes(fault, FAULT_PUBLISHER_CHANGED, "publisher.id",
                    (struct bytes){numbers->id, numbers->id_size}, "the one that this call began with");
        return TURN_REFUSED;
    }
    if (order->begun.life != numbers->life)
        return TURN_ALONE;
    if (order->is_stored)
        return TURN_NOW;
    if (!order->is_refused || numbers->first <= order->begun.first)
        return TURN_ALONE;
    snprintf(bound, sizeof(bound), "the next number is %" PRIu64, order->begun.first);
    fault_number(fault, FAULT_NUMBER_GAP, "publisher.first_number", numbers->first, bound);
    return TURN_REFUSED;
}

void publisher_order_refused(struct publisher_order *order, const struct publisher_numbers *numbers)
{
    struct fault unused;

    if (publisher_order_turn(order, numbers, &unused) == TURN_ALONE)
        publisher_order_over(order, numbers, false);
}

void publisher_order_over(struct publisher_order *order, const struct publisher_numbers *numbers,
                          bool is_stored)
{
    order->begun = *numbers;
    order->is_stored = is_stored;
    order->is_refused = !is_stored;
}
