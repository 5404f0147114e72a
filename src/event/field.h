/* field.h - how one field of protobuf is read: shared by the scan and the view, for this room and for strict decoders above.
 *
 * The common case is laid out inline: a tag of one byte, a length of one or two. Whatever is rarer is a call. Threads: any. */
#ifndef TRIBUTARY_EVENT_FIELD_H
#define TRIBUTARY_EVENT_FIELD_H

#include <stdbool.h>
#include <string.h>

#include "base/base.h"
#include "base/fault.h"
#include "event/primitives.h"

#define LIKELY(condition) __builtin_expect(!!(condition), 1)

/* Field numbers of Event, and of an entry of its headers. */
enum event_field {
    EVENT_ID = 1,
    EVENT_TOPIC = 2,
    EVENT_KEY = 3,
    EVENT_TYPE = 4,
    EVENT_CONTENT_TYPE = 5,
    EVENT_HEADERS = 6,
    EVENT_TIME = 7,
    EVENT_DATA = 8,
    EVENT_EXPIRES = 9,
    EVENT_DELIVER_AFTER = 10,
    EVENT_FIELDS
};
enum entry_field { ENTRY_KEY = 1, ENTRY_VALUE = 2, ENTRY_FIELDS };

struct field {
    uint32_t number;
    enum wire_type type;
    uint64_t value;     /* unless type is WIRE_LEN */
    struct bytes bytes; /* where type is WIRE_LEN */
};

/* The rare shapes: a tag of several bytes, a length of three to five, every value without a length. Each moves *at past what it read. */
enum fault_reason tag_read_long(const uint8_t **at, const uint8_t *end, uint32_t *tag_out);
enum fault_reason length_read_long(const uint8_t **at, const uint8_t *end, size_t *size_out);
enum fault_reason scalar_read(const uint8_t **at, const uint8_t *end, struct field *field);

/* Reads the field at *at, which is before `end`, and moves *at past it.
 * FAULT_NONE, or BAD_TAG, BAD_VARINT, BAD_LENGTH, GROUP, MALFORMED; then *at means nothing. */
static inline enum fault_reason field_read(const uint8_t **at, const uint8_t *end, struct field *field)
{
    enum fault_reason reason;
    uint32_t tag = **at;
    size_t size;

    if (LIKELY(tag < 0x80))
        *at += 1;
    else if ((reason = tag_read_long(at, end, &tag)) != FAULT_NONE)
        return reason;
    field->number = tag >> 3;
    field->type = (enum wire_type)(tag & 7);
    if (!LIKELY(field->number > 0))
        return FAULT_BAD_TAG;
    if (!LIKELY(field->type == WIRE_LEN))
        return scalar_read(at, end, field);

    if (LIKELY(end - *at >= 2 && (*at)[0] < 0x80)) {
        size = (*at)[0];
        *at += 1;
    } else if (LIKELY(end - *at >= 2 && (*at)[1] < 0x80)) {
        size = ((*at)[0] & 0x7fu) | (size_t)(*at)[1] << 7;
        *at += 2;
    } else if ((reason = length_read_long(at, end, &size)) != FAULT_NONE) {
        return reason;
    }
    if (!LIKELY(size <= (size_t)(end - *at)))
        return FAULT_BAD_LENGTH;
    field->bytes = (struct bytes){*at, size};
    *at += size;
    return FAULT_NONE;
}

/* Whether a text is ASCII from space to tilde throughout: valid UTF-8 without NUL or control characters, eight bytes at a time. */
static inline bool text_plain(struct bytes text)
{
    const uint64_t highs = UINT64_C(0x8080808080808080);
    const uint64_t spaces = UINT64_C(0x2020202020202020);
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t odd = 0;
    uint64_t word;
    size_t i = 0;

    /* A byte below space borrows into its high bit, DEL carries into it, and everything from 0x80 on has it. */
    for (; i + sizeof word <= text.size; i += sizeof word) {
        memcpy(&word, text.at + i, sizeof word);
        odd |= word | (word - spaces) | (word + ones);
    }
    if (i < text.size) {
        word = spaces;
        if (text.size >= sizeof word)
            memcpy(&word, text.at + text.size - sizeof word, sizeof word); /* some of them for the second time */
        else
            for (size_t j = 0; i < text.size; i++, j += 8)
                word = (word & ~(UINT64_C(0xff) << j)) | (uint64_t)text.at[i] << j;
        odd |= word | (word - spaces) | (word + ones);
    }
    return (odd & highs) == 0;
}

#endif
