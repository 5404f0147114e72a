/* database_schema.c - the tables of the store, what stands in `meta`, and migrations.
 *
 * `meta` has: uuid, schema (as user_version), mark ("clean" or "open"), boot (of the machine when
 * the store was opened), created, opened and closed (nanoseconds since 1970), topic_id (the latest
 * number that was given to a topic or a group), id_key, copied (in a copy that was not opened yet),
 * full (the latest attempt to write to a full disk).
 *
 * `record` has small things with a name, of a few kinds: "endpoint". `hash` covers all of a row's
 * other columns, since SQLite does not notice a bit that has changed on the disk.
 *
 * `topic` has the topics. A topic without a name is deleted, and its log is not yet. `next_seq`,
 * `end_bytes` and `last_ns` count where the log is empty. `lineage` is for earlier incarnations.
 * `log_ID` is the log of a topic: see topic_log.h. `publisher` has the latest number of each
 * publisher. `due` has events that are not due yet (due_table.h), `ids` the ids of the latest
 * events of a topic (id_table.h). `consumer_group` has the groups, `cursor` how far each is in a
 * topic (group_table.h). All rows have a hash.
 *
 * Version 5 brings no table. It has rows of logs that earlier versions of this program take
 * for damaged ones (row.h, version 2). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/sqlite/database_schema.h"
#include "base/base.h"
#include "base/log.h"

const struct store_table store_schema[] = {
    {1, "CREATE TABLE meta(key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) STRICT, WITHOUT ROWID"},
    {1, "CREATE TABLE record(kind TEXT NOT NULL, name BLOB NOT NULL, value BLOB NOT NULL,"
        " owner BLOB NOT NULL, changed INTEGER NOT NULL, hash INTEGER NOT NULL, PRIMARY KEY(kind, name))"
        " STRICT"},
    {2, "CREATE TABLE topic(id INTEGER PRIMARY KEY NOT NULL, name BLOB UNIQUE, incarnation INTEGER NOT NULL,"
        " lineage BLOB NOT NULL, settings BLOB NOT NULL, next_seq INTEGER NOT NULL,"
        " end_bytes INTEGER NOT NULL, last_ns INTEGER NOT NULL, created INTEGER NOT NULL,"
        " hash INTEGER NOT NULL) STRICT"},
    {2, "CREATE TABLE publisher(producer BLOB NOT NULL, id BLOB NOT NULL, life INTEGER NOT NULL,"
        " last INTEGER NOT NULL, used INTEGER NOT NULL, hash INTEGER NOT NULL, PRIMARY KEY(producer, id))"
        " STRICT, WITHOUT ROWID"},
    {3, "CREATE TABLE due(id INTEGER PRIMARY KEY NOT NULL, at INTEGER NOT NULL, topic INTEGER NOT NULL,"
        " origin BLOB NOT NULL, data BLOB NOT NULL, hash INTEGER NOT NULL) STRICT"},
    {3, "CREATE INDEX due_at ON due(at, id)"},
    {3, "CREATE INDEX due_topic ON due(topic)"},
    {3, "CREATE TABLE ids(topic INTEGER NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL,"
        " hash INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY(topic, number)) STRICT, WITHOUT ROWID"},
    {4, "CREATE INDEX publisher_used ON publisher(used)"},
    {6, "CREATE TABLE consumer_group(id INTEGER PRIMARY KEY NOT NULL, name BLOB UNIQUE NOT NULL,"
        " settings BLOB NOT NULL, created INTEGER NOT NULL, hash INTEGER NOT NULL) STRICT"},
    {6, "CREATE TABLE cursor(group_id INTEGER NOT NULL, topic INTEGER NOT NULL,"
        " incarnation INTEGER NOT NULL, end_seq INTEGER NOT NULL, data BLOB NOT NULL,"
        " counts BLOB NOT NULL, hash INTEGER NOT NULL, PRIMARY KEY(group_id, topic)) STRICT"},
    {6, "CREATE INDEX cursor_topic ON cursor(topic)"},
};
const unsigned store_schema_count = ARRAY_LEN(store_schema);

void log_table_sql(uint64_t topic, char sql[LOG_TABLE_CAPACITY])
{
    snprintf(sql, LOG_TABLE_CAPACITY,
             "CREATE TABLE log_%" PRIu64 "(seq INTEGER PRIMARY KEY NOT NULL, count INTEGER NOT NULL,"
             " appended INTEGER NOT NULL, before_bytes INTEGER NOT NULL, hash INTEGER NOT NULL,"
             " data BLOB NOT NULL) STRICT",
             topic);
}

enum known { UNKNOWN_TABLE, STORE_TABLE, LOG_TABLE };

static enum known known_as(const char *name, const char *sql, int version)
{
    char expected[LOG_TABLE_CAPACITY];

    for (unsigned i = 0; i < store_schema_count; i++)
        if (store_schema[i].since <= version && strcmp(sql, store_schema[i].sql) == 0)
            return STORE_TABLE;
    if (version < 2 || strncmp(name, "log_", 4) != 0)
        return UNKNOWN_TABLE;
    log_table_sql(strtoull(name + 4, NULL, 10), expected);
    return strcmp(sql, expected) == 0 ? LOG_TABLE : UNKNOWN_TABLE;
}

bool schema_check(struct database *database, int version, struct refusal *refusal)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(
        database->handle, "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL", -1, &statement, NULL);
    unsigned found = 0, expected = 0;

    while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        const char *sql = (const char *)sqlite3_column_text(statement, 1);
        const enum known known = name && sql ? known_as(name, sql, version) : UNKNOWN_TABLE;

        if (known == UNKNOWN_TABLE) {
            (void)refuse(refusal, "%s: '%.64s' is not as version %d of the store has it", database->path,
                         name ? name : "", version);
            sqlite3_finalize(statement);
            return false;
        }
        found += known == STORE_TABLE;
        code = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    if (code != SQLITE_DONE)
        return database_refuse(database, code, "read the tables", refusal);
    for (unsigned i = 0; i < store_schema_count; i++)
        expected += store_schema[i].since <= version;
    return found == expected ||
           refuse(refusal, "%s: it has %u of %u tables", database->path, found, expected);
}

/* ---- migrations ---- */

