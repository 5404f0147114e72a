/* encode.c - checks, measures and writes events. */
#include "client/lib/core/encode.h"

#include "client/lib/core/bytes.h"
#include "event/text.h"

static inline size_t header_size(const struct tributary_header *header)
{
    return field_size_bytes(PB_EVENT_HEADERS_ENTRY_KEY, header->name.size) +
           field_size_bytes(PB_EVENT_HEADERS_ENTRY_VALUE, header->value.size);
}

static inline size_t measure(const struct tributary_event *event)
{
    size_t size =
        field_size_bytes(PB_EVENT_ID, event->id.size) + field_size_bytes(PB_EVENT_TOPIC, event->topic.size) +
        field_size_bytes(PB_EVENT_KEY, event->key.size) + field_size_bytes(PB_EVENT_TYPE, event->type.size) +
        field_size_bytes(PB_EVENT_CONTENT_TYPE, event->content_type.size) +
        field_size_fixed64(PB_EVENT_TIME_UNIX_NANO, event->time_unix_nano) +
        field_size_bytes(PB_EVENT_DATA, event->data.size) +
        field_size_fixed64(PB_EVENT_EXPIRES_UNIX_NANO, event->expires_unix_nano) +
        field_size_fixed64(PB_EVENT_DELIVER_AFTER_UNIX_NANO, event->deliver_after_unix_nano);

    for (size_t i = 0; i < event->header_count; i++)
        size += field_size_bytes_always(PB_EVENT_HEADERS, header_size(&event->headers[i]));
    return size;
}

static const char *text_fault(struct tributary_bytes text, const char *too_long, const char *bad)
{
    if (text.size == 0)
        return NULL;
    if (text.size > MAX_NAME_BYTES)
        return too_long;
    return utf8_valid(to_bytes(text)) ? NULL : bad;
}

static const char *label_fault(struct tributary_bytes text, const char *too_long, const char *bad)
{
    if (text.size == 0)
        return NULL;
    if (text.size > MAX_NAME_BYTES)
        return too_long;
    return text_printable(to_bytes(text)) == FAULT_NONE ? NULL : bad;
}

static const char *headers_fault(const struct tributary_event *event)
{
    if (event->header_count > MAX_HEADERS)
        return "headers: more than 64";
    for (size_t i = 0; i < event->header_count; i++) {
        const struct tributary_header *header = &event->headers[i];

        if (header->name.size == 0 || header->name.size > MAX_NAME_BYTES)
            return "headers: a name is empty or over 256 bytes";
        if (header->value.size > MAX_VALUE_BYTES)
            return "headers: a value is over 8192 bytes";
        if (!utf8_valid(to_bytes(header->name)) ||
            (header->value.size > 0 && !utf8_valid(to_bytes(header->value))))
            return "headers: not valid UTF-8, or holds a NUL";
    }
    return NULL;
}

const char *event_check(const struct tributary_event *event, size_t *size_out)
{
    const char *fault = text_fault(event->id, "id: over 256 bytes", "id: not valid UTF-8, or holds a NUL");
    size_t size = 0;

    if (!fault)
        fault = label_fault(event->topic, "topic: over 256 bytes", "topic: not printable UTF-8");
    if (!fault)
        fault = text_fault(event->key, "key: over 256 bytes", "key: not valid UTF-8, or holds a NUL");
    if (!fault)
        fault = label_fault(event->type, "type: over 256 bytes", "type: not printable UTF-8");
    if (!fault)
        fault = text_fault(event->content_type, "content_type: over 256 bytes",
                           "content_type: not valid UTF-8, or holds a NUL");
    if (!fault && event->header_count > 0)
        fault = headers_fault(event);
    if (fault)
        return fault;
    if (event->data.size > MAX_EVENT_BYTES || (size = measure(event)) > MAX_EVENT_BYTES)
        return "the event is over 1 MiB";
    *size_out = size;
    return NULL;
}

size_t event_size(const struct tributary_event *event)
{
    return measure(event);
}

uint8_t *event_field_write(uint8_t *at, const struct tributary_event *event, size_t size)
{
    at = field_put_head(at, PB_PUBLISH_STREAM_REQUEST_EVENTS, size);
    at = field_put_bytes(at, PB_EVENT_ID, to_bytes(event->id));
    at = field_put_bytes(at, PB_EVENT_TOPIC, to_bytes(event->topic));
    at = field_put_bytes(at, PB_EVENT_KEY, to_bytes(event->key));
    at = field_put_bytes(at, PB_EVENT_TYPE, to_bytes(event->type));
    at = field_put_bytes(at, PB_EVENT_CONTENT_TYPE, to_bytes(event->content_type));
    for (size_t i = 0; i < event->header_count; i++) {
        const struct tributary_header *header = &event->headers[i];

        at = field_put_head(at, PB_EVENT_HEADERS, header_size(header));
        at = field_put_bytes(at, PB_EVENT_HEADERS_ENTRY_KEY, to_bytes(header->name));
        at = field_put_bytes(at, PB_EVENT_HEADERS_ENTRY_VALUE, to_bytes(header->value));
    }
    at = field_put_fixed64(at, PB_EVENT_TIME_UNIX_NANO, event->time_unix_nano);
    at = field_put_bytes(at, PB_EVENT_DATA, to_bytes(event->data));
    at = field_put_fixed64(at, PB_EVENT_EXPIRES_UNIX_NANO, event->expires_unix_nano);
    return field_put_fixed64(at, PB_EVENT_DELIVER_AFTER_UNIX_NANO, event->deliver_after_unix_nano);
}
