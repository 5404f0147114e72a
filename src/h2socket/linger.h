/* linger.h - connections that the core has closed, and whose peers may still have something to
 * read.
 *
 * DESIGN. Linux answers a byte that comes for a closed socket with a reset, and close() with bytes
 * unread likewise. A reset overtakes what the socket had still to send: the status of a call, or
 * the GOAWAY that says why the connection ended. It also fails the peer's next write, and then a
 * library may drop what it has not read. So only the sending direction is shut down at first. What
 * the peer sends is read and dropped, until it closes too, or its time is over. RFC 9112, section
 * 9.6, has the same advice for HTTP/1.
 *
 * A connection that the server has dialled lingers only where it ended with a GOAWAY: a client that
 * leaves has nothing else to tell.
 *
 * A connection that lingers is still one of its peer's (socket_table.c): whoever does not close
 * has fewer others.
 *
 * Threads: any. */
#ifndef TRIBUTARY_H2SOCKET_LINGER_H
#define TRIBUTARY_H2SOCKET_LINGER_H

#include "h2socket/socket.h"

/* The socket, whose descriptor no epoll set has any more, lingers for LINGER_NS from now on. It is
 * this room's until linger_next() returns it. */
void linger_add(struct h2socket *socket, int64_t now_ns);

/* Reads what has come, and takes out one socket that is to be closed now: its peer has closed, or
 * its time is over; INT64_MAX: whatever it waits for. NULL: there is none. */
struct h2socket *linger_next(int64_t now_ns);

/* Waits until linger_next() may have one. False: none lingers, or the time is `until_ns`. */
bool linger_wait(int64_t until_ns);

#endif
