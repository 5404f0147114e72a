/* batch_write.c - see batch_write.h. What comes often is measured first and written once. */
#include "server/rpc/batch_write.h"

#include <string.h>

#include "event/field_write.h"
#include "proto/field_numbers.h"
#include "server/wire/call.h"

static struct bytes bytes_of(const struct buf *buf)
{
    return (struct bytes){buf->data, buf->size};
}

static size_t response_size(const struct processor_operation *operation)
{
    return field_size_bytes(PB_RUN_RESPONSE_DATA, operation->result.size) +
           field_size_varint(PB_RUN_RESPONSE_BATCH, operation->batch);
}

static uint8_t *put_response(uint8_t *at, const struct processor_operation *operation)
{
    at = field_put_bytes(at, PB_RUN_RESPONSE_DATA, bytes_of(&operation->result));
    return field_put_varint(at, PB_RUN_RESPONSE_BATCH, operation->batch);
}

void write_run_response(struct buf *buf, const struct processor_operation *operation)
{
    uint8_t *at = buf_extend(buf, response_size(operation));

    if (at)
        put_response(at, operation);
}

/* ---- errors ---- */

/* What RunError says. */
struct run_error {
    uint32_t code;
    struct bytes message, reason;
    bool may_have_run;
};

static struct run_error error_of(enum fault_reason reason, const struct batch_error *from, bool may_have_run)
{
    struct run_error error = {.may_have_run = may_have_run};

    if (from) {
        const struct batch_error_text text = batch_error_view(from);

        error.code = text.code;
        error.message = text.message;
        error.reason = text.reason;
    } else {
        error.code = fault_code(reason);
        error.message = text_bytes(fault_text(reason));
        error.reason = text_bytes(fault_reason_name(reason));
    }
    return error;
}

void write_run_error(struct buf *buf, enum fault_reason reason, const struct batch_error *from,
                     bool may_have_run)
{
    const struct run_error error = error_of(reason, from, may_have_run);

    field_varint(buf, PB_RUN_ERROR_CODE, error.code);
    field_bytes(buf, PB_RUN_ERROR_MESSAGE, error.message);
    field_bytes(buf, PB_RUN_ERROR_REASON, error.reason);
    field_varint(buf, PB_RUN_ERROR_MAY_HAVE_RUN, error.may_have_run);
}

/* google.rpc.Status with an ErrorInfo. `domain` says whose reason it is. */
static void write_details(struct buf *buf, const struct run_error *error, const char *domain)
{
    struct buf info = {0}, entry = {0}, any = {0};

    field_bytes(&info, PB_RPC_ERROR_INFO_REASON, error->reason);
    field_text(&info, PB_RPC_ERROR_INFO_DOMAIN, domain);
    field_text(&entry, 1, "may_have_run");
    field_text(&entry, 2, error->may_have_run ? "true" : "false");
    field_message(&info, PB_RPC_ERROR_INFO_METADATA, &entry);
    field_text(&any, PB_PROTOBUF_ANY_TYPE_URL, "type.googleapis.com/google.rpc.ErrorInfo");
    field_message(&any, PB_PROTOBUF_ANY_VALUE, &info);
    field_varint(buf, PB_RPC_STATUS_CODE, error->code);
    field_bytes(buf, PB_RPC_STATUS_MESSAGE, error->message);
    field_message(buf, PB_RPC_STATUS_DETAILS, &any);
}

void finish_with_error(struct call *call, const struct processor_operation *operation)
{
    const struct run_error error = error_of(operation->reason, operation->error, operation->may_have_run);
    OWNED(buf_fini) struct buf details = {0};

    write_details(&details, &error, operation->error ? "worker" : "tributary");
    call_finish_as(call, &(struct call_status){
                             .code = error.code,
                             .text = error.message,
                             .details = {details.data, details.broken ? 0 : details.size},
                         });
}

/* ---- RunStreamResponse ---- */

static void write_stream_error(struct buf *buf, bool packed, uint64_t request,
                               const struct processor_operation *operation)
{
    struct buf body = {0}, item = {0};

    write_run_error(&body, operation->reason, operation->error, operation->may_have_run);
    field_varint(&item, PB_RUN_STREAM_RESPONSE_REQUEST, request);
    field_message(&item, PB_RUN_STREAM_RESPONSE_ERROR, &body);
    if (packed) {
        field_message(buf, PB_RUN_STREAM_RESPONSE_MORE, &item);
        return;
    }
    buf_bytes(buf, item.data, item.size);
    buf->broken |= item.broken;
    buf_fini(&item);
}

