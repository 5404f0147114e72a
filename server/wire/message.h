/* message.h - one received message: its bytes, and its memory as the memory of a chunk. */
#ifndef TRIBUTARY_SERVER_WIRE_MESSAGE_H
#define TRIBUTARY_SERVER_WIRE_MESSAGE_H

#include <stdbool.h>

#include "base/fault.h"
#include "event/chunk.h"
#include "grpc/coalesce.h"
#include "grpc/slice_memory.h"
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
    /* Why nobody may read it; see message_check(). */
    enum fault_reason refusal;
    uint64_t size, max_size;
};

/* What a call knows of a message that it has received. */
struct message_origin {
    uint64_t max_bytes;
    bool is_flagged; /* the peer says that it is compressed */
    /* Why it is refused, whatever it is: MEMORY_BUDGET; FAULT_NONE: it may be read. */
    enum fault_reason refusal;
};

/* Makes a message of what the core has received, and takes over `buffer`. A compressed one is
 * inflated. One that is too large, or that cannot be inflated, is refused. */
struct message message_receive(grpc_byte_buffer *buffer, const struct message_origin *origin);
/* Whether message_receive() has something to inflate. */
bool message_is_deflated(const grpc_byte_buffer *buffer);

/* FAULT_NONE, or why the message is refused; *fault says the rest: BATCH_TOO_LARGE it has more
 * bytes than allowed, perhaps once it is inflated BAD_COMPRESSION it cannot be inflated
 * UNKNOWN_ENCODING it is compressed in another way than the core knows MEMORY_BUDGET out of memory
 * `max_bytes` is the bound that a fault names, if it is below the message's own. Ask before
 * anything else: a refused message may not be read. */
MUST_CHECK enum fault_reason message_check(const struct message *message, uint64_t max_bytes,
                                           struct fault *fault);

/* Whether there is a message: it is not zeroed, moved or ended. */
static inline bool message_is_there(const struct message *message)
{
    return message->buffer || message->is_copy;
}

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

#endif
