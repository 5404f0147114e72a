/* topic_lineage.h - the incarnations that topics had before their store was restored from a backup.
 * For the files of this room.
 *
 * Threads: the one that opens the store. */
#ifndef TRIBUTARY_BACKEND_SQLITE_TOPIC_LINEAGE_H
#define TRIBUTARY_BACKEND_SQLITE_TOPIC_LINEAGE_H

#include "backend/sqlite/topic_log.h"

/* Reads the column `lineage` of a topic's row; an empty one is none. It is part of the format: for
 * each ancestor 8 bytes of incarnation and 8 of last_seq, little-endian, and the hash of them.
 *   ERR_INVALID, ERR_NO_MEMORY  there are none */
MUST_CHECK enum err lineage_read(struct stored_topic *topic, struct bytes data);

/* If the file is a copy that is opened for the first time: begins a new incarnation of each topic,
 * and gives the store another uuid. One transaction: an interrupted start does it again. */
MUST_CHECK bool lineage_renew(struct database *database, struct topic_log *log, struct refusal *refusal);

#endif
