/* field_pass.h - moves past a field of bytes that were scanned.
 *
 * Nothing is checked again, except that the field ends before its message does. A field that does
 * not was not scanned, which is a bug, and ends the process.
 *
 * Threads: any. */
#ifndef TRIBUTARY_EVENT_FIELD_PASS_H
#define TRIBUTARY_EVENT_FIELD_PASS_H

#include "event/field.h"

/* The byte behind the varint at `at`. Fields from `at` on that have a tag of one byte and a value
 * of one byte are passed too. */
static inline const uint8_t *varint_pass(const uint8_t *at, const uint8_t *end)
{
    uint16_t two;

    while (at < end && *at >= 0x80)
        at++;
    CHECK(at < end);
    at++;
    for (; end - at >= (ptrdiff_t)sizeof(two); at += sizeof(two)) {
        memcpy(&two, at, sizeof(two));
        if ((le16toh(two) & 0x8087) != WIRE_VARINT)
            break;
    }
    return at;
}

/* The content behind the length at `at`, which is before `end`. */
static inline struct bytes content_pass(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *next = at + 1;
    struct bytes content = {NULL, *at};

    if (content.size >= 0x80) {
        if (LIKELY(end - next > 0 && *next < 0x80)) {
            content.size = (content.size & 0x7f) | (size_t)*next++ << 7;
        } else {
            CHECK(content_read(&at, end, &content) == FAULT_NONE && content.data);
            return content;
        }
    }
    CHECK((ptrdiff_t)content.size <= end - next);
    content.data = next;
    return content;
}

/* Passes the field at `at`, which is before `end`. Returns where the next one is. Sets
 * field->number, which means only "unknown" if it is 16 or more, and for WIRE_LEN field->bytes.
 * After a varint it may have passed several fields: only unknown ones, because no known field of an
 * event is a varint. */
static inline const uint8_t *field_pass(const uint8_t *at, const uint8_t *end, struct field *field)
{
    const uint32_t tag = *at & 0x7f;
    uint32_t more = 0; /* bits of the tag beyond its first byte */

    while (*at >= 0x80 && at + 1 < end)
        more |= *++at & 0x7f;
    at++;
    field->number = more == 0 ? tag >> 3 : 16;
    switch (tag & 7) {
    case WIRE_VARINT:
        return varint_pass(at, end);
    case WIRE_FIXED64:
        CHECK(end - at >= 8);
        return at + 8;
    case WIRE_FIXED32:
        CHECK(end - at >= 4);
        return at + 4;
    default:
        CHECK((tag & 7) == WIRE_LEN && at < end);
        field->bytes = content_pass(at, end);
        return field->bytes.data + field->bytes.size;
    }
}

#endif
