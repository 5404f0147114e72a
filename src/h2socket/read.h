/* read.h - what the core reads from a socket. */
#ifndef TRIBUTARY_H2SOCKET_READ_H
#define TRIBUTARY_H2SOCKET_READ_H

#include <sys/socket.h>

#include "h2socket/socket.h"

/* recvmsg() for a socket of the table. Besides its errors:
 *   EAGAIN      the socket waits for its turn
 *   ECONNRESET  the guard has ended the connection, or h2socket_give_up() */
ssize_t socket_read(struct h2socket *socket, struct msghdr *message, int flags);

#endif
