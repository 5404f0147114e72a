/* status.h - the result of an operation.
 *
 * A function returns `enum err` where the caller acts on every outcome in code. It returns
 * `struct status` where a person will read the outcome: an operator who starts the server, or a
 * reader of the log. Both are plain values: nobody owns them, nothing is freed.
 *
 * A declaration lists the failure codes of its function, and what each leaves behind. What is wrong
 * with a request is not a status but a fault (fault.h).
 *
 * Threads: any. */
#ifndef TRIBUTARY_BASE_STATUS_H
#define TRIBUTARY_BASE_STATUS_H

#include "base/base.h"

enum err {
    ERR_OK = 0,
    ERR_AGAIN,     /* not now; a callback follows when a new attempt makes sense */
    ERR_FULL,      /* a bound was reached */
    ERR_CLOSED,    /* the object accepts no more work */
    ERR_CANCELLED, /* the caller, or a context above it, cancelled the work */
    ERR_DEADLINE,  /* the deadline passed */
    ERR_INVALID,   /* an argument or an input is wrong */
    ERR_NOT_FOUND, /* no object has this name */
    ERR_NO_MEMORY, /* the process's memory, or the memory budget, is used up */
    ERR_IO,        /* the system or a library refused; `sys` of the status says why */
    ERR_COUNT
};

struct status {
    enum err code;
    int sys;          /* errno or a vendor's code; 0: there is none */
    const char *what; /* names the step that failed; static text, never freed, never NULL */
};

#define STATUS_OK ((struct status){ERR_OK, 0, ""})

/* The name of a code without its prefix: "FULL", "NOT_FOUND". "UNKNOWN" for any other value. The
 * text is static. */
const char *err_name(enum err err);

#endif
