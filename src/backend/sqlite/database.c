/* database.c - the connection: its settings, its statements, its transactions. */
#include "backend/sqlite/database.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

static const char *const statement_texts[DB_STATEMENT_COUNT] = {
    [DB_BEGIN] = "BEGIN IMMEDIATE",
    [DB_COMMIT] = "COMMIT",
    [DB_ROLLBACK] = "ROLLBACK",
    [DB_PAGES] = "PRAGMA page_count",
    [DB_FREE_PAGES] = "PRAGMA freelist_count",
    [DB_META_SET] = "INSERT INTO meta(key, value) VALUES(?1, ?2)"
                    " ON CONFLICT(key) DO UPDATE SET value = ?2",
    [DB_RECORD_GET] = "SELECT value, owner, changed, hash FROM record WHERE kind = ?1 AND name = ?2",
    [DB_RECORD_PUT] = "INSERT INTO record(kind, name, value, owner, changed, hash)"
                      " VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT(kind, name)"
                      " DO UPDATE SET value = ?3, owner = ?4, changed = ?5, hash = ?6",
    [DB_RECORD_REMOVE] = "DELETE FROM record WHERE kind = ?1 AND name = ?2",
    [DB_TOPIC_INSERT] = "INSERT INTO topic(id, name, incarnation, lineage, settings, next_seq, end_bytes,"
                        " last_ns, created, hash) VALUES(?1, ?2, ?3, x'', ?4, ?5, ?6, ?7, ?8, ?9)",
    [DB_TOPIC_UPDATE] = "UPDATE topic SET name = ?2, incarnation = ?3, settings = ?4, next_seq = ?5,"
                        " end_bytes = ?6, last_ns = ?7, created = ?8, hash = ?9 WHERE id = ?1",
    [DB_TOPIC_REMOVE] = "DELETE FROM topic WHERE id = ?1",
    [DB_PUBLISHER_GET] = "SELECT life, last, used, hash FROM publisher WHERE producer = ?1 AND id = ?2",
    [DB_PUBLISHER_PUT] = "INSERT INTO publisher(producer, id, life, last, used, hash)"
                         " VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT(producer, id)"
                         " DO UPDATE SET life = ?3, last = ?4, used = ?5, hash = ?6",
    [DB_PUBLISHER_EXPIRE] = "DELETE FROM publisher WHERE (producer, id) IN"
                            " (SELECT producer, id FROM publisher WHERE used < ?1 ORDER BY used LIMIT ?2)",
    [DB_IDS_PUT] = "INSERT INTO ids(topic, number, at, hash, data) VALUES(?1, ?2, ?3, ?4, ?5)",
    /* of the rows before the one that has number ?2 */
    [DB_IDS_EXPIRE] = "DELETE FROM ids WHERE topic = ?1 AND number IN"
                      " (SELECT number FROM ids WHERE topic = ?1 AND number <"
                      " (SELECT max(number) FROM ids WHERE topic = ?1 AND number <= ?2)"
                      " ORDER BY number LIMIT ?3)",
    [DB_IDS_REMOVE] = "DELETE FROM ids WHERE topic = ?1 AND number IN"
                      " (SELECT number FROM ids WHERE topic = ?1 ORDER BY number LIMIT ?2)",
    [DB_DUE_PUT] = "INSERT INTO due(at, topic, origin, data, hash) VALUES(?1, ?2, ?3, ?4, ?5)",
    [DB_DUE_FIRST] = "SELECT at FROM due ORDER BY at, id LIMIT 1",
    [DB_DUE_GET] = "SELECT id, at, topic, origin, data, hash FROM due WHERE at <= ?1"
                   " ORDER BY at, id LIMIT ?2",
    [DB_DUE_OF_TOPIC] = "SELECT id, length(data) FROM due WHERE topic = ?1 LIMIT 1",
    [DB_DUE_REMOVE] = "DELETE FROM due WHERE id = ?1",
    [DB_GROUP_PUT] = "INSERT INTO consumer_group(id, name, settings, created, hash)"
                     " VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(id) DO UPDATE SET settings = ?3, hash = ?5",
    [DB_GROUP_REMOVE] = "DELETE FROM consumer_group WHERE id = ?1",
    [DB_CURSOR_FIND] = "SELECT 1 FROM cursor WHERE group_id = ?1 AND topic = ?2",
    [DB_CURSOR_UPDATE] = "UPDATE cursor SET incarnation = ?3, end_seq = ?4, data = ?5, counts = ?6,"
                         " hash = ?7 WHERE group_id = ?1 AND topic = ?2",
    [DB_CURSOR_INSERT] = "INSERT INTO cursor(group_id, topic, incarnation, end_seq, data, counts, hash)"
                         " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [DB_CURSORS_OF_TOPIC] = "DELETE FROM cursor WHERE rowid IN"
                            " (SELECT rowid FROM cursor WHERE topic = ?1 LIMIT ?2)",
    [DB_CURSORS_OF_GROUP] = "DELETE FROM cursor WHERE rowid IN"
                            " (SELECT rowid FROM cursor WHERE group_id = ?1 LIMIT ?2)",
};

