/* write.h - what the core writes to a socket. */
#ifndef TRIBUTARY_H2SOCKET_WRITE_H
#define TRIBUTARY_H2SOCKET_WRITE_H

#include <sys/socket.h>

#include "h2socket/socket.h"

/* sendmsg() for a socket of the table. Besides its errors:
 *   EPIPE  the guard has ended the connection */
ssize_t socket_write(struct h2socket *socket, const struct msghdr *message, int flags);

#endif
