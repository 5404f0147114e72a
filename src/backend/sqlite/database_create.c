/* database_create.c - makes a new database. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "backend/sqlite/database.h"
#include "backend/sqlite/database_schema.h"
#include "base/base.h"
#include "base/clock.h"

/* Before the first table. Small pages: many small commits write little (design: 25 KB for each). */
static const char *const begin[] = {
    "PRAGMA page_size=8192",   "PRAGMA auto_vacuum=INCREMENTAL",
    "PRAGMA synchronous=FULL", "PRAGMA secure_delete=OFF",
    "BEGIN IMMEDIATE",
};

bool random_digits(char text[STORE_UUID_CAPACITY])
{
    uint8_t random[(STORE_UUID_CAPACITY - 1) / 2];

    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return false;
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(text + 2 * i, 3, "%02x", random[i]);
    return true;
}

enum db_result database_new_uuid(struct database *database)
{
    if (!random_digits(database->uuid))
        return database_failed(database, SQLITE_IOERR, "get a random number");
    return meta_set(database, "uuid", database->uuid);
}

static enum db_result fill_meta(struct database *draft)
{
    char uuid[STORE_UUID_CAPACITY], id_key[STORE_UUID_CAPACITY], sql[512];

    if (!random_digits(uuid) || !random_digits(id_key))
        return database_failed(draft, SQLITE_IOERR, "get a random number");
    snprintf(sql, sizeof(sql),
             "INSERT INTO meta VALUES('uuid', '%s'), ('schema', '%d'), ('mark', 'clean'), ('boot', ''),"
             " ('created', '%" PRId64 "'), ('opened', '0'), ('topic_id', '0'), ('" META_ID_KEY "', '%s')",
             uuid, STORE_SCHEMA_VERSION, clock_wall_ns(), id_key);
    return database_run(draft, sql, "fill meta");
}

static enum db_result fill(struct database *draft)
{
    char version[128];
    enum db_result result = DB_OK;

    for (size_t i = 0; i < ARRAY_LEN(begin) && result == DB_OK; i++)
        result = database_run(draft, begin[i], begin[i]);
    for (unsigned i = 0; i < store_schema_count && result == DB_OK; i++)
        result = database_run(draft, store_schema[i].sql, "make a table");
    if (result == DB_OK)
        result = fill_meta(draft);
    snprintf(version, sizeof(version), "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT",
             STORE_APPLICATION_ID, STORE_SCHEMA_VERSION);
    if (result == DB_OK)
        result = database_run(draft, version, "commit");
    if (result == DB_OK) /* the last step: it stays so in the file */
        result = database_run(draft, "PRAGMA journal_mode=WAL", "set the journal's mode");
    return result;
}

/* What an interrupted creation left. Nobody was ever answered because of it. */
static bool remove_draft(const struct state_dir *dir, struct refusal *refusal)
{
    static const char *const names[] = {STORE_DRAFT, STORE_DRAFT "-journal", STORE_DRAFT "-wal",
                                        STORE_DRAFT "-shm"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (!state_dir_unlink(dir, names[i], refusal))
            return false;
    return true;
}

bool database_create(const struct state_dir *dir, struct refusal *refusal)
{
    struct database draft = {.handle = NULL};

    if (!remove_draft(dir, refusal) || !state_dir_create(dir, STORE_DRAFT, refusal))
        return false;
    snprintf(draft.path, sizeof(draft.path), "%s/%s", dir->path, STORE_DRAFT);
    int code = sqlite3_open_v2(draft.path, &draft.handle,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
    if (code == SQLITE_OK) {
        (void)sqlite3_extended_result_codes(draft.handle, 1);
        code = fill(&draft) == DB_OK ? SQLITE_OK : draft.error.code;
    } else {
        (void)database_failed(&draft, code, "open it");
    }
    const int closed = sqlite3_close(draft.handle);
    if (code != SQLITE_OK)
        return refuse(refusal, "%s: make it: %s (%s)", draft.path, draft.error.text, sqlite_code_name(code));
    if (closed != SQLITE_OK)
        return refuse(refusal, "%s: close it: %s", draft.path, sqlite3_errstr(closed));
    return state_dir_rename(dir, STORE_DRAFT, STORE_FILE, refusal);
}
