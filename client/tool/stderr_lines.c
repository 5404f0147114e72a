/* stderr_lines.c - puts a writer of lines behind the variable `stderr`. */
#include "client/tool/stderr_lines.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/line_stream.h"
#include "base/line_writer.h"

#define MAX_WAIT_MS 1000
#define MAX_STOP_MS 5000
#define LEVEL 0u /* all lines are alike */

static struct {
    struct line_writer *writer;
    struct line_stream stream;
    FILE *before; /* the stream that stood here */
} state;

static size_t missing_text(const struct lines_missing *missing, char *line)
{
    const uint64_t count = missing->by_level[LEVEL];

    return (size_t)snprintf(line, MAX_RING_LINE,
                            "tributary: %" PRIu64 " line%s missing here: standard error was not read\n",
                            count, count == 1 ? " is" : "s are");
}

static void on_line(const char *line, size_t size)
{
    if (!line_writer_put(state.writer, LEVEL, line, size))
        (void)!fwrite(line, 1, size, state.before);
}

void stderr_lines_start(void)
{
    FILE *lines = line_stream_open(&state.stream, on_line);

    if (!lines)
        return;
    if (line_writer_new(STDERR_FILENO, missing_text, &state.writer)) {
        fclose(lines);
        return;
    }
    line_writer_handle_crashes(state.writer);
    state.before = stderr;
    stderr = lines;
}

void stderr_lines_wait(void)
{
    if (state.writer)
        line_writer_wait(state.writer, MAX_WAIT_MS);
}

void stderr_lines_stop(void)
{
    if (state.writer)
        line_writer_stop(state.writer, MAX_STOP_MS);
}
