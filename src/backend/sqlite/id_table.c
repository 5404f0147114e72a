/* id_table.c - the table of ids that topics have seen.
 *
 * A row has the number of its first id, so rows follow each other without a hole, and `data`: the
 * hashes, 8 bytes each. The key of the hashes is in `meta`. It is a secret of the store: who does
 * not have it cannot find two ids with one hash. */
#include "backend/sqlite/id_table.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>

#include "backend/sqlite/columns.h"
#include "backend/sqlite/database_schema.h"
#include "backend/sqlite/store_internal.h"
#include "base/clock.h"

/* Rows are removed when so many ids of them were forgotten. */
#define REMOVE_EVERY 4096u
#define HASH_BYTES sizeof(uint64_t)

static uint64_t row_hash(uint64_t topic, uint64_t number, int64_t at_ns, struct bytes data)
{
    const uint64_t key[2] = {topic ^ (uint64_t)at_ns, number};

    return siphash13(key, data);
}

/* ---- in memory ---- */

static uint64_t max_ids(const struct stored_topic *topic)
{
    return topic->settings.max_ids > 0 ? topic->settings.max_ids : DEFAULT_TOPIC_IDS;
}

static void drop_first(struct topic_log *log, struct stored_topic *topic)
{
    id_window_drop_first(&topic->ids);
    log->id_count--;
}

void ids_expire(struct topic_log *log, struct stored_topic *topic)
{
    struct id_window *ids = &topic->ids;

    while (ids->first < ids->kept_next &&
           id_window_at(ids, ids->first)->at_ns <= log->now_ns - topic->settings.id_window_ns)
        drop_first(log, topic);
}

/* What is above a bound. Younger than the window, so that counts. */
static void bound(struct topic_log *log, struct stored_topic *topic)
{
    struct id_window *ids = &topic->ids;

    if (!ids_count(topic)) {
        while (ids->first < ids->kept_next)
            drop_first(log, topic);
        return;
    }
    while (ids->first < ids->kept_next &&
           (id_window_count(ids) > max_ids(topic) || log->id_count > MAX_STORE_IDS)) {
        topic->ids_forgotten_early +=
            id_window_at(ids, ids->first)->at_ns > log->now_ns - topic->settings.id_window_ns;
        drop_first(log, topic);
    }
}

enum db_result ids_claim(struct store *store, struct stored_topic *topic, struct bytes id, bool *was_there)
{
    struct topic_log *log = &store->log;
    const uint64_t hash = siphash13(log->id_key, id);

    *was_there = id_window_has(&topic->ids, hash);
    if (*was_there)
        return DB_OK;
    if (!id_window_add(&topic->ids, hash, log->now_ns))
        return database_failed(&store->database, SQLITE_NOMEM, "remember an id");
    log->id_count++;
    return DB_OK;
}

void ids_keep(struct topic_log *log, struct stored_topic *topic)
{
    id_window_keep(&topic->ids);
    topic->ids_removed = topic->ids_removing;
    bound(log, topic);
}

void ids_undo(struct topic_log *log, struct stored_topic *topic)
{
    const uint64_t before = id_window_count(&topic->ids);

    id_window_undo(&topic->ids);
    topic->ids_removing = topic->ids_removed;
    log->id_count -= before - id_window_count(&topic->ids);
}

void ids_forget(struct topic_log *log, struct stored_topic *topic)
{
    log->id_count -= id_window_count(&topic->ids);
    id_window_fini(&topic->ids);
}

/* ---- rows ---- */

static enum db_result insert(struct store *store, const struct stored_topic *topic)
{
    const struct id_window *ids = &topic->ids;
    struct database *database = &store->database;
    sqlite3_stmt *statement = database->statements[DB_IDS_PUT];
    struct buf *data = &store->log.row;

    buf_clear(data);
    for (uint64_t number = ids->kept_next; number < ids->next; number++) {
        const uint64_t hash = htole64(id_window_at(ids, number)->hash);

        buf_bytes(data, &hash, sizeof(hash));
    }
    if (data->broken)
        return database_failed(database, SQLITE_NOMEM, "write ids");
    bind_number(statement, 1, topic->id);
    bind_number(statement, 2, ids->kept_next);
    bind_number(statement, 3, (uint64_t)store->log.now_ns);
    bind_number(
        statement, 4,
        row_hash(topic->id, ids->kept_next, store->log.now_ns, (struct bytes){data->data, data->size}));
    bind_bytes(statement, 5, (struct bytes){data->data, data->size});
    return database_step(database, DB_IDS_PUT, "write ids");
}

/* All rows before the one that has the first id of the window. */
static enum db_result remove_old(struct store *store, struct stored_topic *topic)
{
    sqlite3_stmt *statement = store->database.statements[DB_IDS_EXPIRE];

