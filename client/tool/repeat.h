/* repeat.h - lists something once, or again and again (--watch). Main thread. */
#ifndef TRIBUTARY_TOOL_REPEAT_H
#define TRIBUTARY_TOOL_REPEAT_H

#include <stdio.h>

#include "tributary/tributary.h"
#include "client/tool/display.h"
#include "client/tool/option.h"

/* The values of the options. */
struct repeat {
    int64_t every_ns; /* 0: list once */
    uint64_t count;   /* with `every_ns`: how often; 0: until stopped */
};

/* Rows for a verb's table of options. `base` is the offset of a struct repeat in its settings. */
#define REPEAT_OPTIONS(base)                                                                                 \
    {'w',                                                                                                    \
     "watch",                                                                                                \
     OPTION_EVERY,                                                                                           \
     "[INTERVAL]",                                                                                           \
     (base) + offsetof(struct repeat, every_ns),                                                             \
     "list again after each INTERVAL (2s), until stopped; a terminal is drawn anew"},                        \
    {                                                                                                        \
        'n', "count", OPTION_NUMBER, "N", (base) + offsetof(struct repeat, count),                           \
            "with --watch: stop after N lists"                                                               \
    }

/* A verb that lists. The pointers are into its settings, which the options are read into. */
struct repeat_job {
    const struct verb *verb;
    void *settings;
    const struct common *common;
    const struct repeat *options;
    /* The form of a list. Unless it is `json`, lists are separated, and a terminal is drawn
     * anew. */
    const unsigned *output;
    unsigned json;
    const char **argument; /* the first word that is no option, or NULL; NULL: nobody needs it */
    /* Prints one list to `out`. `size` is that of the terminal; 0 x 0: it is none. Returns the exit
     * code. Where that is not EXITS_OK, the fault was printed to standard error. */
    int (*list)(void *settings, struct tributary *client, FILE *out, struct display_size size);
};

/* Reads the command line, connects, and lists to standard output: once, or with --watch again and
 * again, until SIGINT, SIGTERM or SIGHUP, the end of --max-time, the last of --count, or an error
 * of standard output. A terminal that is drawn anew shows the lines that fit. With --watch, a list
 * that fails is tried again after the interval. Call it before threads start. Returns the exit
 * code. */
int repeat_run(const struct repeat_job *job, int argc, char **argv);

#endif
