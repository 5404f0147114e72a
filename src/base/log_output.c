/* log_output.c - the writer of the process, and what stands in for it before and after. */
#include "base/log_output.h"

#include <stdatomic.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/fd_write.h"

#define DIRECT_MS 100 /* for one line, without a writer */

static struct {
    int fd;
    struct line_writer *_Atomic writer; /* stays where it is once it was started */
    atomic_bool is_unread;              /* the last line that was written without a writer was lost */
} output = {.fd = STDERR_FILENO};

void log_output_set_fd(int fd)
{
    output.fd = fd;
}

enum err log_output_start(lines_missing_text *text)
{
    struct line_writer *writer;
    enum err err = line_writer_new(output.fd, text, &writer);

    if (err)
        return err;
    atomic_store(&output.writer, writer);
    line_writer_handle_crashes(writer);
    return ERR_OK;
}

void log_output_stop(int max_ms)
{
    struct line_writer *writer = atomic_load(&output.writer);

    if (writer && !line_writer_stop(writer, max_ms))
        atomic_store(&output.is_unread, true);
}

static void write_directly(const char *line, size_t size)
{
    const int max_ms = atomic_load(&output.is_unread) ? 0 : DIRECT_MS;
    size_t done = 0;
    const int error = fd_write(output.fd, line, size, max_ms, &done);

    atomic_store(&output.is_unread, error != 0);
    if (error)
        count_add(COUNT_LOG_LOST, 1);
}

void log_output_put(unsigned level, const char *line, size_t size)
{
    struct line_writer *writer = atomic_load(&output.writer);

    if (!writer || !line_writer_put(writer, level, line, size))
        write_directly(line, size);
}

void log_output_leave_out(unsigned level)
{
    struct line_writer *writer = atomic_load(&output.writer);

    if (writer)
        line_writer_leave_out(writer, level);
    else
        count_add(COUNT_LOG_LOST, 1);
}
