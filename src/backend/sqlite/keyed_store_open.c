/* keyed_store_open.c - opens the file of a keyed store, and makes it where there is none.
 *
 * DESIGN. What SQLite opens it may write to, even where it only looks. So the header of the file is
 * read first: a file of somebody else is left as it is. A new file gets its tables, its
 * application_id and its user_version in one transaction with a rollback journal: a process that is
 * killed before leaves an empty file. Two processes may do this at the same time; the second one
 * finds the tables. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/sqlite/keyed_store_internal.h"
#include "base/clock.h"
#include "base/threads.h"

#define HEADER_BYTES 100u
#define MAGIC "SQLite format 3"
/* Where these stand in the header, as 4 bytes, the highest first. */
#define USER_VERSION_OFFSET 60u
#define APPLICATION_ID_OFFSET 68u

static const char *const schema[] = {
    "CREATE TABLE resource(processor TEXT NOT NULL, key BLOB NOT NULL, generation INTEGER NOT NULL,"
    " data BLOB, PRIMARY KEY(processor, key)) STRICT",
    "CREATE TABLE result(processor TEXT NOT NULL, key BLOB NOT NULL, operation_id BLOB NOT NULL,"
    " code INTEGER NOT NULL, reason TEXT NOT NULL, message TEXT NOT NULL, data BLOB NOT NULL,"
    " saved INTEGER NOT NULL, PRIMARY KEY(processor, key, operation_id)) STRICT",
    "CREATE INDEX result_saved ON result(saved)",
};

static const char *const statement_texts[KEYED_STATEMENT_COUNT] = {
    [KEYED_LOAD] = "SELECT generation, data FROM resource WHERE processor = ?1 AND key = ?2",
    [KEYED_FIND] = "SELECT code, reason, message, data FROM result"
                   " WHERE processor = ?1 AND key = ?2 AND operation_id = ?3",
    [KEYED_GENERATION] = "SELECT generation FROM resource WHERE processor = ?1 AND key = ?2",
    [KEYED_PUT_RESOURCE] = "INSERT INTO resource(processor, key, generation, data) VALUES(?1, ?2, ?3, ?4)"
                           " ON CONFLICT(processor, key) DO UPDATE SET generation = ?3, data = ?4",
    [KEYED_PUT_GENERATION] = "INSERT INTO resource(processor, key, generation, data)"
                             " VALUES(?1, ?2, ?3, NULL)"
                             " ON CONFLICT(processor, key) DO UPDATE SET generation = ?3",
    [KEYED_PUT_RESULT] = "INSERT INTO result(processor, key, operation_id, code, reason, message, data,"
                         " saved) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
    [KEYED_TRIM] = "DELETE FROM result WHERE rowid IN"
                   " (SELECT rowid FROM result WHERE saved < ?1 ORDER BY saved LIMIT ?2)",
};

/* ---- before SQLite sees it ---- */

static uint32_t number_in(const uint8_t *header, size_t offset)
{
    return (uint32_t)header[offset] << 24 | (uint32_t)header[offset + 1] << 16 |
           (uint32_t)header[offset + 2] << 8 | header[offset + 3];
}

static bool check_header(const char *path, const uint8_t *header, ssize_t size, struct refusal *refusal)
{
    if (size < 0)
        return refuse(refusal, "%s: %s", path, strerror(errno));
    if (size == 0)
        return true;
    if (size < (ssize_t)HEADER_BYTES || memcmp(header, MAGIC, sizeof(MAGIC)) != 0)
        return refuse(refusal, "%s: it is no SQLite database", path);
    if (number_in(header, APPLICATION_ID_OFFSET) != KEYED_APPLICATION_ID)
        return refuse(refusal,
                      "%s: it belongs to another program: its application_id is 0x%08x, and not 0x%08x", path,
                      number_in(header, APPLICATION_ID_OFFSET), KEYED_APPLICATION_ID);
    if (number_in(header, USER_VERSION_OFFSET) > KEYED_SCHEMA_VERSION)
        return refuse(refusal,
                      "%s: a later version of tributary has written it: its user_version is %u, and this "
                      "one knows %d",
                      path, number_in(header, USER_VERSION_OFFSET), KEYED_SCHEMA_VERSION);
    return true;
}

