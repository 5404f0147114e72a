/* listener.h - the accept loop in front of gRPC core.
 *
 * Plaintext only (loopback, unix socket). The listener has a thread of its own. It accepts
 * connections, refuses those beyond the limits and beyond the share of their peer, waits for the
 * HTTP/2 preface (24 bytes, peeked, within `preface_timeout_ns`), sets TCP_NODELAY and
 * TCP_USER_TIMEOUT, and hands the socket to the port. From then on it stands in the table of
 * src/h2socket, behind a guard, until it is closed. The listener's thread applies the time limits
 * of all guards, about once in a second. */
#ifndef TRIBUTARY_SERVER_WIRE_LISTENER_H
#define TRIBUTARY_SERVER_WIRE_LISTENER_H

#include <stdbool.h>

#include "base/base.h"
#include "base/status.h"
#include "h2socket/h2socket.h"
#include "loop/loop.h"

/* What the daemon opens besides connections, at most: 16 were counted, with one wire thread and
 * with three. */
#define OWN_DESCRIPTORS 64u

struct listener;

struct listener_port {
    /* Listener thread. A connection has sent its preface. The callee owns the descriptor from here
     * on. */
    void (*connected)(void *ctx, int fd);
    void *ctx;
    const struct h2guard_limits *limits; /* of each guard; they outlive the connections; NULL: no guard */
};

/* The listener reads its limits from loop_settings(loop) at each connection. The loop must outlive
 * it.
 *   ERR_NO_MEMORY  out of memory
 *   ERR_IO         the system refused, see `sys`
 * On failure *listener_out is unchanged. */
MUST_CHECK struct status listener_new(const struct loop *loop, const struct listener_port *port,
                                      struct listener **listener_out);

/* Binds an address (see address.h) and listens at it. Port 0: the kernel chooses one. At most 32
 * addresses, before listener_start(). The connections get this mark (h2socket_mark()).
 *   ERR_FULL     there are 32 addresses already
 *   ERR_INVALID  it is no address, or its name is not known
 *   ERR_IO       the system refused, see `sys`
 * On failure nothing is bound. */
MUST_CHECK struct status listener_add(struct listener *listener, const char *address, uint32_t mark);
size_t listener_address_count(const struct listener *listener);
/* The address as it was bound, with the port that the kernel chose. It lives as long as the
 * listener. */
const char *listener_address(const struct listener *listener, size_t number);

/*   ERR_IO  the thread could not be started, see `sys` */
MUST_CHECK struct status listener_start(struct listener *listener);
/* Closes the listen sockets and the pending connections, and joins the thread. Idempotent.
 * Connections that were handed over live on. */
void listener_stop(struct listener *listener);
void listener_free(struct listener *listener); /* stops it first; NULL allowed */

#endif
