/* lines.h - bytes become lines. A line longer than MAX_LINE_BYTES comes in pieces, so that nothing
 * grows without a bound. */
#ifndef TRIBUTARY_TOOL_LINES_H
#define TRIBUTARY_TOOL_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define MAX_LINE_BYTES (1000u * 1024u) /* below an event's bound, with room for its other fields */

struct lines {
    bool (*line)(void *ctx, const char *line, size_t size); /* without its newline; false: take no more */
    void *ctx;
    struct buf rest; /* begun, without its newline so far */
};

/* False: the receiver wants no more, or memory ran out. */
bool lines_add(struct lines *lines, const char *bytes, size_t size);

/* What has no newline counts as a line now. */
bool lines_end(struct lines *lines);
void lines_fini(struct lines *lines);

#endif
