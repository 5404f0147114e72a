/* batch_read.c - every bound of the messages of the service Batch, but for hello
 * (batch_hello.c). */
#include "server/rpc/batch_read.h"

#include "base/clock.h"
#include "batch/batch_error.h"
#include "batch/batch_settings.h"
#include "event/text.h"
#include "proto/field_numbers.h"

/* What becomes of one field of a message. */
typedef enum fault_reason field_reader_function(void *to, const struct field *field, struct fault *fault);

static enum fault_reason read_fields(struct bytes message, field_reader_function *read, void *to,
                                     struct fault *fault)
{
    const uint8_t *at = message.data, *end = message.data + message.size;
    struct field field = {0};

    while (at < end) {
        const enum fault_reason reason = field_read(&at, end, &field);

        if (reason)
            return fault_set(fault, reason, NULL, NULL);
        if (read(to, &field, fault))
            return fault->reason;
    }
    return FAULT_NONE;
}

static enum fault_reason wrong_type(struct fault *fault, const char *name)
{
    return fault_set(fault, FAULT_WRONG_WIRE_TYPE, name, NULL);
}

static enum fault_reason read_bytes(const struct field *field, const char *name, struct bytes *to,
                                    struct fault *fault)
{
    if (field->type != WIRE_LEN)
        return wrong_type(fault, name);
    *to = field->bytes;
    return FAULT_NONE;
}

static enum fault_reason read_number(const struct field *field, const char *name, uint64_t *to,
                                     struct fault *fault)
{
    if (field->type != WIRE_VARINT)
        return wrong_type(fault, name);
    *to = field->value;
    return FAULT_NONE;
}

static enum fault_reason read_bool(const struct field *field, const char *name, bool *to, struct fault *fault)
{
    uint64_t value = 0;

    if (read_number(field, name, &value, fault))
        return fault->reason;
    *to = value != 0;
    return FAULT_NONE;
}

/* ---- RunRequest ---- */

static enum fault_reason run_field(void *to, const struct field *field, struct fault *fault)
{
    struct run_request *request = to;

    switch (field->number) {
    case PB_RUN_REQUEST_PROCESSOR:
        return read_bytes(field, "processor", &request->processor, fault);
    case PB_RUN_REQUEST_KEY:
        return read_bytes(field, "key", &request->key, fault);
    case PB_RUN_REQUEST_OPERATION_ID:
        return read_bytes(field, "operation_id", &request->operation_id, fault);
    case PB_RUN_REQUEST_DATA:
        return read_bytes(field, "data", &request->data, fault);
    default:
        return FAULT_NONE;
    }
}

enum fault_reason run_request_read(struct bytes message, struct run_request *request_out, struct fault *fault)
{
    struct run_request request = {.processor = {NULL, 0}};

    if (read_fields(message, run_field, &request, fault) ||
        name_check(request.processor, "processor", MAX_PROCESSOR_NAME_BYTES, fault))
        return fault->reason;
    if (request.key.size == 0)
        return fault_set(fault, FAULT_EMPTY, "key", "1 to 256 bytes");
    if (batch_key_check(request.key, fault))
        return fault->reason;
    if (request.operation_id.size > MAX_OPERATION_ID_BYTES)
        return fault_bytes(fault, FAULT_TOO_LONG, "operation_id", request.operation_id, "at most 64 bytes");
    if (request.data.size > MAX_OPERATION_BYTES)
        return fault_number(fault, FAULT_TOO_LONG, "data", request.data.size, "at most 1048576 bytes");
    *request_out = request;
    return FAULT_NONE;
}

/* ---- RunStreamRequest ---- */

/* A google.protobuf.Duration above 0. */
struct duration {
    uint64_t seconds, nanos;
};

static enum fault_reason duration_field(void *to, const struct field *field, struct fault *fault)
{
    struct duration *duration = to;

    switch (field->number) {
    case PB_PROTOBUF_DURATION_SECONDS:
        return read_number(field, "timeout.seconds", &duration->seconds, fault);
    case PB_PROTOBUF_DURATION_NANOS:
        return read_number(field, "timeout.nanos", &duration->nanos, fault);
    default:
        return FAULT_NONE;
    }
}

static enum fault_reason read_timeout(const struct field *field, int64_t *timeout_ns_out, struct fault *fault)
{
    const uint64_t max_seconds = 24 * 3600;
    struct duration duration = {0, 0};

    if (field->type != WIRE_LEN)
        return wrong_type(fault, "timeout");
    if (read_fields(field->bytes, duration_field, &duration, fault))
        return fault->reason;
    if (duration.nanos >= (uint64_t)NS_PER_S || (int64_t)duration.seconds < 0 ||
        duration.seconds + duration.nanos == 0)
        return fault_set(fault, FAULT_BAD_DURATION, "timeout", "above 0, nanos below 10^9");
    if (duration.seconds > max_seconds)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, "timeout", duration.seconds, "at most 86400 s");
    *timeout_ns_out = (int64_t)(duration.seconds * (uint64_t)NS_PER_S + duration.nanos);
    return FAULT_NONE;
}

