/* upstream_message.h - what an upstream sends, as chunks.
 *
 * Threads: the wire thread of the plan. */
#ifndef TRIBUTARY_SERVER_DIAL_UPSTREAM_MESSAGE_H
#define TRIBUTARY_SERVER_DIAL_UPSTREAM_MESSAGE_H

#include "base/fault.h"

#include <grpc/grpc.h>

struct chunk;
struct upstream_losses;
struct upstream_plan;

/* Makes a chunk of a message. FAULT_NONE, or why it is refused; *fault says the rest. *chunk_out
 * NULL with FAULT_NONE: it has no events, or they were appended to *coalesced (grpc/coalesce.h).
 * That is to be offered before any later chunk. `coalesced` NULL: each message is a chunk.
 * *losses_out is what the message says was lost. */
MUST_CHECK enum fault_reason upstream_message(const struct upstream_plan *plan, grpc_byte_buffer *message,
                                              struct chunk **coalesced, struct chunk **chunk_out,
                                              struct upstream_losses *losses_out, struct fault *fault);

#endif
