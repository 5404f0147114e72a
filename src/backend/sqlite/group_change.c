/* group_change.c - groups are made, changed and deleted. A transaction has at most one change, as
 * its last work. */
#include <inttypes.h>
#include <stdio.h>

#include "backend/sqlite/database_schema.h"
#include "backend/sqlite/group_table.h"
#include "backend/sqlite/store_internal.h"

/* Others read the map. */
static bool reserve(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    const bool is_there = map_reserve(&store->groups.by_name) == ERR_OK;
    pthread_mutex_unlock(&store->lock);
    return is_there;
}

/* Writes the group as it is after the commit. */
static enum db_result write_group(struct store *store, const struct group_change *change, uint64_t id,
                                  int64_t created_ns)
{
    struct group_table *groups = &store->groups;

    groups->created = group_new(change->name, change->settings, id, created_ns);
    if (!groups->created || !reserve(store))
        return database_failed(&store->database, SQLITE_NOMEM, "make a group");
    return group_put(&store->database, groups->created);
}

static enum db_result create(struct store *store, struct group_change *change)
{
    struct topic_log *log = &store->log;
    char id[24];

    if (store->groups.by_name.count >= MAX_GROUPS) {
        change->outcome = TOPIC_TOO_MANY;
        return DB_OK;
    }
    /* above all earlier ones, also where the clock went back */
    change->incarnation = MAX_OF((uint64_t)MAX_OF(log->now_ns, 1), log->last_id + 1);
    snprintf(id, sizeof(id), "%" PRIu64, change->incarnation);
    const enum db_result result = write_group(store, change, change->incarnation, log->now_ns);
    return result == DB_OK ? meta_set(&store->database, "topic_id", id) : result;
}

static enum db_result carry_out_on(struct store *store, struct group_change *change,
                                   struct stored_group *group)
{
    struct group_table *groups = &store->groups;

    if (change->verb == GROUP_CREATE && group) {
        if (!bytes_same(group_settings(group), change->settings))
            change->outcome = TOPIC_EXISTS;
        return DB_OK;
    }
    if (change->verb == GROUP_CREATE)
        return create(store, change);
    if (!group) {
        change->outcome = TOPIC_NOT_FOUND;
        return DB_OK;
    }
    groups->removed = group;
    groups->is_update = change->verb == GROUP_UPDATE;
    return groups->is_update ? write_group(store, change, group->id, group->created_ns)
                             : group_remove(&store->database, group->id);
}

static enum db_result carry_out(struct store *store, struct topic_work *work)
{
    struct group_change *change = container_of(work, struct group_change, work);
    struct stored_group *group = group_find(&store->groups, change->name);

    change->outcome = TOPIC_DONE;
    change->incarnation = group ? group->id : 0;
    if (change->name.size == 0 || change->name.size > MAX_GROUP_NAME_BYTES ||
        (change->verb != GROUP_DELETE && change->settings.size > MAX_GROUP_SETTINGS_BYTES)) {
        change->outcome = TOPIC_INVALID;
        return DB_OK;
    }
    return carry_out_on(store, change, group);
}

static void answer(struct store *store, struct topic_work *work, enum db_result result, bool committed)
{
    struct group_change *change = container_of(work, struct group_change, work);

    (void)store;
    if (result != DB_OK)
        change->outcome = topic_outcome_of(result, committed);
    change->done(change);
}

const struct work_kind group_change_work = {.ends_batch = true, .carry_out = carry_out, .answer = answer};
