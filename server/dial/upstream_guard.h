/* upstream_guard.h - the guard (h2guard) of one dialled connection. gRPC core opens the sockets of
 * a channel; each gets a guard before it is connected. The guard cannot read TLS, so only plaintext
 * has one.
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

/* For a channel to `target`. The limits must live as long as a socket of the core. NULL: out of
 * memory. */
struct upstream_guard *upstream_guard_new(const struct h2guard_limits *limits, const char *target);
void upstream_guard_release(struct upstream_guard *guard); /* NULL is allowed */

/* The argument of the channel, which takes a reference of its own. */
grpc_arg upstream_guard_arg(struct upstream_guard *guard);

/* Whether a guard has ended the connection: then with which status its calls end. `was_open`: a
 * call was accepted on it. NULL is allowed. */
bool upstream_guard_has_ended(struct upstream_guard *guard, bool was_open, uint32_t *code_out,
                              char text[UPSTREAM_GUARD_TEXT]);

#endif
