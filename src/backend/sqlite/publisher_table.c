/* publisher_table.c - the table of publishers. */
#include "backend/sqlite/publisher_table.h"

#include <stdlib.h>

#include "backend/sqlite/columns.h"
#include "backend/sqlite/small_row.h"
#include "backend/sqlite/store.h"
#include "base/clock.h"

static struct bytes producer_of(const struct seen_publisher *seen)
{
    return (struct bytes){seen->key + 2, seen->producer_size};
}

static struct bytes id_of(const struct seen_publisher *seen)
{
    return (struct bytes){seen->key + 2 + seen->producer_size, seen->key_size - 2 - seen->producer_size};
}

static uint64_t hash_of(const struct seen_publisher *seen, uint64_t used_ns)
{
    const uint64_t numbers[] = {seen->state.life, seen->state.last, used_ns};

    return small_row_hash(numbers, ARRAY_LEN(numbers), (struct bytes){seen->key, seen->key_size},
                          (struct bytes){NULL, 0});
}

/* ---- one ---- */

/* NULL: out of memory. */
static struct seen_publisher *seen_new(struct bytes producer, struct bytes id)
{
    const size_t size = 2 + producer.size + id.size;
    struct seen_publisher *seen = calloc(1, sizeof(*seen) + size);

    if (!seen)
        return NULL;
    seen->producer_size = producer.size;
    seen->key_size = size;
    seen->key[0] = (uint8_t)producer.size;
    seen->key[1] = (uint8_t)(producer.size >> 8);
    if (producer.size > 0)
        memcpy(seen->key + 2, producer.data, producer.size);
    memcpy(seen->key + 2 + producer.size, id.data, id.size);
    seen->node.key = (struct bytes){seen->key, size};
    return seen;
}

static enum db_result read_row(struct database *database, struct seen_publisher *seen)
{
    sqlite3_stmt *statement = database->statements[DB_PUBLISHER_GET];
    enum db_result result = DB_OK;

    bind_bytes(statement, 1, producer_of(seen));
    bind_bytes(statement, 2, id_of(seen));
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        seen->was_there = true;
        seen->state =
            (struct publisher_state){true, column_number(statement, 0), column_number(statement, 1)};
        if (hash_of(seen, column_number(statement, 2)) != column_number(statement, 3))
            result = database_failed(database, SQLITE_CORRUPT, "check the hash of a publisher");
    } else if (code != SQLITE_DONE) {
        result = database_failed(database, code, "read a publisher");
    }
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    return result;
}

enum db_result publisher_find(struct database *database, struct topic_log *log, struct bytes producer,
                              struct bytes id, struct seen_publisher **seen_out)
{
    struct seen_publisher *seen = seen_new(producer, id);
    struct map_node *before = seen ? map_find(&log->publishers, seen->node.key) : NULL;

    if (before) {
        free(seen);
        *seen_out = container_of(before, struct seen_publisher, node);
        return DB_OK;
    }
    if (!seen || map_add(&log->publishers, &seen->node) != ERR_OK) {
        free(seen);
        return database_failed(database, SQLITE_NOMEM, "read a publisher");
    }
    *seen_out = seen;
    return read_row(database, seen);
}

/* ---- those of a transaction ---- */

static enum db_result write_row(struct database *database, const struct seen_publisher *seen,
                                uint64_t used_ns)
{
    sqlite3_stmt *statement = database->statements[DB_PUBLISHER_PUT];

    bind_bytes(statement, 1, producer_of(seen));
    bind_bytes(statement, 2, id_of(seen));
    bind_number(statement, 3, seen->state.life);
    bind_number(statement, 4, seen->state.last);
    bind_number(statement, 5, used_ns);
    bind_number(statement, 6, hash_of(seen, used_ns));
    return database_step(database, DB_PUBLISHER_PUT, "write a publisher");
}

/* Removes at most `rows` that were last used before a time: those that were silent for longest. */
static enum db_result remove_silent(struct database *database, struct topic_log *log, int64_t before_ns,
                                    uint64_t rows, uint64_t *removed_out)
{
    sqlite3_stmt *statement = database->statements[DB_PUBLISHER_EXPIRE];

    bind_number(statement, 1, (uint64_t)before_ns);
    bind_number(statement, 2, rows);
    const enum db_result result = database_step(database, DB_PUBLISHER_EXPIRE, "forget publishers");
    *removed_out = result == DB_OK ? (uint64_t)sqlite3_changes(database->handle) : 0;
    log->publishers_gone += *removed_out;
    return result;
}

/* A transaction has at most MAX_UNCOMMITTED_EVENTS publishers, so it forgets none of its own. */
static enum db_result remove_beyond_bound(struct database *database, struct topic_log *log)
{
    const uint64_t bound = log->publishers_gone + MAX_PUBLISHERS;
    uint64_t removed;

    if (log->publisher_count <= bound)
        return DB_OK;
    return remove_silent(database, log, INT64_MAX, log->publisher_count - bound, &removed);
}

/* The times of use rise, even where the wall clock goes back: the last one stays the last one. */
enum db_result publisher_write_all(struct database *database, struct topic_log *log)
{
    enum db_result result = DB_OK;

    map_each(node, following, &log->publishers)
    {
        const struct seen_publisher *seen = container_of(node, struct seen_publisher, node);

        if (result != DB_OK || !seen->is_changed)
            continue;
        log->publisher_used_ns = MAX_OF((uint64_t)log->now_ns, log->publisher_used_ns + 1);
        result = write_row(database, seen, log->publisher_used_ns);
    }
    return result == DB_OK ? remove_beyond_bound(database, log) : result;
}

void publisher_forget(struct topic_log *log, bool committed)
{
    if (committed)
        log->publisher_count -= MIN_OF(log->publishers_gone, log->publisher_count);
    log->publishers_gone = 0;
    if (log->publishers.count == 0)
        return;
    map_each(node, following, &log->publishers)
    {
        struct seen_publisher *seen = container_of(node, struct seen_publisher, node);

        log->publisher_count -= !committed && seen->is_changed && !seen->was_there;
        free(seen);
    }
    map_fini(&log->publishers);
    map_init(&log->publishers);
}

/* ---- the table ---- */

enum db_result publisher_expire(struct database *database, struct topic_log *log, bool *more_out)
{
    const int64_t before_ns = MAX_OF(log->now_ns - PUBLISHER_KEPT_NS, 0);
    uint64_t removed;
    const enum db_result result = remove_silent(database, log, before_ns, MAX_TRIM_ROWS, &removed);

    *more_out = removed == MAX_TRIM_ROWS;
    return result;
}

bool publisher_count(struct database *database, struct topic_log *log, struct refusal *refusal)
{
    int64_t count, used_ns;

    if (!database_number(database, "SELECT count(*) FROM publisher", &count) ||
        !database_number(database, "SELECT coalesce(max(used), 0) FROM publisher", &used_ns))
        return database_refuse(database, database->error.code, "count the publishers", refusal);
    log->publisher_count = (uint64_t)count;
    log->publisher_used_ns = (uint64_t)used_ns;
    log->publishers_due_ns = clock_from_now_ns(PUBLISHERS_EVERY_NS);
    return true;
}
