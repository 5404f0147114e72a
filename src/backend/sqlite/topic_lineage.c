/* topic_lineage.c - what a restored store knows of the one that it was copied from. */
#include "backend/sqlite/topic_lineage.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/sqlite/backup_job.h"
#include "backend/sqlite/columns.h"
#include "backend/sqlite/database_schema.h"
#include "backend/sqlite/small_row.h"
#include "base/clock.h"
#include "base/log.h"

#define HASH_BYTES sizeof(uint64_t)
#define ENTRY_BYTES (2 * sizeof(uint64_t))
#define MAX_LINEAGE_BYTES (MAX_TOPIC_ANCESTORS * ENTRY_BYTES + HASH_BYTES)

static uint64_t number_at(const uint8_t *data)
{
    uint64_t number;

    memcpy(&number, data, sizeof(number));
    return le64toh(number);
}

static void put_number(struct buf *out, uint64_t number)
{
    number = htole64(number);
    buf_bytes(out, &number, sizeof(number));
}

static uint64_t hash_of(uint64_t topic, struct bytes entries)
{
    return small_row_hash(&topic, 1, entries, (struct bytes){NULL, 0});
}

enum err lineage_read(struct stored_topic *topic, struct bytes data)
{
    const size_t count = data.size / ENTRY_BYTES;

    if (data.size == 0)
        return ERR_OK;
    if (count > MAX_TOPIC_ANCESTORS || data.size != count * ENTRY_BYTES + HASH_BYTES ||
        hash_of(topic->id, (struct bytes){data.data, data.size - HASH_BYTES}) !=
            number_at(data.data + data.size - HASH_BYTES))
        return ERR_INVALID;
    topic->ancestors = calloc(count, sizeof(*topic->ancestors));
    if (!topic->ancestors)
        return ERR_NO_MEMORY;
    topic->ancestor_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++)
        topic->ancestors[i] = (struct topic_ancestor){number_at(data.data + i * ENTRY_BYTES),
                                                      number_at(data.data + i * ENTRY_BYTES + HASH_BYTES)};
    return ERR_OK;
}

/* ---- a new incarnation ---- */

/* The present incarnation becomes the last ancestor. The oldest one is forgotten where there are
 * too many. */
static bool add_ancestor(struct stored_topic *topic)
{
    const uint32_t kept = MIN_OF(topic->ancestor_count, MAX_TOPIC_ANCESTORS - 1);
    struct topic_ancestor *ancestors = calloc(kept + 1u, sizeof(*ancestors));

    if (!ancestors)
        return false;
    if (kept > 0)
        memcpy(ancestors, topic->ancestors + topic->ancestor_count - kept, kept * sizeof(*ancestors));
    ancestors[kept] = (struct topic_ancestor){topic->incarnation, topic->kept.next_seq - 1};
    free(topic->ancestors);
    topic->ancestors = ancestors;
    topic->ancestor_count = kept + 1;
    return true;
}

static enum db_result write_lineage(struct database *database, const struct stored_topic *topic)
{
    OWNED(buf_fini) struct buf data = {0};
    sqlite3_stmt *statement = NULL;

    for (uint32_t i = 0; i < topic->ancestor_count; i++) {
        put_number(&data, topic->ancestors[i].incarnation);
        put_number(&data, topic->ancestors[i].last_seq);
    }
    put_number(&data, hash_of(topic->id, (struct bytes){data.data, data.size}));
    if (data.broken)
        return database_failed(database, SQLITE_NOMEM, "write a topic's lineage");
    enum db_result result =
        database_prepare_one(database, &statement, "UPDATE topic SET lineage = ?2 WHERE id = ?1");
    if (result != DB_OK)
        return result;
    bind_number(statement, 1, topic->id);
    bind_bytes(statement, 2, (struct bytes){data.data, data.size});
    result = database_step_of(database, statement, "write a topic's lineage");
    sqlite3_finalize(statement);
    return result == DB_OK ? topic_update(database, topic) : result;
}

static enum db_result renew_topics(struct database *database, struct topic_log *log)
{
    uint64_t incarnation = MAX_OF((uint64_t)MAX_OF(clock_wall_ns(), 1), log->last_id + 1);
    enum db_result result = DB_OK;
    char id[24];

    map_each(node, following, &log->by_id)
    {
        struct stored_topic *topic = container_of(node, struct stored_topic, by_id);

        if (result != DB_OK)
            break;
        if (!add_ancestor(topic))
            return database_failed(database, SQLITE_NOMEM, "begin a topic anew");
        incarnation = MAX_OF(incarnation, topic->incarnation + 1);
        topic->incarnation = incarnation++;
        result = write_lineage(database, topic);
    }
    log->last_id = incarnation;
    snprintf(id, sizeof(id), "%" PRIu64, log->last_id);
    return result == DB_OK ? meta_set(database, "topic_id", id) : result;
}

static enum db_result renew(struct database *database, struct topic_log *log)
{
    enum db_result result = database_begin(database);

    if (result == DB_OK)
        result = renew_topics(database, log);
    if (result == DB_OK)
        result = database_new_uuid(database);
    if (result == DB_OK)
        result = database_run(database, "DELETE FROM meta WHERE key = '" META_COPIED "'", "remove the mark");
    if (result == DB_OK)
        result = database_commit(database);
    if (result != DB_OK)
        (void)database_rollback(database);
    return result;
}

bool lineage_renew(struct database *database, struct topic_log *log, struct refusal *refusal)
{
    char copied[32];

    if (!meta_get(database, META_COPIED, copied, sizeof(copied)))
        return true;
    if (renew(database, log) != DB_OK)
        return database_refuse(database, database->error.code, "begin its topics anew", refusal);
    log_write(LOG_WARN, "store.restored", LOG_TEXT("path", database->path), LOG_TEXT("copied", copied),
              LOG_NUMBER("topics", log->by_id.count));
    return true;
}
