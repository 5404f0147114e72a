/* topic_settings.c - the settings of a topic. */
#include "topic/topic_settings.h"

#include "event/text.h"
#include "event/varint.h"

/* Version 1 has the bounds, version 2 also the window of ids. Without a window version 1 is
 * written. */
#define BOUNDS_VERSION 1u
#define IDS_VERSION 2u

enum fault_reason topic_name_check(struct bytes name, const char *field, struct fault *fault)
{
    const enum fault_reason reason = name_check(name, field, MAX_TOPIC_NAME_BYTES, fault);

    if (reason == FAULT_NONE && name.data[0] == '@')
        return fault_bytes(fault, FAULT_BAD_NAME, field, name, "not beginning with '@'");
    return reason;
}

enum fault_reason topic_settings_check(const struct topic_settings *settings, struct fault *fault)
{
    if (settings->max_age_ns != 0 &&
        (settings->max_age_ns < MIN_TOPIC_AGE_NS || settings->max_age_ns > MAX_TOPIC_AGE_NS))
        return fault_set(fault, FAULT_OUT_OF_BOUNDS, "max_age", "0 (none), or 1s to 876000h");
    if (settings->max_bytes > INT64_MAX)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, "max_bytes", settings->max_bytes, "at most 2^63-1");
    if (settings->max_events > INT64_MAX)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, "max_events", settings->max_events, "at most 2^63-1");
    if (settings->id_window_ns < 0 || settings->id_window_ns > MAX_ID_WINDOW_NS)
        return fault_set(fault, FAULT_OUT_OF_BOUNDS, "id_window", "0 (none) to 168h");
    if (settings->max_ids > MAX_TOPIC_IDS)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, "max_ids", settings->max_ids, "at most 1000000");
    return FAULT_NONE;
}

static bool has_ids(const struct topic_settings *settings)
{
    return settings->id_window_ns != 0 || settings->max_ids != 0;
}

bool topic_settings_same(const struct topic_settings *a, const struct topic_settings *b)
{
    return a->max_age_ns == b->max_age_ns && a->max_bytes == b->max_bytes && a->max_events == b->max_events &&
           a->id_window_ns == b->id_window_ns && a->max_ids == b->max_ids;
}

static void put(struct buf *out, uint64_t number)
{
    uint8_t bytes[MAX_VARINT_BYTES];

    buf_bytes(out, bytes, varint_write(bytes, number));
}

void topic_settings_encode(const struct topic_settings *settings, struct buf *out)
{
    buf_byte(out, has_ids(settings) ? IDS_VERSION : BOUNDS_VERSION);
    put(out, (uint64_t)settings->max_age_ns);
    put(out, settings->max_bytes);
    put(out, settings->max_events);
    if (has_ids(settings)) {
        put(out, (uint64_t)settings->id_window_ns);
        put(out, settings->max_ids);
    }
}

bool topic_settings_decode(struct bytes data, struct topic_settings *settings_out)
{
    const uint8_t *next = data.data, *end = next + data.size;
    uint64_t numbers[5] = {0};
    struct topic_settings settings;
    struct fault fault;

    if (data.size == 0 || *next == 0 || *next > IDS_VERSION)
        return false;
    const unsigned count = *next++ == IDS_VERSION ? 5 : 3;
    for (unsigned i = 0; i < count; i++) {
        const size_t size = varint_read(next, end, &numbers[i]);

        if (size == 0)
            return false;
        next += size;
    }
    if (next != end || numbers[0] > INT64_MAX || numbers[3] > INT64_MAX || numbers[4] > MAX_TOPIC_IDS)
        return false;
    settings = (struct topic_settings){.max_age_ns = (int64_t)numbers[0],
                                       .max_bytes = numbers[1],
                                       .max_events = numbers[2],
                                       .id_window_ns = (int64_t)numbers[3],
                                       .max_ids = (uint32_t)numbers[4]};
    if (topic_settings_check(&settings, &fault) != FAULT_NONE)
        return false;
    *settings_out = settings;
    return true;
}
