/* text.h - the rules for strings of events and requests.
 *
 * Threads: any. */
#ifndef TRIBUTARY_EVENT_TEXT_H
#define TRIBUTARY_EVENT_TEXT_H

#include <stdbool.h>

#include "base/base.h"
#include "base/fault.h"

/* Whether the text is valid UTF-8 (RFC 3629: no surrogates, no overlong forms) without NUL. */
bool utf8_valid(struct bytes text);

/* Whether the text is also printable: without control characters (C0, DEL, C1, U+2028, U+2029).
 *   FAULT_BAD_UTF8  it is not valid UTF-8, or holds a NUL
 *   FAULT_BAD_NAME  it holds a control character */
enum fault_reason text_printable(struct bytes text);

/* The rule for names: printable, and 1 to `max` bytes. On a fault *fault is filled in, with
 * `field` as its field.
 *   FAULT_EMPTY, FAULT_TOO_LONG, FAULT_BAD_UTF8 or FAULT_BAD_NAME */
enum fault_reason name_check(struct bytes name, const char *field, size_t max, struct fault *fault);

/* A text of one to seven bytes as one word. Some bytes stand in it twice. A text of less than four
 * bytes is filled up with spaces. */
static inline uint64_t few_bytes(struct bytes text)
{
    uint32_t head, tail;

    if (text.size < sizeof(head))
        return UINT64_C(0x2020202020000000) | (uint64_t)text.data[0] |
               (uint64_t)text.data[text.size / 2] << 8 | (uint64_t)text.data[text.size - 1] << 16;
    memcpy(&head, text.data, sizeof(head));
    memcpy(&tail, text.data + text.size - sizeof(tail), sizeof(tail));
    return head | (uint64_t)tail << 32;
}

/* Whether a text is ASCII from space to tilde throughout, and so passes every rule here. Reads
 * eight bytes at a time. False is no refusal: the text may still be good UTF-8. */
static inline bool text_plain(struct bytes text)
{
    const uint64_t highs = UINT64_C(0x8080808080808080);
    const uint64_t spaces = UINT64_C(0x2020202020202020);
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t odd = 0;
    uint64_t word;
    size_t i = 0;

    /* The high bit of a byte is set in one of the three words if the byte is from 0x80 on (the byte
     * itself), below space (the difference borrows), or DEL (the sum carries). */
    for (; i + sizeof(word) <= text.size; i += sizeof(word)) {
        memcpy(&word, text.data + i, sizeof(word));
        odd |= word | (word - spaces) | (word + ones);
    }
    if (i < text.size) {
        if (LIKELY(text.size >= sizeof(word)))
            memcpy(&word, text.data + text.size - sizeof(word), sizeof(word)); /* reads some bytes again */
        else
            word = few_bytes(text);
        odd |= word | (word - spaces) | (word + ones);
    }
    return (odd & highs) == 0;
}

#endif
