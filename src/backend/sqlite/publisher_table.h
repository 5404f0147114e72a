/* publisher_table.h - the table of publishers: for each the last number that the store has.
 *
 * A transaction reads a publisher's row when it first meets it, and writes it once, at its end.
 *
 * For the files of this room. Threads: the database's. */
#ifndef TRIBUTARY_BACKEND_SQLITE_PUBLISHER_TABLE_H
#define TRIBUTARY_BACKEND_SQLITE_PUBLISHER_TABLE_H

#include "backend/sqlite/topic_log.h"

/* What the transaction knows of a publisher. */
struct seen_publisher {
    struct map_node node;
    size_t producer_size, key_size;
    bool is_changed, was_there;
    struct publisher_state state;
    uint8_t key[]; /* two bytes with the producer's size, the producer, the publisher's id */
};

/* Finds a publisher, in a transaction. DB_FAILED: its row is damaged. */
enum db_result publisher_find(struct database *database, struct topic_log *log, struct bytes producer,
                              struct bytes id, struct seen_publisher **seen_out);
/* Writes those that have changed. Beyond MAX_PUBLISHERS, removes those that were silent for
 * longest. */
enum db_result publisher_write_all(struct database *database, struct topic_log *log);
/* Forgets what the transaction has seen. `committed`: what it has added and removed counts. */
void publisher_forget(struct topic_log *log, bool committed);

/* Removes publishers that were silent for PUBLISHER_KEPT_NS, at most MAX_TRIM_ROWS. Sets *more_out
 * where there may be more. */
enum db_result publisher_expire(struct database *database, struct topic_log *log, bool *more_out);
/* Reads how many there are, and when the last one was used. */
MUST_CHECK bool publisher_count(struct database *database, struct topic_log *log, struct refusal *refusal);

#endif