void write_stream_response(struct buf *buf, bool packed, uint64_t request,
                           const struct processor_operation *operation)
{
    const size_t response = response_size(operation);
    const size_t size = field_size_varint(PB_RUN_STREAM_RESPONSE_REQUEST, request) +
                        field_size_bytes_always(PB_RUN_STREAM_RESPONSE_RESPONSE, response);
    uint8_t *at = NULL;

    if (operation->reason || operation->error) {
        write_stream_error(buf, packed, request, operation);
        return;
    }
    at = buf_extend(buf, packed ? field_size_bytes_always(PB_RUN_STREAM_RESPONSE_MORE, size) : size);
    if (!at)
        return;
    if (packed)
        at = field_put_head(at, PB_RUN_STREAM_RESPONSE_MORE, size);
    at = field_put_varint(at, PB_RUN_STREAM_RESPONSE_REQUEST, request);
    at = field_put_head(at, PB_RUN_STREAM_RESPONSE_RESPONSE, response);
    put_response(at, operation);
}

/* ---- ProcessResponse ---- */

/* The head of a command whose message has `size` bytes; the caller appends them. */
static void write_head(struct buf *buf, bool packed, uint32_t kind, size_t size)
{
    if (packed)
        field_head(buf, PB_PROCESS_RESPONSE_MORE, field_size_bytes_always(kind, size));
    field_head(buf, kind, size);
}

static void write_command(struct buf *buf, bool packed, uint32_t kind, struct buf *body)
{
    write_head(buf, packed, kind, body->size);
    buf_bytes(buf, body->data, body->size);
    buf->broken |= body->broken;
    buf_fini(body);
}

static void write_begin(struct buf *buf, bool packed, const struct worker_command *command)
{
    struct buf body = {0};

    field_varint(&body, PB_PROCESS_RESPONSE_BEGIN_BATCH, command->batch);
    field_bytes(&body, PB_PROCESS_RESPONSE_BEGIN_KEY, command->key);
    field_duration(&body, PB_PROCESS_RESPONSE_BEGIN_DEADLINE, command->deadline_ns);
    write_command(buf, packed, PB_PROCESS_RESPONSE_BEGIN, &body);
}

static void write_operation(struct buf *buf, bool packed, const struct worker_command *command)
{
    const struct processor_operation *operation = command->operation;
    const size_t size = field_size_varint(PB_PROCESS_RESPONSE_OPERATION_BATCH, command->batch) +
                        field_size_varint(PB_PROCESS_RESPONSE_OPERATION_ID, command->id) +
                        field_size_bytes(PB_PROCESS_RESPONSE_OPERATION_OPERATION_ID, operation->id.size) +
                        field_size_bytes(PB_PROCESS_RESPONSE_OPERATION_DATA, operation->data.size);

    write_head(buf, packed, PB_PROCESS_RESPONSE_OPERATION, size);
    uint8_t *at = buf_extend(buf, size);

    if (!at)
        return;
    at = field_put_varint(at, PB_PROCESS_RESPONSE_OPERATION_BATCH, command->batch);
    at = field_put_varint(at, PB_PROCESS_RESPONSE_OPERATION_ID, command->id);
    at = field_put_bytes(at, PB_PROCESS_RESPONSE_OPERATION_OPERATION_ID, operation->id);
    field_put_bytes(at, PB_PROCESS_RESPONSE_OPERATION_DATA, operation->data);
}

void write_worker_command(struct buf *buf, bool packed, const struct worker_command *command)
{
    struct buf body = {0};

    switch (command->kind) {
    case WORKER_BEGIN:
        write_begin(buf, packed, command);
        break;
    case WORKER_OPERATION:
        write_operation(buf, packed, command);
        break;
    case WORKER_FINISH:
        field_varint(&body, PB_PROCESS_RESPONSE_FINISH_BATCH, command->batch);
        write_command(buf, packed, PB_PROCESS_RESPONSE_FINISH, &body);
        break;
    case WORKER_ABORT:
        field_varint(&body, PB_PROCESS_RESPONSE_ABORT_BATCH, command->batch);
        field_text(&body, PB_PROCESS_RESPONSE_ABORT_REASON, command->reason);
        write_command(buf, packed, PB_PROCESS_RESPONSE_ABORT, &body);
        break;
    }
}
