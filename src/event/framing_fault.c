/* framing_fault.c - what the scan says of a message that it refuses. */
#include "event/framing_fault.h"

#include <stdio.h>

#include "event/event_fields.h"
#include "event/field.h"

#define PATH_BYTES sizeof(((struct fault *)0)->field)

static const char *const field_names[EVENT_FIELDS] = {
    [PB_EVENT_ID] = "id",
    [PB_EVENT_TOPIC] = "topic",
    [PB_EVENT_KEY] = "key",
    [PB_EVENT_TYPE] = "type",
    [PB_EVENT_CONTENT_TYPE] = "content_type",
    [PB_EVENT_HEADERS] = "headers",
    [PB_EVENT_TIME_UNIX_NANO] = "time_unix_nano",
    [PB_EVENT_DATA] = "data",
    [PB_EVENT_EXPIRES_UNIX_NANO] = "expires_unix_nano",
    [PB_EVENT_DELIVER_AFTER_UNIX_NANO] = "deliver_after_unix_nano",
};

enum fault_reason framing_refuse_event(const struct framing_place *place, enum fault_reason reason)
{
    char path[PATH_BYTES];

    snprintf(path, sizeof(path), "events[%u]", place->event);
    return fault_set(place->fault, reason, path, "");
}

enum fault_reason framing_refuse_bound(struct fault *fault, enum fault_reason reason, const char *path,
                                       uint64_t value, uint32_t max, const char *unit)
{
    char bound[48];

    snprintf(bound, sizeof(bound), "at most %u %s", max, unit);
    return value > 0 ? fault_number(fault, reason, path, value, bound)
                     : fault_set(fault, reason, path, bound);
}

enum fault_reason framing_refuse_event_size(const struct framing_place *place, size_t size)
{
    char path[PATH_BYTES];

    snprintf(path, sizeof(path), "events[%u]", place->event);
    return framing_refuse_bound(place->fault, FAULT_EVENT_TOO_LARGE, path, size,
                                place->limits->max_event_bytes, "bytes");
}

enum fault_reason framing_refuse_headers(const struct framing_place *place)
{
    char path[PATH_BYTES];

    snprintf(path, sizeof(path), "events[%u].headers", place->event);
    return framing_refuse_bound(place->fault, FAULT_TOO_MANY_HEADERS, path, 0, place->limits->max_headers,
                                "entries");
}

/* The fault of a string at `path`, whose bound is `max` bytes. */
static enum fault_reason refuse_text(const struct framing_place *place, enum fault_reason reason,
                                     const char *path, struct bytes value, size_t max)
{
    char bound[48] = "";

    if (reason == FAULT_TOO_LONG)
        snprintf(bound, sizeof(bound), "at most %zu bytes", max);
    return fault_bytes(place->fault, reason, path, value, bound);
}

enum fault_reason framing_refuse_field(const struct framing_place *place, enum fault_reason reason,
                                       uint32_t number, struct bytes value)
{
    char path[PATH_BYTES];

    snprintf(path, sizeof(path), "events[%u].%s", place->event, field_names[number]);
    if (reason == FAULT_TOO_LONG || reason == FAULT_BAD_UTF8 || reason == FAULT_BAD_NAME)
        return refuse_text(place, reason, path, value, place->limits->max_name_bytes);
    return fault_set(place->fault, reason, path, "");
}

/* The key of an entry, as far as the entry can be read. It may stand behind the wrong value. */
static struct bytes entry_key(struct bytes entry)
{
    const uint8_t *at = entry.data;
    struct bytes key = {NULL, 0};
    struct field field = {.number = 0};

    while (at < entry.data + entry.size && field_read(&at, entry.data + entry.size, &field) == FAULT_NONE) {
        if (field.number == PB_EVENT_HEADERS_ENTRY_KEY && field.type == WIRE_LEN)
            key = field.bytes;
    }
    return key;
}

enum fault_reason framing_refuse_header_value(const struct framing_place *place, enum fault_reason reason,
                                              struct bytes entry, struct bytes value)
{
    struct bytes key = entry_key(entry);
    char path[PATH_BYTES];
    char quoted[4 * 56 + 6];

    /* A path is short. Where escapes make the key long, the path shows less of it. */
    if (quote_bytes(key, 56, quoted, sizeof(quoted)) > 64)
        quote_bytes(key, 14, quoted, sizeof(quoted));
    snprintf(path, sizeof(path), "events[%u].headers[%.64s]", place->event, quoted);
    return refuse_text(place, reason, path, value, place->limits->max_value_bytes);
}