    if (topic->ids.first - topic->ids_removed < REMOVE_EVERY)
        return DB_OK;
    bind_number(statement, 1, topic->id);
    bind_number(statement, 2, topic->ids.first);
    bind_number(statement, 3, MAX_TRIM_ROWS);
    const enum db_result result = database_step(&store->database, DB_IDS_EXPIRE, "forget ids");
    if (result == DB_OK && sqlite3_changes(store->database.handle) < (int)MAX_TRIM_ROWS)
        topic->ids_removing = topic->ids.first;
    return result;
}

enum db_result ids_write(struct store *store, struct stored_topic *topic)
{
    enum db_result result = DB_OK;

    if (topic->ids.next > topic->ids.kept_next)
        result = insert(store, topic);
    return result == DB_OK ? remove_old(store, topic) : result;
}

enum db_result ids_remove(struct database *database, uint64_t topic, uint32_t rows, uint32_t *removed_out)
{
    sqlite3_stmt *statement = database->statements[DB_IDS_REMOVE];

    bind_number(statement, 1, topic);
    bind_number(statement, 2, rows);
    const enum db_result result = database_step(database, DB_IDS_REMOVE, "forget a topic's ids");
    *removed_out = result == DB_OK ? (uint32_t)sqlite3_changes(database->handle) : 0;
    return result;
}

/* ---- at the start ---- */

static bool read_key(struct database *database, struct topic_log *log, struct refusal *refusal)
{
    char text[40] = "";
    unsigned long long high, low;

    if (!meta_get(database, META_ID_KEY, text, sizeof(text)) ||
        sscanf(text, "%16llx%16llx", &high, &low) != 2)
        return refuse(refusal, "%s: its table 'meta' is not complete", database->path);
    log->id_key[0] = high;
    log->id_key[1] = low;
    return true;
}

/* An id that was forgotten may have come again: then the later one counts. False: out of memory. */
static bool fill(struct topic_log *log, struct stored_topic *topic, uint64_t number, int64_t at_ns,
                 struct bytes data)
{
    struct id_window *ids = &topic->ids;

    if (id_window_count(ids) == 0) {
        ids->first = ids->next = ids->kept_next = number;
        if (topic->ids_removed == 0)
            topic->ids_removed = topic->ids_removing = number;
    }
    if (id_window_count(ids) == 0 &&
        (!ids_count(topic) || at_ns <= log->now_ns - topic->settings.id_window_ns)) {
        ids->first = ids->next = ids->kept_next = number + data.size / HASH_BYTES;
        return true;
    }
    for (size_t i = 0; i < data.size; i += HASH_BYTES) {
        uint64_t hash;

        memcpy(&hash, data.data + i, sizeof(hash));
        hash = le64toh(hash);
        while (id_window_has(ids, hash))
            drop_first(log, topic);
        if (!id_window_add(ids, hash, at_ns))
            return false;
        log->id_count++;
    }
    ids_keep(log, topic);
    return true;
}

static bool read_row(struct database *database, struct topic_log *log, sqlite3_stmt *statement,
                     struct refusal *refusal)
{
    const uint64_t id = column_number(statement, 0), number = column_number(statement, 1);
    const int64_t at_ns = sqlite3_column_int64(statement, 2);
    const struct bytes data = column_bytes(statement, 4);
    struct stored_topic *topic = log_find(log, id);

    if (row_hash(id, number, at_ns, data) != column_number(statement, 3) || data.size % HASH_BYTES != 0 ||
        data.size == 0)
        return refuse(refusal, "%s: the ids of topic %" PRIu64 " are damaged: their hash is wrong",
                      database->path, id);
    if (!topic) /* it is being deleted */
        return true;
    if (id_window_count(&topic->ids) > 0 && number != topic->ids.next)
        return refuse(refusal, "%s: of the ids of topic %" PRIu64 " some are missing", database->path, id);
    return fill(log, topic, number, at_ns, data) || refuse(refusal, "%s: no memory", database->path);
}

bool ids_read_all(struct database *database, struct topic_log *log, struct refusal *refusal)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(database->handle,
                                  "SELECT topic, number, at, hash, data FROM ids ORDER BY topic, number", -1,
                                  &statement, NULL);
    bool is_good = read_key(database, log, refusal);

    log->now_ns = clock_wall_ns();
    while (is_good && code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        is_good = read_row(database, log, statement, refusal);
        code = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    if (!is_good)
        return false;
    if (code != SQLITE_DONE)
        return database_refuse(database, code, "read the ids", refusal);
    map_each(node, following, &log->by_id) container_of(node, struct stored_topic, by_id)
        ->ids_forgotten_early = 0;
    return true;
}
