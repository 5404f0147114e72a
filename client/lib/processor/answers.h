/* answers.h - reads a RunStreamResponse. No state. Any thread. */
#ifndef TRIBUTARY_CLIENT_ANSWERS_H
#define TRIBUTARY_CLIENT_ANSWERS_H

#include "base/base.h"

/* How one operation ended. All bytes point into the message. */
struct answer {
    uint64_t request;
    bool failed; /* `error` is set, and not `data` */
    struct bytes data;
    uint64_t batch;
    struct {
        uint64_t code;
        struct bytes message, reason;
        bool may_have_run;
    } error;
};

/* Calls `each` for the answers of a message, in their order. False: it is malformed; some may have
 * been called for. */
MUST_CHECK bool answers_read(struct bytes message, void (*each)(void *ctx, const struct answer *answer),
                             void *ctx);

#endif
