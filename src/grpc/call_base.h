/* call_base.h - what a call has as server and as client: operations in flight, one read, one send,
 * and the end when the last operation has completed.
 *
 * A call ends when its last pin is gone. Each operation in flight is a pin, and each hold is one.
 *
 * Threads: the call's completion-queue thread. */
#ifndef TRIBUTARY_GRPC_CALL_BASE_H
#define TRIBUTARY_GRPC_CALL_BASE_H

#include <stdbool.h>
#include <stddef.h>

#include "grpc/cq_thread.h"
#include "grpc/op.h"

#include <grpc/grpc.h>

struct call_base;

/* What the server's and the client's side do. All must be set. */
struct call_base_port {
    /* The read has completed. `message` belongs to the callee; NULL: no message. `ok` is the
     * core's: without a message it may mean the end of the peer's messages, or a lost call. */
    void (*read)(struct call_base *base, grpc_byte_buffer *message, bool ok);
    /* The send has completed. `ok`: the transport accepted the message. */
    void (*sent)(struct call_base *base, bool ok);
    /* The last pin is gone. The callee may free the call. */
    void (*unpinned)(struct call_base *base);
};

/* Embedded in the call. The functions below write it; both sides may read it. */
struct call_base {
    struct cq_thread *thread;
    const struct call_base_port *port;
    grpc_call *core;
    unsigned pins;
    bool reading; /* a read is in flight */
    bool sending; /* a send is in flight */
    struct op read, sent;
    grpc_byte_buffer *received;
};

/* Takes over `core`, whose completion queue is the thread's. The call has no pin yet. */
void call_base_init(struct call_base *base, struct cq_thread *thread, const struct call_base_port *port,
                    grpc_call *core);
/* Returns `core`, which is the caller's from here on: grpc_call_unref(). What the core has received
 * with the call lives until then. The call must have no pin. */
MUST_CHECK grpc_call *call_base_fini(struct call_base *base);

/* Adds a pin, and takes one away. call_base_unpin() may call unpinned(), so it is the caller's last
 * line. */
void call_base_pin(struct call_base *base);
void call_base_unpin(struct call_base *base);

/* Starts operations of the core as one batch. op->done() follows, and calls call_base_unpin() as
 * its last line. */
void call_base_start(struct call_base *base, const grpc_op *ops, size_t count, struct op *op);

/* Starts a read; read() follows. At most one at a time. `also` is an operation for the same batch;
 * NULL: none. */
void call_base_read(struct call_base *base, const grpc_op *also);

/* Sends slices as one message; sent() follows. At most one at a time. The core takes references of
 * its own. `also` is an operation that comes first in the same batch; NULL: none. `flags` are those
 * of the core's operation: GRPC_WRITE_BUFFER_HINT, or 0. */
void call_base_send(struct call_base *base, grpc_slice *slices, size_t count, const grpc_op *also,
                    uint32_t flags);

#endif
