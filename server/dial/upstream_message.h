/* upstream_message.h - what an upstream sends, as chunks.
 *
 * Threads: the wire thread of the plan. */
#ifndef TRIBUTARY_SERVER_DIAL_UPSTREAM_MESSAGE_H
#define TRIBUTARY_SERVER_DIAL_UPSTREAM_MESSAGE_H

#include "base/fault.h"

#include <grpc/grpc.h>

struct chunk;
struct upstream_plan;

/* Makes a chunk of a message. *chunk_out NULL with FAULT_NONE: it has no events. Otherwise why it
 * is refused; *fault says the rest. */
MUST_CHECK enum fault_reason upstream_message(const struct upstream_plan *plan, grpc_byte_buffer *message,
                                              struct chunk **chunk_out, struct fault *fault);

#endif
