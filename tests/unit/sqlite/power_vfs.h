/* power_vfs.h - a VFS of SQLite in front of the real one: it cuts the power, fails calls, fills the
 * disk and lets fsync wait.
 *
 * Each file of a database has two images: what programs see (the real file), and what is on the
 * disk. A write goes to the first one and to a list; xSync brings the list to the second one. When
 * the power is cut at a call, that call and all further ones fail. power_return() then makes the
 * files what a disk may have: what was synced, and an arbitrary part of the list.
 *
 * Threads: one at a time, as the store's database; power_release_sync() on any. */
#ifndef TRIBUTARY_TESTS_UNIT_SQLITE_POWER_VFS_H
#define TRIBUTARY_TESTS_UNIT_SQLITE_POWER_VFS_H

#include <stdbool.h>
#include <stdint.h>

/* What the VFS does wrong. Zeroed: nothing. Calls that change something are numbered from 1. */
struct power_plan {
    unsigned off_at;            /* this call and all later ones of any kind fail */
    unsigned kill_at;           /* in the middle of this call the process kills itself: SIGKILL */
    unsigned fail_sync_at;      /* the n-th xSync fails, and forgets what it should have written */
    int64_t free_bytes;         /* writes that make files longer than that together fail; 0: no bound */
    int64_t (*find_free)(void); /* writes that make a file longer by more than that fail; may be NULL */
    int write_errno;            /* with these two: the errno of that write. 0: SQLITE_FULL */
    bool no_sync;               /* a disk that lies: xSync does nothing */
    bool block_sync;            /* xSync waits for power_release_sync() */
};

/* Puts the VFS in front, as the default one. Idempotent. */
void power_vfs_register(void);

/* Begins anew: all files are on the disk as they are. The calls are numbered from 1 again. */
void power_plan_set(const struct power_plan *plan);
/* Changes what is done wrong, and nothing else. */
void power_plan_change(const struct power_plan *plan);
unsigned power_calls(void); /* so far */
void power_release_sync(void);
bool power_sync_waits(void); /* any thread: an xSync waits */

/* After a cut, when the database is closed: makes the files what the disk has. `seed` chooses what
 * of the writes that were not synced is there: none, all, some, or some sectors of them, of which
 * some hold garbage. */
void power_return(uint64_t seed);

#endif
