/* worker_report.c - what a worker sends about its batches. Under the worker's lock. */
#include "client/lib/core/bytes.h"
#include "client/lib/processor/work.h"
#include "event/field_write.h"
#include "event/text.h"
#include "proto/field_numbers.h"

#define MAX_REPORT_TEXT 512u

/* Where there was no memory for a report, the server would wait for it: the stream ends. */
static bool wake(struct tributary_worker *worker, bool added)
{
    const bool must = worker->idle || !added;

    worker->no_memory = worker->no_memory || !added;
    worker->idle = false;
    return must;
}

/* Begins a report whose only field is `number`, with a message of `size` bytes. Returns where that
 * goes. */
static uint8_t *begin_report(struct tributary_worker *worker, uint32_t number, size_t size)
{
    uint8_t *at = packed_add(&worker->reports, field_size_bytes_always(number, size));

    return at ? field_put_head(at, number, size) : NULL;
}

static bool is_stale(const struct tributary_worker *worker, const struct tributary_worker_batch *batch)
{
    return batch->life != worker->life;
}

_Static_assert(PB_PROCESS_REQUEST_SAVED_BATCH == PB_PROCESS_REQUEST_ABORTED_BATCH,
               "report_batch() writes both");

static bool report_batch(struct tributary_worker *worker, const struct tributary_worker_batch *batch,
                         uint32_t number)
{
    uint8_t *at = NULL;

    if (is_stale(worker, batch))
        return false;
    at = begin_report(worker, number, field_size_varint(PB_PROCESS_REQUEST_SAVED_BATCH, batch->number));
    if (at)
        field_put_varint(at, PB_PROCESS_REQUEST_SAVED_BATCH, batch->number);
    return wake(worker, !!at);
}

bool worker_report_saved(struct tributary_worker *worker, const struct tributary_worker_batch *batch)
{
    return report_batch(worker, batch, PB_PROCESS_REQUEST_SAVED);
}

bool worker_report_aborted(struct tributary_worker *worker, const struct tributary_worker_batch *batch)
{
    return report_batch(worker, batch, PB_PROCESS_REQUEST_ABORTED);
}

bool worker_report_loaded(struct tributary_worker *worker, const struct tributary_worker_batch *batch)
{
    uint8_t *at = NULL;

    if (is_stale(worker, batch))
        return false;
    at = begin_report(worker, PB_PROCESS_REQUEST_LOADED,
                      field_size_varint(PB_PROCESS_REQUEST_LOADED_BATCH, batch->number) +
                          field_size_fixed64(PB_PROCESS_REQUEST_LOADED_GENERATION, batch->generation));
    if (at) {
        at = field_put_varint(at, PB_PROCESS_REQUEST_LOADED_BATCH, batch->number);
        field_put_fixed64(at, PB_PROCESS_REQUEST_LOADED_GENERATION, batch->generation);
    }
    return wake(worker, !!at);
}

/* A text of a program as the server accepts it: what is no UTF-8 becomes '?'. */
static struct bytes clean(const char *text, char clean_text[MAX_REPORT_TEXT])
{
    struct bytes bytes = {(const uint8_t *)text, strnlen(text, MAX_REPORT_TEXT - 1)};

    if (utf8_valid(bytes))
        return bytes;
    for (size_t i = 0; i < bytes.size; i++)
        clean_text[i] = (char)((unsigned char)text[i] < 0x80 ? text[i] : '?');
    return (struct bytes){(const uint8_t *)clean_text, bytes.size};
}

/* Code, message and reason: fields that follow each other in RunError and in Failed. */
struct failure_text {
    uint32_t first; /* the number of the code's field */
    uint64_t code;
    struct bytes message, reason;
    char clean_message[MAX_REPORT_TEXT], clean_reason[MAX_REPORT_TEXT];
};

_Static_assert(PB_RUN_ERROR_MESSAGE == PB_RUN_ERROR_CODE + 1 && PB_RUN_ERROR_REASON == PB_RUN_ERROR_CODE + 2,
               "struct failure_text");
