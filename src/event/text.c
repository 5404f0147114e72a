/* text.c - the rules for strings: UTF-8 without NUL, and printable names.
 *
 * scan_text() reads a string once, eight bytes at a time where they are ASCII. The scan of messages
 * needs it only for strings that are not plain ASCII: text_plain() in the header accepts the
 * others. */
#include "event/text.h"

#include <endian.h>
#include <stdio.h>

/* What scan_text() found: invalid UTF-8 or a NUL, and control characters. */
enum { FOUND_INVALID = 1, FOUND_CONTROL = 2 };

/* The eight bytes from `at` on, the first one lowest. Past the end of the text they are zero. */
static inline uint64_t eight_bytes(const struct bytes *text, size_t at)
{
    size_t left = text->size - at;
    uint64_t word = 0;

    if (left >= sizeof(word)) {
        memcpy(&word, text->data + at, sizeof(word));
        return le64toh(word);
    }
    if (text->size >= sizeof(word)) { /* read earlier bytes too, and shift them out */
        memcpy(&word, text->data + text->size - sizeof(word), sizeof(word));
        return le64toh(word) >> 8 * (sizeof(word) - left);
    }
    for (size_t i = 0; i < left; i++)
        word |= (uint64_t)text->data[at + i] << (8 * i);
    return word;
}

/* The size of the character of two to four bytes that `word` begins with, by RFC 3629. 0: there is
 * no valid one. One comparison checks the upper bits of lead and continuation bytes together. Lead
 * and second byte then show whether the value has a shorter form, is a surrogate, or is too
 * large. */
static inline size_t multibyte_size(uint32_t word, unsigned *found)
{
    if ((word & 0xc0e0) == 0x80c0) {
        if ((word & 0x1e) == 0)
            return 0; /* below U+0080 */
        if ((word & 0xe0ff) == 0x80c2)
            *found |= FOUND_CONTROL; /* C1 */
        return 2;
    }
    if ((word & 0xc0c0f0) == 0x8080e0) {
        uint32_t value = word & 0x200f; /* the lead's bits, and the highest bit of the second byte */

        if (value == 0 || value == 0x200d)
            return 0; /* below U+0800, or a surrogate */
        if ((word & 0xfeffff) == 0xa880e2)
            *found |= FOUND_CONTROL; /* U+2028 and U+2029 */
        return 3;
    }
    if ((word & 0xc0c0c0f8) == 0x808080f0) {
        uint32_t value = (word & 7) << 2 | (word >> 12 & 3); /* in units of 64 Ki */

        return value >= 1 && value <= 16 ? 4 : 0;
    }
    return 0;
}

/* How many bytes of ASCII `word` begins with, at most `left`. Its first byte must be ASCII. */
static inline size_t ascii_size(uint64_t word, size_t left, unsigned *found)
{
    const uint64_t highs = UINT64_C(0x8080808080808080), spaces = UINT64_C(0x2020202020202020),
                   ones = UINT64_C(0x0101010101010101);
    uint64_t others = word & highs;
    size_t size = others == 0 ? sizeof(word) : (size_t)__builtin_ctzll(others) / 8;

    size = MIN_OF(size, left);
    if (size < sizeof(word))
        word = (word & ((UINT64_C(1) << 8 * size) - 1)) | spaces << 8 * size;
    /* Subtracting a space borrows into the high bit of a byte below it. Adding 1 carries into the
     * high bit of DEL. */
    if ((((word - spaces) | (word + ones)) & highs) != 0)
        *found |= ((word - ones) & highs) != 0 ? FOUND_INVALID : FOUND_CONTROL;
    return size;
}

/* Reads the text once. Returns a set of FOUND_... flags. Stops at the first invalid character, but
 * not at a NUL. */
static unsigned scan_text(struct bytes text)
{
    unsigned found = 0;

    for (size_t at = 0; at < text.size;) {
        uint64_t word = eight_bytes(&text, at);
        size_t size = (word & 0x80) == 0 ? ascii_size(word, text.size - at, &found)
                                         : multibyte_size((uint32_t)word, &found);

        if (size == 0)
            return FOUND_INVALID;
        at += size;
    }
    return found;
}

bool utf8_valid(struct bytes text)
{
    return (scan_text(text) & FOUND_INVALID) == 0;
}

enum fault_reason text_printable(struct bytes text)
{
    unsigned found = scan_text(text);

    return found & FOUND_INVALID ? FAULT_BAD_UTF8 : found & FOUND_CONTROL ? FAULT_BAD_NAME : FAULT_NONE;
}

enum fault_reason name_check(struct bytes name, const char *field, size_t max, struct fault *fault)
{
    char bound[48];

    if (name.size == 0)
        return fault_set(fault, FAULT_EMPTY, field, "at least 1 byte");
    if (name.size > max) {
        snprintf(bound, sizeof(bound), "at most %zu bytes", max);
        return fault_bytes(fault, FAULT_TOO_LONG, field, name, bound);
    }
    enum fault_reason reason = text_printable(name);
    return reason == FAULT_NONE ? FAULT_NONE : fault_bytes(fault, reason, field, name, "");
}
