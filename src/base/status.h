/* status.h - what an operation answers.
 *
 * `enum err` alone where every outcome is acted on; `struct status` where a human will read it. */
#ifndef TRIBUTARY_BASE_STATUS_H
#define TRIBUTARY_BASE_STATUS_H

#include "base/base.h"

enum err {
    ERR_OK = 0,
    ERR_AGAIN,     /* not now; a callback will follow */
    ERR_FULL,      /* a bound was reached */
    ERR_CLOSED,    /* the object no longer takes work */
    ERR_CANCELLED, /* the caller, or someone above it, no longer wants it */
    ERR_DEADLINE,  /* its time ran out */
    ERR_INVALID,   /* the input is at fault */
    ERR_NOT_FOUND, /* nothing has this name */
    ERR_NO_MEMORY, /* memory, or the memory budget, ran out */
    ERR_IO,        /* the system refused; see `sys` */
    ERR_COUNT
};

struct status {
    enum err code;
    int sys;          /* errno or a vendor's code; 0 when not applicable */
    const char *what; /* static text naming the failed step; never freed */
};

#define STATUS_OK ((struct status){ERR_OK, 0, ""})

/* "FULL", "NOT_FOUND" and so on; static. */
const char *err_name(enum err err);

#endif
