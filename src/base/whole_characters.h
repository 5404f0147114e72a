/* whole_characters.h - how much of a UTF-8 text fits into a place, so that no character is cut.
 *
 * Threads: any. */
#ifndef TRIBUTARY_BASE_WHOLE_CHARACTERS_H
#define TRIBUTARY_BASE_WHOLE_CHARACTERS_H

#include <string.h>

/* The bytes of the text's first characters, at most `max`: for "%.*s". */
static inline int whole_characters(const char *text, size_t max)
{
    size_t size = strnlen(text, max + 1);

    if (size <= max)
        return (int)size;
    size = max;
    while (size > 0 && ((unsigned char)text[size] & 0xC0u) == 0x80u)
        size--;
    return (int)size;
}

#endif
