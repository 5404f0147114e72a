/* options.h - the command line, checked. One table in options_table.c has every option with its
 * bounds and its help text. A field has the name of its option, and its unit. The defaults of
 * limits are those of base/settings.c. */
#ifndef TRIBUTARY_SERVER_OPTIONS_H
#define TRIBUTARY_SERVER_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

#include "base/base.h"
#include "base/log.h"
#include "base/settings.h"
#include "server/config/folder_watcher.h"
#include "server/tls/tls_spec.h"
#include "server/unix_access.h"
#include "topic/topic_settings.h"

#define MAX_LISTEN_ADDRESSES 16
#define MAX_TOPIC_PATTERNS 16

enum on_off { ON_OFF_UNSET, ON, OFF };

struct options {
    const char *listen[MAX_LISTEN_ADDRESSES]; /* as given; they point into argv */
    size_t listen_count;
    const char *fan_in[MAX_LISTEN_ADDRESSES]; /* likewise */
    size_t fan_in_count;
    bool insecure_listen;
    bool remote_drain;
    const char *dial_allow;                     /* a glob; NULL: none */
    const char *upstream_tls[MAX_TLS_SETTINGS]; /* as given (server/tls/tls_spec.h) */
    size_t upstream_tls_count;
    const char *endpoints_dir[MAX_FOLDERS]; /* as given */
    size_t endpoints_dir_count;
    struct unix_access unix_access; /* of socket files among them */
    const char *ready_file;
    const char *state_dir;                          /* NULL: nothing is kept */
    struct bytes create_topics[MAX_TOPIC_PATTERNS]; /* globs, as given */
    size_t create_topics_count;
    struct topic_settings topic_settings; /* of topics that are made so */
    bool remote_backup;
    enum log_level log_level;
    enum log_format log_format;
    int64_t wire_threads;
    struct settings settings; /* the limits; those without an option have their default */
    enum on_off guard;        /* a guard in front of gRPC core; ON by default */
    enum on_off reflection;   /* ON or OFF, once it is read */
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
