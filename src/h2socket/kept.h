/* kept.h - what the connections that peers have opened make gRPC core keep: all together, and those
 * of each peer. It is the sum of h2guard_kept() and h2socket_keep().
 *
 * Threads: any. */
#ifndef TRIBUTARY_H2SOCKET_KEPT_H
#define TRIBUTARY_H2SOCKET_KEPT_H

#include "h2socket/socket.h"

/* A sum that is beyond its bound. `reason` H2GUARD_NO_REASON: none is. */
struct kept_excess {
    enum h2guard_reason reason;
    int64_t sum, bound;
};

/* Brings the sums up to date with what this socket keeps now. Sets `is_above` of the socket where
 * it keeps more than before and a sum is beyond its bound. Under the socket's lock. */
void kept_update(struct h2socket *socket);
/* The socket leaves the sums. */
void kept_leave(struct h2socket *socket);

/* Which sum of this socket's is beyond its bound. */
struct kept_excess kept_excess_of(const struct h2socket *socket);

#endif
