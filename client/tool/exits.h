/* exits.h - the exit codes of the tool. They do not change: scripts rely on them. */
#ifndef TRIBUTARY_TOOL_EXITS_H
#define TRIBUTARY_TOOL_EXITS_H

#include <stddef.h>

enum exit_code {
    EXITS_OK = 0,
    EXITS_ERROR = 1,       /* something failed: a file, a command, a refused event */
    EXITS_USAGE = 2,       /* the command line is wrong; nothing was done */
    EXITS_UNAVAILABLE = 3, /* the server cannot be reached, or is draining */
    EXITS_NOT_FOUND = 4,   /* no such producer, subscription or service */
    /* sub --fail-on-loss, bench: the server reported lost events, or events were missing or out of
     * order. */
    EXITS_LOSS = 5,
    EXITS_DEADLINE = 6, /* --max-time passed, or the server did not answer in time */
    EXITS_PRODUCER = 7, /* sub --until ended: a producer ended with an error, or was lost */
    EXITS_GRPC = 64,    /* plus the gRPC code: every other answer of the server */
};

/* The codes below EXITS_GRPC, and what they mean, for help and manual pages. */
struct exit_meaning {
    int code;
    const char *meaning;
};
const struct exit_meaning *exits_all(size_t *count_out);

#endif
