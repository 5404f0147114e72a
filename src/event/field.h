/* field.h - reads one field of a protobuf message: for the scan, for the view, for the strict
 * decoders of upper rooms, and for field_reader.h.
 *
 * The common case is inline: a tag of one byte, and a length of one or two. Every rarer form is a
 * call.
 *
 * Threads: any. */
#ifndef TRIBUTARY_EVENT_FIELD_H
#define TRIBUTARY_EVENT_FIELD_H

#include <endian.h>
#include <string.h>

#include "base/base.h"
#include "base/fault.h"
#include "event/varint.h"

struct field {
    uint32_t number;
    enum wire_type type;
    uint64_t value;     /* the value, unless `type` is WIRE_LEN */
    struct bytes bytes; /* the content, if `type` is WIRE_LEN; points into the message */
};

/* The result of reading a part of a field in a rarer form: the value, and where the next byte is.
 * `next` NULL: it could not be read, and `value` is the reason. */
struct piece {
    const uint8_t *next;
    uint64_t value;
};

/* Why a piece could not be read; never FAULT_NONE. */
static inline enum fault_reason piece_fault(struct piece piece)
{
    return piece.value != FAULT_NONE ? (enum fault_reason)piece.value : FAULT_MALFORMED;
}

/* The rarer forms: a tag of two to five bytes, a length of three to five, a value that has no
 * length. They return their result in registers. So the inline code takes the address of nothing,
 * and the compiler may keep all of it in registers. */
struct piece tag_read_long(const uint8_t *at, const uint8_t *end);
struct piece length_read_long(const uint8_t *at, const uint8_t *end);
struct piece scalar_read(const uint8_t *at, const uint8_t *end, enum wire_type type);

/* A little-endian number of eight bytes. */
static inline uint64_t word_read(const uint8_t *at)
{
    uint64_t little;

    memcpy(&little, at, sizeof(little));
    return le64toh(little);
}

/* Reads a length and the content behind it, and moves *at past both.
 *   FAULT_BAD_VARINT  the length reaches past `end`
 *   FAULT_BAD_LENGTH  the length is over 5 bytes or 31 bits, or the content reaches past `end`
 * In both cases *at and *content are unchanged. */
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
        if (!length.next)
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

/* Reads the field at *at, which must be before `end`, and moves *at past it. On a fault *at and
 * *field mean nothing.
 *   FAULT_BAD_TAG     a tag of more than 5 bytes, or with a field number of 0 or above 2^29-1
 *   FAULT_BAD_VARINT  a varint (also that of tag or length) reaches past `end`, or a value has more
 *                     than 10 bytes or 64 bits
 *   FAULT_BAD_LENGTH  a length is over 5 bytes or 31 bits, or content or value reaches past `end`
 *   FAULT_GROUP       a group
 *   FAULT_MALFORMED   a wire type that does not exist */
static inline enum fault_reason field_read(const uint8_t **at, const uint8_t *end, struct field *field)
{
    const uint8_t *next = *at;
    uint32_t tag = *next;
    struct piece piece;

    if (LIKELY(tag < 0x80)) {
        next += 1;
    } else {
        piece = tag_read_long(next, end);
        if (!piece.next)
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
    if (!piece.next)
        return piece_fault(piece);
    field->value = piece.value;
    *at = piece.next;
    return FAULT_NONE;
}

/* The field's WIRE_TAG(). */
static inline uint32_t field_tag(const struct field *field)
{
    return WIRE_TAG(field->number, field->type);
}

#endif
