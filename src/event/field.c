/* field.c - reads fields in their rarer forms. */
#include "event/field.h"

#define MAX_TAG_BYTES 5u
#define MAX_LENGTH_BYTES 5u /* protobuf-c and C++ refuse longer ones, however small the value */

static struct piece fault_of(enum fault_reason reason)
{
    return (struct piece){NULL, reason};
}

static struct piece varint_piece(const uint8_t *at, const uint8_t *end, unsigned max, unsigned bits,
                                 enum fault_reason beyond)
{
    struct piece piece = {at, 0};
    enum fault_reason reason = varint_bounded(&piece.next, end, max, bits, beyond, &piece.value);

    return reason == FAULT_NONE ? piece : fault_of(reason);
}

struct piece tag_read_long(const uint8_t *at, const uint8_t *end)
{
    return varint_piece(at, end, MAX_TAG_BYTES, 32, FAULT_BAD_TAG);
}

struct piece length_read_long(const uint8_t *at, const uint8_t *end)
{
    /* With three bytes at hand, content_read() has found that the first two go on. */
    if (LIKELY(end - at >= 3 && at[2] < 0x80))
        return (struct piece){at + 3, (at[0] & 0x7fu) | (at[1] & 0x7fu) << 7 | (uint32_t)at[2] << 14};
    return varint_piece(at, end, MAX_LENGTH_BYTES, 31, FAULT_BAD_LENGTH);
}

struct piece scalar_read(const uint8_t *at, const uint8_t *end, enum wire_type type)
{
    uint32_t narrow;

    switch ((unsigned)type) {
    case WIRE_FIXED64:
        if ((size_t)(end - at) < sizeof(uint64_t))
            return fault_of(FAULT_BAD_LENGTH);
        return (struct piece){at + sizeof(uint64_t), word_read(at)};
    case WIRE_FIXED32:
        if ((size_t)(end - at) < sizeof(narrow))
            return fault_of(FAULT_BAD_LENGTH);
        memcpy(&narrow, at, sizeof(narrow));
        return (struct piece){at + sizeof(narrow), le32toh(narrow)};
    case WIRE_VARINT:
        return varint_piece(at, end, MAX_VARINT_BYTES, 64, FAULT_BAD_VARINT);
    case 3:
    case 4:
        return fault_of(FAULT_GROUP);
    default:
        return fault_of(FAULT_MALFORMED);
    }
}
