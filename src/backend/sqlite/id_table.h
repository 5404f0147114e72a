/* id_table.h - the table of ids that topics have seen: one row for each commit and topic, with the
 * hashes of its ids.
 *
 * For the files of this room. Threads: the store's. */
#ifndef TRIBUTARY_BACKEND_SQLITE_ID_TABLE_H
#define TRIBUTARY_BACKEND_SQLITE_ID_TABLE_H

#include "backend/sqlite/topic_log.h"

/* Of all topics together: about 100 MB. Beyond it a topic forgets its own oldest ones. */
#define MAX_STORE_IDS 4000000u

/* Reads the table into the windows of the topics. */
MUST_CHECK bool ids_read_all(struct database *database, struct topic_log *log, struct refusal *refusal);

/* Whether events of this id were stored already. If not, the id is added. DB_NO_MEMORY. */
enum db_result ids_claim(struct store *store, struct stored_topic *topic, struct bytes id, bool *was_there);

static inline bool ids_count(const struct stored_topic *topic)
{
    return topic->settings.id_window_ns > 0;
}

/* Before the first claim of a transaction: forgets ids that are older than the window. */
void ids_expire(struct topic_log *log, struct stored_topic *topic);
/* Writes the ids that the transaction has added; removes rows of those that were forgotten. */
enum db_result ids_write(struct store *store, struct stored_topic *topic);
/* After the commit, and after a failure. */
void ids_keep(struct topic_log *log, struct stored_topic *topic);
void ids_undo(struct topic_log *log, struct stored_topic *topic);
/* The topic is gone from memory. */
void ids_forget(struct topic_log *log, struct stored_topic *topic);
/* Removes rows of a topic that is deleted, at most `rows`. *removed_out: so many. */
enum db_result ids_remove(struct database *database, uint64_t topic, uint32_t rows, uint32_t *removed_out);

#endif
