/* store_health.h - how a store is. Threads: any; values. */
#ifndef TRIBUTARY_BACKEND_SQLITE_STORE_HEALTH_H
#define TRIBUTARY_BACKEND_SQLITE_STORE_HEALTH_H

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

#endif
