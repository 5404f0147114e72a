/* due_table.c - events that wait for their time. */
#include "backend/sqlite/due_table.h"

#include <inttypes.h>
#include <stdlib.h>

#include "backend/sqlite/columns.h"
#include "backend/sqlite/small_row.h"
#include "backend/sqlite/store_internal.h"
#include "base/clock.h"
#include "topic/event_marks.h"

/* The wall clock may jump, so it is looked at this often. */
#define LOOK_EVERY_NS (10 * NS_PER_S)
/* Between a time that was reached and the next attempt, where nobody listens yet or the disk is
 * full. */
#define RETRY_NS (100 * NS_PER_MS)

/* One that is appended by the open transaction. */
struct due_event {
    struct list node;
    uint64_t row, topic, first_seq, incarnation;
    size_t origin_size, event_size;
    uint8_t bytes[]; /* origin, event */
};

static struct bytes origin_of(const struct due_event *due)
{
    return (struct bytes){due->bytes, due->origin_size};
}

static struct bytes event_of(const struct due_event *due)
{
    return (struct bytes){due->bytes + due->origin_size, due->event_size};
}

static struct topic_run run_of(const struct due_event *due)
{
    struct bytes rest = event_of(due);
    struct event_marks marks;
    const bool expires = !event_marks_next(&rest, &marks) || marks.expires_wall_ns > 0;

    return (struct topic_run){origin_of(due), 1, event_of(due), expires};
}

/* An event may be larger than what small_row_hash() accepts. */
static uint64_t hash_of(uint64_t topic, int64_t at_ns, struct bytes origin, struct bytes event)
{
    const uint64_t key[2] = {topic, (uint64_t)at_ns},
                   parts[2] = {siphash13(key, origin), siphash13(key, event)};

    return siphash13(key, (struct bytes){(const uint8_t *)parts, sizeof(parts)});
}

/* ---- those that wait ---- */

bool due_has_space(const struct topic_log *log, const struct stored_topic *topic, uint32_t events,
                   size_t bytes)
{
    return topic->next_delayed + events <= MAX_DELAYED_EVENTS &&
           log->next_delayed_bytes + bytes <= MAX_DELAYED_BYTES;
}

enum db_result due_add(struct store *store, struct stored_topic *topic, struct bytes origin,
                       struct bytes event, int64_t at_wall_ns)
{
    struct database *database = &store->database;
    sqlite3_stmt *statement = database->statements[DB_DUE_PUT];

    log_touch(&store->log, topic);
    bind_number(statement, 1, (uint64_t)at_wall_ns);
    bind_number(statement, 2, topic->id);
    bind_bytes(statement, 3, origin);
    bind_bytes(statement, 4, event);
    bind_number(statement, 5, hash_of(topic->id, at_wall_ns, origin, event));
    topic->next_delayed++;
    store->log.next_delayed_bytes += event.size;
    store->log.next_at_ns = MIN_OF(store->log.next_at_ns, at_wall_ns);
    return database_step(database, DB_DUE_PUT, "keep a delayed event");
}

/* Lets a transaction come when the first one is due. */
static void note_time(struct topic_log *log)
{
    if (log->next_at_ns == INT64_MAX)
        return;
    const int64_t wait_ns = log->next_at_ns - clock_wall_ns();
    const int64_t min_ns = log->holds_due ? RETRY_NS : 0;
    log->due_ns = MIN_OF(log->due_ns, clock_from_now_ns(MIN_OF(MAX_OF(wait_ns, min_ns), LOOK_EVERY_NS)));
}

void due_keep(struct store *store)
{
    struct topic_log *log = &store->log;

    log->delayed_bytes = log->next_delayed_bytes;
    log->kept_at_ns = log->next_at_ns;
    note_time(log);
}

void due_undo(struct store *store)
{
    struct topic_log *log = &store->log;

    log->next_delayed_bytes = log->delayed_bytes;
    log->next_at_ns = log->kept_at_ns;
    due_fini(log);
}

/* ---- those that are due ---- */

static enum db_result find_next_time(struct store *store)
{
    sqlite3_stmt *statement = store->database.statements[DB_DUE_FIRST];
    const int code = sqlite3_step(statement);

    store->log.next_at_ns = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : INT64_MAX;
    (void)sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE
               ? DB_OK
               : database_failed(&store->database, code, "find delayed events");
}

/* Copies a row of the table. */
static enum db_result collect(struct store *store, sqlite3_stmt *statement)
{
    const struct bytes origin = column_bytes(statement, 3), event = column_bytes(statement, 4);
    const uint64_t topic = column_number(statement, 2);
    struct due_event *due = calloc(1, sizeof(*due) + origin.size + event.size);

    if (!due)
        return database_failed(&store->database, SQLITE_NOMEM, "append delayed events");
    due->row = column_number(statement, 0);
    due->topic = topic;
    due->origin_size = origin.size;
    due->event_size = event.size;
    if (origin.size > 0)
        memcpy(due->bytes, origin.data, origin.size);
    memcpy(due->bytes + origin.size, event.data, event.size);
    list_append(&store->log.due, &due->node);
    return hash_of(topic, sqlite3_column_int64(statement, 1), origin, event) == column_number(statement, 5)
               ? DB_OK
               : database_failed(&store->database, SQLITE_CORRUPT, "check the hash of a delayed event");
}

