/* upstream_offer.h - what an upstream call has received goes to the session. For the files of an
 * upstream call (upstream_internal.h).
 *
 * Threads: the call's thread. */
#ifndef TRIBUTARY_SERVER_DIAL_UPSTREAM_OFFER_H
#define TRIBUTARY_SERVER_DIAL_UPSTREAM_OFFER_H

#include "base/fault.h"

#include <grpc/grpc.h>

struct chunk;
struct upstream;

void upstream_offer_init(struct upstream *upstream);

/* Gives a chunk to the session. `offering` is set while a channel blocks it. */
void upstream_offer(struct upstream *upstream, struct chunk *chunk);

/* Offers a message, or keeps it: until the end of the turn, or while others are being offered.
 * FAULT_NONE, or why it is refused: all before it are offered then. */
MUST_CHECK enum fault_reason upstream_hand_over(struct upstream *upstream, grpc_byte_buffer *message,
                                                struct fault *fault);

/* Offers what waits, in order, until `offering` is set or nothing waits. */
void upstream_offer_waiting(struct upstream *upstream);

#endif
