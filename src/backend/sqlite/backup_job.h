/* backup_job.h - a backup as the store's files see it. For the files of this room.
 *
 *   NONE --store_backup()--> COPYING --whole--> CHECKING --good--> HELD
 *     ^                         |                 |               |
 *     +---- cancelled, failed --+-----------------+               |
 *     +---------------------------------------- store_backup_end()+
 *
 * Threads: `state`, `backup` and `is_cancelled` under the store's lock. The copy belongs to the
 * store's thread while COPYING, and to a thread of its own while CHECKING. */
#ifndef TRIBUTARY_BACKEND_SQLITE_BACKUP_JOB_H
#define TRIBUTARY_BACKEND_SQLITE_BACKUP_JOB_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "backend/sqlite/database.h"
#include "backend/sqlite/store_backup.h"

/* So much is copied between two commits. */
#define BACKUP_TURN_PAGES 512

enum backup_state { BACKUP_NONE, BACKUP_COPYING, BACKUP_CHECKING, BACKUP_HELD };

struct backup_job {
    enum backup_state state;
    struct store_backup *backup;
    atomic_bool is_cancelled;
    char path[MAX_STATE_DIR_PATH + sizeof("/" STORE_BACKUP)];
    sqlite3 *copy;
    sqlite3_backup *handle;
    int64_t begun_ns, longest_ns; /* of a turn */
    pthread_t thread;
    bool has_thread;
};

/* Removes what an earlier process left. */
MUST_CHECK bool backup_remove_files(const struct state_dir *dir, struct refusal *refusal);

/* The store's thread: copies the next part, if a backup is being copied; whether there is one. */
void backup_turn(struct store *store);
bool backup_is_copying(const struct store *store); /* under the lock */
/* The store's thread, at its end: before the database is closed. */
void backup_abort(struct store *store);

/* What opens a copy for the first time finds this in `meta`. */
#define META_COPIED "copied"

/* Reads the copy through, gives it its mark, and brings it to the disk. `is_cancelled` may be set
 * meanwhile. Any thread. False: text says why. */
MUST_CHECK bool backup_check(const char *path, atomic_bool *is_cancelled, char *text, size_t capacity,
                             uint64_t *bytes_out);

#endif
