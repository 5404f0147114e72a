/* peek.h - reads only the fields of an event that filters and keys need, as fast as possible.
 *
 * Threads: any. */
#ifndef TRIBUTARY_EVENT_PEEK_H
#define TRIBUTARY_EVENT_PEEK_H

#include "event/event_fields.h"
#include "event/event_view.h"
#include "event/field.h"

/* Where a view keeps the content of the fields that filters need; 0: they do not need it. By field
 * number, up to the highest that fits into a tag of one byte. */
static const uint8_t peek_offsets[16] = {
    [PB_EVENT_TOPIC] = offsetof(struct event_view, topic),
    [PB_EVENT_KEY] = offsetof(struct event_view, key),
    [PB_EVENT_TYPE] = offsetof(struct event_view, type),
};

/* Like event_view(), but sets only `topic`, `key`, `type` and `body`. The rest of *view_out is
 * unchanged. */
static inline void event_peek(struct bytes event, struct event_view *view_out)
{
    const uint8_t *at = event.data, *end = event.data + event.size;
    struct field field = {.number = 0};

    /* An event that cannot be read was not scanned, which is a bug. */
    CHECK(event.size > 0 && field_read(&at, end, &field) == FAULT_NONE && field.type == WIRE_LEN);
    view_out->topic = view_out->key = view_out->type = (struct bytes){NULL, 0};
    view_out->body = field.bytes;
    at = field.bytes.data;
    while (at < end) {
        field.number = *at >> 3;
        if (LIKELY((*at & 0x87) == WIRE_LEN)) {
            at++;
            CHECK(content_read(&at, end, &field.bytes) == FAULT_NONE);
        } else {
            CHECK(field_read(&at, end, &field) == FAULT_NONE);
        }
        if (field.number < ARRAY_LEN(peek_offsets) && peek_offsets[field.number] > 0)
            *(struct bytes *)(void *)((char *)view_out + peek_offsets[field.number]) = field.bytes;
    }
}

#endif
