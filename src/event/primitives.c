/* primitives.c - varints, and the rules for text. */
#include "event/primitives.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

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

    return varint_bounded(&next, end, MAX_VARINT_BYTES, 64, FAULT_BAD_VARINT, value_out) == FAULT_NONE
               ? (size_t)(next - at)
               : 0;
}

/* What a look at a text found. */
enum { SAW_BAD = 1, SAW_CONTROL = 2 };

/* The eight bytes at `at`, the first of them lowest. Behind the end there are zeros. */
static inline uint64_t eight_bytes(const struct bytes *text, size_t at)
{
    size_t left = text->size - at;
    uint64_t word = 0;

    if (left >= sizeof word) {
        memcpy(&word, text->data + at, sizeof word);
        return le64toh(word);
    }
    if (text->size >= sizeof word) { /* with some from before, which are shifted out */
        memcpy(&word, text->data + text->size - sizeof word, sizeof word);
        return le64toh(word) >> 8 * (sizeof word - left);
    }
    for (size_t i = 0; i < left; i++)
        word |= (uint64_t)text->data[at + i] << (8 * i);
    return word;
}

/* Bytes of the character that `word` begins with, which has two to four, as RFC 3629 has it; 0:
 * none stands there. Leads and continuations are told by their upper bits, all at once; what is
 * left is whether the value has a shorter form, is a surrogate, or is too large, which lead and
 * second byte show. */
static inline size_t rune_size(uint32_t word, unsigned *saw)
{
    if ((word & 0xc0e0) == 0x80c0) {
        if ((word & 0x1e) == 0)
            return 0; /* below U+0080 */
        if ((word & 0xe0ff) == 0x80c2)
            *saw |= SAW_CONTROL; /* C1 */
        return 2;
    }
    if ((word & 0xc0c0f0) == 0x8080e0) {
        uint32_t value = word & 0x200f; /* the lead's bits, and the highest of the second byte */

        if (value == 0 || value == 0x200d)
            return 0; /* below U+0800, or a surrogate */
        if ((word & 0xfeffff) == 0xa880e2)
            *saw |= SAW_CONTROL; /* U+2028 and U+2029 */
        return 3;
    }
    if ((word & 0xc0c0c0f8) == 0x808080f0) {
        uint32_t value = (word & 7) << 2 | (word >> 12 & 3); /* in units of 64 Ki */

        return value >= 1 && value <= 16 ? 4 : 0;
    }
    return 0;
}

/* How many bytes of ASCII `word` begins with, which has one at least: up to the first other one,
 * and at most `left`. */
static inline size_t ascii_size(uint64_t word, size_t left, unsigned *saw)
{
    const uint64_t highs = UINT64_C(0x8080808080808080), spaces = UINT64_C(0x2020202020202020),
                   ones = UINT64_C(0x0101010101010101);
    uint64_t others = word & highs;
    size_t size = others == 0 ? sizeof word : (size_t)__builtin_ctzll(others) / 8;

    size = MIN_OF(size, left);
    if (size < sizeof word)
        word = (word & ((UINT64_C(1) << 8 * size) - 1)) | spaces << 8 * size;
    /* A byte below space borrows into its high bit, and DEL carries into it. */
    if ((((word - spaces) | (word + ones)) & highs) != 0)
        *saw |= ((word - ones) & highs) != 0 ? SAW_BAD : SAW_CONTROL;
    return size;
}

/* One pass over all of it. */
static unsigned scan_text(struct bytes text)
{
    unsigned saw = 0;

    for (size_t at = 0; at < text.size;) {
        uint64_t word = eight_bytes(&text, at);
        size_t size =
            (word & 0x80) == 0 ? ascii_size(word, text.size - at, &saw) : rune_size((uint32_t)word, &saw);

        if (size == 0)
            return SAW_BAD;
        at += size;
    }
    return saw;
}

bool utf8_valid(struct bytes text)
{
    return (scan_text(text) & SAW_BAD) == 0;
}

enum fault_reason text_printable(struct bytes text)
{
    unsigned saw = scan_text(text);

    return saw & SAW_BAD ? FAULT_BAD_UTF8 : saw & SAW_CONTROL ? FAULT_BAD_NAME : FAULT_NONE;
}

enum fault_reason name_check(struct bytes name, const char *field, size_t max, struct fault *fault)
{
    char bound[48];
    enum fault_reason reason;

    if (name.size == 0)
        return fault_set(fault, FAULT_EMPTY, field, "at least 1 byte");
    if (name.size > max) {
        snprintf(bound, sizeof bound, "at most %zu bytes", max);
        return fault_bytes(fault, FAULT_TOO_LONG, field, name, bound);
    }
    reason = text_printable(name);
    return reason == FAULT_NONE ? FAULT_NONE : fault_bytes(fault, reason, field, name, "");
}
