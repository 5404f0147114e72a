/* glob_naive.h - the glob by its definition: a table that says, for each beginning of the pattern,
 * which beginnings of the text it matches. Tests compare glob_match() with it. */
#ifndef TRIBUTARY_TESTS_LIB_GLOB_NAIVE_H
#define TRIBUTARY_TESTS_LIB_GLOB_NAIVE_H

#include <stdbool.h>

#include "base/base.h"

/* The bytes after the first `size`. */
static inline struct bytes glob_rest(struct bytes bytes, size_t size)
{
    return (struct bytes){bytes.data + size, bytes.size - size};
}

/* The size of the first character of a text that is valid UTF-8. */
static inline size_t glob_character(struct bytes text)
{
    size_t size = text.data[0] < 0xc0 ? 1 : text.data[0] < 0xe0 ? 2 : text.data[0] < 0xf0 ? 3 : 4;

    return MIN_OF(size, text.size);
}

#define MAX_NAIVE_TEXT 8192u

/* Whether `at` is where a character begins, or the end of the text. */
static inline bool glob_boundary(struct bytes text, size_t at)
{
    return at == text.size || (text.data[at] & 0xc0) != 0x80;
}

/* Whether the whole text matches the pattern. Both must be valid UTF-8. */
static inline bool glob_naive(struct bytes pattern, struct bytes text)
{
    bool row[MAX_NAIVE_TEXT + 1]; /* by bytes of the text */

    CHECK(text.size <= MAX_NAIVE_TEXT);
    memset(row, false, text.size + 1);
    row[0] = true;
    for (size_t p = 0; p < pattern.size; p++) {
        bool next[MAX_NAIVE_TEXT + 1];
        bool any = false;

        memset(next, false, text.size + 1);
        for (size_t t = 0; t <= text.size; t++) {
            any = any || row[t];
            if (pattern.data[p] == '*')
                next[t] = any && glob_boundary(text, t);
            else if (t < text.size && row[t] && pattern.data[p] == '?')
                next[t + glob_character(glob_rest(text, t))] = true;
            else if (t < text.size && row[t] && pattern.data[p] == text.data[t])
                next[t + 1] = true;
        }
        memcpy(row, next, text.size + 1);
    }
    return row[text.size];
}

#endif
