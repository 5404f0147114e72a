/* linger.h - descriptors of ended connections that stay open for a moment after close().
 *
 * Linux answers close() with a reset where bytes are unread or still come, and the reset overtakes
 * the GOAWAY that says why the connection ended: a peer in the middle of a large message would only
 * hear that its connection was lost. RFC 9112, section 9.6, has the same advice for HTTP/1. Nobody
 * reads from such a descriptor: its peer may not send more than the socket keeps.
 *
 * Threads: any. */
#ifndef TRIBUTARY_H2SOCKET_LINGER_H
#define TRIBUTARY_H2SOCKET_LINGER_H

#include <stdbool.h>
#include <stdint.h>

/* Keeps a descriptor, which no epoll set has any more, and closes it after LINGER_NS. Where there
 * are MAX_LINGERING already, the oldest one is closed now. */
void linger_add(int fd, int64_t now_ns);
#define LINGER_NS INT64_C(1000000000)

/* Closes those whose time has passed; INT64_MAX: all. */
void linger_close(int64_t now_ns);

/* Whether there are any. */
bool linger_is_used(void);

#endif