/* ---- failures ---- */

/* The errno of the last system call that failed, of the log or of the database file. SQLite's own
 * sqlite3_system_errno() knows only those of opening. */
static int errno_of(sqlite3 *handle)
{
    static const int files[] = {SQLITE_FCNTL_JOURNAL_POINTER, SQLITE_FCNTL_FILE_POINTER};

    for (size_t i = 0; handle && i < ARRAY_LEN(files); i++) {
        sqlite3_file *file = NULL;
        int sys = 0;

        if (sqlite3_file_control(handle, NULL, files[i], &file) == SQLITE_OK && file && file->pMethods &&
            file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &sys) == SQLITE_OK && sys != 0)
            return sys;
    }
    return handle ? sqlite3_system_errno(handle) : 0;
}

/* Only for errors of the system: for others it is that of an earlier one. */
static int errno_of_code(sqlite3 *handle, int code)
{
    const int primary = code & 0xff;

    return primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN ? errno_of(handle) : 0;
}

enum db_result database_failed(struct database *database, int code, const char *step)
{
    struct db_error *error = &database->error;
    const int sys = errno_of_code(database->handle, code);
    const char *text = database->handle && sqlite3_extended_errcode(database->handle) == code
                           ? sqlite3_errmsg(database->handle)
                           : sqlite3_errstr(code);

    *error = (struct db_error){.result = db_result_of(code, sys), .code = code, .sys = sys};
    snprintf(error->text, sizeof(error->text), "%s: %s%s%s", step, text, sys ? ": " : "",
             sys ? strerror(sys) : "");
    return error->result;
}

bool database_refuse(struct database *database, int code, const char *step, struct refusal *refusal)
{
    (void)database_failed(database, code, step);
    return refuse(refusal, "%s: %s (%s)", database->path, database->error.text, sqlite_code_name(code));
}

/* ---- statements ---- */

enum db_result database_run(struct database *database, const char *sql, const char *step)
{
    const int code = sqlite3_exec(database->handle, sql, NULL, NULL, NULL);

    return code == SQLITE_OK ? DB_OK : database_failed(database, code, step);
}

