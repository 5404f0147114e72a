/* wal_tail.h - what SQLite leaves out of its log ("-wal") when it opens a database after a kill or
 * a power cut. It uses what is there up to the last whole commit before the first bad frame, and
 * says nothing of the rest.
 *
 * Frames behind the last commit that are good are a transaction that was never committed. A bad
 * frame was being written when the machine stopped, and then no commit behind it was confirmed; or
 * it is damaged, and commits that were confirmed are gone. The file alone does not tell which.
 *
 * For the files of this room. Threads: the one that opens the store. */
#ifndef TRIBUTARY_BACKEND_SQLITE_WAL_TAIL_H
#define TRIBUTARY_BACKEND_SQLITE_WAL_TAIL_H

#include <stdint.h>

#include "backend/sqlite/state_dir.h"

struct wal_tail {
    int64_t bad_frame; /* from 1; 0: the header of the log; -1: nothing is bad */
    int64_t used;      /* frames up to the last commit before it */
    int64_t unused;    /* frames of this log from the bad one on; with a bad header all that fit */
};

/* Before the database is opened. Frames of an earlier log, which remain in the file, are not
 * counted. A damaged last frame that looks like one of these is not seen. Where the file is not
 * there, or cannot be read, nothing is bad: SQLite says more of that. */
struct wal_tail wal_tail_read(const struct state_dir *dir, const char *name);

#endif
