/* view.c - reads one event that the scan accepted: nothing is checked twice, and nothing is
 * copied. */
#include "event/framing.h"

#include <string.h>

#include "event/field.h"

/* The bytes between an event's tag and length and its end. */
static struct bytes body_of(struct bytes event)
{
    const uint8_t *at = event.data;
    struct field field = {.number = 0};

    CHECK(event.size > 0 && field_read(&at, event.data + event.size, &field) == FAULT_NONE &&
          field.type == WIRE_LEN);
    return field.bytes;
}

/* The next field of `body` from *at on; false at its end. A field that cannot be read was never
 * scanned: a bug. */
static inline bool next(struct bytes body, const uint8_t **at, struct field *field)
{
    const uint8_t *end = body.data + body.size;

    if (*at == end)
        return false;
    CHECK(field_read(at, end, field) == FAULT_NONE);
    return true;
}

/* Where in a view the content of a field stands. */
static const uint8_t places[EVENT_FIELDS] = {
    [EVENT_ID] = offsetof(struct event_view, id),
    [EVENT_TOPIC] = offsetof(struct event_view, topic),
    [EVENT_KEY] = offsetof(struct event_view, key),
    [EVENT_TYPE] = offsetof(struct event_view, type),
    [EVENT_CONTENT_TYPE] = offsetof(struct event_view, content_type),
    [EVENT_TIME] = offsetof(struct event_view, time_unix_nano),
    [EVENT_DATA] = offsetof(struct event_view, data),
    [EVENT_EXPIRES] = offsetof(struct event_view, expires_unix_nano),
    [EVENT_DELIVER_AFTER] = offsetof(struct event_view, deliver_after_unix_nano),
};

void event_view(struct bytes event, struct event_view *view_out)
{
    struct bytes body = body_of(event);
    const uint8_t *at = body.data;
    struct field field = {.number = 0};

    *view_out = (struct event_view){.body = body};
    while (next(body, &at, &field)) {
        if (field.number >= EVENT_FIELDS || field.number == EVENT_HEADERS)
            continue; /* headers on demand; and what we do not know */
        void *place = (char *)view_out + places[field.number];
        if (field.type == WIRE_LEN)
            *(struct bytes *)place = field.bytes;
        else
            *(uint64_t *)place = field.value;
    }
}

bool event_header(const struct event_view *view, struct bytes name, struct bytes *value_out)
{
    const uint8_t *at = view->body.data;
    struct bytes found = {NULL, 0};
    bool carried = false;
    struct field entry = {.number = 0};
    struct field part = {.number = 0};

    while (next(view->body, &at, &entry)) {
        if (entry.number != EVENT_HEADERS)
            continue;
        struct bytes parts[ENTRY_FIELDS] = {{NULL, 0}};
        const uint8_t *inside = entry.bytes.data;
        while (next(entry.bytes, &inside, &part)) {
            if (part.number < ENTRY_FIELDS)
                parts[part.number] = part.bytes;
        }
        if (parts[ENTRY_KEY].size == name.size &&
            (name.size == 0 || memcmp(parts[ENTRY_KEY].data, name.data, name.size) == 0)) {
            found = parts[ENTRY_VALUE];
            carried = true;
        }
    }
    if (carried)
        *value_out = found;
    return carried;
}
