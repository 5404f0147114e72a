/* store_commit.c - one transaction for all operations that waited, and how the store is after
 * it. */
#include <stdio.h>

#include "backend/sqlite/record_table.h"
#include "backend/sqlite/store_internal.h"
#include "base/log.h"

/* ---- how the store is ---- */

static enum store_state state_of(enum db_result result, enum store_state now)
{
    switch (result) {
    case DB_OK:
        return STORE_HEALTHY;
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
    health.state = state_of(result, store->health.state);
    /* failed is final */
    const bool is_news = health.state != store->health.state && store->health.state != STORE_IS_FAILED;
    if (is_news && health.state != STORE_HEALTHY) {
        health.code = sqlite_code_name(error->code);
        snprintf(health.message, sizeof(health.message), "%s", error->text);
    }
    if (is_news)
        store->health = health;
    pthread_mutex_unlock(&store->lock);
    if (is_news)
        log_health(store, &health);
    return result;
}

/* ---- a transaction ---- */

static enum store_outcome outcome_of(enum db_result result, bool committed)
{
    switch (result) {
    case DB_OK:
        return STORE_DONE;
    case DB_FULL:
        return STORE_DISK_FULL;
    case DB_LOCKED:
        return STORE_LOCKED;
    case DB_NO_MEMORY:
        return STORE_NO_MEMORY;
    case DB_FAILED:
        break;
    }
    return committed ? STORE_UNKNOWN : STORE_FAILED;
}

static enum db_result carry_out(struct database *database, struct store_op *op)
{
    switch (op->verb) {
    case STORE_PUT:
        return record_put(database, &op->record, &op->before);
    case STORE_REMOVE:
        return record_remove(database, &op->record, &op->before);
    }
    return DB_OK;
}

static enum db_result carry_out_all(struct database *database, struct list *batch)
{
    enum db_result result = database_begin(database);

    list_each(node, safe, batch) {
        if (result != DB_OK)
            break;
        result = carry_out(database, container_of(node, struct store_op, in_queue));
    }
    return result;
}

/* A full disk may show when the commit is written: then it is known that nothing of it counts. */
static enum store_outcome run(struct store *store, struct list *batch)
{
    struct database *database = &store->database;
    enum db_result result = database_check_places(database);

    if (result == DB_OK)
        result = carry_out_all(database, batch);
    const bool commits = result == DB_OK;

    if (commits)
        result = database_commit(database);
    if (result != DB_OK && database_rollback(database) == DB_FAILED)
        result = DB_FAILED;
    return outcome_of(store_note(store, result), commits);
}

static void discard(struct store_before *before)
{
    buf_fini(&before->value);
    buf_fini(&before->owner);
    *before = (struct store_before){.is_there = false};
}

void store_commit(struct store *store, struct list *batch)
{
    const enum store_outcome outcome =
        store_health(store).state == STORE_IS_FAILED ? STORE_FAILED : run(store, batch);

    list_each(node, safe, batch) {
        struct store_op *op = container_of(node, struct store_op, in_queue);

        list_remove(node);
        op->outcome = outcome;
        if (outcome != STORE_DONE)
            discard(&op->before);
        loop_post(store->loop, &op->task); /* it may be gone from here on */
    }
}