/* Makes the file where there is none. */
static bool check_file(const char *path, struct refusal *refusal)
{
    uint8_t header[HEADER_BYTES];
    struct stat file;
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);

    if (fd < 0)
        return refuse(refusal, "%s: %s", path, strerror(errno));
    const bool is_file = fstat(fd, &file) == 0 && S_ISREG(file.st_mode);
    const bool is_ours = is_file ? check_header(path, header, pread(fd, header, sizeof(header), 0), refusal)
                                 : refuse(refusal, "%s: it is no regular file", path);

    close(fd);
    return is_ours;
}

/* ---- after SQLite has opened it ---- */

static bool make_tables(struct database *database, struct refusal *refusal)
{
    char version[128];
    enum db_result result = DB_OK;

    for (size_t i = 0; i < ARRAY_LEN(schema) && result == DB_OK; i++)
        result = database_run(database, schema[i], "make a table");
    snprintf(version, sizeof(version), "PRAGMA application_id=%d; PRAGMA user_version=%d",
             KEYED_APPLICATION_ID, KEYED_SCHEMA_VERSION);
    if (result == DB_OK)
        result = database_run(database, version, "set the version");
    if (result == DB_OK)
        result = database_run(database, "COMMIT", "commit");
    return result == DB_OK || database_refuse(database, database->error.code, "make it", refusal);
}

/* Reads a number, which must be this. */
static bool expect(struct database *database, const char *sql, int64_t expected, struct refusal *refusal)
{
    int64_t found = -1;

    database->error.result = DB_OK;
    if (!database_number(database, sql, &found) && database->error.result != DB_OK)
        return database_refuse(database, database->error.code, sql, refusal);
    return found == expected ||
           refuse(refusal, "%s: '%s' is %" PRId64 ", and not %" PRId64, database->path, sql, found, expected);
}

/* Makes the tables in a file that is empty, and looks at those of one that is not. */
static bool prepare_tables(struct database *database, struct refusal *refusal)
{
    int64_t tables = -1;

    if (database_run(database, "BEGIN IMMEDIATE", "begin a transaction") != DB_OK)
        return database_refuse(database, database->error.code, "lock it", refusal);
    if (!database_number(database, "SELECT count(*) FROM sqlite_schema", &tables))
        return database_refuse(database, database->error.code, "read its tables", refusal);
    if (tables == 0)
        return make_tables(database, refusal);
    /* three of ours, and the indexes of two primary keys */
    return expect(database, "PRAGMA application_id", KEYED_APPLICATION_ID, refusal) &&
           expect(database, "PRAGMA user_version", KEYED_SCHEMA_VERSION, refusal) &&
           expect(database, "SELECT count(*) FROM sqlite_schema", (int64_t)ARRAY_LEN(schema) + 2, refusal) &&
           (database_run(database, "COMMIT", "commit") == DB_OK ||
            database_refuse(database, database->error.code, "unlock it", refusal));
}

/* Another process that opens the file has it for a moment. SQLite does not wait for it here. */
static void use_log(struct database *database, char *mode, size_t capacity)
{
    const int64_t deadline_ns = clock_from_now_ns(KEYED_BUSY_MS * NS_PER_MS);

    do {
        database->error.result = DB_OK;
        if (database_text(database, "PRAGMA journal_mode=WAL", mode, capacity) && strcmp(mode, "wal") == 0)
            return;
        (void)sqlite3_sleep(5);
    } while ((database->error.result == DB_OK || database->error.result == DB_LOCKED) &&
             clock_mono_ns() < deadline_ns);
}

