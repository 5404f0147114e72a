/* glance.h - what filters and keys ask of an event, read as quickly as it can be. Threads: any. */
#ifndef TRIBUTARY_EVENT_PEEK_H
#define TRIBUTARY_EVENT_PEEK_H

#include "event/field.h"
#include "event/framing.h"

/* Where a view keeps what filters ask for; 0: what they do not. By field, as far as a tag of one
 * byte goes. */
static const uint8_t peek_offsets[16] = {
    [EVENT_TOPIC] = offsetof(struct event_view, topic),
    [EVENT_KEY] = offsetof(struct event_view, key),
    [EVENT_TYPE] = offsetof(struct event_view, type),
};

/* As event_view(), but only `topic`, `key`, `type` and `body` are set; the rest of *view_out is
 * left as it was. */
static inline void event_peek(struct bytes event, struct event_view *view_out)
{
    const uint8_t *at = event.data, *end = event.data + event.size;
    struct field field = {.number = 0};

    /* What cannot be read was never scanned: a bug. */
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
