/* pub_source.h - the source of the lines of `tributary pub`: standard input, a file or a command.
 * Main thread. */
#ifndef TRIBUTARY_TOOL_PUB_SOURCE_H
#define TRIBUTARY_TOOL_PUB_SOURCE_H

#include "client/tool/lines.h"
#include "client/tool/stop.h"

/* The values of the options. With neither `follow` nor `exec` the source is standard input. */
struct source_params {
    const char *follow; /* a file */
    const char *exec;   /* a command */
    uint64_t lines;     /* with `follow`: begin with the last lines of the file */
    bool from_start;    /* with `follow`: begin with the whole file */
};

/* Reads the source into `lines` until it ends, the receiver wants no more, or a stop is requested.
 * Returns the exit code. */
int source_run(const struct source_params *params, struct lines *lines, struct stop *stop);

#endif
