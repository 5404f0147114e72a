/* log_trim.c - rows that are no longer kept, tables of topics that are gone, publishers that were
 * silent. */
#include <inttypes.h>
#include <stdio.h>

#include "backend/sqlite/columns.h"
#include "backend/sqlite/due_table.h"
#include "backend/sqlite/group_table.h"
#include "backend/sqlite/id_table.h"
#include "backend/sqlite/publisher_table.h"
#include "backend/sqlite/store_internal.h"
#include "base/clock.h"
#include "topic/retention.h"

#define SQL_CAPACITY 192

/* ---- retention ---- */

static bool drops_first(const struct topic_settings *settings, const struct log_bounds *bounds,
                        int64_t now_ns)
{
    const struct retention_size kept = {bounds->next_seq - bounds->first_seq,
                                        bounds->end_bytes - bounds->first_bytes},
                                first = {bounds->first_count, bounds->first_size};

    return kept.events > 0 && retention_drops(settings, kept, first, bounds->first_ns, now_ns);
}

bool log_wants_trim(const struct stored_topic *topic)
{
    return drops_first(&topic->settings, &topic->kept, clock_wall_ns());
}

static enum db_result prepare(struct database *database, struct stored_topic *topic)
{
    char sql[SQL_CAPACITY];

    snprintf(sql, sizeof(sql),
             "SELECT seq, count, before_bytes, appended, length(data) FROM log_%" PRIu64
             " ORDER BY seq LIMIT ?1",
             topic->id);
    enum db_result result = database_prepare_one(database, &topic->front, sql);
    snprintf(sql, sizeof(sql), "DELETE FROM log_%" PRIu64 " WHERE seq < ?1", topic->id);
    if (result == DB_OK)
        result = database_prepare_one(database, &topic->trim, sql);
    return result;
}

/* Moves the beginning of `bounds` to the first row that stays. *rows_out: those that leave. */
static enum db_result find_first(struct database *database, struct stored_topic *topic, int64_t now_ns,
                                 uint32_t max_rows, struct log_bounds *bounds, uint32_t *rows_out)
{
    const struct topic_settings *settings = topic->is_changed ? &topic->wanted : &topic->settings;
    uint32_t rows = 0;
    int code;

    bind_number(topic->front, 1, (uint64_t)max_rows + 1);
    while ((code = sqlite3_step(topic->front)) == SQLITE_ROW) {
        bounds->first_seq = column_number(topic->front, 0);
        bounds->first_count = (uint32_t)column_number(topic->front, 1);
        bounds->first_bytes = column_number(topic->front, 2);
        bounds->first_ns = sqlite3_column_int64(topic->front, 3);
        bounds->first_size = column_number(topic->front, 4);
        if (rows == max_rows || !drops_first(settings, bounds, now_ns))
            break;
        rows++;
    }
    if (code == SQLITE_DONE) { /* all of them leave */
        bounds->first_seq = bounds->next_seq;
        bounds->first_bytes = bounds->end_bytes;
    }
    *rows_out = rows;
    (void)sqlite3_reset(topic->front);
    return code == SQLITE_ROW || code == SQLITE_DONE ? DB_OK
                                                     : database_failed(database, code, "trim a topic");
}

enum db_result log_trim(struct store *store, struct stored_topic *topic)
{
    struct database *database = &store->database;
    struct topic_log *log = &store->log;
    struct log_bounds bounds = topic->next;
    uint32_t rows;

    if (log->trim_left == 0 ||
        !drops_first(topic->is_changed ? &topic->wanted : &topic->settings, &bounds, log->now_ns))
        return DB_OK;
    enum db_result result = prepare(database, topic);
    if (result == DB_OK)
        result = find_first(database, topic, log->now_ns, log->trim_left, &bounds, &rows);
    if (result != DB_OK)
        return result;
    bind_number(topic->trim, 1, bounds.first_seq);
    result = database_step_of(database, topic->trim, "trim a topic");
    if (result != DB_OK)
        return result;
    log->trim_left -= rows;
    topic->next = bounds;
    /* the next sequence must survive an empty log */
    return bounds.first_seq == bounds.next_seq ? topic_update(database, topic) : DB_OK;
}