/* The statement of a query, at its first row. NULL: there is no row. */
static sqlite3_stmt *first_row(struct database *database, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(database->handle, sql, -1, &statement, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        return statement;
    if (code != SQLITE_DONE)
        (void)database_failed(database, code, sql);
    sqlite3_finalize(statement);
    return NULL;
}

bool database_text(struct database *database, const char *sql, char *text, size_t capacity)
{
    sqlite3_stmt *statement = first_row(database, sql);
    const char *value = statement ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    const bool fits = value && strlen(value) < capacity;

    if (fits)
        snprintf(text, capacity, "%s", value);
    sqlite3_finalize(statement);
    return fits;
}

bool database_number(struct database *database, const char *sql, int64_t *number_out)
{
    sqlite3_stmt *statement = first_row(database, sql);
    const bool is_number = statement && sqlite3_column_type(statement, 0) == SQLITE_INTEGER;

    if (is_number)
        *number_out = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return is_number;
}

bool database_prepare(struct database *database, struct refusal *refusal)
{
    for (unsigned i = 0; i < DB_STATEMENT_COUNT; i++) {
        const int code = sqlite3_prepare_v3(database->handle, statement_texts[i], -1,
                                            SQLITE_PREPARE_PERSISTENT, &database->statements[i], NULL);

        if (code != SQLITE_OK)
            return database_refuse(database, code, "prepare a statement", refusal);
    }
    return true;
}

enum db_result database_step(struct database *database, enum db_statement statement, const char *step)
{
    return database_step_of(database, database->statements[statement], step);
}

enum db_result database_prepare_one(struct database *database, sqlite3_stmt **statement, const char *sql)
{
    if (*statement)
        return DB_OK;
    const int code =
        sqlite3_prepare_v3(database->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
    return code == SQLITE_OK ? DB_OK : database_failed(database, code, "prepare a statement");
}

enum db_result database_step_of(struct database *database, sqlite3_stmt *prepared, const char *step)
{
    const int code = sqlite3_step(prepared);
    const enum db_result result = code == SQLITE_DONE ? DB_OK : database_failed(database, code, step);

    (void)sqlite3_reset(prepared); /* says the same once more */
    (void)sqlite3_clear_bindings(prepared);
    return result;
}

/* ---- transactions ---- */

enum db_result database_begin(struct database *database)
{
    return database_step(database, DB_BEGIN, "begin a transaction");
}

enum db_result database_commit(struct database *database)
{
    return database_step(database, DB_COMMIT, "commit");
}

/* SQLite rolls some failures back by itself. The failure before stays the one that is noted. */
enum db_result database_rollback(struct database *database)
{
    const struct db_error first = database->error;

    if (sqlite3_get_autocommit(database->handle))
        return DB_OK;
    if (database_step(database, DB_ROLLBACK, "roll back") == DB_OK) {
        database->error = first;
        return DB_OK;
    }
    database->error.result = DB_FAILED;
    return DB_FAILED;
}

/* ---- settings ---- */

/* What is set on the connection, and what must be read back. */
static const struct {
    const char *set, *get;
    int64_t expected;
} pragmas[] = {
    {"PRAGMA synchronous=FULL", "PRAGMA synchronous", 2},
    {"PRAGMA wal_autocheckpoint=0", "PRAGMA wal_autocheckpoint", 0},
    {"PRAGMA secure_delete=OFF", "PRAGMA secure_delete", 0},
    {"PRAGMA mmap_size=0", "PRAGMA mmap_size", 0},
    {"PRAGMA cache_size=-16384", "PRAGMA cache_size", -16384},
    {"PRAGMA temp_store=MEMORY", "PRAGMA temp_store", 2},
    {"PRAGMA journal_size_limit=67108864", "PRAGMA journal_size_limit", 67108864},
    {"PRAGMA trusted_schema=OFF", "PRAGMA trusted_schema", 0},
    {"PRAGMA foreign_keys=OFF", "PRAGMA foreign_keys", 0},
    {"PRAGMA cell_size_check=ON", "PRAGMA cell_size_check", 1},
    /* These are of the file, from its creation. */
    {NULL, "PRAGMA auto_vacuum", 2},
    {NULL, "PRAGMA application_id", STORE_APPLICATION_ID},
};

static const struct {
    int option;
    int on;
} connection_options[] = {
    {SQLITE_DBCONFIG_DEFENSIVE, 1},
    {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
    {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
    {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
};

static bool set_pragma(struct database *database, size_t i, struct refusal *refusal)
{
    int64_t found;

    if (pragmas[i].set && database_run(database, pragmas[i].set, pragmas[i].set) != DB_OK)
        return database_refuse(database, database->error.code, pragmas[i].set, refusal);
    database->error.result = DB_OK;
    if (!database_number(database, pragmas[i].get, &found)) {
        /* a pragma without a row is one that this SQLite does not know; so is an unreadable file */
        if (database->error.result != DB_OK)
            return database_refuse(database, database->error.code, pragmas[i].get, refusal);
        return refuse(refusal, "%s: '%s' gives nothing with SQLite %s", database->path, pragmas[i].get,
                      sqlite3_libversion());
    }
    return found == pragmas[i].expected || refuse(refusal, "%s: '%s' is %" PRId64 ", and not %" PRId64,
                                                  database->path, pragmas[i].get, found, pragmas[i].expected);
}

bool database_configure(struct database *database, struct refusal *refusal)
{
    char mode[16];

    for (size_t i = 0; i < ARRAY_LEN(connection_options); i++) {
        int is_on = -1;
        const int code = sqlite3_db_config(database->handle, connection_options[i].option,
                                           connection_options[i].on, &is_on);

        if (code != SQLITE_OK || is_on != connection_options[i].on)
            return refuse(refusal, "%s: SQLite %s refuses option %d", database->path, sqlite3_libversion(),
                          connection_options[i].option);
    }
    (void)sqlite3_busy_timeout(database->handle, DATABASE_BUSY_TIMEOUT_MS);
    database->error.result = DB_OK;
    if (!database_text(database, "PRAGMA journal_mode=WAL", mode, sizeof(mode)) || strcmp(mode, "wal") != 0)
        return database->error.result != DB_OK
                   ? database_refuse(database, database->error.code, "set the journal's mode", refusal)
                   : refuse(refusal, "%s: it has no write-ahead log: its journal's mode is '%s'",
                            database->path, mode);
    for (size_t i = 0; i < ARRAY_LEN(pragmas); i++)
        if (!set_pragma(database, i, refusal))
            return false;
    return true;
}
