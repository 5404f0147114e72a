/* log_output.h - where the lines of the log go. For log.c; everybody else uses log.h. */
#ifndef TRIBUTARY_BASE_LOG_OUTPUT_H
#define TRIBUTARY_BASE_LOG_OUTPUT_H

#include "base/line_writer.h"

/* Before threads start. `fd` stays the caller's. Standard error until then. */
void log_output_set_fd(int fd);

/* See log_start(). */
MUST_CHECK enum err log_output_start(lines_missing_text *text);

/* See log_stop(). */
void log_output_stop(int max_ms);

/* Writes a line of at most MAX_RING_LINE, or counts it as lost. Any thread. Without a writer it
 * waits at most 100 ms for the reader, and not at all until that has read again. */
void log_output_put(unsigned level, const char *line, size_t size);

/* See log_leave_out(). */
void log_output_leave_out(unsigned level);

#endif
