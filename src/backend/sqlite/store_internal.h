/* store_internal.h - the store as its files see it. */
#ifndef TRIBUTARY_BACKEND_SQLITE_STORE_INTERNAL_H
#define TRIBUTARY_BACKEND_SQLITE_STORE_INTERNAL_H

#include <pthread.h>

#include "backend/sqlite/backup_job.h"
#include "backend/sqlite/ballast.h"
#include "backend/sqlite/database.h"
#include "backend/sqlite/readers.h"
#include "backend/sqlite/store.h"
#include "backend/sqlite/stored_group.h"
#include "backend/sqlite/topic_log.h"
#include "loop/loop.h"

/* A kind of work: a record's operation, an append, a change of a topic. */
struct work_kind {
    bool ends_batch; /* nothing that comes later is in the same transaction */
    /* Under the lock: the thread has begun. May be NULL. */
    void (*begun)(struct store *store, struct topic_work *work);
    /* In a transaction. What it refuses by itself it notes in the work, and is DB_OK. */
    enum db_result (*carry_out)(struct store *store, struct topic_work *work);
    /* What became of the transaction. `committed`: it got as far as the commit. The work may be
     * gone afterwards. */
    void (*answer)(struct store *store, struct topic_work *work, enum db_result result, bool committed);
};

struct store {
    struct loop *loop;
    struct store_params params; /* without the path */
    struct state_dir dir;

    /* The thread that opens it; then the store's thread. */
    struct database database;
    struct topic_log log;      /* what others may read of it stands in topic_log.h */
    struct group_table groups; /* the same: stored_group.h */
    struct ballast ballast;
    bool has_space;    /* what is free is enough for appends */
    bool is_low;       /* little of the disk is free */
    bool wal_is_large; /* the log of the database */
    int64_t retry_ns;  /* monotonic: when a full disk or a large log is looked at; INT64_MAX: never */

    /* Loop only. */
    struct list in_flight; /* of struct store_op, by deadline: all that were not answered */
    struct timer deadline; /* of the first one that is not late */

    /* Any thread, under `lock`. */
    pthread_mutex_t lock;
    pthread_cond_t changed;              /* something waits, or one of the flags was set or cleared */
    struct list waiting;                 /* of struct topic_work */
    size_t waiting_count, waiting_bytes; /* of records */
    size_t uncommitted_bytes;            /* of appends that wait or are being committed */
    uint32_t uncommitted_events;
    bool append_refused; /* writable() follows */
    bool save_refused;   /* save_writable() follows */
    bool appends_wait;   /* for the log of the database */
    struct store_health health;
    struct store_sizes sizes;
    bool has_batch; /* the thread carries out what was waiting */
    bool is_used;   /* the thread uses the connection */
    bool is_lent;   /* store_read() uses it, or waits for it */
    bool closing, ended;
    void (*writable)(void *ctx);
    void *writable_ctx;
    void (*save_writable)(void *ctx);
    void *save_writable_ctx;
    void (*appeared)(void *arg, const struct topic_appeared *appeared);
    void *appeared_arg;

    struct readers readers;
    struct backup_job backup;

    bool has_thread;
    pthread_t thread;
};

static inline size_t store_op_bytes(const struct store_op *op)
{
    return sizeof(*op) + op->record.name.size + op->record.value.size + op->record.owner.size;
}

/* store_submit.c */
extern const struct work_kind record_work;

/* store_topics.c. What a transaction that failed is to its work. */
enum topic_outcome topic_outcome_of(enum db_result result, bool committed);
/* Sets the work of an append: its size. */
void store_measure(struct topic_append *append);
/* Any thread. Lets work that counts as events wait. ERR_FULL: *refused_out is set. ERR_CLOSED. */
MUST_CHECK enum err store_accept(struct store *store, struct topic_work *work, bool *refused_out);
/* Any thread. Lets a change wait. False: the store is closing. */
MUST_CHECK bool store_accept_change(struct store *store, struct topic_work *work);

/* store_thread.c. `ctx` is the store. */
void *store_thread(void *ctx);

/* ---- store_commit.c: the store's thread ---- */

/* Carries out this work in one transaction, and answers it. The transaction also does what is due
 * with topics: see log_tidy(). So the batch may be empty. */
void store_commit(struct store *store, struct list *batch);

/* Notes what a step led to, and logs it where it is news. Returns it. */
enum db_result store_note(struct store *store, enum db_result result);

/* Calls writable() where an append was refused and would now be accepted. */
void store_be_writable(struct store *store);

/* store_topics.c. Whether somebody listens; calls appeared(). No lock is held. */
bool store_is_heard(struct store *store);
void store_appeared(struct store *store, const struct topic_appeared *appeared);

static inline bool store_is(const struct store *store, enum store_state state)
{
    return store->health.state == state; /* only this thread changes it */
}

/* ---- store_disk.c: the store's thread ---- */

void store_disk_init(struct store *store);
/* Notes how large the database and its files are. With an open database. */
void store_disk_note(struct store *store);
/* After each transaction: checkpoints where it is time, and cares for a disk that is full. */
void store_disk_tend(struct store *store);
/* When that is due without a transaction. */
int64_t store_disk_due_ns(const struct store *store);
/* Nobody has written for a while: makes the log of the database empty. */
void store_disk_rest(struct store *store);

#endif
