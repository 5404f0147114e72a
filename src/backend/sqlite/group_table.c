/* group_table.c - the tables of consumer groups and of their cursors. */
#include "backend/sqlite/group_table.h"

#include <inttypes.h>
#include <stdlib.h>

#include "backend/sqlite/columns.h"
#include "backend/sqlite/store_internal.h"
#include "base/clock.h"

/* It is against decay of the disk. It is part of the format. */
static uint64_t hash_of(const uint64_t *numbers, size_t count, struct bytes first, struct bytes second)
{
    static const uint64_t key[2] = {0x7472696275746172, 0x792e67726f757073};
    uint64_t parts[6] = {siphash13(key, first), siphash13(key, second)};

    for (size_t i = 0; i < count; i++)
        parts[i + 2] = numbers[i];
    for (size_t i = 0; i < count + 2; i++)
        parts[i] = htole64(parts[i]);
    return siphash13(key, (struct bytes){(const uint8_t *)parts, (count + 2) * sizeof(*parts)});
}

/* ---- in memory ---- */

struct stored_group *group_new(struct bytes name, struct bytes settings, uint64_t id, int64_t created_ns)
{
    struct stored_group *group = calloc(1, sizeof(*group) + name.size + settings.size);

    if (!group)
        return NULL;
    group->id = id;
    group->created_ns = created_ns;
    group->name_size = name.size;
    group->settings_size = settings.size;
    if (name.size > 0)
        memcpy(group->bytes, name.data, name.size);
    if (settings.size > 0)
        memcpy(group->bytes + name.size, settings.data, settings.size);
    group->by_name.key = group_name(group);
    list_init(&group->node);
    return group;
}

void groups_init(struct group_table *groups)
{
    *groups = (struct group_table){.created = NULL};
    list_init(&groups->deleted);
}

void groups_fini(struct group_table *groups)
{
    map_each(node, following, &groups->by_name) free(container_of(node, struct stored_group, by_name));
    map_fini(&groups->by_name);
    list_each(node, safe, &groups->deleted)
        free(container_of(node, struct stored_group, node));
    free(groups->created);
    groups_init(groups);
}

struct stored_group *group_find(const struct group_table *groups, struct bytes name)
{
    struct map_node *node = map_find(&groups->by_name, name);

    return node ? container_of(node, struct stored_group, by_name) : NULL;
}

static void forget_changes(struct group_table *groups)
{
    groups->created = groups->removed = groups->dropped = NULL;
    groups->is_update = false;
}

void groups_keep(struct store *store)
{
    struct group_table *groups = &store->groups;

    if (groups->removed)
        map_remove(&groups->by_name, &groups->removed->by_name);
    if (groups->created) {
        store->log.last_id = MAX_OF(store->log.last_id, groups->created->id);
        CHECK(map_add(&groups->by_name, &groups->created->by_name) == ERR_OK); /* it has space */
    }
    if (groups->removed && groups->is_update)
        free(groups->removed);
    else if (groups->removed)
        list_append(&groups->deleted, &groups->removed->node);
    if (groups->dropped) {
        list_remove(&groups->dropped->node);
        free(groups->dropped);
    }
    groups->cursor_count = groups->next_cursors;
    forget_changes(groups);
    if (!list_empty(&groups->deleted))
        store->log.due_ns = MIN_OF(store->log.due_ns, clock_mono_ns());
}

void groups_undo(struct store *store)
{
    struct group_table *groups = &store->groups;

    free(groups->created);
    groups->next_cursors = groups->cursor_count;
    forget_changes(groups);
}

/* ---- groups ---- */

static uint64_t group_hash(uint64_t id, int64_t created_ns, struct bytes name, struct bytes settings)
{
    return hash_of((const uint64_t[]){id, (uint64_t)created_ns}, 2, name, settings);
}

enum db_result group_put(struct database *database, const struct stored_group *group)
{
    sqlite3_stmt *statement = database->statements[DB_GROUP_PUT];

    bind_number(statement, 1, group->id);
    bind_bytes(statement, 2, group_name(group));
    bind_bytes(statement, 3, group_settings(group));
    bind_number(statement, 4, (uint64_t)group->created_ns);
    bind_number(statement, 5,
                group_hash(group->id, group->created_ns, group_name(group), group_settings(group)));
    return database_step(database, DB_GROUP_PUT, "write a group");
}

enum db_result group_remove(struct database *database, uint64_t id)
{
    bind_number(database->statements[DB_GROUP_REMOVE], 1, id);
    return database_step(database, DB_GROUP_REMOVE, "remove a group");
}