static bool configure(struct database *database, struct refusal *refusal)
{
    char mode[16] = "";

    (void)sqlite3_db_config(database->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(database->handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    (void)sqlite3_db_config(database->handle, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    if (database_run(database,
                     "PRAGMA synchronous=FULL; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;"
                     " PRAGMA journal_size_limit=67108864",
                     "configure it") != DB_OK)
        return database_refuse(database, database->error.code, "configure it", refusal);
    use_log(database, mode, sizeof(mode));
    if (strcmp(mode, "wal") != 0)
        return database->error.result != DB_OK
                   ? database_refuse(database, database->error.code, "set the journal's mode", refusal)
                   : refuse(refusal, "%s: it has no write-ahead log: its journal's mode is '%s'",
                            database->path, mode);
    return expect(database, "PRAGMA synchronous", 2, refusal);
}

static bool prepare_statements(struct keyed_connection *connection, struct refusal *refusal)
{
    for (unsigned i = 0; i < KEYED_STATEMENT_COUNT; i++) {
        const int code = sqlite3_prepare_v3(connection->database.handle, statement_texts[i], -1,
                                            SQLITE_PREPARE_PERSISTENT, &connection->statements[i], NULL);

        if (code != SQLITE_OK)
            return database_refuse(&connection->database, code, "prepare a statement", refusal);
    }
    return true;
}

/* The log stands beside the file that a symbolic link leads to. A connection that has read once has
 * its log open, and as long as it is open nobody deletes it but by hand. */
static bool note_places(struct database *database, struct refusal *refusal)
{
    const char *name = sqlite3_db_filename(database->handle, "main");
    int64_t tables = 0;

    if (!database_number(database, "SELECT count(*) FROM sqlite_schema", &tables))
        return database_refuse(database, database->error.code, "read its tables", refusal);
    if (strlen(name) >= sizeof(database->path))
        return refuse(refusal, "%s: its full path has more than %zu bytes", database->path,
                      sizeof(database->path) - 1);
    snprintf(database->path, sizeof(database->path), "%s", name);
    return database_note_places(database) ||
           refuse(refusal, "%s: it or its write-ahead log is not in its place: %s", database->path,
                  strerror(errno));
}

static bool open_connection(struct keyed_connection *connection, const char *path, struct refusal *refusal)
{
    struct database *database = &connection->database;
    const int code =
        sqlite3_open_v2(path, &database->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

    snprintf(database->path, sizeof(database->path), "%s", path);
    if (code != SQLITE_OK)
        return database_refuse(database, code, "open it", refusal);
    (void)sqlite3_extended_result_codes(database->handle, 1);
    (void)sqlite3_busy_timeout(database->handle, KEYED_BUSY_MS);
    return prepare_tables(database, refusal) && configure(database, refusal) &&
           prepare_statements(connection, refusal) && note_places(database, refusal);
}

static void close_connection(struct keyed_connection *connection)
{
    for (unsigned i = 0; i < KEYED_STATEMENT_COUNT; i++)
        sqlite3_finalize(connection->statements[i]);
    sqlite3_close(connection->database.handle);
    pthread_mutex_destroy(&connection->lock);
}

enum err keyed_store_open(const char *path, int64_t results_kept_ns, struct keyed_store **store_out,
                          struct refusal *refusal)
{
    struct keyed_store *store = NULL;

    refusal->text[0] = '\0';
    if (strlen(path) >= sizeof(store->reader.database.path)) {
        (void)refuse(refusal, "the store's path has more than %zu bytes",
                     sizeof(store->reader.database.path) - 1);
        return ERR_INVALID;
    }
    if (!check_file(path, refusal))
        return ERR_INVALID;
    store = calloc(1, sizeof(*store));
    if (!store) {
        (void)refuse(refusal, "%s: out of memory", path);
        return ERR_NO_MEMORY;
    }
    store->results_kept_ns = results_kept_ns;
    pthread_mutex_init(&store->reader.lock, NULL);
    pthread_mutex_init(&store->writer.lock, NULL);
    pthread_mutex_init(&store->lock, NULL);
    cond_init(&store->changed);
    list_init(&store->waiting);
    if (open_connection(&store->writer, path, refusal) && open_connection(&store->reader, path, refusal)) {
        *store_out = store;
        return ERR_OK;
    }
    keyed_store_close(store);
    return ERR_INVALID;
}

void keyed_store_close(struct keyed_store *store)
{
    if (!store)
        return;
    CHECK(!store->has_leader && list_empty(&store->waiting));
    close_connection(&store->reader);
    close_connection(&store->writer);
    pthread_cond_destroy(&store->changed);
    pthread_mutex_destroy(&store->lock);
    free(store);
}
