/* pub_source.h - where the lines of `tributary pub` come from. */
#ifndef TRIBUTARY_TOOL_PUB_SOURCE_H
#define TRIBUTARY_TOOL_PUB_SOURCE_H

#include "client/tool/lines.h"
#include "client/tool/stop.h"

/* With neither `follow` nor `exec`: standard input. */
struct source_params {
    const char *follow;
    const char *exec;
    uint64_t lines;
    bool from_start;
};

/* Feeds `lines` until the source ends, the receiver wants no more, or `stop` is asked for. Returns
 * the exit code. */
int source_run(const struct source_params *params, struct lines *lines, struct stop *stop);

#endif
