/* upstream_guard.h - the sockets of one dialled connection. gRPC core opens those of a channel;
 * each gets a guard (h2guard) before it is connected. The guard cannot read TLS, so only plaintext
 * has one.
 *
 * The core (1.51) forgets a connection whose channel is destroyed after the handshake and before
 * the channel is ready: it then keeps it for ever, with its descriptor. So the socket is given up
 * before the channel is destroyed. That mends it where SETTINGS have not come. Where the core has
 * read them, but another thread of it has not published the connection yet, it is still forgotten.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_DIAL_UPSTREAM_GUARD_H
#define TRIBUTARY_SERVER_DIAL_UPSTREAM_GUARD_H

#include <stdbool.h>

#include "base/base.h"
#include "h2guard/h2guard_limits.h"

#include <grpc/grpc.h>

struct upstream_guard;

#define UPSTREAM_GUARD_TEXT 200u

/* For a channel to `target`. The limits must live as long as a socket of the core; without them its
 * sockets have no guard. NULL: out of memory. */
struct upstream_guard *upstream_guard_new(const struct h2guard_limits *limits, const char *target);
void upstream_guard_release(struct upstream_guard *guard); /* NULL is allowed */

/* The argument of the channel, which takes a reference of its own. */
grpc_arg upstream_guard_arg(struct upstream_guard *guard);

/* A call was accepted on the latest socket. NULL is allowed. */
void upstream_guard_accepted(struct upstream_guard *guard);
/* The channel is about to be destroyed. No socket is opened any more, and the latest one is given
 * up where no call was accepted on it. NULL is allowed. */
void upstream_guard_close(struct upstream_guard *guard);

/* Whether a guard has ended the connection: then with which status its calls end. `was_open`: a
 * call was accepted on it. NULL is allowed. */
bool upstream_guard_has_ended(struct upstream_guard *guard, bool was_open, uint32_t *code_out,
                              char text[UPSTREAM_GUARD_TEXT]);

#endif
