/* database_open.c - opens the database, and closes it.
 *
 * DESIGN. What SQLite opens it may write to, even where it only looks. So the header of the file is
 * read first: a file of somebody else is left as it is. (Only where there is a log with commits the
 * header may be damaged: SQLite then reads it from there, and the checks afterwards decide.)
 *
 * The mark in `meta` is "open" while a process uses the store. It is brought into the database file
 * at once. So a copy of the file that lacks its "-wal" is recognised, and refused: the commits in
 * that log would be lost. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backend/sqlite/checkpoint.h"
#include "backend/sqlite/database.h"
#include "backend/sqlite/database_schema.h"
#include "backend/sqlite/wal_tail.h"
#include "base/base.h"
#include "base/clock.h"
#include "base/log.h"

#define WAL STORE_FILE "-wal"
#define HEADER_BYTES 100u
#define MAGIC "SQLite format 3"
/* Where these stand in the header, as 4 bytes, the highest first. */
#define USER_VERSION_AT 60u
#define APPLICATION_ID_AT 68u

#define MARK_CAPACITY 16u
#define BOOT_CAPACITY 64u
#define URI_CAPACITY (3 * (MAX_STATE_DIR_PATH + sizeof(STORE_DRAFT)) + 32)
#define CLEAN "clean"
#define OPEN "open"

/* ---- before SQLite sees it ---- */

static uint32_t number_at(const uint8_t *header, size_t at)
{
    return (uint32_t)header[at] << 24 | (uint32_t)header[at + 1] << 16 | (uint32_t)header[at + 2] << 8 |
           header[at + 3];
}

static bool check_header(const struct state_dir *dir, const char *path, struct refusal *refusal)
{
    uint8_t header[HEADER_BYTES];

    if (!state_dir_read(dir, STORE_FILE, header, sizeof(header), refusal))
        return false;
    if (memcmp(header, MAGIC, sizeof(MAGIC)) != 0)
        return refuse(refusal, "%s: it is no SQLite database", path);
    if (number_at(header, APPLICATION_ID_AT) != STORE_APPLICATION_ID)
        return refuse(refusal,
                      "%s: it belongs to another program: its application_id is 0x%08x, and not 0x%08x", path,
                      number_at(header, APPLICATION_ID_AT), STORE_APPLICATION_ID);
    if (number_at(header, USER_VERSION_AT) > STORE_SCHEMA_VERSION)
        return refuse(
            refusal,
            "%s: a later version of tributaryd has written it: its user_version is %u, and this one "
            "knows %d",
            path, number_at(header, USER_VERSION_AT), STORE_SCHEMA_VERSION);
    return true;
}

/* "file:PATH?immutable=1", where each byte of the path is %XX. */
static void write_uri(const char *path, char uri[URI_CAPACITY])
{
    size_t size = (size_t)snprintf(uri, URI_CAPACITY, "file:");

    for (const char *at = path; *at; at++)
        size += (size_t)snprintf(uri + size, URI_CAPACITY - size, *at == '/' ? "/" : "%%%02x", (uint8_t)*at);
    snprintf(uri + size, URI_CAPACITY - size, "?immutable=1");
}

/* Opens it in a way that neither writes nor makes a file. */
static bool is_marked_clean(const char *path)
{
    struct database probe = {.handle = NULL};
    char mark[MARK_CAPACITY] = "", uri[URI_CAPACITY];

    write_uri(path, uri);
    const bool is_open =
        sqlite3_open_v2(uri, &probe.handle, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX,
                        NULL) == SQLITE_OK;
    const bool is_clean = is_open && meta_get(&probe, "mark", mark, sizeof(mark)) && strcmp(mark, CLEAN) == 0;

    sqlite3_close(probe.handle);
    return is_clean;
}

/* A power cut during a checkpoint may have left anything in the header. Then the log has that
 * page. */
static bool may_be_ours(const struct state_dir *dir, const char *path, const struct wal_tail *tail,
                        struct refusal *refusal)
{
    if (check_header(dir, path, refusal))
        return true;
    if (tail->used == 0)
        return false;
    refusal->text[0] = '\0';
    return true;
}

/* Checks the files, and makes the database where there is none. *tail_out is changed where there is
 * one. */
static bool check_files(const struct state_dir *dir, const char *path, struct wal_tail *tail_out,
                        struct refusal *refusal)
{
    struct state_file file, wal;

