/* field.h - how one field of protobuf is read: shared by the scan and the view, for this room and
 * for strict decoders above.
 *
 * The common case is laid out inline: a tag of one byte, a length of one or two. Whatever is rarer
 * is a call. Threads: any. */
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

/* What was read of a field in a rarer shape, and where it ends. `next` NULL: nothing, and `value`
 * is the reason. */
struct piece {
    const uint8_t *next;
    uint64_t value;
};

/* Why a piece has no end; never FAULT_NONE. */
static inline enum fault_reason piece_fault(struct piece piece)
{
    return piece.value != FAULT_NONE ? (enum fault_reason)piece.value : FAULT_MALFORMED;
}

/* The rare shapes: a tag of several bytes, a length of three to five, every value without a length.
 * What they read comes back in registers; so nothing has its address taken where the common case is
 * laid out, and all of it may stay in registers. */
struct piece tag_read_long(const uint8_t *at, const uint8_t *end);
struct piece length_read_long(const uint8_t *at, const uint8_t *end);
struct piece scalar_read(const uint8_t *at, const uint8_t *end, enum wire_type type);

/* Reads the length at *at and the content behind it, and moves *at past both. FAULT_NONE,
 * BAD_VARINT or BAD_LENGTH. */
static inline enum fault_reason content_read(const uint8_t **at, const uint8_t *end, struct bytes *content)
{
    const uint8_t *next = *at;
    size_t size;

    if (LIKELY(end - next >= 2 && next[0] < 0x80)) {
        size = next[0];
        next += 1;
    } else if (LIKELY(end - next >= 2 && next[1] < 0x80)) {
        size = (next[0] & 0x7fu) | (size_t)next[1] << 7;
        next += 2;
    } else {
        struct piece length = length_read_long(next, end);
        if (length.next == NULL)
            return piece_fault(length);
        next = length.next;
        size = length.value;
    }
    if (!LIKELY(size <= (size_t)(end - next)))
        return FAULT_BAD_LENGTH;
    *content = (struct bytes){next, size};
    *at = next + size;
    return FAULT_NONE;
}

/* Reads the field at *at, which is before `end`, and moves *at past it.
 * FAULT_NONE, or BAD_TAG, BAD_VARINT, BAD_LENGTH, GROUP, MALFORMED; then *at means nothing. */
static inline enum fault_reason field_read(const uint8_t **at, const uint8_t *end, struct field *field)
{
    const uint8_t *next = *at;
    uint32_t tag = *next;
    struct piece piece;

    if (LIKELY(tag < 0x80)) {
        next += 1;
    } else {
        piece = tag_read_long(next, end);
        if (piece.next == NULL)
            return piece_fault(piece);
        next = piece.next;
        tag = (uint32_t)piece.value;
    }
    field->number = tag >> 3;
    field->type = (enum wire_type)(tag & 7);
    if (!LIKELY(field->number > 0))
        return FAULT_BAD_TAG;
    if (LIKELY(field->type == WIRE_LEN)) {
        *at = next;
        return content_read(at, end, &field->bytes);
    }
    piece = scalar_read(next, end, field->type);
    if (piece.next == NULL)
        return piece_fault(piece);
    field->value = piece.value;
    *at = piece.next;
    return FAULT_NONE;
}

/* One to seven bytes of a text as a word; some of them come twice, and where there are less than
 * four the rest are spaces. */
static inline uint64_t few_bytes(struct bytes text)
{
    uint32_t head, tail;

    if (text.size < sizeof head)
        return UINT64_C(0x2020202020000000) | (uint64_t)text.data[0] |
               (uint64_t)text.data[text.size / 2] << 8 | (uint64_t)text.data[text.size - 1] << 16;
    memcpy(&head, text.data, sizeof head);
    memcpy(&tail, text.data + text.size - sizeof tail, sizeof tail);
    return head | (uint64_t)tail << 32;
}

/* Whether a text is ASCII from space to tilde throughout: valid UTF-8 without NUL or control
 * characters, eight bytes at a time. */
static inline bool text_plain(struct bytes text)
{
    const uint64_t highs = UINT64_C(0x8080808080808080);
    const uint64_t spaces = UINT64_C(0x2020202020202020);
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t odd = 0;
    uint64_t word;
    size_t i = 0;

    /* A byte below space borrows into its high bit, DEL carries into it, and everything from 0x80
     * on has it. */
    for (; i + sizeof word <= text.size; i += sizeof word) {
        memcpy(&word, text.data + i, sizeof word);
        odd |= word | (word - spaces) | (word + ones);
    }
    if (i < text.size) {
        if (LIKELY(text.size >= sizeof word))
            memcpy(&word, text.data + text.size - sizeof word,
                   sizeof word); /* some of them for the second time */
        else
            word = few_bytes(text);
        odd |= word | (word - spaces) | (word + ones);
    }
    return (odd & highs) == 0;
}

#endif
