/* encode.c - checks, measures and writes events. */
#include "client/lib/core/encode.h"

#include <endian.h>
#include <string.h>

#include "event/text.h"

#define FIXED64_FIELD_SIZE 9u

enum {
    FIELD_ID = 1,
    FIELD_TOPIC,
    FIELD_KEY,
    FIELD_TYPE,
    FIELD_CONTENT_TYPE,
    FIELD_HEADERS,
    FIELD_TIME,
    FIELD_DATA,
    FIELD_EXPIRES,
    FIELD_DELIVER_AFTER
};

static struct bytes to_bytes(struct tributary_bytes text)
{
    return (struct bytes){text.data, text.size};
}

static inline size_t field_size(size_t size)
{
    return size == 0 ? 0 : 1 + length_size(size) + size;
}

static inline uint8_t *length_write(uint8_t *at, size_t size)
{
    if (size < 1u << 7) {
        *at = (uint8_t)size;
        return at + 1;
    }
    if (size < 1u << 14) {
        at[0] = (uint8_t)(size | 0x80);
        at[1] = (uint8_t)(size >> 7);
        return at + 2;
    }
    return at + varint_write(at, size);
}

static inline uint8_t *put(uint8_t *at, uint32_t number, struct tributary_bytes text)
{
    if (text.size == 0)
        return at;
    *at = (uint8_t)(number << 3 | WIRE_LEN);
    at = length_write(at + 1, text.size);
    memcpy(at, text.data, text.size);
    return at + text.size;
}

static inline uint8_t *put_time(uint8_t *at, uint32_t number, uint64_t time_ns)
{
    const uint64_t little = htole64(time_ns);

    if (time_ns == 0)
        return at;
    *at = (uint8_t)(number << 3 | WIRE_FIXED64);
    memcpy(at + 1, &little, sizeof(little));
    return at + FIXED64_FIELD_SIZE;
}

size_t text_field_size(struct tributary_bytes text)
{
    return field_size(text.size);
}

uint8_t *text_field_write(uint8_t *at, uint32_t number, struct tributary_bytes text)
{
    return put(at, number, text);
}

static inline size_t header_size(const struct tributary_header *header)
{
    return field_size(header->name.size) + field_size(header->value.size);
}

static inline size_t time_size(uint64_t time_ns)
{
    return time_ns == 0 ? 0 : FIXED64_FIELD_SIZE;
}

static inline size_t measure(const struct tributary_event *event)
{
    size_t size = field_size(event->id.size) + field_size(event->topic.size) + field_size(event->key.size) +
                  field_size(event->type.size) + field_size(event->content_type.size) +
                  field_size(event->data.size) + time_size(event->time_unix_nano) +
                  time_size(event->expires_unix_nano) + time_size(event->deliver_after_unix_nano);

    for (size_t i = 0; i < event->header_count; i++)
        size += event_field_size(header_size(&event->headers[i]));
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
    *at = 1 << 3 | WIRE_LEN;
    at = length_write(at + 1, size);
    at = put(at, FIELD_ID, event->id);
    at = put(at, FIELD_TOPIC, event->topic);
    at = put(at, FIELD_KEY, event->key);
    at = put(at, FIELD_TYPE, event->type);
    at = put(at, FIELD_CONTENT_TYPE, event->content_type);
    for (size_t i = 0; i < event->header_count; i++) {
        *at = FIELD_HEADERS << 3 | WIRE_LEN;
        at = length_write(at + 1, header_size(&event->headers[i]));
        at = put(at, 1, event->headers[i].name);
        at = put(at, 2, event->headers[i].value);
    }
    at = put_time(at, FIELD_TIME, event->time_unix_nano);
    at = put(at, FIELD_DATA, event->data);
    at = put_time(at, FIELD_EXPIRES, event->expires_unix_nano);
    return put_time(at, FIELD_DELIVER_AFTER, event->deliver_after_unix_nano);
}
