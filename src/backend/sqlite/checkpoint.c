/* checkpoint.c - brings what stands in the write-ahead log into the database file. */
#include "backend/sqlite/checkpoint.h"

#include "base/counters.h"

#define FRAME_HEADER_BYTES 24

/* After each commit that wrote something. `pages`: all frames of the log, also those that are in
 * the file already. */
static int on_commit(void *ctx, sqlite3 *handle, const char *name, int pages)
{
    struct database *database = ctx;

    (void)handle;
    (void)name;
    database->wal_bytes = (int64_t)pages * (database->page_bytes + FRAME_HEADER_BYTES);
    database->wal_used_bytes = database->wal_bytes;
    count_add(COUNT_STORE_COMMITS, 1);
    return SQLITE_OK;
}

void checkpoint_init(struct database *database)
{
    (void)sqlite3_wal_hook(database->handle, on_commit, database);
}

enum db_result checkpoint_run(struct database *database, enum checkpoint_mode mode)
{
    static const int modes[] = {[CHECKPOINT_PASSIVE] = SQLITE_CHECKPOINT_PASSIVE,
                                [CHECKPOINT_RESTART] = SQLITE_CHECKPOINT_RESTART,
                                [CHECKPOINT_TRUNCATE] = SQLITE_CHECKPOINT_TRUNCATE};
    int frames = -1, done = -1;

    /* A reader of another program is not waited for: commits wait meanwhile. */
    if (mode == CHECKPOINT_RESTART)
        (void)sqlite3_busy_timeout(database->handle, 0);
    const int code = sqlite3_wal_checkpoint_v2(database->handle, NULL, modes[mode], &frames, &done);
    (void)sqlite3_busy_timeout(database->handle, DATABASE_BUSY_TIMEOUT_MS);

    if (code == SQLITE_OK) {
        count_add(COUNT_STORE_CHECKPOINTS, done > 0 && database->wal_bytes > 0);
        /* a complete one lets the next commit begin at the front, unless somebody reads */
        if (frames == done)
            database->wal_bytes = 0;
        if (frames == done && mode != CHECKPOINT_PASSIVE)
            database->wal_used_bytes = 0;
        return DB_OK;
    }
    const enum db_result result = database_failed(database, code, "checkpoint");
    return result == DB_LOCKED ? DB_OK : result;
}
