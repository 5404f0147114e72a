/* state_dir.h - the folder of the store: it is made if it is missing, checked, and locked against a
 * second process. For the files of this room.
 *
 * Threads: the one that opens the store. */
#ifndef TRIBUTARY_BACKEND_SQLITE_STATE_DIR_H
#define TRIBUTARY_BACKEND_SQLITE_STATE_DIR_H

#include <stdbool.h>

#include "backend/sqlite/refusal.h"
#include "base/base.h"

/* The files in it. SQLite adds "-wal" and "-shm" to a database's name. */
#define STORE_FILE "store.db"
#define STORE_DRAFT "store.db.draft"
#define STORE_LOCK "store.lock"

/* SQLite itself takes no path above 512 bytes. */
#define MAX_STATE_DIR_PATH 480u

struct state_dir {
    int fd;                            /* -1: not open */
    int lock_fd;                       /* its lock is held as long as it is open */
    bool failed_before;                /* a process noted that a write had failed (state_dir_note()) */
    char path[MAX_STATE_DIR_PATH + 1]; /* absolute, without symbolic links */
};

/* What is known of a file in the folder. */
struct state_file {
    bool is_there;
    int64_t size_bytes;
};

/* Opens the folder, and makes it with mode 0700 where it is missing. Refused are: a folder that
 * another user owns, that others may write to, that is read-only, whose file system has blocks
 * below 4 KiB (SQLite would die with SIGBUS when it is full), or that another process has locked.
 * False: *refusal says why; nothing is open. state_dir_close() must follow. */
MUST_CHECK bool state_dir_open(const char *path, struct state_dir *dir, struct refusal *refusal);
void state_dir_close(struct state_dir *dir);

/* Notes in the lock file whether a write of the store has failed, for the process that opens it
 * next. It stays until the machine restarts: nobody waits for the disk. */
void state_dir_note(const struct state_dir *dir, bool has_failed);

/* Looks at a file. Refused are files that are no regular file, that another user owns, that have a
 * second name, or that others may read or write. False: *refusal says why. */
MUST_CHECK bool state_dir_look(const struct state_dir *dir, const char *name, struct state_file *file_out,
                               struct refusal *refusal);

/* Reads the first bytes of a file. Not while the database is open: closing a descriptor of it would
 * drop SQLite's locks. False: *refusal says why; a shorter file is refused too. */
MUST_CHECK bool state_dir_read(const struct state_dir *dir, const char *name, void *bytes, size_t size,
                               struct refusal *refusal);

/* The next reads of the file come from the disk, not from the page cache: after a failed write the
 * cache may show what the disk does not have. Not while the database is open. */
void state_dir_drop_cache(const struct state_dir *dir, const char *name);

/* Removes a file, if it is there. False: *refusal says why. */
MUST_CHECK bool state_dir_unlink(const struct state_dir *dir, const char *name, struct refusal *refusal);

/* Makes an empty file with mode 0600 that was not there. False: *refusal says why. */
MUST_CHECK bool state_dir_create(const struct state_dir *dir, const char *name, struct refusal *refusal);

/* Gives a file, which is on the disk, its final name, and waits until the folder is on the disk
 * too. False: *refusal says why. */
MUST_CHECK bool state_dir_rename(const struct state_dir *dir, const char *from, const char *to,
                                 struct refusal *refusal);

#endif
