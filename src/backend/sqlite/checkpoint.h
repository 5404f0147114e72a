/* checkpoint.h - brings what stands in the write-ahead log into the database file. SQLite does not
 * do that by itself here. For the files of this room.
 *
 * Threads: the database's. */
#ifndef TRIBUTARY_BACKEND_SQLITE_CHECKPOINT_H
#define TRIBUTARY_BACKEND_SQLITE_CHECKPOINT_H

#include "backend/sqlite/database.h"

/* From so many bytes on: when nothing waits, and in any case. No commit is made meanwhile, so the
 * second number decides the p99 of confirmations. With twice as much W9 has twice the p99 and is no
 * faster; with half of it, it is no faster either. */
#define CHECKPOINT_IDLE_BYTES (INT64_C(2) << 20)
#define CHECKPOINT_ANYWAY_BYTES (INT64_C(4) << 20)
/* After so long without a commit the log is made empty. */
#define CHECKPOINT_TRUNCATE_NS (10 * INT64_C(1000000000))

enum checkpoint_mode {
    CHECKPOINT_PASSIVE, /* what no reader needs */
    CHECKPOINT_RESTART, /* all of it; the next commit begins the log anew */
    CHECKPOINT_TRUNCATE /* all of it; the log is empty then */
};

/* From now on database->wal_bytes is what the log holds. */
void checkpoint_init(struct database *database);

/* DB_OK, also where a reader of another process left some of it; DB_FULL; DB_NO_MEMORY; DB_FAILED.
 * Nothing is lost in any case. */
enum db_result checkpoint_run(struct database *database, enum checkpoint_mode mode);

#endif
