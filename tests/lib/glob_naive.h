/* glob_naive.h - the glob by its definition: it tries every possibility. Tests compare glob_match()
 * with it. Its cost is exponential, so it is for short texts. */
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

/* Whether the whole text matches the pattern. */
static inline bool glob_naive(struct bytes pattern, struct bytes text)
{
    if (pattern.size == 0)
        return text.size == 0;
    if (pattern.data[0] == '*')
        return glob_naive(glob_rest(pattern, 1), text) ||
               (text.size > 0 && glob_naive(pattern, glob_rest(text, glob_character(text))));
    if (text.size == 0)
        return false;
    if (pattern.data[0] == '?')
        return glob_naive(glob_rest(pattern, 1), glob_rest(text, glob_character(text)));
    return pattern.data[0] == text.data[0] && glob_naive(glob_rest(pattern, 1), glob_rest(text, 1));
}

#endif
