/* address.h - listen sockets at the addresses that people write (base/place.h), and the addresses
 * of sockets as text. The name `localhost` is 127.0.0.1, without a resolver; of another name it is
 * the first address that can be bound.
 *
 * Threads: any. The functions keep nothing. */
#ifndef TRIBUTARY_SERVER_WIRE_ADDRESS_H
#define TRIBUTARY_SERVER_WIRE_ADDRESS_H

#include <stdbool.h>

#include "base/base.h"
#include "base/status.h"

/* Large enough for every text that this file writes, its closing NUL included. */
#define ADDRESS_CAPACITY 128u

/* Whether only this machine can reach the address: see place_is_local(). False for text that
 * is no address. */
bool address_is_local(const char *text);

/* Opens a listen socket. It does not block and is close-on-exec. A socket file gets mode 0600. An
 * old socket file is replaced if nobody listens at it; a live one, and a file that is no socket,
 * stay. On failure *fd_out is unchanged.
 *   ERR_INVALID  `text` is no address, or its name is not known
 *   ERR_IO       the system refused, see `sys` */
MUST_CHECK struct status address_listen(const char *text, int *fd_out);

/* The inode of the socket file at an address. 0: there is no socket file, or the address is of
 * another kind. */
uint64_t address_file(const char *text);
/* Removes the socket file at an address if it still has this inode. */
void address_unlink(const char *text, uint64_t inode);

/* Writes where a listen socket listens, in one of the forms of base/place.h. */
void address_bound(int fd, char *text, size_t capacity);
/* Writes the peer of a connection: "127.0.0.1:5000", "[::1]:5000", "unix:pid=7,uid=0" or
 * "unknown". */
void address_peer(int fd, char *text, size_t capacity);

#endif
