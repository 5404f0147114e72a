/* primitives.c - varints, and the rules for text. */
#include "event/primitives.h"

#include <stdio.h>
#include <string.h>

enum fault_reason varint_bounded(const uint8_t **at, const uint8_t *end, unsigned most, unsigned bits, enum fault_reason beyond,
                                 uint64_t *value_out)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < most; i++) {
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
    /* 7 bits to a byte: (bits + 6) / 7, without the division; a zero takes one byte as well. */
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

    return varint_bounded(&next, end, VARINT_BYTES_MOST, 64, FAULT_BAD_VARINT, value_out) == FAULT_NONE ? (size_t)(next - at) : 0;
}

/* Reads the character of two to four bytes at `at` as RFC 3629 has it. Returns its bytes; 0: none stands there. */
static size_t rune_read(const uint8_t *at, size_t left, uint32_t *rune_out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000}; /* below it, a shorter form exists */
    size_t size = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    uint32_t rune = at[0] & (0x7fu >> size);

    if (at[0] < 0xc2 || at[0] > 0xf4 || left < size)
        return 0;
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        rune = rune << 6 | (at[i] & 0x3fu);
    }
    if (rune < least[size] || rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff))
        return 0;
    *rune_out = rune;
    return size;
}

bool utf8_valid(struct bytes text)
{
    const uint64_t highs = UINT64_C(0x8080808080808080);
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t word;
    uint32_t rune;

    for (size_t i = 0; i < text.size;) {
        if (text.size - i >= sizeof word) {
            memcpy(&word, text.at + i, sizeof word);
            if (((word | (word - ones)) & highs) == 0) { /* eight of ASCII, and no NUL among them, which would borrow */
                i += sizeof word;
                continue;
            }
        }
        size_t size = text.at[i] == 0 ? 0 : text.at[i] < 0x80 ? 1 : rune_read(text.at + i, text.size - i, &rune);
        if (size == 0)
            return false;
        i += size;
    }
    return true;
}

static bool is_control(uint32_t rune)
{
    return rune < 0x20 || (rune >= 0x7f && rune <= 0x9f) || rune == 0x2028 || rune == 0x2029;
}

enum fault_reason text_printable(struct bytes text)
{
    if (!utf8_valid(text))
        return FAULT_BAD_UTF8;
    for (size_t i = 0; i < text.size;) {
        uint32_t rune = text.at[i];
        i += rune < 0x80 ? 1 : rune_read(text.at + i, text.size - i, &rune);
        if (is_control(rune))
            return FAULT_BAD_NAME;
    }
    return FAULT_NONE;
}

enum fault_reason name_check(struct bytes name, const char *field, size_t most, struct fault *fault)
{
    char bound[48];
    enum fault_reason reason;

    if (name.size == 0)
        return fault_set(fault, FAULT_EMPTY, field, "at least 1 byte");
    if (name.size > most) {
        snprintf(bound, sizeof bound, "at most %zu bytes", most);
        return fault_bytes(fault, FAULT_TOO_LONG, field, name, bound);
    }
    reason = text_printable(name);
    return reason == FAULT_NONE ? FAULT_NONE : fault_bytes(fault, reason, field, name, "");
}
