/* lines.h - splits bytes into lines. A line over the bound comes in parts, so that the buffer has a
 * bound. A part ends between two characters of UTF-8, where the bytes are UTF-8. One thread. */
#ifndef TRIBUTARY_TOOL_LINES_H
#define TRIBUTARY_TOOL_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "tributary/event.h"

#define MAX_LINE_BYTES (1000u * 1024u) /* less than an event's bound, for its other fields */

/* A line, or a part of one, without its newline. */
struct line {
    const char *text;
    size_t size;
    uint64_t part;        /* counted from 1; 0: the line is whole */
    bool is_last;         /* of the parts; true for a whole line */
    uint64_t input_bytes; /* what lines_add() has read up to here, the newline included */
    const char *source;   /* as in struct lines */
};

struct lines {
    bool (*line)(void *ctx, const struct line *line); /* false: no more lines are wanted */
    void *ctx;
    size_t max_bytes;   /* of a line or a part; at least 4. 0: MAX_LINE_BYTES */
    const char *source; /* the file that they come from; NULL: it need not be known */

    /* Private. */
    struct buf rest; /* the beginning of a line whose newline has not come, or of its next part */
    uint64_t parts;  /* of the line that has begun */
    uint64_t input_bytes;
};

/* Splits more bytes. False: the receiver wants no more lines, or memory ran out. */
bool lines_add(struct lines *lines, const char *bytes, size_t size);

/* Whether a line has begun whose newline has not come. */
bool lines_in_line(const struct lines *lines);

/* The end of the input: what has no newline is passed on as a line. */
bool lines_end(struct lines *lines);
void lines_fini(struct lines *lines);

/* How many of the first `size` bytes of a longer line are its next part: all of them, or up to 3
 * fewer where they end within a character. `size` is at least 4. */
size_t line_part_size(const char *text, size_t size);

/* The headers that mark a part: its number, and on the last one that it is the last. */
#define LINE_PART_HEADER "line.part"
#define LINE_LAST_HEADER "line.last"
#define LINE_HEADERS 2u

/* Writes the headers of a part; none for a whole line. `number` holds a text that they point to.
 * Returns how many they are. */
size_t line_headers(const struct line *line, struct tributary_header headers[LINE_HEADERS], char number[24]);

#endif
