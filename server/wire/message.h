/* message.h - one received message: its bytes, and its memory as the memory of a chunk. And bytes
 * of ours as slices of the transport. */
#ifndef TRIBUTARY_SERVER_WIRE_MESSAGE_H
#define TRIBUTARY_SERVER_WIRE_MESSAGE_H

#include <stdbool.h>

#include "base/buf.h"
#include "event/chunk.h"

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>

/* The largest buffer that the core reads into: what a kept message may pin. */
#define MAX_WIRE_READ (256 * 1024)

/* Valid during the callback that gives it, unless it is moved. */
struct message {
    grpc_byte_buffer *buffer;
    grpc_slice whole;
    bool is_whole; /* `whole` is set, and a reference */
    bool is_copy;  /* `whole` is memory of our own */
};

size_t message_size(const struct message *message);
struct bytes message_bytes(struct message *message); /* in one piece; as valid as the message */
/* The message's memory, kept beyond the callback: where its bytes are from then on, and what they
 * pin; NULL: out of memory. Once per message. */
struct chunk_memory *message_keep(struct message *message, struct bytes *bytes_out, uint64_t *pinned_out);
/* Takes the message out of its callback: it is the caller's, to be given up by message_fini(). */
struct message message_move(struct message *message);
void message_fini(struct message *message); /* a zeroed or moved one is allowed */

/* The slice behind a chunk's memory, or false where it came from elsewhere. No reference is
 * taken. */
bool wire_memory_slice(struct chunk_memory *memory, grpc_slice *slice_out);

/* A slice that owns what `bytes` held; `bytes` is empty afterwards. */
grpc_slice wire_slice_of(struct buf *bytes);

#endif