_Static_assert(PB_PROCESS_REQUEST_FAILED_MESSAGE == PB_PROCESS_REQUEST_FAILED_CODE + 1 &&
                   PB_PROCESS_REQUEST_FAILED_REASON == PB_PROCESS_REQUEST_FAILED_CODE + 2,
               "struct failure_text");

static void make_text(const struct tributary_status *status, uint32_t first, struct failure_text *text)
{
    text->first = first;
    text->code = (uint64_t)status->code;
    text->message = clean(status->message, text->clean_message);
    text->reason = clean(status->reason, text->clean_reason);
}

static size_t text_size(const struct failure_text *text)
{
    return field_size_varint(text->first, text->code) +
           field_size_bytes(text->first + 1, text->message.size) +
           field_size_bytes(text->first + 2, text->reason.size);
}

static uint8_t *text_put(uint8_t *at, const struct failure_text *text)
{
    at = field_put_varint(at, text->first, text->code);
    at = field_put_bytes(at, text->first + 1, text->message);
    return field_put_bytes(at, text->first + 2, text->reason);
}

bool worker_report_failed(struct tributary_worker *worker, const struct tributary_worker_batch *batch,
                          const struct tributary_status *status)
{
    SCRATCH struct failure_text text;
    uint8_t *at = NULL;

    if (is_stale(worker, batch))
        return false;
    make_text(status, PB_PROCESS_REQUEST_FAILED_CODE, &text);
    at = begin_report(worker, PB_PROCESS_REQUEST_FAILED,
                      field_size_varint(PB_PROCESS_REQUEST_FAILED_BATCH, batch->number) + text_size(&text));
    if (at) {
        at = field_put_varint(at, PB_PROCESS_REQUEST_FAILED_BATCH, batch->number);
        text_put(at, &text);
    }
    return wake(worker, !!at);
}

static bool report_failure(struct tributary_worker *worker, const struct tributary_worker_batch *batch,
                           const struct work_operation *operation)
{
    const uint64_t id = operation->shown.id;
    SCRATCH struct failure_text text;
    uint8_t *at = NULL;
    size_t size = 0;

    make_text(operation->failure, PB_RUN_ERROR_CODE, &text);
    size = text_size(&text);
    at = begin_report(worker, PB_PROCESS_REQUEST_RESULT,
                      field_size_varint(PB_PROCESS_REQUEST_RESULT_BATCH, batch->number) +
                          field_size_varint(PB_PROCESS_REQUEST_RESULT_ID, id) +
                          field_size_bytes_always(PB_PROCESS_REQUEST_RESULT_ERROR, size));
    if (at) {
        at = field_put_varint(at, PB_PROCESS_REQUEST_RESULT_BATCH, batch->number);
        at = field_put_varint(at, PB_PROCESS_REQUEST_RESULT_ID, id);
        at = field_put_head(at, PB_PROCESS_REQUEST_RESULT_ERROR, size);
        text_put(at, &text);
    }
    return wake(worker, !!at);
}

bool worker_report_result(struct tributary_worker *worker, const struct tributary_worker_batch *batch,
                          const struct work_operation *operation)
{
    const struct bytes data = to_bytes(operation->shown.result);
    const uint64_t id = operation->shown.id;
    uint8_t *at = NULL;

    if (is_stale(worker, batch))
        return false;
    if (operation->failure)
        return report_failure(worker, batch, operation);
    at = begin_report(worker, PB_PROCESS_REQUEST_RESULT,
                      field_size_varint(PB_PROCESS_REQUEST_RESULT_BATCH, batch->number) +
                          field_size_varint(PB_PROCESS_REQUEST_RESULT_ID, id) +
                          field_size_bytes(PB_PROCESS_REQUEST_RESULT_DATA, data.size));
    if (at) {
        at = field_put_varint(at, PB_PROCESS_REQUEST_RESULT_BATCH, batch->number);
        at = field_put_varint(at, PB_PROCESS_REQUEST_RESULT_ID, id);
        field_put_bytes(at, PB_PROCESS_REQUEST_RESULT_DATA, data);
    }
    return wake(worker, !!at);
}

bool worker_report_draining(struct tributary_worker *worker)
{
    return wake(worker, !!begin_report(worker, PB_PROCESS_REQUEST_DRAINING, 0));
}
