/* wire.h - reads protobuf field by field and checks every bound. All functions are inline, because
 * every event of a consumer passes through them. */
#ifndef TRIBUTARY_CLIENT_WIRE_H
#define TRIBUTARY_CLIENT_WIRE_H

#include <endian.h>
#include <stdbool.h>
#include <string.h>

#include "base/base.h"
#include "tributary/event.h"
#include "event/varint.h"

/* The part of a message that is not read yet. */
struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

struct wire_field {
    uint32_t number;
    uint32_t type;
    uint64_t value;               /* of WIRE_VARINT, WIRE_FIXED64, WIRE_FIXED32 */
    struct tributary_bytes bytes; /* of WIRE_LEN */
};

/* Reads a varint. False: malformed. One and two bytes, which are tags and lengths below 16 KiB, are
 * read here; varint_read() reads longer ones. */
static inline bool wire_varint(struct cursor *cursor, uint64_t *value_out)
{
    const uint8_t *at = cursor->at;
    const size_t left = (size_t)(cursor->end - at);
    size_t size = 0;

    if (left > 0 && at[0] < 0x80) {
        *value_out = at[0];
        cursor->at = at + 1;
        return true;
    }
    if (left > 1 && at[1] < 0x80) {
        *value_out = (at[0] & 0x7fu) | (uint64_t)at[1] << 7;
        cursor->at = at + 2;
        return true;
    }
    size = varint_read(at, cursor->end, value_out);
    cursor->at = at + size;
    return size > 0;
}

/* Reads a little-endian number of 4 or 8 bytes. False: the message is too short. */
static inline bool wire_fixed(struct cursor *cursor, size_t size, uint64_t *value_out)
{
    uint64_t little = 0;

    if ((size_t)(cursor->end - cursor->at) < size)
        return false;
    memcpy(&little, cursor->at, size);
    cursor->at += size;
    *value_out = le64toh(little);
    return true;
}

/* Reads the next field. The cursor must not be at its end. False: malformed. */
static inline bool wire_next(struct cursor *cursor, struct wire_field *field)
{
    uint64_t tag = 0;
    uint64_t size = 0;

    if (!wire_varint(cursor, &tag) || tag > UINT32_MAX || tag < 8)
        return false;
    field->number = (uint32_t)tag >> 3;
    field->type = (uint32_t)tag & 7;
    switch (field->type) {
    case WIRE_VARINT:
        return wire_varint(cursor, &field->value);
    case WIRE_FIXED64:
        return wire_fixed(cursor, 8, &field->value);
    case WIRE_FIXED32:
        return wire_fixed(cursor, 4, &field->value);
    case WIRE_LEN:
        if (!wire_varint(cursor, &size) || size > (size_t)(cursor->end - cursor->at))
            return false;
        field->bytes = (struct tributary_bytes){cursor->at, size};
        cursor->at += size;
        return true;
    default:
        return false;
    }
}

/* A cursor over `bytes`. Empty bytes may have no address, so they get one. */
static inline struct cursor wire_within(struct tributary_bytes bytes)
{
    static const uint8_t nothing[1] = {0};
    const uint8_t *at = bytes.size > 0 ? bytes.data : nothing;

    return (struct cursor){at, at + bytes.size};
}

/* Number and type of a field in one value, for one comparison. */
#define WIRE_TAG(number, type) ((uint32_t)(number) << 3 | (uint32_t)(type))

static inline uint32_t wire_tag(const struct wire_field *field)
{
    return WIRE_TAG(field->number, field->type);
}

#endif
