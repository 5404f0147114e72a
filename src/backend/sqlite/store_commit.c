/* store_commit.c - one transaction for all work that waited, and how the store is after it. */
#include <inttypes.h>
#include <stdio.h>

#include "backend/sqlite/database_schema.h"
#include "backend/sqlite/due_table.h"
#include "backend/sqlite/group_table.h"
#include "backend/sqlite/store_internal.h"
#include "base/log.h"

/* ---- how the store is ---- */

/* A full disk has passed when something could be written, and there is space for more. */
static enum store_state state_of(const struct store *store, enum db_result result)
{
    const enum store_state now = store->health.state;

    switch (result) {
    case DB_OK:
        return now == STORE_IS_FULL && !store->has_space ? now : STORE_HEALTHY;
    case DB_FULL:
        return STORE_IS_FULL;
    case DB_FAILED:
        return STORE_IS_FAILED;
    case DB_LOCKED:
    case DB_NO_MEMORY:
        break;
    }
    return now;
}

static void log_health(const struct store *store, const struct store_health *health)
{
    static const char *const events[] = {[STORE_HEALTHY] = "store.recovered",
                                         [STORE_IS_FULL] = "store.full",
                                         [STORE_IS_FAILED] = "store.failed"};

    log_write(health->state == STORE_HEALTHY ? LOG_INFO : LOG_ERROR, events[health->state],
              LOG_TEXT("path", store->dir.path), LOG_TEXT("code", health->code),
              LOG_TEXT("reason", health->message));
}

enum db_result store_note(struct store *store, enum db_result result)
{
    const struct db_error *error = &store->database.error;
    struct store_health health = {.code = ""};

    pthread_mutex_lock(&store->lock);
    health.state = state_of(store, result);
    /* failed is final */
    const bool is_news = health.state != store->health.state && store->health.state != STORE_IS_FAILED;
    if (is_news && health.state != STORE_HEALTHY) {
        health.code = sqlite_code_name(error->code);
        snprintf(health.message, sizeof(health.message), "%s", error->text);
    }
    if (is_news)
        store->health = health;
    pthread_mutex_unlock(&store->lock);
    if (is_news && health.state == STORE_IS_FAILED)
        state_dir_note(&store->dir, true);
    if (is_news)
        log_health(store, &health);
    return result;
}

/* ---- answers ---- */

/* Under the lock. */
static bool is_writable(const struct store *store)
{
    return (store->append_refused || store->save_refused) && !store->appends_wait &&
           store->uncommitted_bytes <= MAX_UNCOMMITTED_BYTES / 2 &&
           store->uncommitted_events <= MAX_UNCOMMITTED_EVENTS / 2;
}

void store_be_writable(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    const bool calls = is_writable(store), for_append = calls && store->append_refused,
               for_save = calls && store->save_refused;
    if (calls)
        store->append_refused = store->save_refused = false;
    pthread_mutex_unlock(&store->lock);
    if (for_save && store->save_writable)
        store->save_writable(store->save_writable_ctx);
    if (for_append && store->writable)
        store->writable(store->writable_ctx);
}

/* What is answered makes space for more appends. */
static void count_out(struct store *store, size_t bytes, uint32_t events)
{
    pthread_mutex_lock(&store->lock);
    store->uncommitted_bytes -= bytes;
    store->uncommitted_events -= events;
    pthread_mutex_unlock(&store->lock);
    store_be_writable(store);
}

static void answer_all(struct store *store, struct list *batch, enum db_result result, bool committed)
{
    size_t bytes = 0;
    uint32_t events = 0;

    list_each(node, safe, batch) {
        struct topic_work *work = container_of(node, struct topic_work, in_queue);

        list_remove(node);
        bytes += work->events > 0 ? work->bytes : 0;
        events += work->events;
        work->kind->answer(store, work, result, committed); /* it may be gone from here on */
    }
    if (events > 0)
        count_out(store, bytes, events);
}

/* ---- a transaction ---- */

/* What this transaction writes shows whether the disk is still full. */
static enum db_result note_full(struct store *store)
{
    char now[24];

    snprintf(now, sizeof(now), "%" PRId64, store->log.now_ns);
    return meta_set(&store->database, "full", now);
}

static enum db_result carry_out_all(struct store *store, struct list *batch)
{
    enum db_result result = database_begin(&store->database);

    log_begin(&store->log);
    list_each(node, safe, batch) {
        struct topic_work *work = container_of(node, struct topic_work, in_queue);

        if (result != DB_OK)
            break;
        result = work->kind->carry_out(store, work);
    }
    if (result == DB_OK)
        result = log_end(store);
    return result == DB_OK && store_is(store, STORE_IS_FULL) ? note_full(store) : result;
}

/* A full disk may show when the commit is written: then it is known that nothing of it counts. */
static enum db_result run(struct store *store, struct list *batch, bool *committed_out)
{
    struct database *database = &store->database;
    enum db_result result = database_check_places(database);

    if (result == DB_OK)
        result = carry_out_all(store, batch);
    *committed_out = result == DB_OK;
    if (*committed_out)
        result = database_commit(database);
    if (result != DB_OK && database_rollback(database) == DB_FAILED)
        result = DB_FAILED;
    pthread_mutex_lock(&store->lock);
    if (result == DB_OK) {
        log_committed(store);
        groups_keep(store);
    } else {
        log_rolled_back(store);
        groups_undo(store);
    }
    pthread_mutex_unlock(&store->lock);
    return store_note(store, result);
}

/* While the disk is full: appends and saves, at once, without a transaction. */
static void refuse_appends(struct store *store, struct list *batch)
{
    struct list refused;

    list_init(&refused);
    list_each(node, safe, batch) {
        if (container_of(node, struct topic_work, in_queue)->events == 0)
            continue;
        list_remove(node);
        list_append(&refused, node);
    }
    answer_all(store, &refused, DB_FULL, false);
}

void store_commit(struct store *store, struct list *batch)
{
    enum db_result result = DB_FAILED;
    bool committed = false;

    if (store_is(store, STORE_IS_FULL) && !list_empty(batch)) {
        refuse_appends(store, batch);
        if (list_empty(batch))
            return;
    }
    if (!store_is(store, STORE_IS_FAILED))
        result = run(store, batch, &committed);
    answer_all(store, batch, result, committed);
    due_notify(store);
}
