/* store_open.c - the beginning and the end of a store. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/sqlite/record_table.h"
#include "backend/sqlite/store_internal.h"
#include "backend/sqlite/group_table.h"
#include "backend/sqlite/store_groups.h"
#include "backend/sqlite/topic_lineage.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/threads.h"

/* ---- how it is ---- */

struct store_health store_health(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    const struct store_health health = store->health;
    pthread_mutex_unlock(&store->lock);
    return health;
}

struct store_sizes store_sizes(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    const struct store_sizes sizes = store->sizes;
    pthread_mutex_unlock(&store->lock);
    return sizes;
}

bool store_is_busy(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    const bool is_busy = store->has_batch || !list_empty(&store->waiting);
    pthread_mutex_unlock(&store->lock);
    return is_busy;
}

const char *store_path(const struct store *store)
{
    return store->dir.path;
}

const char *store_uuid(const struct store *store)
{
    return store->database.uuid;
}

/* ---- the beginning and the end ---- */

static struct store *store_new(struct loop *loop, const struct store_params *params)
{
    struct store *store = calloc(1, sizeof(*store));

    if (!store)
        return NULL;
    store->loop = loop;
    store->params = *params;
    store->params.path = NULL;
    if (store->params.max_wal_bytes == 0)
        store->params.max_wal_bytes = STORE_WAL_BYTES;
    store->dir = (struct state_dir){.fd = -1, .lock_fd = -1};
    store->health.code = "";
    list_init(&store->in_flight);
    list_init(&store->waiting);
    CHECK(pthread_mutex_init(&store->lock, NULL) == 0);
    cond_init(&store->changed);
    log_init(&store->log);
    groups_init(&store->groups);
    readers_init(&store->readers, store->database.path);
    return store;
}

static bool start(struct store *store, struct refusal *refusal)
{
    store_disk_note(store);
    const int failed = thread_start(&store->thread, store_thread, store, "store");

    store->has_thread = failed == 0;
    return store->has_thread ||
           refuse(refusal, "%s: start its thread: %s", store->dir.path, strerror(failed));
}

enum err store_open(struct loop *loop, const struct store_params *params, struct store **store_out,
                    struct refusal *refusal)
{
    struct store *store = store_new(loop, params);

    refusal->text[0] = '\0';
    if (!store) {
        (void)refuse(refusal, "%s: no memory", params->path);
        return ERR_NO_MEMORY;
    }
    const bool is_ours = state_dir_open(params->path, &store->dir, refusal);
    if (is_ours)
        store_disk_init(store);
    if (!is_ours || !backup_remove_files(&store->dir, refusal) ||
        !database_open(&store->database, &store->dir, refusal) ||
        !log_open(&store->database, &store->log, refusal) ||
        !groups_open(&store->database, &store->groups, &store->log, refusal) ||
        !lineage_renew(&store->database, &store->log, refusal) ||
        !database_mark_open(&store->database, refusal) || !start(store, refusal)) {
        log_fini(&store->log);
        groups_fini(&store->groups);
        (void)database_close(&store->database, false);
        store_free(store);
        return ERR_INVALID;
    }
    state_dir_note(&store->dir, false);
    log_write(LOG_INFO, "store.opened", LOG_TEXT("path", store->dir.path),
              LOG_TEXT("uuid", store->database.uuid),
              LOG_TEXT("before", store->dir.failed_before    ? "failed"
                                 : store->database.was_clean ? "closed"
                                                             : "killed"));
    *store_out = store;
    return ERR_OK;
}

/* The thread may have begun what is due with the topics. From here on it does not use the
 * connection. */
static void borrow_connection(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    store->is_lent = true;
    while (store->is_used)
        (void)cond_wait_until(&store->changed, &store->lock, INT64_MAX);
    pthread_mutex_unlock(&store->lock);
}

static void return_connection(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    store->is_lent = false;
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->lock);
}

enum err store_read(struct store *store, const char *kind,
                    bool (*each)(void *ctx, const struct store_record *record), void *ctx,
                    struct refusal *refusal)
{
    CHECK(list_empty(&store->in_flight));
    refusal->text[0] = '\0';
    borrow_connection(store);
    const bool is_ok = record_each(&store->database, kind, each, ctx, refusal);
    return_connection(store);
    return is_ok ? ERR_OK : ERR_INVALID;
}

enum err store_read_cursors(struct store *store,
                            bool (*each)(void *ctx, const struct group_cursor_info *info), void *ctx,
                            struct refusal *refusal)
{
    refusal->text[0] = '\0';
    borrow_connection(store);
    const bool is_ok = cursors_each(store, each, ctx, refusal);
    return_connection(store);
    return is_ok ? ERR_OK : ERR_INVALID;
}

bool store_stop(struct store *store, int64_t max_ns)
{
    const int64_t deadline_ns = clock_from_now_ns(max_ns);
    bool ended;

    pthread_mutex_lock(&store->lock);
    store->closing = true;
    pthread_cond_broadcast(&store->changed);
    while (!store->ended && cond_wait_until(&store->changed, &store->lock, deadline_ns)) {
    }
    ended = store->ended;
    pthread_mutex_unlock(&store->lock);
    if (!ended) {
        log_write(LOG_ERROR, "store.not_closed", LOG_TEXT("path", store->dir.path),
                  LOG_TEXT("reason", "the disk does not answer"));
        return false;
    }
    CHECK(pthread_join(store->thread, NULL) == 0);
    store->has_thread = false;
    timer_stop(&store->deadline);
    state_dir_close(&store->dir);
    return true;
}

bool store_is_idle(const struct store *store)
{
    return list_empty(&store->in_flight) && !store->backup.backup;
}

void store_free(struct store *store)
{
    if (!store)
        return;
    CHECK(!store->has_thread && store_is_idle(store));
    if (store->backup.state == BACKUP_HELD)
        (void)unlink(store->backup.path);
    timer_stop(&store->deadline);
    state_dir_close(&store->dir);
    readers_fini(&store->readers);
    pthread_cond_destroy(&store->changed);
    pthread_mutex_destroy(&store->lock);
    free(store);
}
