/* keyed_store_save.c - saves of a keyed store. Saves that wait at the same time are one
 * transaction: most of the time of a save is the disk's.
 *
 * In a transaction each save compares its generation before it writes anything. One that finds a
 * conflict leaves the others alone. Any other failure takes the whole transaction back, for all of
 * its saves: none of them was written. After KEYED_FAILED nobody knows what the disk has, so no
 * later save is tried. */
#include <stdio.h>

#include "backend/sqlite/keyed_store_internal.h"
#include "base/clock.h"
#include "base/threads.h"

/* Of one transaction. */
#define MAX_GROUP 64u
#define MAX_GROUP_BYTES ((size_t)16 << 20)
/* A save takes away twice as many old results as it adds, and so many more. */
#define TRIM_MORE 64

/* A call of keyed_store_save(). */
struct request {
    const struct keyed_save *save;
    struct keyed_error *error;
    enum keyed_outcome outcome;
    bool done;
    struct list node; /* in store->waiting, or in the leader's group */
};

static size_t save_bytes(const struct keyed_save *save)
{
    size_t bytes = save->resource.size;

    for (size_t i = 0; i < save->result_count; i++)
        bytes += save->results[i].data.size;
    return bytes;
}

/* ---- one save, in a transaction ---- */

static int run(sqlite3_stmt *statement)
{
    const int code = sqlite3_step(statement);

    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int read_generation(struct keyed_connection *connection, const struct keyed_name *name,
                           uint64_t *generation_out)
{
    sqlite3_stmt *statement = connection->statements[KEYED_GENERATION];

    keyed_bind_name(statement, name);
    const int code = sqlite3_step(statement);
    *generation_out = code == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int put_resource(struct keyed_connection *writer, const struct keyed_save *save)
{
    const bool is_unchanged = save->change == KEYED_UNCHANGED;
    sqlite3_stmt *statement = writer->statements[is_unchanged ? KEYED_PUT_GENERATION : KEYED_PUT_RESOURCE];

    keyed_bind_name(statement, &save->name);
    (void)sqlite3_bind_int64(statement, 3, (sqlite3_int64)save->generation + 1);
    if (save->change == KEYED_REPLACED)
        keyed_bind_bytes(statement, 4, save->resource);
    return run(statement);
}

static void bind_text(sqlite3_stmt *statement, int index, struct bytes text)
{
    (void)sqlite3_bind_text64(statement, index, text.size > 0 ? (const char *)text.data : "", text.size,
                              SQLITE_STATIC, SQLITE_UTF8);
}

static int put_result(struct keyed_connection *writer, const struct keyed_name *name,
                      const struct keyed_result *result, int64_t now_ns)
{
    sqlite3_stmt *statement = writer->statements[KEYED_PUT_RESULT];

    keyed_bind_name(statement, name);
    keyed_bind_bytes(statement, 3, result->operation_id);
    (void)sqlite3_bind_int(statement, 4, result->code);
    bind_text(statement, 5, result->reason);
    bind_text(statement, 6, result->message);
    keyed_bind_bytes(statement, 7, result->data);
    (void)sqlite3_bind_int64(statement, 8, now_ns);
    return run(statement);
}

static int trim(struct keyed_connection *writer, int64_t before_ns, size_t added)
{
    sqlite3_stmt *statement = writer->statements[KEYED_TRIM];

    (void)sqlite3_bind_int64(statement, 1, before_ns);
    (void)sqlite3_bind_int64(statement, 2, 2 * (sqlite3_int64)added + TRIM_MORE);
    return run(statement);
}

/* SQLITE_OK also where there is a conflict, which the outcome says. */
static int save_one(struct keyed_store *store, const struct keyed_save *save, int64_t now_ns,
                    enum keyed_outcome *outcome_out)
{
    struct keyed_connection *writer = &store->writer;
    uint64_t found = 0;
    int code = read_generation(writer, &save->name, &found);

    *outcome_out = code == SQLITE_OK && found != save->generation ? KEYED_CONFLICT : KEYED_OK;
    if (code != SQLITE_OK || *outcome_out == KEYED_CONFLICT)
        return code;
    code = put_resource(writer, save);
    for (size_t i = 0; i < save->result_count && code == SQLITE_OK; i++)
        code = put_result(writer, &save->name, &save->results[i], now_ns);
    if (code == SQLITE_OK)
        code = trim(writer, now_ns - store->results_kept_ns, save->result_count);
    return code;
}

/* ---- a group ---- */

static int group_saves(struct keyed_store *store, struct list *group)
{
    const int64_t now_ns = clock_wall_ns();
    int code = SQLITE_OK;

    list_each(node, safe, group) {
        struct request *request = container_of(node, struct request, node);

        if (code == SQLITE_OK)
            code = save_one(store, request->save, now_ns, &request->outcome);
    }
    return code;
}

/* Every request of the group gets this outcome, and the text. */
static void fail_all(struct list *group, enum keyed_outcome outcome, const struct keyed_error *error)
{
    list_each(node, safe, group) {
        struct request *request = container_of(node, struct request, node);

        request->outcome = outcome;
        *request->error = *error;
    }
}

/* Returns whether later saves may be tried. */
static bool write_group(struct keyed_store *store, struct list *group)
{
    struct keyed_connection *writer = &store->writer;
    sqlite3 *handle = writer->database.handle;
    const char *step = "begin a transaction";
    struct keyed_error error = {.text = ""};
    int code = sqlite3_exec(handle, "BEGIN IMMEDIATE", NULL, NULL, NULL);

    if (code == SQLITE_OK) {
        step = "write";
        code = group_saves(store, group);
    }
    if (code == SQLITE_OK) {
        step = "commit";
        code = sqlite3_exec(handle, "COMMIT", NULL, NULL, NULL);
    }
    if (code == SQLITE_OK)
        return true;
    const enum keyed_outcome outcome = keyed_failed(writer, code, step, &error);
    bool goes_on = outcome != KEYED_FAILED;
    if (!sqlite3_get_autocommit(handle))
        goes_on = sqlite3_exec(handle, "ROLLBACK", NULL, NULL, NULL) == SQLITE_OK && goes_on;
    fail_all(group, goes_on ? outcome : KEYED_FAILED, &error);
    return goes_on;
}

/* SQLite goes on writing to a file that has no name any more. So its place is looked at before and
 * after. Returns whether later saves may be tried. */
static bool commit_group(struct keyed_store *store, struct list *group)
{
    struct keyed_error error = {.text = ""};
    bool goes_on = keyed_check_places(&store->writer, &error) == KEYED_OK;

    if (goes_on) {
        if (!write_group(store, group))
            return false;
        goes_on = keyed_check_places(&store->writer, &error) == KEYED_OK;
    }
    if (!goes_on)
        fail_all(group, KEYED_FAILED, &error);
    return goes_on;
}

/* Under the lock. Moves what fits into one transaction to the group; the first one always does. */
static void gather(struct keyed_store *store, struct list *group)
{
    size_t bytes = 0;
    unsigned count = 0;

    list_each(node, safe, &store->waiting) {
        const size_t size = save_bytes(container_of(node, struct request, node)->save);

        if (count > 0 && (count >= MAX_GROUP || bytes + size > MAX_GROUP_BYTES))
            break;
        count++;
        bytes += size;
        list_remove(node);
        list_append(group, node);
    }
}

/* Under the lock, which is released while the group is committed. */
static void lead(struct keyed_store *store)
{
    static const struct keyed_error failed_before = {
        .text = "an earlier save has failed, and nobody knows what the disk has of it"};
    struct list group;

    list_init(&group);
    gather(store, &group);
    if (store->failed) {
        fail_all(&group, KEYED_FAILED, &failed_before);
    } else {
        store->has_leader = true;
        pthread_mutex_unlock(&store->lock);
        const bool goes_on = commit_group(store, &group);
        pthread_mutex_lock(&store->lock);
        store->has_leader = false;
        store->failed = !goes_on;
    }
    list_each(node, safe, &group) {
        list_remove(node);
        container_of(node, struct request, node)->done = true;
    }
    pthread_cond_broadcast(&store->changed);
}

/* Compares the generation, without a transaction that writes. */
static enum keyed_outcome compare(struct keyed_store *store, const struct keyed_save *save,
                                  struct keyed_error *error)
{
    uint64_t found = 0;

    pthread_mutex_lock(&store->reader.lock);
    const int code = read_generation(&store->reader, &save->name, &found);
    const enum keyed_outcome outcome = code == SQLITE_OK
                                           ? keyed_check_places(&store->reader, error)
                                           : keyed_failed(&store->reader, code, "read a generation", error);
    pthread_mutex_unlock(&store->reader.lock);
    return outcome == KEYED_OK && found != save->generation ? KEYED_CONFLICT : outcome;
}

enum keyed_outcome keyed_store_save(struct keyed_store *store, const struct keyed_save *save,
                                    struct keyed_error *error)
{
    struct request request = {.save = save, .error = error};

    CHECK(save->resource.size <= KEYED_MAX_RESOURCE_BYTES);
    error->text[0] = '\0';
    if (save->change == KEYED_UNCHANGED && save->result_count == 0)
        return compare(store, save, error);
    pthread_mutex_lock(&store->lock);
    list_append(&store->waiting, &request.node);
    while (!request.done) {
        if (store->has_leader)
            (void)cond_wait_until(&store->changed, &store->lock, INT64_MAX);
        else
            lead(store);
    }
    pthread_mutex_unlock(&store->lock);
    return request.outcome;
}
