/* database_schema.h - the tables of the store, migrations, and what stands in `meta`. For the
 * files of this room.
 *
 * Threads: the database's. */
#ifndef TRIBUTARY_BACKEND_SQLITE_DATABASE_SCHEMA_H
#define TRIBUTARY_BACKEND_SQLITE_DATABASE_SCHEMA_H

#include "backend/sqlite/database.h"

/* The tables that all stores have, and the version that brought each. */
struct store_table {
    int since;
    const char *sql;
};
extern const struct store_table store_schema[];
extern const unsigned store_schema_count;

/* Writes the statement that makes the table of a topic's log. */
#define LOG_TABLE_CAPACITY 256
void log_table_sql(uint64_t topic, char sql[LOG_TABLE_CAPACITY]);

/* Whether the file has the tables of its version, and tables of logs, and nothing else. */
MUST_CHECK bool schema_check(struct database *database, int version, struct refusal *refusal);

/* Brings a file of an earlier version to the present one: one transaction for each version, so a
 * migration that is interrupted goes on where it was. */
MUST_CHECK bool schema_migrate(struct database *database, int version, struct refusal *refusal);

/* The key of the hashes of ids, as hex digits. */
#define META_ID_KEY "id_key"

/* Reads a row of `meta` as a text; `capacity` at least 1. False: there is none, it is no text, or
 * it does not fit. */
MUST_CHECK bool meta_get(struct database *database, const char *key, char *text, size_t capacity);
/* In a transaction. */
enum db_result meta_set(struct database *database, const char *key, const char *text);

#endif