static bool read_group(struct database *database, struct group_table *groups, sqlite3_stmt *statement,
                       struct refusal *refusal)
{
    const uint64_t id = column_number(statement, 0);
    const struct bytes name = column_bytes(statement, 1), settings = column_bytes(statement, 2);
    const int64_t created_ns = sqlite3_column_int64(statement, 3);

    if (group_hash(id, created_ns, name, settings) != column_number(statement, 4))
        return refuse(refusal, "%s: group %" PRIu64 " is damaged: its hash is wrong", database->path, id);
    struct stored_group *group = group_new(name, settings, id, created_ns);
    if (group && map_reserve(&groups->by_name) == ERR_OK &&
        map_add(&groups->by_name, &group->by_name) == ERR_OK)
        return true;
    free(group);
    return refuse(refusal, "%s: no memory", database->path);
}

/* ---- cursors ---- */

static uint64_t cursor_hash(const uint64_t numbers[4], struct bytes cursor, struct bytes counts)
{
    return hash_of(numbers, 4, cursor, counts);
}

enum db_result cursor_find(struct database *database, uint64_t group, uint64_t topic, bool *is_there_out)
{
    sqlite3_stmt *statement = database->statements[DB_CURSOR_FIND];

    bind_number(statement, 1, group);
    bind_number(statement, 2, topic);
    const int code = sqlite3_step(statement);
    *is_there_out = code == SQLITE_ROW;
    (void)sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? DB_OK
                                                     : database_failed(database, code, "find a cursor");
}

static enum db_result write_cursor(struct database *database, enum db_statement verb,
                                   const uint64_t numbers[4], const struct group_cursor *cursor)
{
    sqlite3_stmt *statement = database->statements[verb];

    for (int i = 0; i < 4; i++)
        bind_number(statement, i + 1, numbers[i]);
    bind_bytes(statement, 5, cursor->cursor);
    bind_bytes(statement, 6, cursor->counts);
    bind_number(statement, 7, cursor_hash(numbers, cursor->cursor, cursor->counts));
    return database_step(database, verb, "write a cursor");
}

enum db_result cursor_put(struct store *store, uint64_t group, uint64_t topic_incarnation,
                          const struct group_cursor *cursor)
{
    const uint64_t numbers[4] = {group, cursor->topic, topic_incarnation, cursor->end_seq};
    enum db_result result = write_cursor(&store->database, DB_CURSOR_UPDATE, numbers, cursor);

    if (result != DB_OK || sqlite3_changes(store->database.handle) > 0)
        return result;
    store->groups.next_cursors++;
    return write_cursor(&store->database, DB_CURSOR_INSERT, numbers, cursor);
}

static enum db_result remove_some(struct store *store, enum db_statement verb, uint64_t of, uint32_t rows,
                                  uint32_t *removed_out)
{
    struct database *database = &store->database;

    bind_number(database->statements[verb], 1, of);
    bind_number(database->statements[verb], 2, rows);
    const enum db_result result = database_step(database, verb, "remove cursors");
    *removed_out = result == DB_OK ? (uint32_t)sqlite3_changes(database->handle) : 0;
    store->groups.next_cursors -= *removed_out;
    return result;
}

enum db_result cursors_remove(struct store *store, uint64_t topic, uint32_t rows, uint32_t *removed_out)
{
    return remove_some(store, DB_CURSORS_OF_TOPIC, topic, rows, removed_out);
}

enum db_result groups_tidy(struct store *store)
{
    struct list *first = list_first(&store->groups.deleted);
    uint32_t removed;

    if (!first || store->log.trim_left == 0)
        return DB_OK;
    struct stored_group *group = container_of(first, struct stored_group, node);
    const uint32_t rows = store->log.trim_left;
    const enum db_result result = remove_some(store, DB_CURSORS_OF_GROUP, group->id, rows, &removed);
    if (result == DB_OK && removed < rows)
        store->groups.dropped = group;
    store->log.trim_left -= MIN_OF(removed, rows);
    return result;
}

/* ---- all of them ---- */

#define SELECT_CURSORS                                                                                       \
    "SELECT c.group_id, c.topic, c.incarnation, c.end_seq, c.data, c.counts, c.hash, g.name"                 \
    " FROM cursor c LEFT JOIN consumer_group g ON g.id = c.group_id ORDER BY c.group_id, c.topic"

