/* event_view.c - reads one event that the scan accepted. */
#include "event/event_view.h"

#include "event/event_fields.h"
#include "event/field.h"

/* The event without its tag and length. */
static struct bytes body_of(struct bytes event)
{
    const uint8_t *at = event.data;
    struct field field = {.number = 0};

    CHECK(event.size > 0 && field_read(&at, event.data + event.size, &field) == FAULT_NONE &&
          field.type == WIRE_LEN);
    return field.bytes;
}

/* Reads the next field of `body`, from *at on. False: *at is its end. A field that cannot be read
 * was not scanned, which is a bug. */
static inline bool next(struct bytes body, const uint8_t **at, struct field *field)
{
    const uint8_t *end = body.data + body.size;

    if (*at == end)
        return false;
    CHECK(field_read(at, end, field) == FAULT_NONE);
    return true;
}

/* Where a view keeps the content of each field. */
static const uint8_t view_offsets[EVENT_FIELDS] = {
    [PB_EVENT_ID] = offsetof(struct event_view, id),
    [PB_EVENT_TOPIC] = offsetof(struct event_view, topic),
    [PB_EVENT_KEY] = offsetof(struct event_view, key),
    [PB_EVENT_TYPE] = offsetof(struct event_view, type),
    [PB_EVENT_CONTENT_TYPE] = offsetof(struct event_view, content_type),
    [PB_EVENT_TIME_UNIX_NANO] = offsetof(struct event_view, time_unix_nano),
    [PB_EVENT_DATA] = offsetof(struct event_view, data),
    [PB_EVENT_EXPIRES_UNIX_NANO] = offsetof(struct event_view, expires_unix_nano),
    [PB_EVENT_DELIVER_AFTER_UNIX_NANO] = offsetof(struct event_view, deliver_after_unix_nano),
};

void event_view(struct bytes event, struct event_view *view_out)
{
    struct bytes body = body_of(event);
    const uint8_t *at = body.data;
    struct field field = {.number = 0};

    *view_out = (struct event_view){.time_unix_nano = 0};
    while (next(body, &at, &field)) {
        if (field.number >= EVENT_FIELDS || field.number == PB_EVENT_HEADERS)
            continue; /* unknown fields are ignored; event_peek() reads headers */
        void *place = (char *)view_out + view_offsets[field.number];
        if (field.type == WIRE_LEN)
            *(struct bytes *)place = field.bytes;
        else
            *(uint64_t *)place = field.value;
    }
}
