/* worker_hello.c - the first message of a worker. */
#include "client/lib/processor/worker_state.h"
#include "event/field_write.h"
#include "proto/field_numbers.h"

_Static_assert(TRIBUTARY_BATCH_FIXED == 0 && TRIBUTARY_BATCH_ADAPTIVE == 1, "BatchWindow is one more");

static void write_policy(const struct tributary_worker_policy *policy, struct buf *hello)
{
    struct buf fields = {0};

    field_varint(&fields, PB_BATCH_POLICY_WINDOW, (uint64_t)policy->window + 1);
    field_duration(&fields, PB_BATCH_POLICY_WINDOW_LENGTH, policy->window_ns);
    field_duration(&fields, PB_BATCH_POLICY_DEADLINE, policy->deadline_ns);
    field_varint(&fields, PB_BATCH_POLICY_RETRY_LOAD, policy->retry_load);
    field_varint(&fields, PB_BATCH_POLICY_MAX_RELOADS, policy->max_reloads);
    field_varint(&fields, PB_BATCH_POLICY_MAX_OPERATIONS, policy->max_operations);
    field_varint(&fields, PB_BATCH_POLICY_MAX_BYTES, policy->max_bytes);
    field_varint(&fields, PB_BATCH_POLICY_MAX_WAITERS, policy->max_waiters);
    field_varint(&fields, PB_BATCH_POLICY_MAX_WAITING_BYTES, policy->max_waiting_bytes);
    field_varint(&fields, PB_BATCH_POLICY_MAX_KEYS, policy->max_keys);
    field_message(hello, PB_PROCESS_REQUEST_HELLO_POLICY, &fields);
}

void worker_write_hello(const struct tributary_worker *worker, struct buf *request)
{
    struct buf hello = {0};

    field_text(&hello, PB_PROCESS_REQUEST_HELLO_PROCESSOR, worker->processor);
    field_text(&hello, PB_PROCESS_REQUEST_HELLO_WORKER, worker->name);
    write_policy(&worker->options.policy, &hello);
    field_varint(&hello, PB_PROCESS_REQUEST_HELLO_MAX_BATCHES, worker->options.max_batches);
    field_varint(&hello, PB_PROCESS_REQUEST_HELLO_PACKED, true);
    field_message(request, PB_PROCESS_REQUEST_HELLO, &hello);
}
