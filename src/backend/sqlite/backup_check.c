/* backup_check.c - the second half of a backup: is the copy good, and then it gets its mark. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/sqlite/backup_job.h"
#include "base/clock.h"

/* How many steps of SQLite's machine pass until it looks whether it is cancelled. */
#define STEPS_PER_LOOK 10000

static int on_progress(void *ctx)
{
    return atomic_load((atomic_bool *)ctx);
}

/* The text of the first row of a query. */
static int first_text(sqlite3 *handle, const char *sql, char *text, size_t capacity)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(handle, sql, -1, &statement, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        snprintf(text, capacity, "%s", (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

static bool refuse_text(char *text, size_t capacity, const char *step, const char *reason)
{
    snprintf(text, capacity, "%s: %s", step, reason);
    return false;
}

/* One file: without a log, and with the mark. The source was in use, and its mark said so. */
static bool check(sqlite3 *handle, char *text, size_t capacity)
{
    char verdict[200] = "", sql[256];

    if (first_text(handle, "PRAGMA quick_check(1)", verdict, sizeof(verdict)) != SQLITE_OK)
        return refuse_text(text, capacity, "check the copy", sqlite3_errmsg(handle));
    if (strcmp(verdict, "ok") != 0)
        return refuse_text(text, capacity, "the copy is damaged", verdict);
    snprintf(sql, sizeof(sql),
             "UPDATE meta SET value = 'clean' WHERE key = 'mark';"
             "INSERT INTO meta VALUES('" META_COPIED "', '%" PRId64 "')"
             " ON CONFLICT(key) DO UPDATE SET value = excluded.value",
             clock_wall_ns());
    if (sqlite3_exec(handle, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(handle, sql, NULL, NULL, NULL) != SQLITE_OK)
        return refuse_text(text, capacity, "mark the copy", sqlite3_errmsg(handle));
    return true;
}

static bool bring_to_disk(const char *path, char *text, size_t capacity, uint64_t *bytes_out)
{
    struct stat file;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    const bool is_there = fd >= 0 && fsync(fd) == 0 && fstat(fd, &file) == 0;

    if (!is_there)
        (void)refuse_text(text, capacity, "bring the copy to the disk", strerror(errno));
    else
        *bytes_out = (uint64_t)file.st_size;
    if (fd >= 0)
        close(fd);
    return is_there;
}

bool backup_check(const char *path, atomic_bool *is_cancelled, char *text, size_t capacity,
                  uint64_t *bytes_out)
{
    sqlite3 *handle = NULL;
    /* alone with the file, so without shared memory beside it */
    int code = sqlite3_open_v2(path, &handle,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);

    if (code == SQLITE_OK) {
        sqlite3_progress_handler(handle, STEPS_PER_LOOK, on_progress, is_cancelled);
        code =
            sqlite3_exec(handle, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-2048", NULL, NULL, NULL);
    }
    bool is_good = code == SQLITE_OK && check(handle, text, capacity);
    if (code != SQLITE_OK)
        (void)refuse_text(text, capacity, "open the copy", sqlite3_errmsg(handle));
    if (sqlite3_close(handle) != SQLITE_OK && is_good)
        is_good = refuse_text(text, capacity, "close the copy", "it is in use");
    return is_good && bring_to_disk(path, text, capacity, bytes_out);
}
