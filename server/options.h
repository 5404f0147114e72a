/* options.h - what the command line says, checked against its bounds. One table gives the options,
 * their defaults, their bounds and the help text. */
#ifndef TRIBUTARY_SERVER_OPTIONS_H
#define TRIBUTARY_SERVER_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

#include "base/base.h"
#include "base/log.h"

#define MAX_LISTEN 16

struct options {
    const char *listen[MAX_LISTEN];
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
    bool reflection, reflection_set;
};

enum options_outcome { OPTIONS_RUN, OPTIONS_DONE, OPTIONS_WRONG };

/* Reads the arguments. OPTIONS_DONE: help, version or the error table was printed to `out`.
 * OPTIONS_WRONG: what is wrong was printed to `err`: option, value and bound. */
MUST_CHECK enum options_outcome options_read(int argc, char **argv, struct options *options_out, FILE *out,
                                             FILE *err);

#endif
