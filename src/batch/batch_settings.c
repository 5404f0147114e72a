/* batch_settings.c - defaults and bounds. */
#include "batch/batch_settings.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"

#define MAX_COUNT ((uint64_t)1 << 32)
#define MAX_BYTES ((uint64_t)1 << 40)
#define HOUR_NS (3600 * NS_PER_S)

enum fault_reason batch_key_check(struct bytes key, struct fault *fault)
{
    return key.size > MAX_BATCH_KEY_BYTES
               ? fault_bytes(fault, FAULT_TOO_LONG, "key", key, "at most 256 bytes")
               : FAULT_NONE;
}

static enum fault_reason refuse(struct fault *fault, const char *field, uint64_t value, uint64_t min,
                                uint64_t max)
{
    char bound[96];

    snprintf(bound, sizeof(bound), "%" PRIu64 " to %" PRIu64, min, max);
    return fault_number(fault, FAULT_OUT_OF_BOUNDS, field, value, bound);
}

static enum fault_reason complete_count(uint64_t *value, const char *field, uint64_t default_value,
                                        uint64_t max, struct fault *fault)
{
    if (*value == 0)
        *value = default_value;
    return *value > max ? refuse(fault, field, *value, 1, max) : FAULT_NONE;
}

static enum fault_reason complete_time(int64_t *value, const char *field, int64_t default_value, int64_t max,
                                       struct fault *fault)
{
    if (*value == 0)
        *value = default_value;
    if (*value >= NS_PER_MS && *value <= max)
        return FAULT_NONE;
    if (*value > 0)
        return refuse(fault, field, (uint64_t)*value, NS_PER_MS, (uint64_t)max);
    return fault_set(fault, FAULT_OUT_OF_BOUNDS, field, "not negative");
}

static enum fault_reason complete_times(struct batch_settings *settings, struct fault *fault)
{
    if (complete_time(&settings->window_ns, "window_ns", 100 * NS_PER_MS, HOUR_NS, fault) ||
        complete_time(&settings->deadline_ns, "deadline_ns", 2 * settings->window_ns, 2 * HOUR_NS, fault) ||
        complete_time(&settings->retry_first_ns, "retry_first_ns", 10 * NS_PER_MS, HOUR_NS, fault) ||
        complete_time(&settings->retry_max_ns, "retry_max_ns", MAX_OF(NS_PER_S, settings->retry_first_ns),
                      HOUR_NS, fault))
        return fault->reason;
    if (settings->deadline_ns < settings->window_ns)
        return refuse(fault, "deadline_ns", (uint64_t)settings->deadline_ns, (uint64_t)settings->window_ns,
                      2 * HOUR_NS);
    return FAULT_NONE;
}

enum fault_reason batch_settings_complete(struct batch_settings *settings, struct fault *fault)
{
    if (settings->window != BATCH_FIXED && settings->window != BATCH_ADAPTIVE)
        return fault_number(fault, FAULT_UNKNOWN_ENUM, "window", settings->window, "FIXED or ADAPTIVE");
    if (complete_times(settings, fault) ||
        complete_count(&settings->max_operations, "max_operations", 10000, MAX_COUNT, fault) ||
        complete_count(&settings->max_bytes, "max_bytes", (uint64_t)16 << 20, MAX_BYTES, fault) ||
        complete_count(&settings->max_waiters, "max_waiters", 100000, MAX_COUNT, fault) ||
        complete_count(&settings->max_waiting_bytes, "max_waiting_bytes", (uint64_t)64 << 20, MAX_BYTES,
                       fault) ||
        complete_count(&settings->max_keys, "max_keys", 1000000, MAX_COUNT, fault) ||
        complete_count(&settings->max_batches, "max_batches", settings->max_keys, MAX_COUNT, fault) ||
        complete_count(&settings->max_steps, "max_steps", 256, MAX_COUNT, fault))
        return fault->reason;
    if (settings->max_reloads > 1000)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, "max_reloads", settings->max_reloads, "at most 1000");
    return FAULT_NONE;
}
