/* pub_source.h - the source of the lines of `tributary pub`: standard input, a file or a command.
 * Main thread. */
#ifndef TRIBUTARY_TOOL_PUB_SOURCE_H
#define TRIBUTARY_TOOL_PUB_SOURCE_H

#include "client/tool/lines.h"
#include "client/tool/option.h"
#include "client/tool/stop.h"

/* The values of the options. With neither `follow` nor `exec` the source is standard input. */
struct source_params {
    struct text_list follow; /* files and patterns */
    const char *state;       /* with `follow`: the file that says how far they were read; or NULL */
    const char *exec;        /* a command */
    uint64_t lines;          /* with `follow`: begin with the last lines of each file */
    bool from_start;         /* with `follow`: begin with the whole files */
};

/* What became of the lines. `ctx` as the functions want it. */
struct source_progress {
    void (*mark)(void *ctx);    /* remembers which events were passed on so far */
    bool (*is_done)(void *ctx); /* whether none of these need be sent again */
    void (*flush)(void *ctx);   /* waits until they are done, or it is given up */
    void *ctx;
};

/* Reads the source into `lines` until it ends, the receiver wants no more, or a stop is requested.
 * Returns the exit code. */
int source_run(const struct source_params *params, struct lines *lines, struct stop *stop,
               const struct source_progress *progress);

#endif
