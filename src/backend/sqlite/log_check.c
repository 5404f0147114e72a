/* log_check.c - a topic's log at the start: where it begins and ends, and whether its latest rows
 * are what was written. */
#include <inttypes.h>
#include <stdio.h>

#include "backend/sqlite/columns.h"
#include "backend/sqlite/topic_log.h"

#define SQL_CAPACITY 192

static bool refuse_log(struct database *database, const struct stored_topic *topic, uint64_t seq,
                       const char *text, struct refusal *refusal)
{
    return refuse(refusal, "%s: topic '%.*s' is damaged: %s at sequence %" PRIu64, database->path,
                  (int)topic->name_size, (const char *)topic->name, text, seq);
}

static struct topic_row row_of(sqlite3_stmt *statement)
{
    return (struct topic_row){.first_seq = column_number(statement, 0),
                              .count = (uint32_t)column_number(statement, 1),
                              .appended_ns = sqlite3_column_int64(statement, 2),
                              .before_bytes = column_number(statement, 3),
                              .data = column_bytes(statement, 5)};
}

/* A row, and how it fits to the one behind it. */
static bool check_row(struct database *database, const struct stored_topic *topic, sqlite3_stmt *statement,
                      struct topic_row *later, struct refusal *refusal)
{
    const struct topic_row row = row_of(statement);
    struct row_walk walk;

    if (topic_row_hash(topic->id, &row) != column_number(statement, 4) || !row_walk_begin(&walk, &row))
        return refuse_log(database, topic, row.first_seq, "the hash of a row is wrong", refusal);
    if (later->count > 0 && (row.first_seq + row.count != later->first_seq ||
                             row.before_bytes + row.data.size != later->before_bytes))
        return refuse_log(database, topic, later->first_seq, "rows are missing before the one", refusal);
    *later = row;
    return true;
}

static void end_with(struct log_bounds *bounds, const struct topic_row *row)
{
    bounds->next_seq = row->first_seq + row->count;
    bounds->end_bytes = row->before_bytes + row->data.size;
    bounds->last_ns = row->appended_ns;
}

/* From the last row back. *has_rows_out: the log is not empty. */
static bool check_last(struct database *database, struct stored_topic *topic, sqlite3_stmt *statement,
                       uint64_t bytes, bool *has_rows_out, struct refusal *refusal)
{
    const uint64_t known_seq = topic->kept.next_seq;
    struct topic_row later = {.count = 0};
    uint64_t checked = 0;
    int code;

    while ((code = sqlite3_step(statement)) == SQLITE_ROW && (checked == 0 || checked < bytes)) {
        const bool is_last = later.count == 0;

        if (!check_row(database, topic, statement, &later, refusal))
            return false;
        if (is_last)
            end_with(&topic->kept, &later);
        checked += later.data.size;
    }
    *has_rows_out = later.count > 0;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return database_refuse(database, code, "check a topic", refusal);
    return topic->kept.next_seq >= known_seq ||
           refuse_log(database, topic, topic->kept.next_seq, "rows are missing", refusal);
}

/* The log is not empty. */
static bool read_first(struct database *database, struct stored_topic *topic, struct refusal *refusal)
{
    struct log_bounds *bounds = &topic->kept;
    sqlite3_stmt *statement = NULL;
    char sql[SQL_CAPACITY];

    snprintf(sql, sizeof(sql),
             "SELECT seq, count, appended, before_bytes, length(data) FROM log_%" PRIu64
             " ORDER BY seq LIMIT 1",
             topic->id);
    int code = sqlite3_prepare_v2(database->handle, sql, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        bounds->first_seq = column_number(statement, 0);
        bounds->first_count = (uint32_t)column_number(statement, 1);
        bounds->first_ns = sqlite3_column_int64(statement, 2);
        bounds->first_bytes = column_number(statement, 3);
        bounds->first_size = column_number(statement, 4);
    }
    sqlite3_finalize(statement);
    return code == SQLITE_ROW || database_refuse(database, code, "read the first row of a topic", refusal);
}

bool log_check(struct database *database, struct stored_topic *topic, uint64_t bytes, struct refusal *refusal)
{
    sqlite3_stmt *statement = NULL;
    char sql[SQL_CAPACITY];
    bool has_rows = false;

    snprintf(sql, sizeof(sql),
             "SELECT seq, count, appended, before_bytes, hash, data FROM log_%" PRIu64 " ORDER BY seq DESC",
             topic->id);
    const int code = sqlite3_prepare_v2(database->handle, sql, -1, &statement, NULL);
    if (code != SQLITE_OK)
        return database_refuse(database, code, "check a topic", refusal);
    const bool is_ok = check_last(database, topic, statement, bytes, &has_rows, refusal);
    sqlite3_finalize(statement);
    if (!is_ok || (has_rows && !read_first(database, topic, refusal)))
        return false;
    topic->next = topic->kept;
    return true;
}