static enum fault_reason stream_field(void *to, const struct field *field, struct fault *fault)
{
    struct stream_request *request = to;

    switch (field->number) {
    case PB_RUN_STREAM_REQUEST_REQUEST:
        return read_number(field, "request", &request->request, fault);
    case PB_RUN_STREAM_REQUEST_RUN:
        request->has_run = true;
        return read_bytes(field, "run", &request->run, fault);
    case PB_RUN_STREAM_REQUEST_CANCEL:
        return read_bool(field, "cancel", &request->cancel, fault);
    case PB_RUN_STREAM_REQUEST_PACKED:
        return read_bool(field, "packed", &request->packed, fault);
    case PB_RUN_STREAM_REQUEST_TIMEOUT:
        return read_timeout(field, &request->timeout_ns, fault);
    case PB_RUN_STREAM_REQUEST_MORE:
        request->has_more = true;
        return field->type == WIRE_LEN ? FAULT_NONE : wrong_type(fault, "more");
    default:
        return FAULT_NONE;
    }
}

static enum fault_reason refuse_nested(struct fault *fault)
{
    return fault_set(fault, FAULT_TOO_DEEP, "more", "an element of `more` has no `more`");
}

enum fault_reason stream_request_read(struct bytes message, bool inner, struct stream_request *request_out,
                                      struct fault *fault)
{
    struct stream_request request = {.request = 0};

    if (read_fields(message, stream_field, &request, fault))
        return fault->reason;
    if (inner && request.has_more)
        return refuse_nested(fault);
    if (request.has_run && request.cancel)
        return fault_set(fault, FAULT_OUT_OF_BOUNDS, "cancel", "not together with `run`");
    *request_out = request;
    return FAULT_NONE;
}

/* ---- ProcessRequest ---- */

static enum fault_reason error_field(void *to, const struct field *field, struct fault *fault)
{
    struct process_request *request = to;
    uint64_t code = 0;

    switch (field->number) {
    case PB_RUN_ERROR_CODE:
        if (read_number(field, "code", &code, fault))
            return fault->reason;
        request->code = code > CODE_UNAUTHENTICATED ? CODE_UNAUTHENTICATED + 1 : (uint32_t)code;
        return FAULT_NONE;
    case PB_RUN_ERROR_MESSAGE:
        return read_bytes(field, "message", &request->text, fault);
    case PB_RUN_ERROR_REASON:
        return read_bytes(field, "reason", &request->reason, fault);
    default:
        return FAULT_NONE;
    }
}

static enum fault_reason failed_field(void *to, const struct field *field, struct fault *fault)
{
    struct process_request *request = to;
    struct field shifted = *field;

    if (field->number == PB_PROCESS_REQUEST_FAILED_BATCH)
        return read_number(field, "failed.batch", &request->batch, fault);
    shifted.number--; /* code, message and reason follow each other in both */
    return error_field(to, &shifted, fault);
}

_Static_assert(PB_PROCESS_REQUEST_FAILED_CODE == PB_RUN_ERROR_CODE + 1 &&
                   PB_PROCESS_REQUEST_FAILED_MESSAGE == PB_RUN_ERROR_MESSAGE + 1 &&
                   PB_PROCESS_REQUEST_FAILED_REASON == PB_RUN_ERROR_REASON + 1,
               "failed_field() relies on it");

static enum fault_reason check_error(const struct process_request *request, struct fault *fault)
{
    if (request->code == 0 || request->code > CODE_UNAUTHENTICATED)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, "code", request->code, "1 to 16");
    if (request->text.size > MAX_BATCH_MESSAGE_BYTES)
        return fault_bytes(fault, FAULT_TOO_LONG, "message", request->text, "at most 1024 bytes");
    if (request->reason.size > MAX_BATCH_REASON_BYTES)
        return fault_bytes(fault, FAULT_TOO_LONG, "reason", request->reason, "at most 64 bytes");
    if (!utf8_valid(request->text))
        return fault_bytes(fault, FAULT_BAD_UTF8, "message", request->text, NULL);
    if (!utf8_valid(request->reason))
        return fault_bytes(fault, FAULT_BAD_UTF8, "reason", request->reason, NULL);
    return FAULT_NONE;
}

static enum fault_reason read_error(void *to, struct bytes bytes, field_reader_function *read,
                                    struct fault *fault)
{
    if (read_fields(bytes, read, to, fault) || check_error(to, fault)) {
        fault_within(fault, read == error_field ? "result.error." : "failed.");
        return fault->reason;
    }
    return FAULT_NONE;
}

