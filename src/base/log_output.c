/* log_output.c - the writer of the process, and what stands in for it before and after. */
#include "base/log_output.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/fd_write.h"

#define DIRECT_MS 100 /* for one line, without a writer */
#define CRASH_MS 1000 /* for what waits when the process crashes */

static struct {
    int fd;
    struct line_writer *_Atomic writer; /* stays where it is once it was started */
    atomic_bool is_unread;              /* the last line that was written without a writer was lost */
} output = {.fd = STDERR_FILENO};

void log_output_set_fd(int fd)
{
    output.fd = fd;
}

/* The process ends by this signal. Waits for the lines that were put before. */
static void on_crash(int signal)
{
    line_writer_wait(atomic_load(&output.writer), CRASH_MS);
    raise(signal); /* its action is the default again, and follows when this function returns */
}

/* A sanitizer keeps the handlers that it has. */
static void handle_crashes(void)
{
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};

    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        struct sigaction before;
        struct sigaction action = {.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND};

        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(signals[i], &action, NULL);
    }
}

enum err log_output_start(lines_missing_text *text)
{
    struct line_writer *writer;
    enum err err = line_writer_new(output.fd, text, &writer);

    if (err)
        return err;
    atomic_store(&output.writer, writer);
    handle_crashes();
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
