/* store_backup.h - a copy of the whole store, made while it is used.
 *
 * The store's thread copies a part after each commit, so appends wait for one part at most. The
 * copy is as new as its end. It is then read through and checked on a thread of its own. It has a
 * mark: who opens it begins a new incarnation of each topic, so nobody mistakes it for the store
 * that it was copied from.
 *
 *   /PATH/backup.tmp   the copy; what an earlier process left is removed when the store is opened
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_BACKEND_SQLITE_STORE_BACKUP_H
#define TRIBUTARY_BACKEND_SQLITE_STORE_BACKUP_H

#include <stdint.h>

#include "backend/sqlite/store.h"

#define STORE_BACKUP "backup.tmp"

enum backup_outcome {
    BACKUP_DONE,      /* the copy is whole, checked and on the disk */
    BACKUP_BUSY,      /* another one is not over: see store_backup_end() */
    BACKUP_CANCELLED, /* by store_backup_cancel(), or the store ends */
    BACKUP_DISK_FULL, /* there is no space for it */
    BACKUP_FAILED,    /* `reason` says why; the store itself may be as good as before */
};

struct store_backup {
    /* Loop, in a later turn; once. */
    void (*done)(struct store_backup *backup);
    enum backup_outcome outcome;
    char reason[256]; /* one sentence; empty with BACKUP_DONE, BACKUP_BUSY and BACKUP_CANCELLED */
    /* With BACKUP_DONE. The file is a store of its own: named store.db in another folder it can be
     * opened. It has mode 0600. */
    char path[512];
    uint64_t bytes;
    /* The store's. */
    struct store *store;
    struct task task;
    bool is_begun;
};

/* Begins a backup. `backup` is the store's until done(). */
void store_backup(struct store *store, struct store_backup *backup);

/* Between store_backup() and done(): done() follows soon, with BACKUP_CANCELLED unless it is over
 * already. */
void store_backup_cancel(struct store_backup *backup);

/* After done() with BACKUP_DONE, once: removes the file. Another backup is BACKUP_BUSY until then.
 * Who has the file open may go on reading it. */
void store_backup_end(struct store_backup *backup);

#endif
