/* line_writer.h - lines of any thread, written to one descriptor by a thread of its own. Nobody
 * waits for the descriptor but that thread.
 *
 * DESIGN. Lines wait in a ring (line_ring.h). When one does not fit, it is left out, and so is
 * every later one below LINE_RESERVE_LEVEL until the ring is empty again. Then one line says how
 * many are missing at this place. So a reader that stood still sees all lines in order, one report,
 * and all lines in order again. A line that could not be written (a full disk, a reader that is
 * gone) is reported in the same way, in front of the next line that can be written. A line that the
 * caller left out itself is reported within a second.
 *
 * The writer needs no space in the ring for a report, and a report that could not be written is
 * kept. What is left out is counted as log.lost (counters.h).
 *
 * A line never tears where that can be had: at most PIPE_BUF bytes go into a pipe whole. Elsewhere
 * a line that was written in part is closed by a newline before the next one.
 *
 * Threads: any, except where a function says more. A child after fork() must not use it. */
#ifndef TRIBUTARY_BASE_LINE_WRITER_H
#define TRIBUTARY_BASE_LINE_WRITER_H

#include "base/base.h"
#include "base/line_ring.h"
#include "base/status.h"

struct line_writer;

/* Lines that are missing since the last report. */
struct lines_missing {
    uint64_t by_level[LINE_LEVELS];
    uint64_t limited; /* of these: left out by the caller (line_writer_leave_out()) */
};

/* Writes the report as a line with its newline into `line`, which has MAX_RING_LINE, and returns
 * its size. Called on the writer's thread with no lock held. It must not put lines. */
typedef size_t lines_missing_text(const struct lines_missing *missing, char *line);

/* Starts the thread. It blocks all signals. `fd` stays the caller's, and stays open as long as the
 * writer lives. Its flags are not changed.
 *   ERR_NO_MEMORY  no memory or no thread; nothing was started */
MUST_CHECK enum err line_writer_new(int fd, lines_missing_text *text, struct line_writer **writer_out);

/* Queues a copy of a line of at most MAX_RING_LINE, or counts it as lost. Never blocks. False: the
 * writer was stopped and nothing was done; the caller may write the line itself. */
MUST_CHECK bool line_writer_put(struct line_writer *writer, unsigned level, const char *line, size_t size);

/* Counts a line as lost that the caller has left out. Never blocks. */
void line_writer_leave_out(struct line_writer *writer, unsigned level);

/* Waits until every line that was put so far is written or lost, at most `max_ms`. For the end of
 * a process that does not end well: it may be called in a signal handler. Returns at once on the
 * writer's own thread. */
void line_writer_wait(struct line_writer *writer, int max_ms);

/* From now on a crash of the process (SIGABRT, SIGSEGV and the like) waits up to 1 s for the lines
 * of this writer, which is never freed. A handler that is there stays, such as a sanitizer's. */
void line_writer_handle_crashes(struct line_writer *writer);

/* Writes what waits and ends the thread. Once, on one thread. Waits at most `max_ms` for the
 * reader. After that everything that waits is lost. If the descriptor is a pipe, it is made larger,
 * so that the report of what is missing fits behind the lines that nobody has read; that takes at
 * most 400 ms more. False: not even that could be written, and the thread still waits for the
 * descriptor. */
bool line_writer_stop(struct line_writer *writer, int max_ms);

/* Frees a writer that line_writer_stop() has stopped, with true. NULL allowed. */
void line_writer_free(struct line_writer *writer);

#endif
