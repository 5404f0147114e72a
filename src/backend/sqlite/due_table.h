/* due_table.h - events that wait for their time. They have no sequence yet.
 *
 * An append writes them in its transaction. When the wall clock has reached their time, the store
 * appends them to their topics: in the order of their times, a bounded number in each commit.
 *
 * For the files of this room. Threads: the store's. */
#ifndef TRIBUTARY_BACKEND_SQLITE_DUE_TABLE_H
#define TRIBUTARY_BACKEND_SQLITE_DUE_TABLE_H

#include "backend/sqlite/topic_log.h"

/* Of one topic; of all together. */
#define MAX_DELAYED_EVENTS 100000u
#define MAX_DELAYED_BYTES (UINT64_C(1) << 30)
/* Of one commit. */
#define MAX_DUE_EVENTS 256u
#define MAX_DUE_BYTES ((size_t)1 << 20)

/* Reads how many there are. */
MUST_CHECK bool due_read_all(struct database *database, struct topic_log *log, struct refusal *refusal);

/* Whether a topic may have so many more. */
bool due_has_space(const struct topic_log *log, const struct stored_topic *topic, uint32_t events,
                   size_t bytes);

/* Writes one that waits. */
enum db_result due_add(struct store *store, struct stored_topic *topic, struct bytes origin,
                       struct bytes event, int64_t at_wall_ns);

/* In a transaction, after its appends: appends what is due. Nothing while the disk is full. */
enum db_result due_append(struct store *store);

/* After the commit, with no lock: notifies of what due_append() has appended. */
void due_notify(struct store *store);

/* After the commit, and after a failure; under the lock. */
void due_keep(struct store *store);
void due_undo(struct store *store);

/* Frees the events of the transaction. */
void due_fini(struct topic_log *log);

/* Removes those of a topic that is deleted, at most `rows`. *removed_out: so many. */
enum db_result due_remove(struct store *store, uint64_t topic, uint32_t rows, uint32_t *removed_out);

#endif
