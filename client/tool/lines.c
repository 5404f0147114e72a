/* lines.c - splits at newlines. A carriage return before a newline is part of the line. */
#include "client/tool/lines.h"

#include <string.h>

/* Passes the unfinished line on. */
static bool give_rest(struct lines *lines)
{
    const bool more = lines->line(lines->ctx, (const char *)lines->rest.data, lines->rest.size);

    buf_clear(&lines->rest);
    return more;
}

bool lines_add(struct lines *lines, const char *bytes, size_t size)
{
    while (size > 0) {
        const char *newline = memchr(bytes, '\n', size);
        const size_t length = newline ? (size_t)(newline - bytes) : size;
        const size_t capacity = MAX_LINE_BYTES - lines->rest.size;
        const size_t part = length < capacity ? length : capacity;

        if (newline && part == length && lines->rest.size == 0) {
            if (!lines->line(lines->ctx, bytes, length))
                return false;
        } else {
            buf_bytes(&lines->rest, bytes, part);
            if (lines->rest.broken)
                return false;
            if ((part < length || newline) && !give_rest(lines))
                return false;
        }
        bytes += part;
        size -= part;
        if (part == length && newline) {
            bytes++;
            size--;
        }
    }
    return true;
}

bool lines_end(struct lines *lines)
{
    return lines->rest.size == 0 || give_rest(lines);
}

void lines_fini(struct lines *lines)
{
    buf_fini(&lines->rest);
}
