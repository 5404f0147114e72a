/* store_disk.c - what the store's thread does for the disk: checkpoints, a full disk, a log of the
 * database that grows.
 *
 * DESIGN. The first step that finds the disk full makes the store full: appends are refused at
 * once, and the ballast is removed. In the space that it leaves, topics are trimmed and the log is
 * checkpointed, once a second. Topics may be changed and deleted meanwhile. The store is healthy
 * again when a transaction was written and there is space for the ballast and more; pages of the
 * database that are free count as such. Without a ballast the store is full as soon as only half
 * of that space is left: a checkpoint needs some. */
#include <stdio.h>

#include "backend/sqlite/checkpoint.h"
#include "backend/sqlite/store_internal.h"
#include "base/clock.h"
#include "base/log.h"

#define RETRY_EVERY_NS NS_PER_S
#define RETRY_WAL_EVERY_NS (100 * NS_PER_MS)
/* A warning for an operator. The next one comes after an eighth was free. */
#define LOW_PART 10
#define NOT_LOW_PART 8

static void warn_if_low(struct store *store, const struct disk_space *space)
{
    const bool is_low = space->free_bytes < space->all_bytes / (store->is_low ? NOT_LOW_PART : LOW_PART);

    if (is_low && !store->is_low)
        log_write(LOG_WARN, "store.disk_low", LOG_TEXT("path", store->dir.path),
                  LOG_NUMBER("free_bytes", space->free_bytes), LOG_NUMBER("all_bytes", space->all_bytes));
    store->is_low = is_low;
}

void store_disk_init(struct store *store)
{
    struct disk_space space;

    ballast_init(&store->ballast, &store->dir, store->params.ballast_bytes);
    store->has_space = true;
    store->retry_ns = INT64_MAX;
    if (!disk_space_find(&store->dir, &space))
        return;
    warn_if_low(store, &space);
    if (space.free_bytes < ballast_margin(&store->ballast)) /* a start writes too */
        ballast_remove(&store->ballast);
}

int64_t store_disk_due_ns(const struct store *store)
{
    const int64_t ballast_ns = store_is(store, STORE_IS_FULL) ? INT64_MAX : store->ballast.due_ns;

    return MIN_OF(store->retry_ns, ballast_ns);
}

static int64_t pages(struct store *store, enum db_statement which, int64_t before)
{
    sqlite3_stmt *statement = store->database.statements[which];
    const int64_t found = sqlite3_step(statement) == SQLITE_ROW
                              ? sqlite3_column_int64(statement, 0) * store->database.page_bytes
                              : before;

    (void)sqlite3_reset(statement);
    return found;
}

/* What cannot be read stays as it was: the next step that counts finds out why. */
void store_disk_note(struct store *store)
{
    const struct store_sizes sizes = {
        .database = pages(store, DB_PAGES, store->sizes.database),
        .free = pages(store, DB_FREE_PAGES, store->sizes.free),
        .log = store->database.wal_used_bytes,
        .ballast = store->ballast.written,
    };

    pthread_mutex_lock(&store->lock);
    store->sizes = sizes;
    pthread_mutex_unlock(&store->lock);
}

/* ---- checkpoints ---- */

static bool nothing_waits(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    const bool is_empty = list_empty(&store->waiting);
    pthread_mutex_unlock(&store->lock);
    return is_empty;
}

/* Readers may still need a part of the log. Then they are kept out for the rest. */
static enum db_result checkpoint(struct store *store)
{
    enum db_result result = checkpoint_run(&store->database, CHECKPOINT_PASSIVE);

    if (result == DB_OK &&
        (readers_exist(&store->readers) || store->database.wal_used_bytes > 2 * CHECKPOINT_ANYWAY_BYTES)) {
        readers_keep_out(&store->readers);
        result = checkpoint_run(&store->database, CHECKPOINT_RESTART);
        readers_let_in(&store->readers);
    }
    return store_note(store, result);
}

static bool checkpoint_is_due(struct store *store)
{
    const int64_t bytes = store->database.wal_bytes;

    return store->appends_wait || bytes >= CHECKPOINT_ANYWAY_BYTES ||
           (bytes >= CHECKPOINT_IDLE_BYTES && nothing_waits(store));
}

