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

/* The bytes of a slice, in place. A short slice holds them within itself. */
static inline struct bytes slice_bytes(const grpc_slice *slice)
{
    return (struct bytes){GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice)};
}

/* Returns a slice with a copy of a received message. It never holds its bytes within itself: these
 * would move with it. */
grpc_slice message_copy(const grpc_byte_buffer *message);

/* Returns a received message in one piece. One piece stays where it is, and *copy_out is unchanged.
 * Several pieces are copied into a slice, and *copy_out is a reference of the caller's. *copied_out
 * says which. The bytes are valid as long as the message, or the copy.
 *
 * A compressed message is as it came. */
static inline struct bytes message_whole(const grpc_byte_buffer *message, grpc_slice *copy_out,
                                         bool *copied_out)
{
    const grpc_slice_buffer *from = &message->data.raw.slice_buffer;

    *copied_out = from->count != 1;
    if (from->count == 1)
        return slice_bytes(&from->slices[0]);
    *copy_out = message_copy(message);
    return slice_bytes(copy_out);
}

/* Appends the bytes of a received message. Memory may run out: `to->broken`. */
void message_append(const grpc_byte_buffer *message, struct buf *to);

/* Writes where a received message is, in one piece. A message in several pieces is copied into
 * `gathered`, which must be empty and whose memory can be used again. *bytes_out is valid as long
 * as both. False: memory ran out. */
MUST_CHECK bool message_gather(const grpc_byte_buffer *message, struct buf *gathered,
                               struct bytes *bytes_out);

#endif
