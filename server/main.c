/* main.c - tributaryd. */
#include "base/line_stream.h"
#include "base/log.h"
#include "base/std_descriptors.h"
#include "server/server.h"

#include <stdio.h>
#include <unistd.h>

/* How long the log may still be read at the end. */
#define MAX_LOG_WAIT_MS 1000

/* What a library writes to standard error becomes a line of the log. */
static void on_foreign_line(const char *line, size_t size)
{
    const size_t shown = line[size - 1] == '\n' ? size - 1 : size;

    log_write(LOG_WARN, "stderr", LOG_BYTES("message", ((struct bytes){(const uint8_t *)line, shown})));
}

/* From here on nobody waits for the reader of standard error. */
static struct status start_log(const struct options *options)
{
    static struct line_stream stream;

    log_setup(options->log_level, options->log_format, STDERR_FILENO);
    struct status status = log_start();
    FILE *lines = status.code ? NULL : line_stream_open(&stream, on_foreign_line);

    if (lines)
        stderr = lines; /* it stays until the end of the process */
    return status;
}

STD_DESCRIPTORS_KEEP;

int main(int argc, char **argv)
{
    struct options options;
    struct server server;

    switch (options_read(argc, argv, &options, stdout, stderr)) {
    case OPTIONS_DONE:
        return 0;
    case OPTIONS_WRONG:
        return 2;
    case OPTIONS_RUN:
        break;
    }
    struct status status = start_log(&options);
    if (status.code) {
        fprintf(stderr, "tributaryd: %s: no memory\n", status.what);
        return 1;
    }
    status = server_start(&server, &options);
    if (!status.code && server_run(&server) != 0) {
        log_stop(MAX_LOG_WAIT_MS);
        _exit(1); /* a forced end does not wait until millions of objects are freed */
    }
    const bool is_freed = server_free(&server);
    log_stop(MAX_LOG_WAIT_MS);
    if (!is_freed)
        _exit(1); /* its thread waits for the disk */
    return status.code ? 1 : 0;
}
