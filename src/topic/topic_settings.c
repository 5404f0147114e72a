/* topic_settings.c - the settings of a topic. */
#include "topic/topic_settings.h"

#include "event/text.h"
#include "event/varint.h"

#define SETTINGS_VERSION 1u

enum fault_reason topic_name_check(struct bytes name, const char *field, struct fault *fault)
{
    const enum fault_reason reason = name_check(name, field, MAX_TOPIC_NAME_BYTES, fault);

    if (reason == FAULT_NONE && name.data[0] == '@')
        return fault_bytes(fault, FAULT_BAD_NAME, field, name, "not beginning with '@'");
    return reason;
}

enum fault_reason topic_settings_check(const struct topic_settings *settings, struct fault *fault)
{
    if (settings->max_age_ns != 0 && settings->max_age_ns < MIN_TOPIC_AGE_NS)
        return fault_set(fault, FAULT_OUT_OF_BOUNDS, "max_age", "0 (none), or at least 1s");
    if (settings->max_bytes > INT64_MAX)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, "max_bytes", settings->max_bytes, "at most 2^63-1");
    if (settings->max_events > INT64_MAX)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, "max_events", settings->max_events, "at most 2^63-1");
    return FAULT_NONE;
}

static void put(struct buf *out, uint64_t number)
{
    uint8_t bytes[MAX_VARINT_BYTES];

    buf_bytes(out, bytes, varint_write(bytes, number));
}

void topic_settings_encode(const struct topic_settings *settings, struct buf *out)
{
    buf_byte(out, SETTINGS_VERSION);
    put(out, (uint64_t)settings->max_age_ns);
    put(out, settings->max_bytes);
    put(out, settings->max_events);
}

bool topic_settings_decode(struct bytes data, struct topic_settings *settings_out)
{
    const uint8_t *next = data.data, *end = next + data.size;
    uint64_t numbers[3];
    struct topic_settings settings;
    struct fault fault;

    if (data.size == 0 || *next++ != SETTINGS_VERSION)
        return false;
    for (unsigned i = 0; i < ARRAY_LEN(numbers); i++) {
        const size_t size = varint_read(next, end, &numbers[i]);

        if (size == 0)
            return false;
        next += size;
    }
    if (next != end || numbers[0] > INT64_MAX)
        return false;
    settings = (struct topic_settings){(int64_t)numbers[0], numbers[1], numbers[2]};
    if (topic_settings_check(&settings, &fault) != FAULT_NONE)
        return false;
    *settings_out = settings;
    return true;
}
