/* record_table.h - the table of named records. For the files of this room.
 *
 * Threads: the database's. */
#ifndef TRIBUTARY_BACKEND_SQLITE_RECORD_TABLE_H
#define TRIBUTARY_BACKEND_SQLITE_RECORD_TABLE_H

#include "backend/sqlite/database.h"
#include "backend/sqlite/record.h"

/* Both within a transaction. They append the value and the owner that the record had before to
 * `before`, and set before->is_there. */
enum db_result record_put(struct database *database, const struct store_record *record,
                          struct store_before *before);
enum db_result record_remove(struct database *database, const struct store_record *record,
                             struct store_before *before);

/* Calls `each` for every record of a kind, in the order of names. A record whose hash is wrong is
 * refused. False: *refusal says why; some were shown. */
MUST_CHECK bool record_each(struct database *database, const char *kind,
                            bool (*each)(void *ctx, const struct store_record *record), void *ctx,
                            struct refusal *refusal);

#endif
