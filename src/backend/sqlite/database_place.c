/* database_place.c - whether the files that are open are still those that stand in the folder. */
#include <stdio.h>
#include <sys/stat.h>

#include "backend/sqlite/database.h"

#define WAL "-wal"
#define WAL_HEADER_BYTES 32

/* How the names follow each other in database->places. */
enum { PLACE_FILE, PLACE_WAL };

static bool find_file(const struct database *database, const char *suffix, struct stat *status)
{
    char path[sizeof(database->path) + sizeof(WAL)];

    snprintf(path, sizeof(path), "%s%s", database->path, suffix);
    return stat(path, status) == 0;
}

static bool note(struct database *database, size_t i, const char *suffix)
{
    struct stat status;

    if (!find_file(database, suffix, &status))
        return false;
    database->places[i] = (struct file_place){status.st_dev, status.st_ino};
    return true;
}

bool database_note_places(struct database *database)
{
    return note(database, PLACE_FILE, "") && note(database, PLACE_WAL, WAL);
}

static bool is_in_place(const struct database *database, size_t i, const char *suffix, int64_t min_bytes)
{
    const struct file_place *place = &database->places[i];
    struct stat status;

    return find_file(database, suffix, &status) && status.st_dev == place->device &&
           status.st_ino == place->inode && status.st_size >= min_bytes;
}

/* What is written to a file without a name is gone with the process. */
enum db_result database_check_places(struct database *database)
{
    const int64_t wal_bytes = database->wal_bytes > 0 ? WAL_HEADER_BYTES + database->wal_bytes : 0;
    const bool is_file = is_in_place(database, PLACE_FILE, "", 1);

    if (is_file && is_in_place(database, PLACE_WAL, WAL, wal_bytes))
        return DB_OK;
    database->is_displaced = true;
    database->error = (struct db_error){.result = DB_FAILED, .code = SQLITE_READONLY_DBMOVED};
    snprintf(database->error.text, sizeof(database->error.text),
             "%s was removed, moved, replaced or cut while it was in use",
             is_file ? STORE_FILE WAL : STORE_FILE);
    return DB_FAILED;
}
