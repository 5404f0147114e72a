/* store_thread.c - the store's thread: it commits what waits, and checkpoints when nothing does. */
#include "backend/sqlite/checkpoint.h"
#include "backend/sqlite/group_table.h"
#include "backend/sqlite/store_internal.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/threads.h"

/* Of one commit. */
#define MAX_BATCH_BYTES ((size_t)4 << 20)
#define MAX_BATCH_EVENTS 32768u

/* Under the lock. Moves what fits into one commit to `batch`; the first one always does. */
static void gather(struct store *store, struct list *batch)
{
    size_t bytes = 0;
    uint32_t events = 0;

    list_each(node, safe, &store->waiting) {
        struct topic_work *work = container_of(node, struct topic_work, in_queue);

        if (!list_empty(batch) &&
            (bytes + work->bytes > MAX_BATCH_BYTES || events + work->events > MAX_BATCH_EVENTS))
            break;
        bytes += work->bytes;
        events += work->events;
        list_remove(node);
        list_append(batch, node);
        if (work->kind->begun)
            work->kind->begun(store, work);
        if (work->kind->ends_batch)
            break;
    }
}

/* Under the lock. */
static bool has_cause(struct store *store)
{
    return !list_empty(&store->waiting) || store->closing || backup_is_copying(store);
}

/* Waits until there is something to commit, until the log is to be made empty, or for the end; and
 * for a store_read(). Returns whether it is not the end: an empty `batch` then means that time has
 * passed. */
static bool next_batch(struct store *store, struct list *batch, int64_t idle_ns)
{
    pthread_mutex_lock(&store->lock);
    store->is_used = false;
    if (store->is_lent)
        pthread_cond_broadcast(&store->changed);
    while (store->is_lent || !has_cause(store)) {
        if (!cond_wait_until(&store->changed, &store->lock, store->is_lent ? INT64_MAX : idle_ns) &&
            !store->is_lent)
            break;
    }
    store->is_used = true;
    gather(store, batch);
    store->has_batch = !list_empty(batch);
    const bool goes_on = !store->closing || !list_empty(batch);
    pthread_mutex_unlock(&store->lock);
    return goes_on;
}

static bool has_failed(const struct store *store)
{
    return store_is(store, STORE_IS_FAILED);
}

/* When there is something to do, though nothing waits. */
static int64_t due_ns(const struct store *store)
{
    return has_failed(store) ? INT64_MAX : MIN_OF(store->log.due_ns, store_disk_due_ns(store));
}

static void close_database(struct store *store)
{
    const bool failed_before = has_failed(store);

    backup_abort(store);
    readers_stop(&store->readers);
    log_fini(&store->log);
    groups_fini(&store->groups);
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
    while (next_batch(store, &batch, MIN_OF(idle_ns, due_ns(store)))) {
        const bool is_idle = list_empty(&batch);

        if (is_idle && clock_mono_ns() >= idle_ns) {
            store_disk_rest(store);
            idle_ns = INT64_MAX;
        } else if (!is_idle || due_ns(store) <= clock_mono_ns()) {
            store_commit(store, &batch);
            store_disk_tend(store);
            if (!is_idle || (store->database.wal_used_bytes > 0 && idle_ns == INT64_MAX))
                idle_ns = clock_from_now_ns(CHECKPOINT_TRUNCATE_NS);
        }
        backup_turn(store);
    }
    close_database(store);
    pthread_mutex_lock(&store->lock);
    store->ended = true;
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->lock);
    return NULL;
}
