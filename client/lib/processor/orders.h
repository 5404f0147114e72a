/* orders.h - reads a ProcessResponse: what the server orders a worker to do. No state. Any
 * thread. */
#ifndef TRIBUTARY_CLIENT_ORDERS_H
#define TRIBUTARY_CLIENT_ORDERS_H

#include "base/base.h"

enum order_kind {
    ORDER_UNKNOWN, /* of a newer server */
    ORDER_WELCOME,
    ORDER_BEGIN,
    ORDER_OPERATION,
    ORDER_FINISH,
    ORDER_ABORT,
    ORDER_CLOSING
};

/* Fields that the kind does not have are zero. All bytes point into the message. */
struct order {
    enum order_kind kind;
    uint64_t batch;
    uint64_t id;               /* OPERATION */
    struct bytes operation_id; /* OPERATION */
    /* BEGIN: the key. OPERATION: the data. WELCOME: the worker's name. ABORT, CLOSING: the
     * reason. */
    struct bytes content;
    int64_t deadline_ns; /* BEGIN, CLOSING: from now, not negative; 0: absent */
};

/* Calls `each` for the orders of a message, in their order. False: it is malformed; some may have
 * been called for. */
MUST_CHECK bool orders_read(struct bytes message, void (*each)(void *ctx, const struct order *order),
                            void *ctx);

#endif