    if (!state_dir_look(dir, STORE_FILE, &file, refusal) || !state_dir_look(dir, WAL, &wal, refusal))
        return false;
    if (!file.is_there && wal.is_there)
        return refuse(refusal, "%s: it is missing, but %s is there", path, WAL);
    if (!file.is_there)
        return database_create(dir, refusal);
    *tail_out = wal_tail_read(dir, WAL);
    if (!may_be_ours(dir, path, tail_out, refusal))
        return false;
    state_dir_drop_cache(dir, STORE_FILE);
    if (wal.is_there)
        state_dir_drop_cache(dir, WAL);
    else if (!is_marked_clean(path))
        return refuse(
            refusal,
            "%s: it was in use when it was copied, or the process that used it was killed, and %s is "
            "missing: the latest changes are in there",
            path, WAL);
    return true;
}

/* ---- after SQLite has opened it ---- */

static void read_boot(char boot[BOOT_CAPACITY])
{
    const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    const ssize_t size = fd < 0 ? 0 : read(fd, boot, BOOT_CAPACITY - 1);

    if (fd >= 0)
        close(fd);
    boot[size > 0 ? (size_t)size : 0] = '\0';
    boot[strcspn(boot, "\n")] = '\0';
}

static bool read_version(struct database *database, int *version_out, struct refusal *refusal)
{
    int64_t version;

    if (!database_number(database, "PRAGMA user_version", &version))
        return database_refuse(database, database->error.code, "read its version", refusal);
    *version_out = (int)version;
    return (version >= 1 && version <= STORE_SCHEMA_VERSION) ||
           refuse(refusal, "%s: 'PRAGMA user_version' is %" PRId64 ", and not 1 to %d", database->path,
                  version, STORE_SCHEMA_VERSION);
}

/* SQLite may say that it has set the mode, though the sync behind it has failed: then it would
 * write without a log. */
static bool has_log(struct database *database, struct refusal *refusal)
{
    return database_note_places(database) ||
           refuse(refusal, "%s: it has no write-ahead log: %s", database->path, strerror(errno));
}

static bool check_meta(struct database *database, int version, struct refusal *refusal)
{
    char mark[MARK_CAPACITY], schema[MARK_CAPACITY], boot[BOOT_CAPACITY], boot_now[BOOT_CAPACITY],
        expected[MARK_CAPACITY];

    snprintf(expected, sizeof(expected), "%d", version);
    if (!meta_get(database, "mark", mark, sizeof(mark)) || !meta_get(database, "boot", boot, sizeof(boot)) ||
        !meta_get(database, "schema", schema, sizeof(schema)) ||
        !meta_get(database, "uuid", database->uuid, sizeof(database->uuid)))
        return refuse(refusal, "%s: its table 'meta' is not complete", database->path);
    if (strcmp(schema, expected) != 0 || strlen(database->uuid) != STORE_UUID_CAPACITY - 1 ||
        (strcmp(mark, CLEAN) != 0 && strcmp(mark, OPEN) != 0))
        return refuse(refusal, "%s: its table 'meta' holds what no tributaryd writes", database->path);
    read_boot(boot_now);
    database->was_clean = strcmp(mark, CLEAN) == 0;
    database->same_boot = strcmp(boot, boot_now) == 0;
    return true;
}

/* Where the machine goes on, frames are written one behind the other: then a bad one that others
 * follow was whole once. */
static void log_tail(const struct database *database, const struct wal_tail *tail)
{
    const bool is_certain = database->same_boot && tail->bad_frame > 0 && tail->unused > 1;

    if (tail->bad_frame < 0)
        return;
    log_write(LOG_WARN, "store.log_cut", LOG_TEXT("path", database->path),
              LOG_NUMBER("frame", tail->bad_frame), LOG_NUMBER("used", tail->used),
              LOG_NUMBER("unused", tail->unused),
              LOG_TEXT("reason", is_certain ? "its log (-wal) is damaged: confirmed changes are missing"
                                            : "its log (-wal) was being written at the end, or is damaged: "
                                              "then confirmed changes are missing"));
}

static bool run_check(struct database *database, const char *sql, struct refusal *refusal)
{
    char verdict[256] = "";

    database->error.result = DB_OK;
    if (database_text(database, sql, verdict, sizeof(verdict)) && strcmp(verdict, "ok") == 0)
        return true;
    return database->error.result != DB_OK
               ? database_refuse(database, database->error.code, "check its pages", refusal)
               : refuse(refusal, "%s: it is damaged: %s", database->path, verdict);
}

