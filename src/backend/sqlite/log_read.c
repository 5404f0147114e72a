/* log_read.c - a step of a reader: some rows of a topic, of one moment. */
#include <inttypes.h>
#include <stdio.h>

#include "backend/sqlite/columns.h"
#include "backend/sqlite/readers.h"

#define SQL_CAPACITY 384

/* ---- the connection ---- */

static const char *const settings[] = {"PRAGMA query_only=ON", "PRAGMA mmap_size=0",
                                       "PRAGMA cache_size=-2048", "PRAGMA temp_store=MEMORY",
                                       "PRAGMA trusted_schema=OFF"};

bool read_connection_open(struct read_connection *connection, const char *path)
{
    int code = sqlite3_open_v2(path, &connection->handle,
                               SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);

    if (code == SQLITE_OK) {
        (void)sqlite3_extended_result_codes(connection->handle, 1);
        (void)sqlite3_db_config(connection->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        (void)sqlite3_busy_timeout(connection->handle, DATABASE_BUSY_TIMEOUT_MS);
    }
    for (size_t i = 0; i < ARRAY_LEN(settings) && code == SQLITE_OK; i++)
        code = sqlite3_exec(connection->handle, settings[i], NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v3(connection->handle,
                                  "SELECT incarnation, next_seq FROM topic WHERE id = ?1"
                                  " AND name IS NOT NULL",
                                  -1, SQLITE_PREPARE_PERSISTENT, &connection->topic, NULL);
    if (code != SQLITE_OK)
        read_connection_close(connection);
    return code == SQLITE_OK;
}

void read_connection_close(struct read_connection *connection)
{
    sqlite3_finalize(connection->topic);
    (void)sqlite3_close(connection->handle);
    *connection = (struct read_connection){.handle = NULL};
}

/* ---- outcomes ---- */

static enum topic_outcome outcome_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return TOPIC_DONE;
    case SQLITE_NOMEM:
        return TOPIC_NO_MEMORY;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return TOPIC_LOCKED;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return TOPIC_DAMAGED;
    default:
        return TOPIC_FAILED;
    }
}

/* The statement at its first row, or NULL; *code_out then says why. `values` are its parameters. */
static sqlite3_stmt *query(struct read_connection *connection, const char *sql, const uint64_t values[2],
                           int *code_out)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(connection->handle, sql, -1, &statement, NULL);

    for (int i = 0; code == SQLITE_OK && i < sqlite3_bind_parameter_count(statement); i++)
        bind_number(statement, i + 1, values[i]);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    *code_out = code;
    if (code == SQLITE_ROW)
        return statement;
    sqlite3_finalize(statement);
    return NULL;
}

/* ---- where it begins ---- */

static enum topic_outcome read_topic(struct read_connection *connection, struct topic_read *read)
{
    bind_number(connection->topic, 1, read->topic);
    const int code = sqlite3_step(connection->topic);
    if (code == SQLITE_ROW) {
        read->incarnation = column_number(connection->topic, 0);
        read->first_seq = read->next_seq = column_number(connection->topic, 1);
    }
    (void)sqlite3_reset(connection->topic);
    return code == SQLITE_DONE ? TOPIC_NOT_FOUND : outcome_of(code);
}

static enum topic_outcome read_bounds(struct read_connection *connection, struct topic_read *read)
{
    static const uint64_t no_values[2];
    char sql[SQL_CAPACITY];
    int code;

    snprintf(sql, sizeof(sql),
             "SELECT (SELECT seq FROM log_%" PRIu64 " ORDER BY seq LIMIT 1), seq + count FROM log_%" PRIu64
             " ORDER BY seq DESC LIMIT 1",
             read->topic, read->topic);
    sqlite3_stmt *statement = query(connection, sql, no_values, &code);
    if (statement) {
        read->first_seq = column_number(statement, 0);
        read->next_seq = column_number(statement, 1);
    }
    sqlite3_finalize(statement);
    return outcome_of(code);
}

/* The first row that was appended at `value` or later: times never go back, so halving finds it. */
static enum topic_outcome find_time(struct read_connection *connection, const struct topic_read *read,
                                    uint64_t *seq_out)
{
    uint64_t low = read->first_seq, high = read->next_seq;
    sqlite3_stmt *statement = NULL;
    char sql[SQL_CAPACITY];
    int code;

    snprintf(sql, sizeof(sql),
             "SELECT seq, count, appended FROM log_%" PRIu64 " WHERE seq >= ?1 ORDER BY seq LIMIT 1",
             read->topic);
    code = sqlite3_prepare_v2(connection->handle, sql, -1, &statement, NULL);
    *seq_out = high;
    while (code == SQLITE_OK && low < high) {
        const uint64_t middle = low + (high - low) / 2;

        bind_number(statement, 1, middle);
        code = sqlite3_step(statement);
        if (code != SQLITE_ROW && code != SQLITE_DONE)
            break;
        const uint64_t seq = column_number(statement, 0);
        if (code == SQLITE_DONE || seq >= high) {
            high = middle;
        } else if (column_number(statement, 2) >= read->value) {
            *seq_out = seq;
            high = middle;
        } else {
            low = seq + column_number(statement, 1);
        }
        code = sqlite3_reset(statement);
    }
    sqlite3_finalize(statement);
    return outcome_of(code);
}

