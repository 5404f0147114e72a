/* unary.h - a call with one request and one answer. The caller waits. */
#ifndef TRIBUTARY_CLIENT_UNARY_H
#define TRIBUTARY_CLIENT_UNARY_H

#include "base/buf.h"
#include "client/lib/core/client.h"

struct unary_method {
    const char *method; /* "/package.Service/Method"; static */
    int64_t timeout_ns; /* 0: 10 s */
};

/* Waits for the answer and appends it to `answer`. `request` stays the caller's. OK without a
 * message is an empty answer. Any thread but the client thread.
 *   TRIBUTARY_FAILED_PRECONDITION  the caller runs on the client thread
 *   TRIBUTARY_RESOURCE_EXHAUSTED   no memory
 *   others                         the status of the call */
enum tributary_code unary_call_run(struct tributary *client, const struct unary_method *method,
                                   const struct buf *request, struct buf *answer,
                                   struct tributary_status *status);

#endif
