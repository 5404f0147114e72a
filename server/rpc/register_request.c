/* register_request.c - every bound of RegisterRequest, but for hello (hello.c) and the events. */
#include "server/rpc/register_request.h"

#include <string.h>

#include "proto/field_numbers.h"
#include "server/rpc/decode.h"
#include "tributary/v1/publisher.pb-c.h"

#define MAX_END_MESSAGE_BYTES 1024u

_Static_assert(PB_REGISTER_REQUEST_ACTIVATION < FRAMING_FIELDS &&
                   PB_REGISTER_REQUEST_HELLO < FRAMING_FIELDS && PB_REGISTER_REQUEST_END < FRAMING_FIELDS,
               "the scan keeps these fields");

static enum fault_reason check_end(const ProtobufCMessage *message, struct fault *fault)
{
    const Tributary__V1__RegisterRequest__End *end =
        (const Tributary__V1__RegisterRequest__End *)(const void *)message;

    if (end->code < 0 || end->code > CODE_UNAUTHENTICATED)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, "end.code", (uint64_t)end->code, "0 to 16");
    if (strlen(end->message) > MAX_END_MESSAGE_BYTES)
        return fault_number(fault, FAULT_TOO_LONG, "end.message", strlen(end->message), "at most 1024 bytes");
    return FAULT_NONE;
}

static enum fault_reason read_end(const struct framing_field *field, ProtobufCMessage **end_out,
                                  struct fault *fault)
{
    ProtobufCMessage *end = NULL;

    if (!field->present)
        return FAULT_NONE;
    if (field->type != WIRE_LEN)
        return fault_set(fault, FAULT_WRONG_WIRE_TYPE, "end", "a message is length-delimited");
    enum fault_reason reason =
        decode(field->bytes, &tributary__v1__register_request__end__descriptor, &end, fault);
    if (reason) {
        fault_within(fault, "end.");
        return reason;
    }
    reason = check_end(end, fault);
    if (reason)
        decoded_free(end);
    else
        *end_out = end;
    return reason;
}

static enum fault_reason read_activation(const struct framing_field *field, uint64_t *activation_out,
                                         struct fault *fault)
{
    if (field->present && field->type != WIRE_VARINT)
        return fault_set(fault, FAULT_WRONG_WIRE_TYPE, "activation", "a number is a varint");
    *activation_out = field->present ? field->number : 0;
    return FAULT_NONE;
}

enum fault_reason register_request_read(const struct framing_scan *scan, struct register_request *request_out,
                                        struct fault *fault)
{
    struct register_request request = {0};
    enum fault_reason reason = FAULT_NONE;

    if (scan->fields[PB_REGISTER_REQUEST_HELLO].present)
        reason = fault_set(fault, FAULT_NO_HELLO, "hello", "");
    if (!reason)
        reason = read_activation(&scan->fields[PB_REGISTER_REQUEST_ACTIVATION], &request.activation, fault);
    if (!reason && request.activation > 0 && scan->fields[PB_REGISTER_REQUEST_PUBLISHER].present)
        reason = fault_number(fault, FAULT_OUT_OF_BOUNDS, "activation", request.activation,
                              "0 for a message with `publisher`");
    if (!reason)
        reason = read_end(&scan->fields[PB_REGISTER_REQUEST_END], &request.end, fault);
    if (!reason)
        *request_out = request;
    return reason;
}
