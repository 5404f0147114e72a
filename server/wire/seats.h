/* seats.h - who is at which descriptor, for sockets that were given to the core.
 *
 * The core closes a socket without telling. A seat remembers the inode behind its descriptor; as long as fstat() still finds that one
 * there, the connection lives. The kernel gives the lowest free number, so the table stays as small as the process. Any thread. */
#ifndef TRIBUTARY_SERVER_WIRE_SEATS_H
#define TRIBUTARY_SERVER_WIRE_SEATS_H

#include <stdbool.h>

#include "base/base.h"

struct seats;

struct seats *seats_new(void); /* NULL: out of memory */
void seats_free(struct seats *seats);

/* Notes a socket. Whoever had this descriptor before is gone: it was given out again. False: out of memory, nothing changed. */
bool seats_take(struct seats *seats, int fd, const char *peer);

uint32_t seats_known(struct seats *seats); /* at least as many as live: nobody looked again */
uint32_t seats_count(struct seats *seats); /* looks again, at every one */

/* Shuts every live connection down, both ways: whoever waits to write to a peer that does not read finds it gone. */
void seats_cut(struct seats *seats);

/* Writes the peer of a live connection, or "unknown". */
void seats_peer(struct seats *seats, int fd, char *text, size_t room);

#endif
