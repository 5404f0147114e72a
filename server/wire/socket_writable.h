/* socket_writable.h - what a TCP socket can take.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_WIRE_SOCKET_WRITABLE_H
#define TRIBUTARY_SERVER_WIRE_SOCKET_WRITABLE_H

#include <stddef.h>

/* How many bytes the socket accepts now without waiting for its peer: 0 where less than a quarter
 * of its buffer is free, SIZE_MAX where that is not known, as for `fd` -1. *unread_out: bytes that
 * the peer's system has not taken yet. */
size_t socket_writable(int fd, size_t *unread_out);

#endif
