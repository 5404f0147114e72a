/* record_table.c - the table of named records. */
#include "backend/sqlite/record_table.h"

#include <string.h>

#include "backend/sqlite/columns.h"
#include "base/clock.h"
#include "base/map.h"

/* The hash is against decay of the disk, and against nobody who writes to the file. */
static const uint64_t hash_key[2] = {0x7472696275746172, 0x792e7265636f7264};

static void hash_part(struct buf *bytes, const void *data, size_t size)
{
    const uint64_t length = size;

    buf_bytes(bytes, &length, sizeof(length)); /* no machine but this one reads it */
    buf_bytes(bytes, data, size);
}

/* False: out of memory. */
static bool hash_of(const struct store_record *record, int64_t *hash_out)
{
    OWNED(buf_fini) struct buf bytes = {0};

    hash_part(&bytes, record->kind, strlen(record->kind));
    hash_part(&bytes, record->name.data, record->name.size);
    hash_part(&bytes, record->value.data, record->value.size);
    hash_part(&bytes, record->owner.data, record->owner.size);
    hash_part(&bytes, &record->changed_wall_ns, sizeof(record->changed_wall_ns));
    *hash_out = (int64_t)siphash13(hash_key, (struct bytes){bytes.data, bytes.size});
    return !bytes.broken;
}

static void bind_key(sqlite3_stmt *statement, const struct store_record *record)
{
    (void)sqlite3_bind_text(statement, 1, record->kind, -1, SQLITE_STATIC);
    bind_bytes(statement, 2, record->name);
}

/* A wrong hash is final: what is on the disk is not what was written. */
static enum db_result copy_before(struct database *database, sqlite3_stmt *statement,
                                  const struct store_record *record, struct store_before *before)
{
    const struct store_record old = {.kind = record->kind,
                                     .name = record->name,
                                     .value = column_bytes(statement, 0),
                                     .owner = column_bytes(statement, 1),
                                     .changed_wall_ns = sqlite3_column_int64(statement, 2)};
    int64_t hash;

    buf_bytes(&before->value, old.value.data, old.value.size);
    buf_bytes(&before->owner, old.owner.data, old.owner.size);
    before->changed_wall_ns = old.changed_wall_ns;
    if (before->value.broken || before->owner.broken || !hash_of(&old, &hash))
        return database_failed(database, SQLITE_NOMEM, "read a record");
    return hash == sqlite3_column_int64(statement, 3)
               ? DB_OK
               : database_failed(database, SQLITE_CORRUPT, "check the hash of a record");
}

static enum db_result read_before(struct database *database, const struct store_record *record,
                                  struct store_before *before)
{
    sqlite3_stmt *statement = database->statements[DB_RECORD_GET];
    enum db_result result = DB_OK;

    bind_key(statement, record);
    const int code = sqlite3_step(statement);
    before->is_there = code == SQLITE_ROW;
    if (code == SQLITE_ROW)
        result = copy_before(database, statement, record, before);
    else if (code != SQLITE_DONE)
        result = database_failed(database, code, "read a record");
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    return result;
}

enum db_result record_put(struct database *database, const struct store_record *record,
                          struct store_before *before)
{
    sqlite3_stmt *statement = database->statements[DB_RECORD_PUT];
    struct store_record now = *record;
    int64_t hash;
    enum db_result result = read_before(database, record, before);

    if (result != DB_OK)
        return result;
    if (now.changed_wall_ns == 0)
        now.changed_wall_ns = clock_wall_ns();
    if (!hash_of(&now, &hash))
        return database_failed(database, SQLITE_NOMEM, "hash a record");
    bind_key(statement, &now);
    bind_bytes(statement, 3, now.value);
    bind_bytes(statement, 4, now.owner);
    (void)sqlite3_bind_int64(statement, 5, now.changed_wall_ns);
    (void)sqlite3_bind_int64(statement, 6, hash);
    return database_step(database, DB_RECORD_PUT, "write a record");
}

enum db_result record_remove(struct database *database, const struct store_record *record,
                             struct store_before *before)
{
    enum db_result result = read_before(database, record, before);

    if (result != DB_OK || !before->is_there)
        return result;
    bind_key(database->statements[DB_RECORD_REMOVE], record);
    return database_step(database, DB_RECORD_REMOVE, "remove a record");
}

/* ---- all of them ---- */

#define SELECT_ALL "SELECT name, value, owner, changed, hash FROM record WHERE kind = ?1 ORDER BY name"

static bool show(struct database *database, sqlite3_stmt *statement, const char *kind,
                 bool (*each)(void *ctx, const struct store_record *record), void *ctx,
                 struct refusal *refusal)
{
    const struct store_record record = {.kind = kind,
                                        .name = column_bytes(statement, 0),
                                        .value = column_bytes(statement, 1),
                                        .owner = column_bytes(statement, 2),
                                        .changed_wall_ns = sqlite3_column_int64(statement, 3)};
    int64_t hash;

    if (!hash_of(&record, &hash))
        return refuse(refusal, "%s: no memory", database->path);
    if (hash != sqlite3_column_int64(statement, 4))
        return refuse(refusal, "%s: the record of %s '%.*s' is damaged: its hash is wrong", database->path,
                      kind, (int)MIN_OF(record.name.size, 256u),
                      record.name.size ? (const char *)record.name.data : "");
    return each(ctx, &record) || refuse(refusal, "%s: no memory", database->path);
}

bool record_each(struct database *database, const char *kind,
                 bool (*each)(void *ctx, const struct store_record *record), void *ctx,
                 struct refusal *refusal)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(database->handle, SELECT_ALL, -1, &statement, NULL);
    bool is_ok = code == SQLITE_OK;

    if (is_ok)
        (void)sqlite3_bind_text(statement, 1, kind, -1, SQLITE_STATIC);
    while (is_ok && (code = sqlite3_step(statement)) == SQLITE_ROW)
        is_ok = show(database, statement, kind, each, ctx, refusal);
    sqlite3_finalize(statement);
    if (!is_ok && refusal->text[0] != '\0')
        return false;
    return code == SQLITE_DONE || database_refuse(database, code, "read the records", refusal);
}
