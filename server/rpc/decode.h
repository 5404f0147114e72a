/* decode.h - messages of the API from and to bytes. For the files of this room.
 *
 * Any thread. */
#ifndef TRIBUTARY_SERVER_RPC_DECODE_H
#define TRIBUTARY_SERVER_RPC_DECODE_H

#include <protobuf-c/protobuf-c.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/fault.h"

struct message;

/* Unpacks a request. The first pass checks its form against the message's descriptor: groups, field
 * numbers, wire types, lengths, UTF-8, NUL, depth (the rules of framing.h). Then protobuf-c unpacks
 * it with an allocator that stops at 8 times the input + 3 MiB. Every request within the bounds of
 * the API fits. Another one is refused as TOO_MANY, and the fault names the list that is too large.
 *
 * FAULT_NONE: *message_out must be freed with decoded_free(). Otherwise *fault names the field, the
 * value and the bound, and *message_out is untouched. */
MUST_CHECK enum fault_reason decode(struct bytes bytes, const ProtobufCMessageDescriptor *type,
                                    ProtobufCMessage **message_out, struct fault *fault);
/* The same for a received message, which may be refused (message_check()). */
MUST_CHECK enum fault_reason decode_message(struct message *message, const ProtobufCMessageDescriptor *type,
                                            ProtobufCMessage **message_out, struct fault *fault);
void decoded_free(ProtobufCMessage *message); /* NULL allowed */

/* Appends a message, packed. Without memory it breaks the buffer. */
void encode(const ProtobufCMessage *message, struct buf *bytes);

/* The bounds of a Duration field. */
struct duration_rule {
    const char *field; /* its path, for the fault */
    int64_t default_ns, min_ns, max_ns;
    bool zero; /* 0 is allowed, whatever `min_ns` says */
};

/* Converts a google.protobuf.Duration to nanoseconds. NULL (absent): the rule's default.
 *
 *   BAD_DURATION   negative, or seconds and nanos do not go together
 *   OUT_OF_BOUNDS  the rule does not allow it
 *
 * Both name field, value and bound. */
MUST_CHECK enum fault_reason decode_duration(const ProtobufCMessage *message,
                                             const struct duration_rule *rule, int64_t *ns_out,
                                             struct fault *fault);

#endif
