/* connection_table.h - the connection table: which peer is at which descriptor, for sockets that
 * were given to gRPC core.
 *
 * The core closes a socket without notice. An entry therefore remembers the inode behind its
 * descriptor: while fstat() still finds that inode there, the connection is live. The kernel gives
 * out the lowest free descriptor, so the table stays as small as the process's set of descriptors.
 *
 * Threads: any, under the table's own lock. */
#ifndef TRIBUTARY_SERVER_WIRE_CONNECTION_TABLE_H
#define TRIBUTARY_SERVER_WIRE_CONNECTION_TABLE_H

#include <stdbool.h>

#include "base/base.h"

struct connection_table;

struct connection_table *connection_table_new(void); /* NULL: out of memory */
void connection_table_free(struct connection_table *table);

/* Enters a connection. An older entry of the same descriptor is removed: the kernel gave the
 * descriptor out again, so the older connection is closed. False: memory ran out, or `fd` is not
 * open; nothing changed. */
bool connection_table_add(struct connection_table *table, int fd, const char *peer);

/* The number of entries: at least the number of live connections, since connections that were
 * closed meanwhile still count. Checks no descriptor. */
uint32_t connection_table_size(struct connection_table *table);
/* Checks every descriptor, removes the entries of closed connections and returns how many are
 * left. */
uint32_t connection_table_recount(struct connection_table *table);

/* Shuts down every live connection, in both directions: a write that waits for a peer that does
 * not read then fails. */
void connection_table_shutdown_all(struct connection_table *table);

/* Writes the peer of a live connection, or "unknown". */
void connection_table_peer(struct connection_table *table, int fd, char *text, size_t capacity);

#endif