static enum db_result collect_all(struct store *store)
{
    sqlite3_stmt *statement = store->database.statements[DB_DUE_GET];
    enum db_result result = DB_OK;
    size_t bytes = 0;
    int code = SQLITE_ROW;

    bind_number(statement, 1, (uint64_t)store->log.now_ns);
    bind_number(statement, 2, MAX_DUE_EVENTS);
    while (result == DB_OK && bytes < MAX_DUE_BYTES && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        result = collect(store, statement);
        bytes += (size_t)sqlite3_column_bytes(statement, 4);
    }
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        result = database_failed(&store->database, code, "read delayed events");
    (void)sqlite3_reset(statement);
    return result;
}

/* A topic that is deleted has none any more: its rows leave with its log. */
static enum db_result append_one(struct store *store, struct due_event *due)
{
    struct stored_topic *topic = log_find(&store->log, due->topic);
    const struct topic_run piece = run_of(due);
    sqlite3_stmt *statement = store->database.statements[DB_DUE_REMOVE];
    enum db_result result = DB_OK;

    if (topic && !topic->is_deleted) {
        result = log_add_piece(store, topic, &piece, &due->first_seq);
        due->incarnation = topic->incarnation;
        topic->next_delayed -= MIN_OF(topic->next_delayed, 1u);
    }
    store->log.next_delayed_bytes -= MIN_OF(store->log.next_delayed_bytes, due->event_size);
    if (result != DB_OK)
        return result;
    bind_number(statement, 1, due->row);
    return database_step(&store->database, DB_DUE_REMOVE, "append delayed events");
}

enum db_result due_append(struct store *store)
{
    struct topic_log *log = &store->log;
    enum db_result result = DB_OK;

    log->holds_due =
        log->next_at_ns <= log->now_ns && (store_is(store, STORE_IS_FULL) || !store_is_heard(store));
    if (log->holds_due || log->next_at_ns > log->now_ns)
        return DB_OK;
    result = collect_all(store);
    list_each(node, safe, &log->due)
        if (result == DB_OK)
            result = append_one(store, container_of(node, struct due_event, node));
    return result == DB_OK ? find_next_time(store) : result;
}

void due_notify(struct store *store)
{
    list_each(node, safe, &store->log.due) {
        const struct due_event *due = container_of(node, struct due_event, node);
        const struct topic_appeared appeared = {.topic = due->topic,
                                                .incarnation = due->incarnation,
                                                .first_seq = due->first_seq,
                                                .run = run_of(due)};

        if (due->first_seq > 0)
            store_appeared(store, &appeared);
    }
    due_fini(&store->log);
}

void due_fini(struct topic_log *log)
{
    list_each(node, safe, &log->due) {
        list_remove(node);
        free(container_of(node, struct due_event, node));
    }
}

enum db_result due_remove(struct store *store, uint64_t topic, uint32_t rows, uint32_t *removed_out)
{
    sqlite3_stmt *find = store->database.statements[DB_DUE_OF_TOPIC];
    sqlite3_stmt *statement = store->database.statements[DB_DUE_REMOVE];
    enum db_result result = DB_OK;
    uint32_t removed = 0;
    int code = SQLITE_ROW;

    bind_number(find, 1, topic);
    while (result == DB_OK && removed < rows && (code = sqlite3_step(find)) == SQLITE_ROW) {
        const uint64_t bytes = column_number(find, 1);

        bind_number(statement, 1, column_number(find, 0));
        store->log.next_delayed_bytes -= MIN_OF(store->log.next_delayed_bytes, bytes);
        result = database_step(&store->database, DB_DUE_REMOVE, "remove delayed events");
        removed++;
        (void)sqlite3_reset(find);
    }
    (void)sqlite3_reset(find);
    *removed_out = removed;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return database_failed(&store->database, code, "find a topic's delayed events");
    return result == DB_OK && removed > 0 ? find_next_time(store) : result;
}

/* ---- at the start ---- */

bool due_read_all(struct database *database, struct topic_log *log, struct refusal *refusal)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(
        database->handle, "SELECT topic, count(*), sum(length(data)), min(at) FROM due GROUP BY topic", -1,
        &statement, NULL);

    while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct stored_topic *topic = log_find(log, column_number(statement, 0));

        if (topic)
            topic->delayed = topic->next_delayed = column_number(statement, 1);
        log->next_delayed_bytes += column_number(statement, 2);
        log->next_at_ns = MIN_OF(log->next_at_ns, sqlite3_column_int64(statement, 3));
        code = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    if (code != SQLITE_DONE)
        return database_refuse(database, code, "read the delayed events", refusal);
    log->delayed_bytes = log->next_delayed_bytes;
    log->kept_at_ns = log->next_at_ns;
    note_time(log);
    return true;
}
