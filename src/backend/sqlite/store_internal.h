/* store_internal.h - the store as its files see it. */
#ifndef TRIBUTARY_BACKEND_SQLITE_STORE_INTERNAL_H
#define TRIBUTARY_BACKEND_SQLITE_STORE_INTERNAL_H

#include <pthread.h>

#include "backend/sqlite/database.h"
#include "backend/sqlite/store.h"
#include "loop/loop.h"

struct store {
    struct loop *loop;
    struct store_params params; /* without the path */
    struct state_dir dir;

    /* The thread that opens it; then the store's thread. */
    struct database database;

    /* Loop only. */
    struct list in_flight; /* of struct store_op, by deadline: all that were not answered */
    struct timer deadline; /* of the first one that is not late */

    /* Any thread, under `lock`. */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* something waits, or `closing` or `ended` was set */
    struct list waiting;    /* of struct store_op */
    size_t waiting_count, waiting_bytes;
    struct store_health health;
    bool closing, ended;

    bool has_thread;
    pthread_t thread;
};

static inline size_t store_op_bytes(const struct store_op *op)
{
    return sizeof(*op) + op->record.name.size + op->record.value.size + op->record.owner.size;
}

/* store_thread.c. `ctx` is the store. */
void *store_thread(void *ctx);

/* ---- store_commit.c: the store's thread ---- */

/* Carries out these operations in one transaction, and answers them. */
void store_commit(struct store *store, struct list *batch);

/* Notes what a step led to, and logs it where it is news. Returns it. */
enum db_result store_note(struct store *store, enum db_result result);

#endif
