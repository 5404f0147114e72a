/* view.c - reads one event that the scan accepted: nothing is checked twice, and nothing is copied. */
#include "event/framing.h"

#include <string.h>

#include "event/field.h"

/* The bytes between an event's tag and length and its end. */
static struct bytes body_of(struct bytes event)
{
    const uint8_t *at = event.at;
    struct field field = {.number = 0};

    CHECK(event.size > 0 && field_read(&at, event.at + event.size, &field) == FAULT_NONE && field.type == WIRE_LEN);
    return field.bytes;
}

/* The next field of `body` from *at on; false at its end. A field that cannot be read was never scanned: a bug. */
static inline bool next(struct bytes body, const uint8_t **at, struct field *field)
{
    const uint8_t *end = body.at + body.size;

    if (*at == end)
        return false;
    CHECK(field_read(at, end, field) == FAULT_NONE);
    return true;
}

void event_view(struct bytes event, struct event_view *view_out)
{
    struct event_view view = {.body = body_of(event)};
    const uint8_t *at = view.body.at;
    struct field field;

    while (next(view.body, &at, &field)) {
        switch (field.number) {
        case EVENT_ID:
            view.id = field.bytes;
            break;
        case EVENT_TOPIC:
            view.topic = field.bytes;
            break;
        case EVENT_KEY:
            view.key = field.bytes;
            break;
        case EVENT_TYPE:
            view.type = field.bytes;
            break;
        case EVENT_CONTENT_TYPE:
            view.content_type = field.bytes;
            break;
        case EVENT_TIME:
            view.time_unix_nano = field.value;
            break;
        case EVENT_DATA:
            view.data = field.bytes;
            break;
        case EVENT_EXPIRES:
            view.expires_unix_nano = field.value;
            break;
        case EVENT_DELIVER_AFTER:
            view.deliver_after_unix_nano = field.value;
            break;
        default: /* headers, on demand; and what we do not know */
            break;
        }
    }
    *view_out = view;
}

bool event_header(const struct event_view *view, struct bytes name, struct bytes *value_out)
{
    const uint8_t *at = view->body.at;
    struct bytes found = {NULL, 0};
    bool carried = false;
    struct field entry;
    struct field part;

    while (next(view->body, &at, &entry)) {
        if (entry.number != EVENT_HEADERS)
            continue;
        struct bytes parts[ENTRY_FIELDS] = {{NULL, 0}};
        const uint8_t *inside = entry.bytes.at;
        while (next(entry.bytes, &inside, &part)) {
            if (part.number < ENTRY_FIELDS)
                parts[part.number] = part.bytes;
        }
        if (parts[ENTRY_KEY].size == name.size && (name.size == 0 || memcmp(parts[ENTRY_KEY].at, name.at, name.size) == 0)) {
            found = parts[ENTRY_VALUE];
            carried = true;
        }
    }
    if (carried)
        *value_out = found;
    return carried;
}
