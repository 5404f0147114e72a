/* store_thread.c - the store's thread: it commits what waits, and checkpoints when nothing does. */
#include "backend/sqlite/checkpoint.h"
#include "backend/sqlite/store_internal.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/threads.h"

/* Of one commit. */
#define MAX_BATCH_BYTES ((size_t)4 << 20)

/* Under the lock. Moves what fits into one commit to `batch`; the first one always does. */
static void gather(struct store *store, struct list *batch)
{
    size_t bytes = 0;

    list_each(node, safe, &store->waiting) {
        struct store_op *op = container_of(node, struct store_op, in_queue);
        const size_t size = store_op_bytes(op);

        if (bytes > 0 && bytes + size > MAX_BATCH_BYTES)
            break;
        bytes += size;
        op->is_begun = true;
        list_remove(node);
        list_append(batch, node);
        store->waiting_count--;
    }
    store->waiting_bytes -= bytes;
}

/* Waits until there is something to commit, until the log is to be made empty, or for the end.
 * Returns whether it is not the end: an empty `batch` then means that time has passed. */
static bool next_batch(struct store *store, struct list *batch, int64_t idle_ns)
{
    pthread_mutex_lock(&store->lock);
    while (list_empty(&store->waiting) && !store->closing &&
           cond_wait_until(&store->changed, &store->lock, idle_ns)) {
    }
    gather(store, batch);
    const bool goes_on = !store->closing || !list_empty(batch);
    pthread_mutex_unlock(&store->lock);
    return goes_on;
}

static bool nothing_waits(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    const bool is_empty = list_empty(&store->waiting);
    pthread_mutex_unlock(&store->lock);
    return is_empty;
}

static bool has_failed(struct store *store)
{
    return store_health(store).state == STORE_IS_FAILED;
}

static void checkpoint_if_due(struct store *store)
{
    const int64_t bytes = store->database.wal_bytes;

    if (!has_failed(store) &&
        (bytes >= CHECKPOINT_ANYWAY_BYTES || (bytes >= CHECKPOINT_IDLE_BYTES && nothing_waits(store))))
        (void)store_note(store, checkpoint_run(&store->database, CHECKPOINT_PASSIVE));
}

/* Nobody has written for a while. */
static void make_log_empty(struct store *store)
{
    if (!has_failed(store))
        (void)store_note(store, checkpoint_run(&store->database, CHECKPOINT_TRUNCATE));
}

static void close_database(struct store *store)
{
    const bool failed_before = has_failed(store);
    /* what stands in a log that has no name any more is brought into the file */
    const bool is_clean = database_close(&store->database, !failed_before || store->database.is_displaced);

    if (!is_clean)
        (void)store_note(store, store->database.error.result);
    log_write(is_clean && !failed_before ? LOG_INFO : LOG_ERROR, "store.closed",
              LOG_TEXT("path", store->dir.path),
              LOG_TEXT("mark", is_clean && !failed_before ? "clean" : "not clean"));
}

void *store_thread(void *ctx)
{
    struct store *store = ctx;
    int64_t idle_ns = INT64_MAX; /* when the log is made empty */
    struct list batch;

    list_init(&batch);
    while (next_batch(store, &batch, idle_ns)) {
        if (list_empty(&batch)) {
            make_log_empty(store);
            idle_ns = INT64_MAX;
            continue;
        }
        store_commit(store, &batch);
        checkpoint_if_due(store);
        idle_ns = clock_from_now_ns(CHECKPOINT_TRUNCATE_NS);
    }
    close_database(store);
    pthread_mutex_lock(&store->lock);
    store->ended = true;
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->lock);
    return NULL;
}
