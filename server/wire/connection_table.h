/* seats.h - who is at which descriptor, for sockets that were given to the core.
 *
 * The core closes a socket without telling. A seat remembers the inode behind its descriptor; as
 * long as fstat() still finds that one there, the connection lives. The kernel gives the lowest
 * free number, so the table stays as small as the process. Any thread. */
#ifndef TRIBUTARY_SERVER_WIRE_CONNECTION_TABLE_H
#define TRIBUTARY_SERVER_WIRE_CONNECTION_TABLE_H

#include <stdbool.h>

#include "base/base.h"

struct connection_table;

struct connection_table *connection_table_new(void); /* NULL: out of memory */
void connection_table_free(struct connection_table *table);

/* Notes a socket. Whoever had this descriptor before is gone: it was given out again. False: out of
 * memory, nothing changed. */
bool connection_table_add(struct connection_table *table, int fd, const char *peer);

/* at least as many as live: nobody looked again */
uint32_t connection_table_upper_bound(struct connection_table *table);
uint32_t connection_table_count(struct connection_table *table); /* looks again, at every one */

/* Shuts every live connection down, both ways: whoever waits to write to a peer that does not read
 * finds it gone. */
void connection_table_shutdown(struct connection_table *table);

/* Writes the peer of a live connection, or "unknown". */
void connection_table_peer(struct connection_table *table, int fd, char *text, size_t capacity);

#endif