static enum fault_reason result_field(void *to, const struct field *field, struct fault *fault)
{
    struct process_request *request = to;

    switch (field->number) {
    case PB_PROCESS_REQUEST_RESULT_BATCH:
        return read_number(field, "result.batch", &request->batch, fault);
    case PB_PROCESS_REQUEST_RESULT_ID:
        return read_number(field, "result.id", &request->id, fault);
    case PB_PROCESS_REQUEST_RESULT_DATA:
        return read_bytes(field, "result.data", &request->data, fault);
    case PB_PROCESS_REQUEST_RESULT_ERROR:
        if (field->type != WIRE_LEN)
            return wrong_type(fault, "result.error");
        request->has_error = true;
        return read_error(to, field->bytes, error_field, fault);
    default:
        return FAULT_NONE;
    }
}

static enum fault_reason loaded_field(void *to, const struct field *field, struct fault *fault)
{
    struct process_request *request = to;

    if (field->number == PB_PROCESS_REQUEST_LOADED_BATCH)
        return read_number(field, "loaded.batch", &request->batch, fault);
    if (field->number != PB_PROCESS_REQUEST_LOADED_GENERATION)
        return FAULT_NONE;
    if (field->type != WIRE_FIXED64)
        return wrong_type(fault, "loaded.generation");
    request->generation = field->value;
    return FAULT_NONE;
}

static enum fault_reason batch_field(void *to, const struct field *field, struct fault *fault)
{
    struct process_request *request = to;

    return field->number == PB_PROCESS_REQUEST_SAVED_BATCH
               ? read_number(field, "batch", &request->batch, fault)
               : FAULT_NONE;
}

_Static_assert(PB_PROCESS_REQUEST_SAVED_BATCH == PB_PROCESS_REQUEST_ABORTED_BATCH,
               "batch_field() reads both");

static enum fault_reason read_command(struct process_request *request, const struct field *field,
                                      struct fault *fault)
{
    const bool has_more = request->has_more;

    *request = (struct process_request){.kind = PROCESS_NOTHING, .has_more = has_more};
    switch (field->number) {
    case PB_PROCESS_REQUEST_HELLO:
        request->kind = PROCESS_HELLO;
        request->hello = field->bytes;
        return FAULT_NONE;
    case PB_PROCESS_REQUEST_LOADED:
        request->kind = PROCESS_LOADED;
        return read_fields(field->bytes, loaded_field, request, fault);
    case PB_PROCESS_REQUEST_RESULT:
        request->kind = PROCESS_RESULT;
        if (read_fields(field->bytes, result_field, request, fault))
            return fault->reason;
        if (request->data.size > MAX_OPERATION_BYTES)
            return fault_number(fault, FAULT_TOO_LONG, "result.data", request->data.size,
                                "at most 1048576 bytes");
        return FAULT_NONE;
    case PB_PROCESS_REQUEST_SAVED:
        request->kind = PROCESS_SAVED;
        return read_fields(field->bytes, batch_field, request, fault);
    case PB_PROCESS_REQUEST_FAILED:
        request->kind = PROCESS_FAILED;
        return read_error(request, field->bytes, failed_field, fault);
    case PB_PROCESS_REQUEST_ABORTED:
        request->kind = PROCESS_ABORTED;
        return read_fields(field->bytes, batch_field, request, fault);
    default:
        request->kind = PROCESS_DRAINING;
        return FAULT_NONE;
    }
}

static enum fault_reason process_field(void *to, const struct field *field, struct fault *fault)
{
    struct process_request *request = to;

    if (field->number > PB_PROCESS_REQUEST_MORE)
        return FAULT_NONE;
    if (field->type != WIRE_LEN)
        return wrong_type(fault, field->number == PB_PROCESS_REQUEST_MORE ? "more" : "command");
    if (field->number == PB_PROCESS_REQUEST_MORE) {
        request->has_more = true;
        return FAULT_NONE;
    }
    return read_command(request, field, fault);
}

enum fault_reason process_request_read(struct bytes message, bool inner, struct process_request *request_out,
                                       struct fault *fault)
{
    struct process_request request = {.kind = PROCESS_NOTHING};

    if (read_fields(message, process_field, &request, fault))
        return fault->reason;
    if (inner && request.has_more)
        return refuse_nested(fault);
    *request_out = request;
    return FAULT_NONE;
}

bool more_next(struct bytes message, uint32_t number, const uint8_t **at, struct bytes *more_out)
{
    const uint8_t *end = message.data + message.size;
    struct field field = {0};

    if (!*at)
        *at = message.data;
    while (*at < end && !field_read(at, end, &field))
        if (field.number == number) {
            *more_out = field.bytes;
            return true;
        }
    return false;
}