static enum topic_outcome find_start(struct read_connection *connection, const struct topic_read *read,
                                     uint64_t *seq_out)
{
    const uint64_t kept = read->next_seq - read->first_seq;

    switch (read->start) {
    case START_SEQUENCE:
        *seq_out = MAX_OF(read->value, read->first_seq);
        break;
    case START_LAST:
        *seq_out = read->next_seq - MIN_OF(read->value, kept);
        break;
    case START_TIME:
        return find_time(connection, read, seq_out);
    }
    return TOPIC_DONE;
}

/* ---- rows ---- */

/* Appends the row's data; rows[].data.data is set when all are there. */
static enum topic_outcome add_row(struct topic_read *read, sqlite3_stmt *statement)
{
    struct topic_row row = {.first_seq = column_number(statement, 0),
                            .count = (uint32_t)column_number(statement, 1),
                            .appended_ns = sqlite3_column_int64(statement, 2),
                            .before_bytes = column_number(statement, 3),
                            .data = column_bytes(statement, 5)};
    struct row_walk walk;

    if (topic_row_hash(read->topic, &row) != column_number(statement, 4) || !row_walk_begin(&walk, &row))
        return TOPIC_DAMAGED;
    buf_bytes(&read->data, row.data.data, row.data.size);
    row.data.data = NULL;
    read->rows[read->count++] = row;
    return read->data.broken ? TOPIC_NO_MEMORY : TOPIC_DONE;
}

static void set_addresses(struct topic_read *read)
{
    size_t offset = 0;

    for (uint32_t i = 0; i < read->count; i++) {
        read->rows[i].data.data = read->data.data + offset;
        offset += read->rows[i].data.size;
    }
}

static enum topic_outcome read_rows(struct read_connection *connection, struct topic_read *read, uint64_t seq)
{
    const uint64_t values[] = {seq, read->max_rows};
    enum topic_outcome outcome = TOPIC_DONE;
    char sql[SQL_CAPACITY];
    int code;

    snprintf(sql, sizeof(sql),
             "SELECT seq, count, appended, before_bytes, hash, data FROM log_%" PRIu64
             " WHERE seq >= ifnull((SELECT seq FROM log_%" PRIu64
             " WHERE seq <= ?1 ORDER BY seq DESC LIMIT 1), 0) ORDER BY seq LIMIT ?2",
             read->topic, read->topic);
    sqlite3_stmt *statement = query(connection, sql, values, &code);
    while (code == SQLITE_ROW && outcome == TOPIC_DONE) {
        const size_t size = (size_t)sqlite3_column_bytes(statement, 5);

        if (read->count > 0 && read->data.size + size > read->max_bytes)
            break;
        outcome = add_row(read, statement);
        if (outcome == TOPIC_DONE)
            code = sqlite3_step(statement);
        else if (outcome == TOPIC_DAMAGED)
            read->value = column_number(statement, 0);
    }
    sqlite3_finalize(statement);
    return outcome == TOPIC_DONE ? outcome_of(code) : outcome;
}

static enum topic_outcome run(struct read_connection *connection, struct topic_read *read)
{
    uint64_t seq = 0;
    enum topic_outcome outcome = read_topic(connection, read);

    if (outcome == TOPIC_DONE)
        outcome = read_bounds(connection, read);
    if (outcome == TOPIC_DONE)
        outcome = find_start(connection, read, &seq);
    if (outcome != TOPIC_DONE || seq >= read->next_seq)
        return outcome;
    outcome = read_rows(connection, read, seq);
    set_addresses(read);
    /* what comes before a bad row, or one that cannot be read, is good: it goes out first */
    return read->count > 0 && outcome != TOPIC_NO_MEMORY ? TOPIC_DONE : outcome;
}

void log_read(struct read_connection *connection, struct topic_read *read)
{
    read->count = 0;
    read->first_seq = read->next_seq = read->incarnation = 0;
    buf_clear(&read->data);
    if (read->max_rows == 0 || read->max_rows > MAX_READ_ROWS) {
        read->outcome = TOPIC_INVALID;
        return;
    }
    const int code = sqlite3_exec(connection->handle, "BEGIN", NULL, NULL, NULL);
    read->outcome = code == SQLITE_OK ? run(connection, read) : outcome_of(code);
    if (!sqlite3_get_autocommit(connection->handle))
        (void)sqlite3_exec(connection->handle, "ROLLBACK", NULL, NULL, NULL);
}