static enum db_result make_id_key(struct database *database)
{
    char key[STORE_UUID_CAPACITY], sql[128];

    if (!random_digits(key))
        return database_failed(database, SQLITE_IOERR, "get a random number");
    snprintf(sql, sizeof(sql), "INSERT INTO meta VALUES('" META_ID_KEY "', '%s')", key);
    return database_run(database, sql, "write to meta");
}

/* To a version from the one before: its tables, and what else it needs. */
static enum db_result migrate_to(struct database *database, int version)
{
    char sql[160];
    enum db_result result = database_run(database, "BEGIN IMMEDIATE", "begin a migration");

    for (unsigned i = 0; i < store_schema_count && result == DB_OK; i++)
        if (store_schema[i].since == version)
            result = database_run(database, store_schema[i].sql, "make a table");
    snprintf(sql, sizeof(sql), "UPDATE meta SET value = '%d' WHERE key = 'schema'; PRAGMA user_version = %d",
             version, version);
    if (result == DB_OK)
        result = database_run(database, sql, "write the version");
    if (result == DB_OK && version == 2)
        result = database_run(database, "INSERT INTO meta VALUES('topic_id', '0')", "write to meta");
    if (result == DB_OK && version == 3)
        result = make_id_key(database);
    return result == DB_OK ? database_run(database, "COMMIT", "commit a migration") : result;
}

bool schema_migrate(struct database *database, int version, struct refusal *refusal)
{
    for (int to = version + 1; to <= STORE_SCHEMA_VERSION; to++) {
        if (migrate_to(database, to) != DB_OK)
            return database_refuse(database, database->error.code, "bring it to a later version", refusal);
        log_write(LOG_INFO, "store.migrated", LOG_TEXT("path", database->path), LOG_NUMBER("version", to));
    }
    return true;
}

/* ---- meta ---- */

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
