/* database_schema.c - the tables of the store, and what stands in `meta`.
 *
 * `meta` has: uuid, schema (as user_version), mark ("clean" or "open"), boot (of the machine when
 * the store was opened), created, opened and closed (nanoseconds since 1970).
 *
 * `record` has small things with a name, of a few kinds: "endpoint". `hash` covers all of a row's
 * other columns, since SQLite does not notice a bit that has changed on the disk. */
#include <stdio.h>
#include <string.h>

#include "backend/sqlite/database.h"
#include "base/base.h"

const char *const store_schema[] = {
    "CREATE TABLE meta(key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE record(kind TEXT NOT NULL, name BLOB NOT NULL, value BLOB NOT NULL,"
    " owner BLOB NOT NULL, changed INTEGER NOT NULL, hash INTEGER NOT NULL, PRIMARY KEY(kind, name)) STRICT",
};
const unsigned store_schema_count = ARRAY_LEN(store_schema);

static bool is_known(const char *sql)
{
    for (unsigned i = 0; i < store_schema_count; i++)
        if (strcmp(sql, store_schema[i]) == 0)
            return true;
    return false;
}

bool schema_check(struct database *database, struct refusal *refusal)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(
        database->handle, "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL", -1, &statement, NULL);
    unsigned found = 0;

    while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        const char *sql = (const char *)sqlite3_column_text(statement, 1);

        if (!name || !sql || !is_known(sql)) {
            (void)refuse(refusal, "%s: '%.64s' is not as version %d of the store has it", database->path,
                         name ? name : "", STORE_SCHEMA_VERSION);
            sqlite3_finalize(statement);
            return false;
        }
        found++;
        code = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    if (code != SQLITE_DONE)
        return database_refuse(database, code, "read the tables", refusal);
    return found == store_schema_count ||
           refuse(refusal, "%s: it has %u of %u tables", database->path, found, store_schema_count);
}

bool meta_get(struct database *database, const char *key, char *text, size_t capacity)
{
    char sql[128];

    sqlite3_snprintf(sizeof(sql), sql, "SELECT value FROM meta WHERE key = %Q", key);
    return database_text(database, sql, text, capacity);
}

enum db_result meta_set(struct database *database, const char *key, const char *text)
{
    sqlite3_stmt *statement = database->statements[DB_META_SET];

    sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, text, -1, SQLITE_STATIC);
    return database_step(database, DB_META_SET, "write to meta");
}
