/* topic_change.c - topics are made, changed and deleted. A transaction has at most one change, as
 * its last work. */
#include <inttypes.h>
#include <stdio.h>

#include "backend/sqlite/store_internal.h"
#include "backend/sqlite/database_schema.h"

/* Of its table too. The maps get it after the commit. */
static enum db_result write_new(struct database *database, struct stored_topic *topic)
{
    char sql[LOG_TABLE_CAPACITY], id[24];
    enum db_result result = topic_insert(database, topic);

    log_table_sql(topic->id, sql);
    if (result == DB_OK)
        result = database_run(database, sql, "make a topic's log");
    snprintf(id, sizeof(id), "%" PRIu64, topic->id);
    return result == DB_OK ? meta_set(database, "topic_id", id) : result;
}

/* Others read the maps. */
static bool reserve(struct store *store)
{
    struct topic_log *log = &store->log;

    pthread_mutex_lock(&store->lock);
    const bool is_there = map_reserve(&log->by_id) == ERR_OK && map_reserve(&log->by_name) == ERR_OK;
    pthread_mutex_unlock(&store->lock);
    return is_there;
}

static enum db_result create(struct store *store, struct topic_change *change)
{
    struct topic_log *log = &store->log;

    if (log->by_id.count >= MAX_TOPICS) {
        change->outcome = TOPIC_TOO_MANY;
        return DB_OK;
    }
    /* above all earlier ones, also where the clock went back */
    const uint64_t id = MAX_OF((uint64_t)MAX_OF(log->now_ns, 1), log->last_id + 1);
    log->created = stored_topic_new(change->name, id);
    if (!log->created || !reserve(store))
        return database_failed(&store->database, SQLITE_NOMEM, "make a topic");
    log->created->settings = change->settings;
    log->created->created_ns = log->now_ns;
    change->id = change->incarnation = id;
    return write_new(&store->database, log->created);
}

static enum db_result update(struct store *store, struct topic_change *change, struct stored_topic *topic)
{
    log_touch(&store->log, topic);
    topic->wanted = change->settings;
    topic->is_changed = true;
    return topic_update(&store->database, topic);
}

static enum db_result delete_topic(struct store *store, struct topic_change *change,
                                   struct stored_topic *topic)
{
    log_touch(&store->log, topic);
    const enum db_result result = log_flush(store, topic);

    change->next_seq = topic->next.next_seq;
    topic->is_deleted = true;
    return result == DB_OK ? topic_update(&store->database, topic) : result;
}

static bool is_possible(const struct topic_change *change)
{
    struct fault fault;

    return topic_name_check(change->name, "name", &fault) == FAULT_NONE &&
           (change->verb == TOPIC_DELETE || topic_settings_check(&change->settings, &fault) == FAULT_NONE);
}

static enum db_result carry_out(struct store *store, struct topic_work *work)
{
    struct topic_change *change = container_of(work, struct topic_change, work);
    struct stored_topic *topic = log_find_name(&store->log, change->name);

    change->outcome = TOPIC_DONE;
    change->id = topic ? topic->id : 0;
    change->incarnation = topic ? topic->incarnation : 0;
    if (!is_possible(change))
        change->outcome = TOPIC_INVALID;
    else if (change->verb == TOPIC_CREATE && topic)
        change->outcome = TOPIC_EXISTS;
    else if (change->verb != TOPIC_CREATE && !topic)
        change->outcome = TOPIC_NOT_FOUND;
    if (change->outcome != TOPIC_DONE)
        return DB_OK;
    switch (change->verb) {
    case TOPIC_CREATE:
        return create(store, change);
    case TOPIC_UPDATE:
        return update(store, change, topic);
    case TOPIC_DELETE:
        return delete_topic(store, change, topic);
    }
    return DB_OK;
}

static void answer(struct store *store, struct topic_work *work, enum db_result result, bool committed)
{
    struct topic_change *change = container_of(work, struct topic_change, work);

    (void)store;
    if (result != DB_OK)
        change->outcome = topic_outcome_of(result, committed);
    change->done(change);
}

const struct work_kind change_work = {.ends_batch = true, .carry_out = carry_out, .answer = answer};
