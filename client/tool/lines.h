/* lines.h - splits bytes into lines. A line longer than MAX_LINE_BYTES comes in pieces, so that the
 * buffer has a bound. One thread. */
#ifndef TRIBUTARY_TOOL_LINES_H
#define TRIBUTARY_TOOL_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define MAX_LINE_BYTES (1000u * 1024u) /* less than an event's bound, for its other fields */

struct lines {
    /* Gets one line, without its newline. False: no more lines are wanted. */
    bool (*line)(void *ctx, const char *line, size_t size);
    void *ctx;
    struct buf rest; /* the beginning of a line whose newline has not come */
};

/* Splits more bytes. False: the receiver wants no more lines, or memory ran out. */
bool lines_add(struct lines *lines, const char *bytes, size_t size);

/* The end of the input: what has no newline is passed on as a line. */
bool lines_end(struct lines *lines);
void lines_fini(struct lines *lines);

#endif
