/* coalesce.h - the events of several small messages in a row as one chunk, so that the hub handles
 * them at once. For a thread under load: the events are copied.
 *
 * The message that begins the chunk says which bounds the chunk has. That of small messages is
 * copied to each consumer. That of others has memory of its own, and is sent by reference.
 *
 * Threads: any, one at a time. */
#ifndef TRIBUTARY_GRPC_COALESCE_H
#define TRIBUTARY_GRPC_COALESCE_H

#include <stdbool.h>

#include "event/chunk.h"

/* Only messages that are smaller share a chunk. */
enum { COALESCE_BELOW_BYTES = 16 << 10 };

/* Appends the events of a scanned message to *chunk. NULL: a chunk begins. So *chunk is NULL or
 * holds an event, unless it could not begin.
 *
 * False: the message has no events, is too large, or does not fit, or memory or budget is used up.
 * Then nothing was appended. */
MUST_CHECK bool coalesce(struct chunk **chunk, struct bytes message, const struct framing_scan *scan);

/* The finished chunk, and *chunk is NULL. It must hold an event. */
struct chunk *coalesce_end(struct chunk **chunk);

#endif
