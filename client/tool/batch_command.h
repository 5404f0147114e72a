/* batch_command.h - the commands of `tributary batch work`: each batch is handed to one, which
 * answers.
 *
 * One process for each batch: it reads its standard input up to the end, prints its answer, and
 * ends with exit code 0. Or processes that are kept: each reads a line for each batch, and answers
 * with a line.
 *
 * Threads: any; a call blocks until the command has answered. */
#ifndef TRIBUTARY_TOOL_BATCH_COMMAND_H
#define TRIBUTARY_TOOL_BATCH_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "tributary/tributary.h"

#define MAX_COMMANDS 1024u
/* Once it is parsed, JSON can take 40 times as much memory. */
#define MAX_ANSWER_BYTES ((size_t)24 << 20)

struct batch_commands;

/* `command` must stay valid. `is_kept`: processes are kept, at most `max` of them. NULL: out of
 * memory. */
struct batch_commands *batch_commands_new(const char *command, bool is_kept, unsigned max);

/* Ends the processes that are kept: they see the end of their input, all get the same second, then
 * SIGTERM, and SIGKILL after 300 ms. No call may be running. NULL is allowed. */
void batch_commands_free(struct batch_commands *commands);

struct batch_call {
    struct bytes input;  /* a line, with its newline */
    int64_t deadline_ns; /* clock_mono_ns() */
    /* Asked about ten times a second. True: the command is stopped. */
    bool (*is_unwanted)(void *ctx);
    void *ctx;
};

/* Appends the answer to `output`. At most `max` calls at a time, where processes are kept.
 *   UNKNOWN             COMMAND_FAILED: its exit code is not 0, or a kept one has ended or is deaf
 *   DEADLINE_EXCEEDED   COMMAND_TOO_LATE: it was stopped
 *   CANCELLED           COMMAND_STOPPED: the answer is unwanted; it was stopped
 *   RESOURCE_EXHAUSTED  ANSWER_TOO_LARGE; or out of memory
 *   INTERNAL            COMMAND_NOT_STARTED */
enum tributary_code batch_command_run(struct batch_commands *commands, const struct batch_call *call,
                                      struct buf *output, struct tributary_status *status);

/* Fills in a status, and returns its code. */
enum tributary_code batch_status(struct tributary_status *status, enum tributary_code code,
                                 const char *reason, const char *format, ...) PRINTF_LIKE(4, 5);

#endif
