/* memory.h - the transport's slices as the memory of chunks, and bytes as slices. For the files of this room. */
#ifndef TRIBUTARY_SERVER_WIRE_MEMORY_H
#define TRIBUTARY_SERVER_WIRE_MEMORY_H

#include <stdbool.h>

#include "base/buf.h"
#include "event/chunk.h"
#include "server/wire/call.h"

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>

/* One received message, as a port sees it. */
struct message {
    grpc_byte_buffer *buffer;
    grpc_slice whole;
    bool is_whole; /* `whole` is set, and a reference */
    bool is_copy;  /* `whole` is memory of our own */
};

void message_fini(struct message *message);

/* A slice that owns what `bytes` held; `bytes` is empty afterwards. */
grpc_slice wire_slice_of(struct buf *bytes);

#endif
