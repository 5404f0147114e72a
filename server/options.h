/* options.h - the command line, checked. One table in options.c has every option with its default,
 * its bounds and its help text. A field has the name of its option, and its unit. */
#ifndef TRIBUTARY_SERVER_OPTIONS_H
#define TRIBUTARY_SERVER_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

#include "base/base.h"
#include "base/log.h"

#define MAX_LISTEN_ADDRESSES 16

struct options {
    const char *listen[MAX_LISTEN_ADDRESSES]; /* as given; they point into argv */
    size_t listen_count;
    bool insecure_listen;
    bool history;
    const char *ready_file;
    enum log_level log_level;
    enum log_format log_format;
    int64_t wire_threads;
    int64_t memory_limit_bytes;
    int64_t max_connections;
    int64_t max_subscriptions;
    int64_t max_producers;
    int64_t max_event_bytes;
    int64_t max_batch_bytes;
    int64_t transient_forget_ns;
    int64_t drain_timeout_ns;
    int64_t write_timeout_ns;
    bool reflection;
    bool reflection_set; /* the option was given */
};

enum options_outcome {
    OPTIONS_RUN,
    OPTIONS_DONE,  /* something was printed; the program must end with status 0 */
    OPTIONS_WRONG, /* the program must end with status 2 */
};

/* Reads the arguments, which must outlive *options_out.
 *
 *   OPTIONS_RUN    every option is valid, and every default is filled in
 *   OPTIONS_DONE   help, version, manual page or the table of errors was printed to `out`
 *   OPTIONS_WRONG  the option, its value and its bound were printed to `err` */
MUST_CHECK enum options_outcome options_read(int argc, char **argv, struct options *options_out, FILE *out,
                                             FILE *err);

#endif