/* False: its hash is wrong. */
static bool read_cursor(sqlite3_stmt *statement, struct group_cursor_info *info_out)
{
    uint64_t numbers[4];

    for (int i = 0; i < 4; i++)
        numbers[i] = column_number(statement, i);
    *info_out = (struct group_cursor_info){.incarnation = numbers[0],
                                           .topic = numbers[1],
                                           .topic_incarnation = numbers[2],
                                           .end_seq = numbers[3],
                                           .cursor = column_bytes(statement, 4),
                                           .counts = column_bytes(statement, 5),
                                           .group = column_bytes(statement, 7)};
    return cursor_hash(numbers, info_out->cursor, info_out->counts) == column_number(statement, 6);
}

static bool each_row(struct database *database, bool (*each)(void *ctx, const struct group_cursor_info *info),
                     void *ctx, struct refusal *refusal)
{
    sqlite3_stmt *statement = NULL;
    struct group_cursor_info info;
    int code = sqlite3_prepare_v2(database->handle, SELECT_CURSORS, -1, &statement, NULL);
    bool is_good = true;

    while (is_good && code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        if (!read_cursor(statement, &info))
            is_good = refuse(refusal, "%s: a cursor of group %" PRIu64 " is damaged: its hash is wrong",
                             database->path, info.incarnation);
        else if (!each(ctx, &info))
            is_good = refuse(refusal, "%s: no memory", database->path);
        code = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    if (!is_good)
        return false;
    return code == SQLITE_DONE || database_refuse(database, code, "read the cursors", refusal);
}

static bool is_last_deleted(const struct group_table *groups, uint64_t id)
{
    const struct list *last = groups->deleted.prev;

    return last != &groups->deleted && container_of(last, struct stored_group, node)->id == id;
}

/* Those of a group that is gone are removed later. Rows are in the order of groups. */
static bool count_cursor(void *ctx, const struct group_cursor_info *info)
{
    struct group_table *groups = ctx;

    groups->next_cursors++;
    if (info->group.size > 0 || is_last_deleted(groups, info->incarnation))
        return true;
    struct stored_group *group =
        group_new((struct bytes){NULL, 0}, (struct bytes){NULL, 0}, info->incarnation, 0);
    if (group)
        list_append(&groups->deleted, &group->node);
    return group;
}

bool groups_open(struct database *database, struct group_table *groups, struct topic_log *log,
                 struct refusal *refusal)
{
    sqlite3_stmt *statement = NULL;
    int code =
        sqlite3_prepare_v2(database->handle, "SELECT id, name, settings, created, hash FROM consumer_group",
                           -1, &statement, NULL);
    bool is_good = true;

    while (is_good && code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        is_good = read_group(database, groups, statement, refusal);
        code = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    if (!is_good)
        return false;
    if (code != SQLITE_DONE)
        return database_refuse(database, code, "read the groups", refusal);
    if (!each_row(database, count_cursor, groups, refusal))
        return false;
    groups->cursor_count = groups->next_cursors;
    if (!list_empty(&groups->deleted))
        log->due_ns = clock_mono_ns();
    return true;
}

/* ---- for the caller ---- */

/* Whether the topic, or an incarnation before it, ever had that. */
static bool is_beyond(const struct stored_topic *topic, const struct group_cursor_info *info)
{
    if (info->topic_incarnation == topic->incarnation)
        return info->end_seq > topic->kept.next_seq;
    for (uint32_t i = 0; i < topic->ancestor_count; i++)
        if (topic->ancestors[i].incarnation == info->topic_incarnation)
            return info->end_seq > topic->ancestors[i].last_seq + 1;
    return true;
}

struct showing {
    struct store *store;
    bool (*each)(void *ctx, const struct group_cursor_info *info);
    void *ctx;
};

static bool show(void *ctx, const struct group_cursor_info *info)
{
    const struct showing *showing = ctx;
    struct group_cursor_info shown = *info;

    pthread_mutex_lock(&showing->store->lock);
    const struct stored_topic *topic = log_find(&showing->store->log, info->topic);
    shown.is_beyond = topic && is_beyond(topic, info);
    pthread_mutex_unlock(&showing->store->lock);
    return !topic || info->group.size == 0 || showing->each(showing->ctx, &shown);
}

bool cursors_each(struct store *store, bool (*each)(void *ctx, const struct group_cursor_info *info),
                  void *ctx, struct refusal *refusal)
{
    struct showing showing = {store, each, ctx};

    return each_row(&store->database, show, &showing, refusal);
}
