/* batch_error.h - why operations failed, in the words of a worker. Many operations share one.
 *
 * Threads: any. */
#ifndef TRIBUTARY_BATCH_BATCH_ERROR_H
#define TRIBUTARY_BATCH_BATCH_ERROR_H

#include "base/base.h"

#define MAX_BATCH_REASON_BYTES 64u
#define MAX_BATCH_MESSAGE_BYTES 1024u

/* What a worker says. The bytes are the caller's. */
struct batch_error_text {
    uint32_t code;        /* a gRPC status code, not OK */
    struct bytes message; /* at most MAX_BATCH_MESSAGE_BYTES */
    struct bytes reason;  /* at most MAX_BATCH_REASON_BYTES */
};

struct batch_error;

/* Copies the text; the caller owns the one reference. NULL: no memory. */
struct batch_error *batch_error_new(const struct batch_error_text *text);
struct batch_error *batch_error_retain(struct batch_error *error); /* NULL is allowed */
void batch_error_release(struct batch_error *error);               /* NULL is allowed */
/* Valid as long as the error. */
struct batch_error_text batch_error_view(const struct batch_error *error);

#endif
