/* reading.h - what the verbs that show a stream have in common: `producers watch` and `batch
 * watch`. They print what comes until a signal, a count or a deadline ends them.
 *
 * Threads: callbacks of the library run on the client thread, all else on the main thread. */
#ifndef TRIBUTARY_CLIENT_TOOL_READING_H
#define TRIBUTARY_CLIENT_TOOL_READING_H

#include <stdatomic.h>

#include "base/buf.h"
#include "client/tool/cli.h"
#include "client/tool/printer.h"
#include "client/tool/stop.h"

/* The options. The settings of each verb begin with them. */
struct reading_settings {
    struct common common;
    unsigned output;
    bool no_reconnect, quiet;
    uint64_t count; /* 0: no end */
};

struct reading {
    const struct reading_settings *settings;
    struct stop stop;
    struct printer printer;
    /* Client thread. */
    bool is_interrupted; /* since the last that came; the verb clears it */
    uint64_t printed;    /* the verb counts */
    /* Both threads. */
    _Atomic bool is_done; /* nothing more is printed */
    /* Set before stop_end(). */
    bool has_ended;
    struct tributary_status status;
};

/* Opens the stream, calls reading_wait(), and frees the stream. `pattern` NULL: there is none.
 * Returns the exit status. */
typedef int (*reading_open)(struct reading *reading, struct tributary *client, const char *pattern);

/* The run() of a verb, with settings that have its defaults. */
int reading_run(const struct verb *verb, int argc, char **argv, struct reading_settings *settings,
                reading_open open);

/* Waits for the end. Nothing is printed after it, and nobody waits for a reader of our output.
 * Returns the exit status. */
int reading_wait(struct reading *reading);

/* Client thread. Ends the wait: enough was printed, or nothing can be. */
void reading_finish(struct reading *reading);

/* Callbacks of the library. `ctx` is the reading. */
void reading_interrupted(void *ctx, const struct tributary_status *status, int64_t retry_ns);
void reading_ended(void *ctx, const struct tributary_status *status);

/* Appends a moment as the local time of day, with milliseconds. */
void reading_put_clock(struct buf *out, uint64_t unix_nano);

#endif
