/* keyed_store_read.c - reads from a keyed store, and what saves and reads share. */
#include "backend/sqlite/keyed_store.h"

#include <stdio.h>

#include "backend/sqlite/keyed_store_internal.h"

void keyed_bind_bytes(sqlite3_stmt *statement, int index, struct bytes bytes)
{
    /* a NULL pointer would bind NULL */
    (void)sqlite3_bind_blob64(statement, index, bytes.size > 0 ? (const void *)bytes.data : "", bytes.size,
                              SQLITE_STATIC);
}

void keyed_bind_name(sqlite3_stmt *statement, const struct keyed_name *name)
{
    (void)sqlite3_bind_text64(statement, 1, (const char *)name->processor.data, name->processor.size,
                              SQLITE_STATIC, SQLITE_UTF8);
    keyed_bind_bytes(statement, 2, name->key);
}

enum keyed_outcome keyed_failed(struct keyed_connection *connection, int code, const char *step,
                                struct keyed_error *error)
{
    static const enum keyed_outcome outcomes[] = {[DB_OK] = KEYED_OK,
                                                  [DB_FULL] = KEYED_FULL,
                                                  [DB_LOCKED] = KEYED_LOCKED,
                                                  [DB_NO_MEMORY] = KEYED_NO_MEMORY,
                                                  [DB_FAILED] = KEYED_FAILED};
    const enum db_result result = database_failed(&connection->database, code, step);

    snprintf(error->text, sizeof(error->text), "%s (%s)", connection->database.error.text,
             sqlite_code_name(code));
    return outcomes[result];
}

enum keyed_outcome keyed_check_places(struct keyed_connection *connection, struct keyed_error *error)
{
    struct database *database = &connection->database;

    if (database_check_places(database) == DB_OK)
        return KEYED_OK;
    snprintf(error->text, sizeof(error->text),
             "it or its write-ahead log was removed, moved or replaced while it was in use: %.230s",
             database->path);
    return KEYED_FAILED;
}

static void copy_column(sqlite3_stmt *statement, int column, struct buf *buf)
{
    const void *data = sqlite3_column_blob(statement, column);

    buf_bytes(buf, data, data ? (size_t)sqlite3_column_bytes(statement, column) : 0);
}

static void reset(sqlite3_stmt *statement)
{
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
}

static enum keyed_outcome no_memory(struct keyed_error *error)
{
    snprintf(error->text, sizeof(error->text), "out of memory");
    return KEYED_NO_MEMORY;
}

/* ---- the resource ---- */

static enum keyed_outcome load(struct keyed_connection *reader, const struct keyed_name *name,
                               struct keyed_resource *resource, struct keyed_error *error)
{
    sqlite3_stmt *statement = reader->statements[KEYED_LOAD];
    enum keyed_outcome outcome = KEYED_OK;

    keyed_bind_name(statement, name);
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        resource->generation = (uint64_t)sqlite3_column_int64(statement, 0);
        resource->is_there = sqlite3_column_type(statement, 1) != SQLITE_NULL;
        copy_column(statement, 1, &resource->data);
        if (resource->data.broken)
            outcome = no_memory(error);
    } else if (code != SQLITE_DONE) {
        outcome = keyed_failed(reader, code, "read a resource", error);
    }
    reset(statement);
    return outcome;
}

enum keyed_outcome keyed_store_load(struct keyed_store *store, const struct keyed_name *name,
                                    struct keyed_resource *resource_out, struct keyed_error *error)
{
    struct keyed_resource resource = {.generation = 0};

    error->text[0] = '\0';
    pthread_mutex_lock(&store->reader.lock);
    const enum keyed_outcome outcome = load(&store->reader, name, &resource, error);
    pthread_mutex_unlock(&store->reader.lock);
    if (outcome == KEYED_OK)
        *resource_out = resource;
    else
        buf_fini(&resource.data);
    return outcome;
}

/* ---- a result ---- */

static enum keyed_outcome find(struct keyed_connection *reader, const struct keyed_name *name,
                               struct bytes operation_id, struct buf *text, struct keyed_result *result,
                               struct keyed_error *error)
{
    sqlite3_stmt *statement = reader->statements[KEYED_FIND];
    enum keyed_outcome outcome = KEYED_OK;
    size_t ends[3];

    keyed_bind_name(statement, name);
    keyed_bind_bytes(statement, 3, operation_id);
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        result->code = sqlite3_column_int(statement, 0);
        for (int i = 0; i < 3; i++) {
            copy_column(statement, i + 1, text);
            ends[i] = text->size;
        }
        result->reason = (struct bytes){text->data, ends[0]};
        result->message = (struct bytes){text->data + ends[0], ends[1] - ends[0]};
        result->data = (struct bytes){text->data + ends[1], ends[2] - ends[1]};
        if (text->broken)
            outcome = no_memory(error);
    } else {
        outcome = code == SQLITE_DONE ? KEYED_NOT_FOUND : keyed_failed(reader, code, "read a result", error);
    }
    reset(statement);
    return outcome;
}

enum keyed_outcome keyed_store_find(struct keyed_store *store, const struct keyed_name *name,
                                    struct bytes operation_id, struct buf *text,
                                    struct keyed_result *result_out, struct keyed_error *error)
{
    error->text[0] = '\0';
    buf_clear(text);
    result_out->operation_id = operation_id;
    pthread_mutex_lock(&store->reader.lock);
    const enum keyed_outcome outcome = find(&store->reader, name, operation_id, text, result_out, error);
    pthread_mutex_unlock(&store->reader.lock);
    return outcome;
}
