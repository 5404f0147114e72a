/* peek.h - reads only the fields of an event that filters and keys need, as fast as possible.
 *
 * Threads: any. */
#ifndef TRIBUTARY_EVENT_PEEK_H
#define TRIBUTARY_EVENT_PEEK_H

#include "event/event_fields.h"
#include "event/event_headers.h"
#include "event/event_view.h"
#include "event/field_pass.h"
#include "event/work.h"

/* What event_peek() does with a field, by its tag if that has one byte: the offset in a view where
 * its content goes, or one of these. */
enum { PEEK_OTHER, PEEK_PASS, PEEK_HEADER };
#define PEEK_TAG(number) [WIRE_TAG(number, WIRE_LEN)]
static const uint8_t peek_tags[256] = {
    PEEK_TAG(PB_EVENT_ID) = PEEK_PASS,
    PEEK_TAG(PB_EVENT_TOPIC) = offsetof(struct event_view, topic),
    PEEK_TAG(PB_EVENT_KEY) = offsetof(struct event_view, key),
    PEEK_TAG(PB_EVENT_TYPE) = offsetof(struct event_view, type),
    PEEK_TAG(PB_EVENT_CONTENT_TYPE) = PEEK_PASS,
    PEEK_TAG(PB_EVENT_HEADERS) = PEEK_HEADER,
    PEEK_TAG(PB_EVENT_DATA) = PEEK_PASS,
    PEEK_TAG(EVENT_FIELDS) = PEEK_PASS, /* unknown ones, from here on */
    PEEK_TAG(EVENT_FIELDS + 1) = PEEK_PASS,
    PEEK_TAG(EVENT_FIELDS + 2) = PEEK_PASS,
    PEEK_TAG(EVENT_FIELDS + 3) = PEEK_PASS,
    PEEK_TAG(15) = PEEK_PASS,
};
_Static_assert(offsetof(struct event_view, topic) > PEEK_HEADER, "an offset is none of the others");

/* The fields of an event, which `event` holds with its tag and length: its content. */
static inline struct bytes event_content(struct bytes event)
{
    const uint8_t *at = event.data, *end = event.data + event.size;
    struct field field = {.bytes = {NULL, 0}};

    CHECK(event.size > 1); /* a field has two bytes at least */
    if (LIKELY(*at == WIRE_TAG(PB_PUBLISH_REQUEST_EVENTS, WIRE_LEN)))
        return content_pass(at + 1, end);
    field_pass(at, end, &field);
    CHECK(field.bytes.data); /* it is an event, whose tag has several bytes */
    return field.bytes;
}

/* A field whose tag or length has several bytes, or that is a number; and where the next one is. */
struct rare_field {
    struct field field;
    const uint8_t *next;
};

static NOINLINE struct rare_field peek_rare_field(const uint8_t *at, const uint8_t *end)
{
    struct rare_field rare = {.field = {.bytes = {NULL, 0}}};

    rare.next = field_pass(at, end, &rare.field);
    return rare;
}

/* Reads only the field with this tag, one of the topic, the key and the type. As in every decoder
 * the last one counts. Without the field the result is empty. */
static inline struct bytes event_peek_field(struct bytes event, uint8_t tag)
{
    const struct bytes content = event_content(event);
    const uint8_t *at = content.data, *end = content.data + content.size;
    struct bytes found = {NULL, 0};

    while (end - at > 1) {
        const uint8_t here = at[0];
        const uint8_t *data = at + 2;
        size_t size = at[1];

        COUNT_WORK(1);
        if (!LIKELY((here & 0x87) == WIRE_LEN && (size < 0x80 || (data < end && *data < 0x80)))) {
            const struct rare_field rare = peek_rare_field(at, end);

            if (rare.field.number == tag >> 3)
                found = rare.field.bytes;
            at = rare.next;
            continue;
        }
        if (size >= 0x80)
            size = (size & 0x7f) | (size_t)*data++ << 7;
        CHECK(size <= (size_t)(end - data));
        if (here == tag)
            found = (struct bytes){data, size};
        at = data + size;
    }
    CHECK(at == end);
    return found;
}

/* Reads an event, which `event` holds with its tag and length. Sets `topic`, `key`, `type` and
 * `headers` of the view; the rest of *view_out is unchanged. *headers_out is the memory that
 * view_out->headers points to. */
static inline void event_peek(struct bytes event, struct event_view *view_out,
                              struct event_headers *headers_out)
{
    const struct bytes content = event_content(event);
    const uint8_t *at = content.data, *end = content.data + content.size;
    struct field field = {.bytes = {NULL, 0}};
    uint32_t count = 0;

    view_out->topic = view_out->key = view_out->type = (struct bytes){NULL, 0};
    while (at < end) {
        uint8_t what = peek_tags[*at];

        COUNT_WORK(1);
        if (LIKELY(what != PEEK_OTHER && end - at > 1)) {
            field.bytes = content_pass(at + 1, end);
            at = field.bytes.data + field.bytes.size;
        } else {
            at = field_pass(at, end, &field);
            what = field.number < 16 ? peek_tags[WIRE_TAG(field.number, WIRE_LEN)] : PEEK_PASS;
        }
        if (what > PEEK_HEADER) {
            *(struct bytes *)(void *)((char *)view_out + what) = field.bytes;
        } else if (what == PEEK_HEADER) {
            CHECK(count < ARRAY_LEN(headers_out->entries));
            headers_out->entries[count++] = field.bytes;
        }
    }
    headers_out->count = count;
    headers_out->indexed = false;
    view_out->headers = headers_out;
}

#endif
