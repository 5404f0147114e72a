/* message.h - one received message: its bytes, and its memory as the memory of a chunk. */
#ifndef TRIBUTARY_SERVER_WIRE_MESSAGE_H
#define TRIBUTARY_SERVER_WIRE_MESSAGE_H

#include <stdbool.h>

#include "event/chunk.h"
#include "grpc/slices.h"

/* The largest buffer that the core reads into. A message that is kept by reference may pin this
 * much, even if it is smaller. */
#define MAX_WIRE_READ (256 * 1024)

/* Valid during the callback that gives it, unless message_move() takes it out. */
struct message {
    grpc_byte_buffer *buffer;
    struct bytes bytes; /* the message in one piece, once message_bytes() was called */
    grpc_slice copy;    /* where `bytes` are, if the core received the message in several pieces */
    bool is_whole;      /* `bytes` is set */
    bool is_copy;       /* `copy` is set: a reference of ours */
};

/* Brings the message into one piece and returns it: valid as long as the message, wherever it is
 * moved. A second call costs nothing, and `message->bytes` says the same. */
struct bytes message_bytes(struct message *message);
/* Keeps the message's memory beyond the callback, as the memory of a chunk. At most once for a
 * message. *bytes_out: where the bytes are from then on. *pinned_out: how many bytes of memory they
 * pin. NULL: out of memory. */
struct chunk_memory *message_keep(struct message *message, struct bytes *bytes_out, uint64_t *pinned_out);
/* Takes the message out of its callback. The result is the caller's; message_fini() ends it. */
struct message message_move(struct message *message);
void message_fini(struct message *message); /* a zeroed or moved message is allowed */

/* Returns the slice behind a chunk's memory. No reference is taken. False: the memory does not come
 * from message_keep(). */
bool wire_memory_slice(struct chunk_memory *memory, grpc_slice *slice_out);

#endif
