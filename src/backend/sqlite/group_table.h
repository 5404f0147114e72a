/* group_table.h - the tables of consumer groups and of their cursors. A group's number is its
 * incarnation. It comes from the numbers of topics, so neither is ever used again.
 *
 * DESIGN. The groups are in memory, the cursors are not: a group reads them once, when the server
 * starts. A transaction changes at most one group, as its last work. What it changes shows in
 * memory after the commit. Cursors of groups and topics that are deleted leave later, some in each
 * commit.
 *
 * For the files of this room. Threads: the store's, or the one that opens it. */
#ifndef TRIBUTARY_BACKEND_SQLITE_GROUP_TABLE_H
#define TRIBUTARY_BACKEND_SQLITE_GROUP_TABLE_H

#include "backend/sqlite/stored_group.h"
#include "backend/sqlite/topic_log.h"

void groups_init(struct group_table *groups);
void groups_fini(struct group_table *groups);

/* Reads all groups, and checks the cursors. Lets log_tidy() come where some must leave. */
MUST_CHECK bool groups_open(struct database *database, struct group_table *groups, struct topic_log *log,
                            struct refusal *refusal);

struct stored_group *group_find(const struct group_table *groups, struct bytes name);
/* One that is in no map. NULL: out of memory. */
struct stored_group *group_new(struct bytes name, struct bytes settings, uint64_t id, int64_t created_ns);

/* Writes a group, whether it is there or not. */
enum db_result group_put(struct database *database, const struct stored_group *group);
enum db_result group_remove(struct database *database, uint64_t id);

/* Whether the table has it. */
enum db_result cursor_find(struct database *database, uint64_t group, uint64_t topic, bool *is_there_out);
enum db_result cursor_put(struct store *store, uint64_t group, uint64_t topic_incarnation,
                          const struct group_cursor *cursor);
/* Removes cursors of a topic that is deleted, at most `rows`. *removed_out: so many. */
enum db_result cursors_remove(struct store *store, uint64_t topic, uint32_t rows, uint32_t *removed_out);

/* In a transaction: removes cursors of groups that are deleted, as many rows as may still leave. */
enum db_result groups_tidy(struct store *store);
/* After the commit, and after a failure; under the lock. */
void groups_keep(struct store *store);
void groups_undo(struct store *store);

/* Calls `each` for every cursor of a group and a topic that are there. False: *refusal says why. */
MUST_CHECK bool cursors_each(struct store *store,
                             bool (*each)(void *ctx, const struct group_cursor_info *info), void *ctx,
                             struct refusal *refusal);

#endif
