/* batch_hello.h - ProcessRequest.Hello and BatchPolicy, from and to bytes. For the files of this
 * room.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_RPC_BATCH_HELLO_H
#define TRIBUTARY_SERVER_RPC_BATCH_HELLO_H

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "batch/worker.h"

struct batch_hello {
    struct batch_worker_params params; /* without `peer` and `port` */
    bool packed;
    ProtobufCMessage *message; /* the texts are in it */
};

/* FAULT_NONE: *hello_out must be freed with batch_hello_fini(). Otherwise the fault names the
 * field. */
MUST_CHECK enum fault_reason batch_hello_read(struct bytes bytes, struct batch_hello *hello_out,
                                              struct fault *fault);
void batch_hello_fini(struct batch_hello *hello);

/* Appends BatchPolicy. */
void batch_policy_write(struct buf *buf, const struct batch_settings *settings);

#endif
