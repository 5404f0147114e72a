/* op.h - an operation of gRPC core that completes exactly once: a batch on a call, a request for a
 * call, the shutdown of a server. */
#ifndef TRIBUTARY_GRPC_OP_H
#define TRIBUTARY_GRPC_OP_H

#include <stdbool.h>

/* Embedded in the object that started it. Its address is the tag.
 *
 * done() is called exactly once for each start, on the thread that serves the completion queue.
 * `ok` is the success that the core reports. The operation may be started again from then on. */
struct op {
    void (*done)(struct op *op, bool ok);
};

#endif
