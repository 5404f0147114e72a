/* slices.h - our bytes as slices of gRPC core, and a received message in one piece.
 *
 * Threads: any. */
#ifndef TRIBUTARY_GRPC_SLICES_H
#define TRIBUTARY_GRPC_SLICES_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>

/* Returns a slice that owns the memory of `bytes`, which is empty afterwards. */
grpc_slice slice_of_buf(struct buf *bytes);
/* Returns a slice with a copy of the bytes. */
grpc_slice slice_copy_of(struct bytes bytes);

/* The size of a received message. Compression is off in the core, so a message is always raw. */
static inline size_t message_slices_size(const grpc_byte_buffer *message)
{
    return message->data.raw.slice_buffer.length;
}

/* Returns a received message in one piece. One piece stays where it is, and *copy_out is unchanged.
 * Several pieces are copied into a slice, and *copy_out is a reference of the caller's. *copied_out
 * says which. The bytes are valid as long as the message, or the copy. */
struct bytes message_whole(const grpc_byte_buffer *message, grpc_slice *copy_out, bool *copied_out);

/* Writes where a received message is, in one piece. A message in several pieces is copied into
 * `gathered`, which must be empty and whose memory can be used again. *bytes_out is valid as long
 * as both. False: memory ran out. */
MUST_CHECK bool message_gather(const grpc_byte_buffer *message, struct buf *gathered,
                               struct bytes *bytes_out);

#endif
