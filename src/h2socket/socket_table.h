/* socket_table.h - which socket is at which descriptor. */
#ifndef TRIBUTARY_H2SOCKET_SOCKET_TABLE_H
#define TRIBUTARY_H2SOCKET_SOCKET_TABLE_H

#include "h2socket/socket.h"

#define MAX_H2SOCKET_FD (1 << 21)

extern struct h2socket *_Atomic h2socket_by_fd[MAX_H2SOCKET_FD];

/* The socket of a descriptor that the caller may use, as the card of socket.h says. NULL: it is
 * none of the table's. */
static inline struct h2socket *socket_of(int fd)
{
    if (fd < 0 || fd >= MAX_H2SOCKET_FD)
        return NULL;
    return atomic_load_explicit(&h2socket_by_fd[fd], memory_order_acquire);
}

/* This socket has added to a sum of kept bytes that is beyond its bound: ends the one that keeps
 * the most of its peer, or of the peer that keeps the most. errno is unchanged. */
void socket_end_largest(struct h2socket *socket);

/* Whether a descriptor is that of a connection that lingers when it is closed: its peer has not
 * closed, and may not have read yet what was written for it (linger.h). */
bool socket_lingers(int fd);

/* A descriptor is about to be closed: its entry goes, where it has one. True: it is not to be
 * closed, since the connection lingers. */
bool socket_remove(int fd);

#endif
