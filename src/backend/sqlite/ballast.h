/* ballast.h - a file that keeps space on the disk. When the disk is full the file is removed. Then
 * the store has the space to trim, to checkpoint and to change topics, and so to make space.
 *
 *   /PATH/store.ballast   `bytes` bytes that are really written, and that no file system compresses
 *
 * For the files of this room. Threads: the store's. */
#ifndef TRIBUTARY_BACKEND_SQLITE_BALLAST_H
#define TRIBUTARY_BACKEND_SQLITE_BALLAST_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/sqlite/state_dir.h"

#define STORE_BALLAST "store.ballast"

/* It is written in steps of this size, so commits wait for one step at most. */
#define BALLAST_STEP_BYTES (INT64_C(4) << 20)
/* On a small disk it is smaller: a quarter of it. Below this there is none. */
#define BALLAST_DISK_PART 4
#define MIN_BALLAST_BYTES (INT64_C(1) << 20)

struct ballast {
    const struct state_dir *dir;
    int64_t bytes;   /* that are wanted; 0: there is none */
    int64_t written; /* so many are on the disk */
    int64_t due_ns;  /* monotonic: of ballast_step(); INT64_MAX: never */
    bool was_refused, was_removed;
};

struct disk_space {
    int64_t free_bytes, all_bytes;
};

/* What the file system of the folder has. False: errno says why not. */
MUST_CHECK bool disk_space_find(const struct state_dir *dir, struct disk_space *space_out);

/* Looks for the file of an earlier process. */
void ballast_init(struct ballast *ballast, const struct state_dir *dir, int64_t wanted);

/* What must be free beside it before it is written. */
static inline int64_t ballast_margin(const struct ballast *ballast)
{
    return ballast->bytes / 2;
}

static inline bool ballast_is_whole(const struct ballast *ballast)
{
    return ballast->written >= ballast->bytes;
}

/* At ballast->due_ns: writes the next part, if there is space for the rest. After
 * ballast_remove() 5 % of the disk must be free, or 1 GiB. */
void ballast_step(struct ballast *ballast);

/* Removes the file. It comes back through ballast_step(). */
void ballast_remove(struct ballast *ballast);

#endif
