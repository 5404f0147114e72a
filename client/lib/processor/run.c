/* run.c - see run.h. */
#include "client/lib/processor/run.h"

#include <stdlib.h>

#include "base/clock.h"
#include "client/lib/core/bytes.h"
#include "event/field_write.h"
#include "proto/field_numbers.h"

/* A longer timeout is none: the server bounds it. */
#define MAX_TIMEOUT_NS (86400 * NS_PER_S)

const char *run_fault(const struct tributary_runner_operation *operation)
{
    if (operation->key.size == 0 || operation->key.size > TRIBUTARY_MAX_BATCH_KEY)
        return "key: 1 to 256 bytes";
    if (operation->operation_id.size > TRIBUTARY_MAX_OPERATION_ID)
        return "operation_id: at most 64 bytes";
    if (operation->data.size > TRIBUTARY_MAX_OPERATION_BYTES)
        return "data: at most 1 MiB";
    return NULL;
}

struct run *run_new(const char *processor, const struct tributary_runner_operation *operation,
                    struct tributary_bytes id)
{
    const struct bytes name = text_bytes(processor);
    const size_t size = field_size_bytes(PB_RUN_REQUEST_PROCESSOR, name.size) +
                        field_size_bytes(PB_RUN_REQUEST_KEY, operation->key.size) +
                        field_size_bytes(PB_RUN_REQUEST_OPERATION_ID, id.size) +
                        field_size_bytes(PB_RUN_REQUEST_DATA, operation->data.size);
    struct run *run = malloc(sizeof(*run) + size);
    uint8_t *at = NULL;

    if (!run)
        return NULL;
    *run = (struct run){.state = RUN_ADDED,
                        .has_id = id.size > 0,
                        .done = operation->done,
                        .ctx = operation->ctx,
                        .charge = operation->key.size + id.size + operation->data.size,
                        .size = size};
    list_init(&run->node);
    list_init(&run->cancel);
    at = field_put_bytes(run->request, PB_RUN_REQUEST_PROCESSOR, name);
    at = field_put_bytes(at, PB_RUN_REQUEST_KEY, to_bytes(operation->key));
    at = field_put_bytes(at, PB_RUN_REQUEST_OPERATION_ID, to_bytes(id));
    at = field_put_bytes(at, PB_RUN_REQUEST_DATA, to_bytes(operation->data));
    CHECK((size_t)(at - run->request) == size);
    return run;
}

/* What is left of its timeout; 0: it has none. */
static int64_t timeout_ns(const struct run *run, int64_t now_ns)
{
    const int64_t left_ns = run->deadline_ns == INT64_MAX ? 0 : run->deadline_ns - now_ns;

    return left_ns > MAX_TIMEOUT_NS ? 0 : left_ns;
}

static size_t duration_size(int64_t duration_ns)
{
    return field_size_varint(PB_PROTOBUF_DURATION_SECONDS, (uint64_t)(duration_ns / NS_PER_S)) +
           field_size_varint(PB_PROTOBUF_DURATION_NANOS, (uint64_t)(duration_ns % NS_PER_S));
}

static size_t head_size(const struct run *run, bool first)
{
    return field_size_varint(PB_RUN_STREAM_REQUEST_REQUEST, run->number) +
           field_size_varint(PB_RUN_STREAM_REQUEST_PACKED, first);
}

static uint8_t *head_put(const struct run *run, bool first, uint8_t *at)
{
    at = field_put_varint(at, PB_RUN_STREAM_REQUEST_REQUEST, run->number);
    return field_put_varint(at, PB_RUN_STREAM_REQUEST_PACKED, first);
}

size_t run_size(const struct run *run, int64_t now_ns, bool first)
{
    const int64_t left_ns = timeout_ns(run, now_ns);
    size_t size = head_size(run, first) + field_size_bytes_always(PB_RUN_STREAM_REQUEST_RUN, run->size);

    if (left_ns > 0)
        size += field_size_bytes_always(PB_RUN_STREAM_REQUEST_TIMEOUT, duration_size(left_ns));
    return size;
}

void run_write(const struct run *run, int64_t now_ns, bool first, uint8_t *at)
{
    const int64_t left_ns = timeout_ns(run, now_ns);

    at = head_put(run, first, at);
    at = field_put_bytes(at, PB_RUN_STREAM_REQUEST_RUN, (struct bytes){run->request, run->size});
    if (left_ns == 0)
        return;
    at = field_put_head(at, PB_RUN_STREAM_REQUEST_TIMEOUT, duration_size(left_ns));
    at = field_put_varint(at, PB_PROTOBUF_DURATION_SECONDS, (uint64_t)(left_ns / NS_PER_S));
    field_put_varint(at, PB_PROTOBUF_DURATION_NANOS, (uint64_t)(left_ns % NS_PER_S));
}

size_t run_cancel_size(const struct run *run, bool first)
{
    return head_size(run, first) + field_size_varint(PB_RUN_STREAM_REQUEST_CANCEL, true);
}

void run_cancel_write(const struct run *run, bool first, uint8_t *at)
{
    at = head_put(run, first, at);
    field_put_varint(at, PB_RUN_STREAM_REQUEST_CANCEL, true);
}
