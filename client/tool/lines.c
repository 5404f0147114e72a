/* lines.c - splits at newlines. A carriage return before a newline is part of the line. */
#include "client/tool/lines.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* How many bytes a character has that begins with this one; 1 for a byte that begins none. */
static size_t character_size(unsigned char first)
{
    return first >= 0xF0 && first <= 0xF4  ? 4
           : first >= 0xE0 && first < 0xF0 ? 3
           : first >= 0xC2 && first < 0xE0 ? 2
                                           : 1;
}

size_t line_part_size(const char *text, size_t size)
{
    /* The character that the last bytes belong to begins at most 3 bytes before the end. */
    for (size_t back = 1; back <= 3; back++) {
        const unsigned char byte = (unsigned char)text[size - back];

        if ((byte & 0xC0) != 0x80)
            return character_size(byte) > back ? size - back : size;
    }
    return size;
}

size_t line_headers(const struct line *line, struct tributary_header headers[LINE_HEADERS], char number[24])
{
    if (line->part == 0)
        return 0;
    snprintf(number, 24, "%" PRIu64, line->part);
    headers[0] = (struct tributary_header){tributary_text(LINE_PART_HEADER), tributary_text(number)};
    headers[1] = (struct tributary_header){tributary_text(LINE_LAST_HEADER), tributary_text("true")};
    return line->is_last ? 2 : 1;
}

/* Passes a line or its last part on. */
static bool give_end(struct lines *lines, const char *text, size_t size)
{
    const struct line line = {.text = text,
                              .size = size,
                              .part = lines->parts > 0 ? lines->parts + 1 : 0,
                              .is_last = true,
                              .input_bytes = lines->input_bytes,
                              .source = lines->source};

    lines->parts = 0;
    return lines->line(lines->ctx, &line);
}

static bool give_rest(struct lines *lines)
{
    const bool more = give_end(lines, (const char *)lines->rest.data, lines->rest.size);

    buf_clear(&lines->rest);
    return more;
}

/* Passes on what is in the full buffer, as a part that is not the last one. */
static bool give_part(struct lines *lines)
{
    const char *text = (const char *)lines->rest.data;
    const size_t size = line_part_size(text, lines->rest.size);
    const struct line line = {.text = text,
                              .size = size,
                              .part = ++lines->parts,
                              .input_bytes = lines->input_bytes - (lines->rest.size - size),
                              .source = lines->source};
    const bool more = lines->line(lines->ctx, &line);

    buf_drop(&lines->rest, size);
    return more;
}

bool lines_in_line(const struct lines *lines)
{
    return lines->rest.size > 0 || lines->parts > 0;
}

bool lines_add(struct lines *lines, const char *bytes, size_t size)
{
    const size_t max = lines->max_bytes > 0 ? lines->max_bytes : MAX_LINE_BYTES;

    while (size > 0) {
        const char *newline = memchr(bytes, '\n', size);
        const size_t length = newline ? (size_t)(newline - bytes) : size;
        const size_t fits = MIN_OF(length, max - lines->rest.size);
        const bool ends = newline && fits == length;

        lines->input_bytes += fits + (ends ? 1 : 0);
        if (ends && !lines_in_line(lines)) {
            if (!give_end(lines, bytes, length))
                return false;
        } else {
            buf_bytes(&lines->rest, bytes, fits);
            if (lines->rest.broken)
                return false;
            if (ends ? !give_rest(lines) : fits < length && !give_part(lines))
                return false;
        }
        bytes += fits + (ends ? 1 : 0);
        size -= fits + (ends ? 1 : 0);
    }
    return true;
}

bool lines_end(struct lines *lines)
{
    return !lines_in_line(lines) || give_rest(lines);
}

void lines_fini(struct lines *lines)
{
    buf_fini(&lines->rest);
}
