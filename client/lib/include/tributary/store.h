/* store.h - what a server keeps on the disk. Part of <tributary/tributary.h>. */
#ifndef TRIBUTARY_STORE_H
#define TRIBUTARY_STORE_H

#include <stddef.h>
#include <stdint.h>

/* Why an endpoint does not survive a restart of the server. */
enum tributary_not_kept {
    TRIBUTARY_NOT_KEPT_UNSPECIFIED = 0,  /* it does, or an older server does not say */
    TRIBUTARY_NOT_KEPT_NO_STATE_DIR = 1, /* the server has no --state-dir */
    TRIBUTARY_NOT_KEPT_STORE_FAILED = 2, /* the disk failed while it was changed: nobody knows */
    TRIBUTARY_NOT_KEPT_NOT_ASKED = 3     /* no operator added it; whoever did adds it again */
};

/* What the server keeps on the disk (--state-dir). */
enum tributary_store_state {
    TRIBUTARY_STORE_HEALTHY = 1,
    TRIBUTARY_STORE_FULL = 2,  /* the disk is full */
    TRIBUTARY_STORE_FAILED = 3 /* until the server is started again */
};

/* An endpoint that is on the disk, and that the server refused at its start. */
struct tributary_not_loaded {
    const char *name;
    const char *message;
};

struct tributary_store {
    const char *path; /* the folder */
    const char *uuid;
    enum tributary_store_state state;
    const char *code; /* SQLite's name of the error; empty: it is healthy */
    const char *message;
    const struct tributary_not_loaded *not_loaded; /* at most 100 */
    size_t not_loaded_count;
    uint32_t topics; /* stored ones, now */
    /* The pages of the database, and those of them that are free; the log, as far as it is in use;
     * what is given up when the disk is full. 0: an older server does not say. */
    uint64_t database_bytes, free_bytes, log_bytes, ballast_bytes;
};

#endif