/* The small tables with their indexes, in any case: what a damaged index hides has no hash to show
 * it. The rest, where the disk may not have what was written: after a power cut, and after a failed
 * write. A kill alone harms nothing: the kernel has every write, and keeps it. */
static bool check_pages(struct database *database, int version, bool has_failed, struct refusal *refusal)
{
    static const char *const checks[] = {"PRAGMA integrity_check('meta')",
                                         "PRAGMA integrity_check('record')",
                                         "PRAGMA integrity_check('topic')",
                                         "PRAGMA integrity_check('publisher')",
                                         "PRAGMA integrity_check('due')",
                                         "PRAGMA integrity_check('ids')",
                                         "PRAGMA integrity_check('consumer_group')",
                                         "PRAGMA integrity_check('cursor')"};
    const size_t count = version < 2 ? 2 : version < 3 ? 4 : version < 6 ? 6 : ARRAY_LEN(checks);

    for (size_t i = 0; i < count; i++)
        if (!run_check(database, checks[i], refusal))
            return false;
    if (!has_failed && (database->was_clean || database->same_boot))
        return true;
    log_write(LOG_WARN, "store.checking", LOG_TEXT("path", database->path),
              LOG_TEXT("reason", has_failed ? "a write had failed"
                                            : "the machine has restarted while the store was open"));
    return run_check(database, "PRAGMA quick_check(1)", refusal);
}

static bool set_mark(struct database *database, const char *mark)
{
    char boot[BOOT_CAPACITY], now[32];
    enum db_result result = database_begin(database);

    read_boot(boot);
    snprintf(now, sizeof(now), "%" PRId64, clock_wall_ns());
    if (result == DB_OK)
        result = meta_set(database, "mark", mark);
    if (result == DB_OK)
        result = meta_set(database, "boot", boot);
    if (result == DB_OK)
        result = meta_set(database, strcmp(mark, OPEN) == 0 ? "opened" : "closed", now);
    if (result == DB_OK)
        result = database_commit(database);
    if (result != DB_OK)
        (void)database_rollback(database);
    return result == DB_OK && checkpoint_run(database, CHECKPOINT_TRUNCATE) == DB_OK;
}

bool database_open(struct database *database, const struct state_dir *dir, struct refusal *refusal)
{
    struct wal_tail tail = {.bad_frame = -1};
    int64_t page_bytes;
    int version;

    *database = (struct database){.handle = NULL};
    snprintf(database->path, sizeof(database->path), "%s/%s", dir->path, STORE_FILE);
    if (!sqlite3_threadsafe())
        return refuse(refusal, "%s: this SQLite is built without threads", database->path);
    if (!check_files(dir, database->path, &tail, refusal))
        return false;
    const int code =
        sqlite3_open_v2(database->path, &database->handle,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
    if (code != SQLITE_OK)
        return database_refuse(database, code, "open it", refusal);
    (void)sqlite3_extended_result_codes(database->handle, 1);
    if (!database_configure(database, refusal) || !read_version(database, &version, refusal) ||
        !has_log(database, refusal) || !schema_check(database, version, refusal) ||
        !check_meta(database, version, refusal) ||
        !check_pages(database, version, dir->failed_before, refusal) ||
        !schema_migrate(database, version, refusal) || !database_prepare(database, refusal))
        return false;
    log_tail(database, &tail);
    if (!database_number(database, "PRAGMA page_size", &page_bytes))
        return database_refuse(database, database->error.code, "read the size of its pages", refusal);
    database->page_bytes = (int)page_bytes;
    checkpoint_init(database);
    return true;
}

bool database_mark_open(struct database *database, struct refusal *refusal)
{
    if (!set_mark(database, OPEN))
        return database_refuse(database, database->error.code, "mark it as open", refusal);
    return database_note_places(database) ||
           refuse(refusal, "%s: look at it: %s", database->path, strerror(errno));
}

bool database_close(struct database *database, bool is_clean)
{
    bool is_ok = true;

    if (!database->handle)
        return true;
    if (is_clean)
        is_ok = set_mark(database, CLEAN);
    if (!is_clean || !is_ok) /* nothing is tried again */
        (void)sqlite3_db_config(database->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    for (unsigned i = 0; i < DB_STATEMENT_COUNT; i++)
        sqlite3_finalize(database->statements[i]);
    const int code = sqlite3_close(database->handle);
    database->handle = NULL;
    if (code != SQLITE_OK && is_ok) {
        (void)database_failed(database, code, "close it");
        is_ok = false;
    }
    return is_ok;
}
