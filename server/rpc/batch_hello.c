/* batch_hello.c - every default and every bound of a worker's hello. */
#include "server/rpc/batch_hello.h"

#include <string.h>

#include "base/clock.h"
#include "event/field_write.h"
#include "event/text.h"
#include "proto/field_numbers.h"
#include "server/rpc/batch_read.h"
#include "server/rpc/decode.h"
#include "tributary/v1/batch.pb-c.h"

#define DEFAULT_WORKER_BATCHES 64u
/* The end of a batch is one step, however many operations it has; so is a load that fails, however
 * many wait for it. */
#define MAX_POLICY_OPERATIONS 10000u
#define MAX_POLICY_WAITERS 100000u

static enum fault_reason read_times(const Tributary__V1__BatchPolicy *from, struct batch_settings *settings,
                                    struct fault *fault)
{
    const int64_t hour_ns = 3600 * NS_PER_S;
    const struct duration_rule window = {"window_length", 0, NS_PER_MS, hour_ns, true};
    const struct duration_rule deadline = {"deadline", 0, NS_PER_MS, 2 * hour_ns, true};
    const ProtobufCMessage *window_length = from->window_length ? &from->window_length->base : NULL;

    if (decode_duration(window_length, &window, &settings->window_ns, fault))
        return fault->reason;
    return decode_duration(from->deadline ? &from->deadline->base : NULL, &deadline, &settings->deadline_ns,
                           fault);
}

/* The engine's names, as the message has them. */
static void rename_field(struct fault *fault)
{
    const char *const names[][2] = {{"window_ns", "window_length"}, {"deadline_ns", "deadline"}};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(fault->field, names[i][0]) == 0)
            strcpy(fault->field, names[i][1]);
}

static enum fault_reason read_policy(const Tributary__V1__BatchPolicy *from, struct batch_settings *settings,
                                     struct fault *fault)
{
    static const Tributary__V1__BatchPolicy defaults = TRIBUTARY__V1__BATCH_POLICY__INIT;

    if (!from)
        from = &defaults;
    if (from->window < 0 || from->window > TRIBUTARY__V1__BATCH_WINDOW__BATCH_WINDOW_ADAPTIVE)
        return fault_number(fault, FAULT_UNKNOWN_ENUM, "window", (uint64_t)from->window, "FIXED or ADAPTIVE");
    if (from->max_operations > MAX_POLICY_OPERATIONS)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, "max_operations", from->max_operations,
                            "at most 10000");
    if (from->max_waiters > MAX_POLICY_WAITERS)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, "max_waiters", from->max_waiters, "at most 100000");
    if (read_times(from, settings, fault))
        return fault->reason;
    settings->window =
        from->window == TRIBUTARY__V1__BATCH_WINDOW__BATCH_WINDOW_ADAPTIVE ? BATCH_ADAPTIVE : BATCH_FIXED;
    settings->retry_load = from->retry_load;
    settings->max_reloads = from->max_reloads;
    settings->max_operations = from->max_operations;
    settings->max_bytes = from->max_bytes;
    settings->max_waiters = from->max_waiters;
    settings->max_waiting_bytes = from->max_waiting_bytes;
    settings->max_keys = from->max_keys;
    settings->pipelined = true;
    if (batch_settings_complete(settings, fault))
        rename_field(fault);
    else
        fault->reason = FAULT_NONE;
    return fault->reason;
}

static enum fault_reason read_names(const Tributary__V1__ProcessRequest__Hello *from,
                                    struct batch_worker_params *params, struct fault *fault)
{
    params->processor = text_bytes(from->processor);
    params->name = text_bytes(from->worker);
    if (name_check(params->processor, "processor", MAX_PROCESSOR_NAME_BYTES, fault))
        return fault->reason;
    if (params->name.size > 0 && name_check(params->name, "worker", MAX_WORKER_NAME_BYTES, fault))
        return fault->reason;
    if (from->max_batches > MAX_WORKER_BATCHES)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, "max_batches", from->max_batches, "at most 10000");
    params->max_batches = from->max_batches > 0 ? from->max_batches : DEFAULT_WORKER_BATCHES;
    return FAULT_NONE;
}

enum fault_reason batch_hello_read(struct bytes bytes, struct batch_hello *hello_out, struct fault *fault)
{
    struct batch_hello hello = {.packed = false};
    const Tributary__V1__ProcessRequest__Hello *from = NULL;

    if (decode(bytes, &tributary__v1__process_request__hello__descriptor, &hello.message, fault)) {
        fault_within(fault, "hello.");
        return fault->reason;
    }
    from = (const Tributary__V1__ProcessRequest__Hello *)(const void *)hello.message;
    hello.packed = from->packed;
    enum fault_reason reason = read_names(from, &hello.params, fault);

    if (!reason && (reason = read_policy(from->policy, &hello.params.settings, fault)))
        fault_within(fault, "policy.");
    if (reason) {
        fault_within(fault, "hello.");
        batch_hello_fini(&hello);
        return reason;
    }
    *hello_out = hello;
    return FAULT_NONE;
}

void batch_hello_fini(struct batch_hello *hello)
{
    decoded_free(hello->message);
    hello->message = NULL;
}

void batch_policy_write(struct buf *buf, const struct batch_settings *settings)
{
    field_varint(buf, PB_BATCH_POLICY_WINDOW,
                 settings->window == BATCH_ADAPTIVE ? TRIBUTARY__V1__BATCH_WINDOW__BATCH_WINDOW_ADAPTIVE
                                                    : TRIBUTARY__V1__BATCH_WINDOW__BATCH_WINDOW_FIXED);
    field_duration(buf, PB_BATCH_POLICY_WINDOW_LENGTH, settings->window_ns);
    field_duration(buf, PB_BATCH_POLICY_DEADLINE, settings->deadline_ns);
    field_varint(buf, PB_BATCH_POLICY_RETRY_LOAD, settings->retry_load);
    field_varint(buf, PB_BATCH_POLICY_MAX_RELOADS, settings->max_reloads);
    field_varint(buf, PB_BATCH_POLICY_MAX_OPERATIONS, settings->max_operations);
    field_varint(buf, PB_BATCH_POLICY_MAX_BYTES, settings->max_bytes);
    field_varint(buf, PB_BATCH_POLICY_MAX_WAITERS, settings->max_waiters);
    field_varint(buf, PB_BATCH_POLICY_MAX_WAITING_BYTES, settings->max_waiting_bytes);
    field_varint(buf, PB_BATCH_POLICY_MAX_KEYS, settings->max_keys);
}
