/* store_groups.h - the store as the backend of consumer groups.
 *
 * Threads: see each function. */
#ifndef TRIBUTARY_BACKEND_SQLITE_STORE_GROUPS_H
#define TRIBUTARY_BACKEND_SQLITE_STORE_GROUPS_H

#include "backend/sqlite/store.h"
#include "topic/group_port.h"

/* The groups of the store; `writable` is called when a save that was refused with ERR_FULL
 * may be tried again; NULL is allowed. Before the first save. */
struct group_port store_groups(struct store *store, void (*writable)(void *ctx), void *ctx);

/* Calls `each` for every cursor whose group and topic are there; it must not call the store, and
 * returns false for lack of memory. At the start, on one thread; it waits for the disk.
 *   ERR_INVALID  *refusal says why; some were shown */
MUST_CHECK enum err store_read_cursors(struct store *store,
                                       bool (*each)(void *ctx, const struct group_cursor_info *info),
                                       void *ctx, struct refusal *refusal);

#endif
