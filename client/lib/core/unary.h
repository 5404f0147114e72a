/* unary.h - one question, one answer, and the caller waits. */
#ifndef TRIBUTARY_CLIENT_UNARY_H
#define TRIBUTARY_CLIENT_UNARY_H

#include "base/buf.h"
#include "client/lib/core/client.h"

struct unary_method {
    const char *method; /* "/package.Service/Method"; static */
    int64_t timeout_ns; /* 0: 10 s */
};

/* Waits for the answer and appends it to `answer`. Any thread but the client's own
 * (FAILED_PRECONDITION). `request` stays the caller's. An OK without a message is an empty
 * answer. */
enum tributary_code unary_call_run(struct tributary *client, const struct unary_method *method,
                                   const struct buf *request, struct buf *answer,
                                   struct tributary_status *status);

#endif
