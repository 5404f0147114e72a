/* topic_table.c - the table of topics. */
#include <inttypes.h>
#include <stdlib.h>

#include "backend/sqlite/columns.h"
#include "backend/sqlite/database_schema.h"
#include "backend/sqlite/small_row.h"
#include "backend/sqlite/topic_lineage.h"
#include "backend/sqlite/topic_log.h"

#define MAX_SETTINGS_BYTES 64u

/* A row, as it is in the table. */
struct topic_entry {
    struct bytes name, settings; /* an empty name: NULL */
    uint64_t id, incarnation, next_seq, end_bytes;
    int64_t last_ns, created_ns;
};

static uint64_t hash_of(const struct topic_entry *entry)
{
    const uint64_t numbers[] = {entry->id,        entry->incarnation,       entry->next_seq,
                                entry->end_bytes, (uint64_t)entry->last_ns, (uint64_t)entry->created_ns,
                                entry->name.size};

    return small_row_hash(numbers, ARRAY_LEN(numbers), entry->name, entry->settings);
}

static enum db_result write_row(struct database *database, const struct stored_topic *topic,
                                enum db_statement statement_name)
{
    sqlite3_stmt *statement = database->statements[statement_name];
    OWNED(buf_fini) struct buf settings = {0};

    topic_settings_encode(topic->is_changed ? &topic->wanted : &topic->settings, &settings);
    const struct topic_entry entry = {
        .name = topic->is_deleted ? (struct bytes){NULL, 0} : topic_name(topic),
        .settings = {settings.data, settings.size},
        .id = topic->id,
        .incarnation = topic->incarnation,
        .next_seq = topic->next.next_seq,
        .end_bytes = topic->next.end_bytes,
        .last_ns = topic->next.last_ns,
        .created_ns = topic->created_ns,
    };
    if (settings.broken)
        return database_failed(database, SQLITE_NOMEM, "write a topic");
    bind_number(statement, 1, entry.id);
    if (entry.name.size > 0)
        bind_bytes(statement, 2, entry.name);
    bind_number(statement, 3, entry.incarnation);
    bind_bytes(statement, 4, entry.settings);
    bind_number(statement, 5, entry.next_seq);
    bind_number(statement, 6, entry.end_bytes);
    bind_number(statement, 7, (uint64_t)entry.last_ns);
    bind_number(statement, 8, (uint64_t)entry.created_ns);
    bind_number(statement, 9, hash_of(&entry));
    return database_step(database, statement_name, "write a topic");
}

enum db_result topic_insert(struct database *database, const struct stored_topic *topic)
{
    return write_row(database, topic, DB_TOPIC_INSERT);
}

enum db_result topic_update(struct database *database, const struct stored_topic *topic)
{
    return write_row(database, topic, DB_TOPIC_UPDATE);
}

/* ---- all of them ---- */

#define SELECT_ALL                                                                                           \
    "SELECT id, name, incarnation, settings, next_seq, end_bytes, last_ns, created, hash, lineage"           \
    " FROM topic"

static struct stored_topic *topic_of(const struct topic_entry *entry)
{
    struct stored_topic *topic = stored_topic_new(entry->name, entry->id);

    if (!topic)
        return NULL;
    topic->incarnation = entry->incarnation;
    topic->created_ns = entry->created_ns;
    topic->kept = (struct log_bounds){.first_seq = entry->next_seq,
                                      .next_seq = entry->next_seq,
                                      .first_bytes = entry->end_bytes,
                                      .end_bytes = entry->end_bytes,
                                      .last_ns = entry->last_ns};
    topic->next = topic->kept;
    return topic;
}

static bool read_row(struct database *database, sqlite3_stmt *statement, struct topic_log *log,
                     struct refusal *refusal)
{
    const struct topic_entry entry = {.id = column_number(statement, 0),
                                      .name = column_bytes(statement, 1),
                                      .incarnation = column_number(statement, 2),
                                      .settings = column_bytes(statement, 3),
                                      .next_seq = column_number(statement, 4),
                                      .end_bytes = column_number(statement, 5),
                                      .last_ns = sqlite3_column_int64(statement, 6),
                                      .created_ns = sqlite3_column_int64(statement, 7)};
    struct topic_settings settings;

    if (entry.name.size > MAX_TOPIC_NAME_BYTES || entry.settings.size > MAX_SETTINGS_BYTES ||
        hash_of(&entry) != column_number(statement, 8) || !topic_settings_decode(entry.settings, &settings))
        return refuse(refusal, "%s: the row of topic '%.*s' (id %" PRIu64 ") is damaged: its hash is wrong",
                      database->path, (int)MIN_OF(entry.name.size, 256u),
                      entry.name.size > 0 ? (const char *)entry.name.data : "", entry.id);
    struct stored_topic *topic = topic_of(&entry);
    if (topic && entry.name.size == 0) {
        list_append(&log->deleted, &topic->node);
        return true;
    }
    const enum err err = topic ? lineage_read(topic, column_bytes(statement, 9)) : ERR_NO_MEMORY;
    if (err == ERR_INVALID) {
        stored_topic_free(topic);
        return refuse(refusal, "%s: the lineage of topic %" PRIu64 " is damaged: its hash is wrong",
                      database->path, entry.id);
    }
    if (err != ERR_OK || !log_add(log, topic)) {
        stored_topic_free(topic);
        return refuse(refusal, "%s: no memory", database->path);
    }
    topic->settings = settings;
    return true;
}

/* Each topic has a table, and each table a topic: a table without its row would be lost space. */
static bool check_tables(struct database *database, const struct topic_log *log, uint64_t deleted,
                         struct refusal *refusal)
{
    int64_t tables;

    if (!database_number(database, "SELECT count(*) FROM sqlite_schema WHERE name GLOB 'log_*'", &tables))
        return database_refuse(database, database->error.code, "count the topics", refusal);
    return (uint64_t)tables == log->by_id.count + deleted ||
           refuse(refusal, "%s: it has %" PRId64 " logs and %zu topics", database->path, tables,
                  log->by_id.count + (size_t)deleted);
}

bool topic_read_all(struct database *database, struct topic_log *log, struct refusal *refusal)
{
    sqlite3_stmt *statement = NULL;
    char last_id[32];
    int code = sqlite3_prepare_v2(database->handle, SELECT_ALL, -1, &statement, NULL);
    bool is_ok = code == SQLITE_OK;
    uint64_t count = 0;

    while (is_ok && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        is_ok = read_row(database, statement, log, refusal);
        count++;
    }
    sqlite3_finalize(statement);
    if (!is_ok && refusal->text[0] != '\0')
        return false;
    if (code != SQLITE_DONE)
        return database_refuse(database, code, "read the topics", refusal);
    if (!meta_get(database, "topic_id", last_id, sizeof(last_id)))
        return refuse(refusal, "%s: its table 'meta' is not complete", database->path);
    log->last_id = strtoull(last_id, NULL, 10);
    return check_tables(database, log, count - log->by_id.count, refusal);
}
