/* named.h - asks the server about each name on the command line. Main thread. */
#ifndef TRIBUTARY_TOOL_NAMED_H
#define TRIBUTARY_TOOL_NAMED_H

#include "tributary/tributary.h"
#include "client/tool/option.h"

/* A verb whose arguments are names. */
struct named_job {
    const struct verb *verb;
    void *settings; /* which the options are read into */
    const struct common *common;
    const char *missing; /* what is wrong where no name is given */
    /* What else can be wrong with the command line, which has `names` names, at least one. Returns
     * EXITS_OK, or EXITS_USAGE after cli_wrong(). NULL: nothing. */
    int (*check)(const struct verb *verb, const void *settings, size_t names);
    /* Asks about one name. Returns the exit code. Where that is not EXITS_OK, the fault was printed
     * to standard error. */
    int (*each)(const struct verb *verb, void *settings, struct tributary *client, const char *name);
};

/* Reads the command line, connects, and asks about one name after the other until one fails.
 * Returns the exit code. */
int named_run(const struct named_job *job, int argc, char **argv);

#endif
