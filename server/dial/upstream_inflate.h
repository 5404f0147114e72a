/* upstream_inflate.h - compressed messages of an upstream.
 *
 * Threads: the call's. */
#ifndef TRIBUTARY_SERVER_DIAL_UPSTREAM_INFLATE_H
#define TRIBUTARY_SERVER_DIAL_UPSTREAM_INFLATE_H

#include <stdbool.h>

#include <grpc/grpc.h>

struct upstream;

void upstream_inflate_init(struct upstream *upstream);
/* Takes the message over: upstream_handle() follows with the plain one, now or later, or it is
 * refused. No other one is read meanwhile. */
void upstream_inflate(struct upstream *upstream, grpc_byte_buffer **message);
/* Whether a message that the core says is plain is compressed, in a way that nobody here knows. */
bool upstream_is_flagged(const struct upstream *upstream);
/* A plain message. */
void upstream_handle(struct upstream *upstream, grpc_byte_buffer **message);

#endif
