/* line_stream.h - a FILE that gives complete lines to a function.
 *
 * It is for standard error: whoever uses the variable `stderr`, in this program or in a library,
 * then writes whole lines and never waits for the reader.
 *
 * Threads: any, as for each FILE. */
#ifndef TRIBUTARY_BASE_LINE_STREAM_H
#define TRIBUTARY_BASE_LINE_STREAM_H

#include <stdio.h>

#include "base/base.h"
#include "base/line_ring.h"

/* Gets one line with its newline, at most MAX_RING_LINE. A longer line comes in pieces, of which
 * only the last one has a newline. On the thread that writes, with the FILE locked. */
typedef void line_stream_line(const char *line, size_t size);

/* What the FILE keeps. Its lock guards it. */
struct line_stream {
    line_stream_line *line;
    size_t size;
    char text[MAX_RING_LINE]; /* what was written since the last newline */
};

/* Opens such a file in `stream`, which is the caller's and must stay as long as the FILE. The
 * caller closes it with fclose(), which gives the function what was left without a newline. Nothing
 * is buffered but the line that has not ended. NULL: no memory. */
FILE *line_stream_open(struct line_stream *stream, line_stream_line *line);

#endif
