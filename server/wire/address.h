/* address.h - what people write for a place to listen at, and what sockets say about themselves.
 *
 *   HOST:PORT     an IPv4 address, `localhost` (127.0.0.1, without asking a resolver) or a name (its first address that can be bound)
 *   [V6]:PORT     an IPv6 address
 *   unix:PATH     a socket file
 *
 * Any thread; nothing is kept. */
#ifndef TRIBUTARY_SERVER_WIRE_ADDRESS_H
#define TRIBUTARY_SERVER_WIRE_ADDRESS_H

#include <stdbool.h>

#include "base/base.h"
#include "base/status.h"

/* Room for every text below, its closing NUL included. */
#define ADDRESS_CAPACITY 128u

/* Whether it can be reached from this machine only. False for what does not parse, too, and for
 * every name but `localhost`. */
bool address_is_local(const char *text);

/* Opens a listening socket, not blocking, close-on-exec. A socket file gets mode 0600; one that
 * nobody listens at is replaced, a live one
 * is not, and neither is a file that is no socket. ERR_INVALID  `text` is no address ERR_IO       the system refused, see `sys`
 */
MUST_CHECK struct status address_listen(const char *text, int *fd_out);

/* The inode of an address's socket file; 0: none, or another kind of address. */
uint64_t address_file(const char *text);
/* Removes the socket file of an address, if it still is the one with this inode. */
void address_unlink(const char *text, uint64_t inode);

/* where a listening socket listens, in the forms above */
void address_bound(int fd, char *text, size_t capacity);
/* "127.0.0.1:5000", "[::1]:5000", "unix:pid=7,uid=0", "unknown" */
void address_peer(int fd, char *text, size_t capacity);

#endif