void store_disk_rest(struct store *store)
{
    if (store_is(store, STORE_IS_FAILED))
        return;
    readers_keep_out(&store->readers);
    (void)store_note(store, checkpoint_run(&store->database, CHECKPOINT_TRUNCATE));
    readers_let_in(&store->readers);
    store_disk_note(store);
}

/* ---- the log of the database ---- */

/* Somebody else reads for long, or a checkpoint fails: then the log does not begin anew. */
static void look_at_log(struct store *store)
{
    const int64_t bytes = store->database.wal_used_bytes, max = store->params.max_wal_bytes;
    const bool is_large = bytes >= max / (store->wal_is_large ? 8 : 4), waits = bytes >= max;

    if (is_large && !store->wal_is_large)
        log_write(LOG_WARN, "store.large_log", LOG_TEXT("path", store->dir.path), LOG_NUMBER("bytes", bytes),
                  LOG_NUMBER("max_bytes", max),
                  LOG_TEXT("reason", "another program reads the database for long, or a checkpoint fails"));
    store->wal_is_large = is_large;
    pthread_mutex_lock(&store->lock);
    const bool is_news = store->appends_wait != waits;
    store->appends_wait = waits;
    pthread_mutex_unlock(&store->lock);
    if (is_news)
        log_write(waits ? LOG_ERROR : LOG_INFO, waits ? "store.log_full" : "store.log_empty",
                  LOG_TEXT("path", store->dir.path), LOG_NUMBER("bytes", bytes));
    if (is_news && !waits)
        store_be_writable(store);
}

/* ---- a full disk ---- */

/* What the database can still grow by, pages that are free in it included. */
static bool find_space(struct store *store, struct disk_space *space)
{
    int64_t pages = 0;

    if (!disk_space_find(&store->dir, space) ||
        !database_number(&store->database, "PRAGMA freelist_count", &pages))
        return false;
    space->free_bytes += pages * store->database.page_bytes;
    return true;
}

/* Sets `has_space`. Where the ballast stands, the disk itself says when it is full. */
static void look_at_space(struct store *store)
{
    const int64_t full = store->ballast.bytes + ballast_margin(&store->ballast);
    struct disk_space space;

    store->has_space = true;
    if (store->ballast.bytes == 0 || (ballast_is_whole(&store->ballast) && !store_is(store, STORE_IS_FULL)))
        return;
    if (!find_space(store, &space))
        return;
    store->has_space = space.free_bytes >= (store_is(store, STORE_IS_FULL) ? full : store->ballast.bytes / 2);
    if (store->has_space || store_is(store, STORE_IS_FULL))
        return;
    store->database.error = (struct db_error){.result = DB_FULL, .code = SQLITE_FULL};
    snprintf(store->database.error.text, sizeof(store->database.error.text),
             "only %lld bytes are free on its disk, and they are kept for checkpoints",
             (long long)space.free_bytes);
    (void)store_note(store, DB_FULL);
}

/* Makes space, and looks whether there is any. */
static void be_full(struct store *store)
{
    struct list nothing;

    list_init(&nothing);
    if (store->ballast.written > 0)
        ballast_remove(&store->ballast);
    store->has_space = false;
    store->log.due_ns = clock_mono_ns(); /* trims */
    store_commit(store, &nothing);
    if (!store_is(store, STORE_IS_FAILED) && checkpoint(store) == DB_OK) {
        look_at_space(store);
        if (store->has_space)
            store_commit(store, &nothing);
    }
    store->retry_ns = clock_from_now_ns(RETRY_EVERY_NS);
}

static void tend(struct store *store)
{
    struct disk_space space;

    if (checkpoint_is_due(store)) {
        (void)checkpoint(store);
        if (disk_space_find(&store->dir, &space))
            warn_if_low(store, &space);
    }
    look_at_log(store);
    look_at_space(store);
    if (store_is(store, STORE_IS_FULL)) {
        if (store->ballast.written > 0 || clock_mono_ns() >= store->retry_ns || store->retry_ns == INT64_MAX)
            be_full(store);
        return;
    }
    store->retry_ns = store->appends_wait ? clock_from_now_ns(RETRY_WAL_EVERY_NS) : INT64_MAX;
    if (store->ballast.due_ns <= clock_mono_ns())
        ballast_step(&store->ballast);
}

void store_disk_tend(struct store *store)
{
    if (store_is(store, STORE_IS_FAILED))
        return;
    tend(store);
    store_disk_note(store);
}
