/* listener.h - how connections reach the core: our own accept loop in front of it.
 *
 * Plaintext only (loopback, unix socket). A thread of its own accepts, refuses beyond the limits,
 * waits for the HTTP/2 preface (24 bytes, peeked, within `preface_ns`), sets TCP_NODELAY and
 * TCP_USER_TIMEOUT, and hands the socket to one of the wire threads, in turn. The core gives no
 * notice when a connection closes, so the listener keeps a table of descriptors and looks again (by
 * inode) when it counts. */
#ifndef TRIBUTARY_SERVER_WIRE_LISTENER_H
#define TRIBUTARY_SERVER_WIRE_LISTENER_H

#include <stdbool.h>

#include "base/base.h"
#include "base/status.h"

struct listener;
struct wire_thread;

struct listener_settings {
    uint32_t max_connections;
    /* kept free for the process: connections beyond (RLIMIT_NOFILE - spare) are refused */
    uint32_t spare_descriptors;
    int64_t preface_ns;
    int64_t user_timeout_ns;
};

/* Gives an accepted socket away; the descriptor is the callee's. Called on the listener's thread.
 * Tests may put something else here. */
struct listener_port {
    void (*connected)(void *ctx, int fd);
    void *ctx;
};

MUST_CHECK struct status listener_new(const struct listener_settings *settings,
                                      const struct listener_port *port, struct listener **listener_out);

/* Binds and listens: "HOST:PORT", "[V6]:PORT" or "unix:PATH" (a stale socket file is replaced, a
 * live one is not; mode 0600). Port 0: the kernel chooses. Before listener_start(). */
MUST_CHECK struct status listener_add(struct listener *listener, const char *address);
size_t listener_count(const struct listener *listener);
/* as bound, the port filled in */
const char *listener_address(const struct listener *listener, size_t number);
/* Whether an address (as for listener_add) can be reached from this machine only: a loopback
 * address or a unix socket. False for what does not parse, too. */
bool listener_is_local(const char *address);

MUST_CHECK struct status listener_start(struct listener *listener);
/* closes the listening sockets, joins the thread; idempotent; sockets given away live on */
void listener_stop(struct listener *listener);
void listener_free(struct listener *listener);

/* Any thread. Writes who is at the other end of a descriptor that was given away: "127.0.0.1:5000",
 * "unix:pid=7,uid=0", "unknown". */
void listener_peer(struct listener *listener, int fd, char *text, size_t capacity);
/* Any thread. Shuts down every connection that was given away and still lives; the core then closes
 * them. */
void listener_shutdown_connections(struct listener *listener);
uint32_t listener_connections(struct listener *listener); /* any thread; looks again */

#endif
