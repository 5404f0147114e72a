/* field.c - fields in their rarer shapes. */
#include "event/field.h"

#include <endian.h>

#define TAG_BYTES_MOST 5u
#define LENGTH_BYTES_MOST 5u /* protobuf-c and C++ read no longer ones, however small the value */

enum fault_reason tag_read_long(const uint8_t **at, const uint8_t *end, uint32_t *tag_out)
{
    uint64_t value;
    enum fault_reason reason = varint_bounded(at, end, TAG_BYTES_MOST, 32, FAULT_BAD_TAG, &value);

    if (reason == FAULT_NONE)
        *tag_out = (uint32_t)value;
    return reason;
}

enum fault_reason length_read_long(const uint8_t **at, const uint8_t *end, size_t *size_out)
{
    uint64_t value;
    enum fault_reason reason = varint_bounded(at, end, LENGTH_BYTES_MOST, 31, FAULT_BAD_LENGTH, &value);

    if (reason == FAULT_NONE)
        *size_out = (size_t)value;
    return reason;
}

enum fault_reason scalar_read(const uint8_t **at, const uint8_t *end, struct field *field)
{
    uint64_t wide;
    uint32_t narrow;

    switch ((unsigned)field->type) {
    case WIRE_FIXED64:
        if ((size_t)(end - *at) < sizeof wide)
            return FAULT_BAD_LENGTH;
        memcpy(&wide, *at, sizeof wide);
        *at += sizeof wide;
        field->value = le64toh(wide);
        return FAULT_NONE;
    case WIRE_FIXED32:
        if ((size_t)(end - *at) < sizeof narrow)
            return FAULT_BAD_LENGTH;
        memcpy(&narrow, *at, sizeof narrow);
        *at += sizeof narrow;
        field->value = le32toh(narrow);
        return FAULT_NONE;
    case WIRE_VARINT:
        return varint_bounded(at, end, VARINT_BYTES_MOST, 64, FAULT_BAD_VARINT, &field->value);
    case 3:
    case 4:
        return FAULT_GROUP;
    default:
        return FAULT_MALFORMED;
    }
}
