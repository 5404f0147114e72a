/* store_health.h - how a store is, and how large. Threads: any. */
#ifndef TRIBUTARY_BACKEND_SQLITE_STORE_HEALTH_H
#define TRIBUTARY_BACKEND_SQLITE_STORE_HEALTH_H

#include <stdint.h>

struct store;

enum store_state {
    STORE_HEALTHY,
    /* Appends are refused; records and changes of topics are tried. It passes by itself. */
    STORE_IS_FULL,
    STORE_IS_FAILED
};

struct store_health {
    enum store_state state;
    const char *code; /* "SQLITE_IOERR_FSYNC"; empty while it is healthy; static */
    char message[256];
};

/* In bytes, as of the latest commit or checkpoint. */
struct store_sizes {
    int64_t database; /* all pages, also those that are in the log and not yet in the file */
    int64_t free;     /* of these: pages that hold nothing, and are used again */
    int64_t log;      /* of store.db-wal, as far as it is in use */
    int64_t ballast;  /* that is written */
};
struct store_sizes store_sizes(struct store *store);

#endif
