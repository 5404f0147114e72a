/* event_marks.c - what of an event counts for a topic. */
#include "topic/event_marks.h"

#include "event/event_fields.h"
#include "event/field.h"

#define EVENT_TAG WIRE_TAG(1, WIRE_LEN)

/* Of several the last one counts. What is no event has no marks. */
static void read_marks(struct bytes content, struct event_marks *marks)
{
    const struct event_marks none = *marks;
    const uint8_t *at = content.data, *end = content.data + content.size;
    struct field field = {.number = 0};

    while (at < end) {
        if (field_read(&at, end, &field) != FAULT_NONE) {
            *marks = none;
            return;
        }
        if (field.number == PB_EVENT_ID && field.type == WIRE_LEN)
            marks->id = field.bytes;
        else if (field.number == PB_EVENT_DELIVER_AFTER_UNIX_NANO && field.type == WIRE_FIXED64)
            marks->deliver_wall_ns = (int64_t)MIN_OF(field.value, (uint64_t)INT64_MAX);
        else if (field.number == PB_EVENT_EXPIRES_UNIX_NANO && field.type == WIRE_FIXED64)
            marks->expires_wall_ns = (int64_t)MIN_OF(field.value, (uint64_t)INT64_MAX);
    }
}

bool event_marks_next(struct bytes *events, struct event_marks *marks)
{
    const uint8_t *at = events->data, *end = events->data + events->size;
    struct bytes content = {NULL, 0};

    if (events->size == 0 || *at++ != EVENT_TAG || content_read(&at, end, &content) != FAULT_NONE)
        return false;
    *marks = (struct event_marks){.event = {events->data, (size_t)(at - events->data)}};
    *events = (struct bytes){at, (size_t)(end - at)};
    read_marks(content, marks);
    return true;
}

struct events_delayed events_delayed(struct bytes events, int64_t now_wall_ns)
{
    struct events_delayed delayed = {0};
    struct event_marks marks;

    while (event_marks_next(&events, &marks)) {
        delayed.all++;
        delayed.expires |= marks.expires_wall_ns > 0;
        if (marks.deliver_wall_ns <= now_wall_ns)
            continue;
        delayed.count++;
        delayed.bytes += marks.event.size;
    }
    delayed.is_malformed = events.size > 0;
    return delayed;
}
