/* status.c - the names of error codes, and what a failed CHECK() does. */
#include "base/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd_write.h"

#define MAX_WAIT_MS 100 /* for whoever reads standard error */

const char *err_name(enum err err)
{
    static const char *const names[ERR_COUNT] = {
        [ERR_OK] = "OK",           [ERR_AGAIN] = "AGAIN",         [ERR_FULL] = "FULL",
        [ERR_CLOSED] = "CLOSED",   [ERR_CANCELLED] = "CANCELLED", [ERR_DEADLINE] = "DEADLINE",
        [ERR_INVALID] = "INVALID", [ERR_NOT_FOUND] = "NOT_FOUND", [ERR_NO_MEMORY] = "NO_MEMORY",
        [ERR_IO] = "IO",
    };

    return (unsigned)err < ERR_COUNT ? names[err] : "UNKNOWN";
}

void check_failed(const char *condition, const char *file, int line)
{
    char text[512];
    int size = snprintf(text, sizeof(text) - 1, "%s:%d: broken promise: %s", file, line, condition);
    size_t end = size < 0 ? 0 : MIN_OF((size_t)size, sizeof(text) - 2);
    size_t done = 0;

    /* This does not use the log, whose state the bug may have damaged. */
    text[end] = '\n';
    if (fd_write(STDERR_FILENO, text, end + 1, MAX_WAIT_MS, &done))
        abort(); /* nobody reads it; the end is the same */
    abort();
}
