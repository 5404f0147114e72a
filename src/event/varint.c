/* varint.c - varints. */
#include "event/varint.h"

enum fault_reason varint_bounded(const uint8_t **at, const uint8_t *end, unsigned max, unsigned bits,
                                 enum fault_reason beyond, uint64_t *value_out)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < max; i++) {
        if (*at + i == end)
            return FAULT_BAD_VARINT;
        uint64_t piece = (*at)[i] & 0x7fu;
        if (7 * (i + 1) > bits && piece >> (bits - 7 * i) > 0)
            return beyond;
        value |= piece << (7 * i);
        if ((*at)[i] < 0x80) {
            *at += i + 1;
            *value_out = value;
            return FAULT_NONE;
        }
    }
    return beyond;
}

size_t varint_size(uint64_t value)
{
    /* (bits + 6) / 7, without the division. A zero takes one byte too. */
    unsigned bits = 64u - (unsigned)__builtin_clzll(value | 1);

    return (bits * 9 + 64) / 64;
}

size_t varint_write(uint8_t *at, uint64_t value)
{
    size_t size = 0;

    for (; value >= 0x80; value >>= 7)
        at[size++] = (uint8_t)(value | 0x80);
    at[size++] = (uint8_t)value;
    return size;
}

size_t varint_read(const uint8_t *at, const uint8_t *end, uint64_t *value_out)
{
    const uint8_t *next = at;

    return varint_bounded(&next, end, MAX_VARINT_BYTES, 64, FAULT_BAD_VARINT, value_out) == FAULT_NONE
               ? (size_t)(next - at)
               : 0;
}
