/* store.h - what the server keeps on the disk, in one SQLite file: named records of a few kinds,
 * and topics. Who uses it knows no SQL.
 *
 *   /PATH/store.db, store.db-wal, store.db-shm   the database
 *   /PATH/store.lock                             keeps a second process out
 *   /PATH/store.ballast                          keeps space for a full disk (ballast.h)
 *
 * DESIGN. One thread of the store writes. An operation is given to it on the loop and answered
 * there; appends to topics come from any thread. The store's thread commits all that waits at that
 * time together, and answers it after that commit: each of them is then on the disk. Other threads
 * read topics (readers.h).
 *
 * The first error is final, unless it is known to pass (a full disk, a lock of another program, no
 * memory): the store is failed then. Nothing is written any more, and every operation is refused
 * until a process opens the store anew. A failed fsync is never tried again: the kernel may have
 * forgotten what it could not write.
 *
 * The store repairs nothing and deletes nothing. What is odd when it is opened is refused.
 *
 * Threads: the loop, but for store_health() and topics. */
#ifndef TRIBUTARY_BACKEND_SQLITE_STORE_H
#define TRIBUTARY_BACKEND_SQLITE_STORE_H

#include <stdbool.h>

#include "backend/sqlite/record.h"
#include "backend/sqlite/refusal.h"
#include "backend/sqlite/store_health.h"
#include "base/base.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "base/status.h"
#include "topic/topic_port.h"

struct loop;
struct store;

struct store_params {
    const char *path; /* of the folder; made with mode 0700 where it is missing */
    /* An operation that waits for so long is given up, or is late: see struct store_op. */
    int64_t timeout_ns;
    uint32_t max_waiting; /* operations that wait for the thread; one more is refused */
    size_t max_waiting_bytes;
    int64_t ballast_bytes; /* 0: none */
    int64_t max_wal_bytes; /* of the log (-wal), beyond which appends wait; 0: STORE_WAL_BYTES */
};

/* A file of another program's, or the disk, keeps the log from being made empty: at a quarter of
 * this the log says so. */
#define STORE_WAL_BYTES (INT64_C(256) << 20)
#define STORE_BALLAST_BYTES (INT64_C(32) << 20)

/* Opens the store of a folder, and makes both where they are missing; then starts its thread. It
 * blocks for as long as the disk takes; after a power cut or a failed write it checks all pages.
 *
 *   ERR_OK         store_stop() and store_free() must follow
 *   ERR_INVALID    *refusal says in one sentence why, with path and cause; nothing is open
 *   ERR_NO_MEMORY  the same */
MUST_CHECK enum err store_open(struct loop *loop, const struct store_params *params, struct store **store_out,
                               struct refusal *refusal);

/* ---- records ---- */

/* Calls `each` for every record of a kind, in the order of names. It blocks, also until the thread
 * has ended a commit: before the first operation only. `each` returns false where memory runs out.
 *   ERR_INVALID  *refusal says why; some were shown */
MUST_CHECK enum err store_read(struct store *store, const char *kind,
                               bool (*each)(void *ctx, const struct store_record *record), void *ctx,
                               struct refusal *refusal);

enum store_outcome {
    STORE_DONE,       /* it is on the disk */
    STORE_QUEUE_FULL, /* too much waits already. Nothing has changed */
    STORE_TOO_LATE,   /* it waited for longer than the timeout. Nothing has changed */
    STORE_DISK_FULL,  /* nothing has changed. It may pass */
    STORE_LOCKED,     /* another program has the database locked. Nothing has changed */
    STORE_NO_MEMORY,  /* nothing has changed */
    STORE_FAILED,     /* the store is failed. Nothing has changed */
    STORE_UNKNOWN,    /* the commit failed, and so has the store. Nobody knows until it is opened anew */
};

enum store_verb {
    STORE_PUT,   /* writes the record, whether one of this name is there or not */
    STORE_REMOVE /* removes it, if it is there */
};

/* One operation, embedded in what it is about. Everything here is the store's from store_submit()
 * until done(); the memory that `record` points to must stay until then. */
struct store_op {
    enum store_verb verb;
    struct store_record record;
    /* Loop. The thread has begun, and the timeout has passed: done() follows when the disk answers,
     * if it ever does. At most once. NULL is allowed. */
    void (*late)(struct store_op *op);
    /* Loop; once. `before` is the caller's: buf_fini() of its buffers must follow. */
    void (*done)(struct store_op *op);
    enum store_outcome outcome;
    struct store_before before; /* with STORE_DONE */

    /* The store's. */
    struct store *store;
    struct task task;
    struct topic_work work;
    struct list in_flight;
    int64_t deadline_ns;
    bool is_late, is_begun;
};

/* Gives an operation to the store. done() follows in a later turn, in any case. Operations are
 * carried out in the order in which they were given. */
void store_submit(struct store *store, struct store_op *op);

/* ---- topics ---- */

/* So much may wait for its commit: two commits, or 16 MiB. */
#define MAX_UNCOMMITTED_BYTES ((size_t)16 << 20)
#define MAX_UNCOMMITTED_EVENTS 65536u
/* So many are remembered. With one more, the one that was silent for longest is forgotten. */
#define MAX_PUBLISHERS MAX_UNCOMMITTED_EVENTS
/* A publisher that was silent for so long is forgotten. */
#define PUBLISHER_KEPT_NS (7 * 24 * 3600 * INT64_C(1000000000))

/* The topics of the store. `writable` is called when an append that was refused with ERR_FULL may
 * be tried again; NULL is allowed. Before the first append. */
struct topic_port store_topics(struct store *store, void (*writable)(void *ctx), void *ctx);

/* ---- how it is ---- */

/* Any thread. */
struct store_health store_health(struct store *store);
bool store_is_busy(struct store *store); /* whether something waits for the disk */
/* Any thread. The absolute path of the folder; 32 hex digits that no other store has. */
const char *store_path(const struct store *store);
const char *store_uuid(const struct store *store);

/* ---- the end ---- */

/* No operation is given any more. Carries out those that wait, notes in the file that the store was
 * closed as it should be, closes it, and ends the thread. Their done() is called by the loop
 * afterwards. False: that took longer than `max_ns`, because the disk does not answer. Then the
 * process must end without store_free(). */
MUST_CHECK bool store_stop(struct store *store, int64_t max_ns);

/* Whether every operation was answered: done() was called. */
bool store_is_idle(const struct store *store);

/* After store_stop(), and when it is idle: the loop has run what was posted. NULL is allowed. */
void store_free(struct store *store);

#endif