/* ---- what is due ---- */

static enum db_result trim_old_rows(struct store *store)
{
    struct topic_log *log = &store->log;

    map_each(node, following, &log->by_id)
    {
        struct stored_topic *topic = container_of(node, struct stored_topic, by_id);

        if (topic->is_deleted)
            continue;
        if (drops_first(&topic->settings, &topic->next, log->now_ns)) {
            log_touch(log, topic); /* its next time follows from the commit */
            const enum db_result result = log_trim(store, topic);
            if (result != DB_OK)
                return result;
        } else {
            log_note_age(log, topic);
        }
    }
    return DB_OK;
}

/* What other tables have of it. */
static enum db_result drop_others(struct store *store, uint64_t topic)
{
    struct topic_log *log = &store->log;
    uint32_t removed;
    enum db_result result = due_remove(store, topic, log->trim_left, &removed);

    log->trim_left -= removed;
    if (result == DB_OK)
        result = ids_remove(&store->database, topic, log->trim_left, &removed);
    log->trim_left -= MIN_OF(removed, log->trim_left);
    if (result == DB_OK)
        result = cursors_remove(store, topic, log->trim_left, &removed);
    log->trim_left -= MIN_OF(removed, log->trim_left);
    return result;
}

/* A part of a table, and with its last rows the table. */
static enum db_result drop_rows(struct store *store, struct stored_topic *topic)
{
    struct database *database = &store->database;
    char sql[SQL_CAPACITY];
    enum db_result result = drop_others(store, topic->id);
    const uint32_t rows = store->log.trim_left;

    if (result != DB_OK || rows == 0)
        return result;
    snprintf(sql, sizeof(sql),
             "DELETE FROM log_%" PRIu64 " WHERE seq IN (SELECT seq FROM log_%" PRIu64
             " ORDER BY seq LIMIT %u)",
             topic->id, topic->id, rows);
    result = database_run(database, sql, "remove a topic's rows");
    if (result != DB_OK)
        return result;
    const uint32_t removed = (uint32_t)sqlite3_changes(database->handle);
    store->log.trim_left -= MIN_OF(removed, rows);
    if (removed == rows)
        return DB_OK;
    snprintf(sql, sizeof(sql), "DROP TABLE log_%" PRIu64, topic->id);
    result = database_run(database, sql, "remove a topic's log");
    bind_number(database->statements[DB_TOPIC_REMOVE], 1, topic->id);
    if (result == DB_OK)
        result = database_step(database, DB_TOPIC_REMOVE, "remove a topic");
    if (result == DB_OK)
        store->log.dropped = topic;
    return result;
}

static enum db_result expire_publishers(struct store *store)
{
    enum db_result result = DB_OK;
    bool more = false;

    if (clock_mono_ns() < store->log.publishers_due_ns)
        return DB_OK;
    if (store->log.publisher_count > 0)
        result = publisher_expire(&store->database, &store->log, &more);
    store->log.publishers_due_ns = clock_from_now_ns(more ? NS_PER_S : PUBLISHERS_EVERY_NS);
    return result;
}

enum db_result log_tidy(struct store *store)
{
    struct topic_log *log = &store->log;
    struct list *deleted = list_first(&log->deleted);

    log->due_ns = INT64_MAX;
    enum db_result result = trim_old_rows(store);
    if (result == DB_OK && deleted && log->trim_left > 0)
        result = drop_rows(store, container_of(deleted, struct stored_topic, node));
    if (result == DB_OK)
        result = groups_tidy(store);
    if (result == DB_OK)
        result = expire_publishers(store);
    log->due_ns = MIN_OF(log->due_ns, log->publishers_due_ns);
    return result;
}
