/* stored_group.h - the groups of a store, as the store's thread keeps them: see group_table.h. For
 * the files of this room.
 *
 * Threads: the store's. The map changes under the store's lock only, so others may read it with
 * that lock. */
#ifndef TRIBUTARY_BACKEND_SQLITE_STORED_GROUP_H
#define TRIBUTARY_BACKEND_SQLITE_STORED_GROUP_H

#include <stdbool.h>

#include "base/list.h"
#include "base/map.h"
#include "topic/group_port.h"

struct work_kind;

struct stored_group {
    struct map_node by_name;
    struct list node; /* in `deleted` */
    uint64_t id;
    int64_t created_ns;
    size_t settings_size, name_size;
    uint8_t bytes[]; /* name, settings */
};

struct group_table {
    struct map by_name;
    struct list deleted; /* groups whose cursors are not gone yet */
    /* By the open transaction: a group that it makes; the one that this replaces, or that it
     * deletes; one of `deleted` without cursors. */
    struct stored_group *created, *removed, *dropped;
    bool is_update;                      /* `created` has the id of `removed` */
    uint64_t cursor_count, next_cursors; /* rows; after the commit */
};

static inline struct bytes group_name(const struct stored_group *group)
{
    return (struct bytes){group->bytes, group->name_size};
}

static inline struct bytes group_settings(const struct stored_group *group)
{
    return (struct bytes){group->bytes + group->name_size, group->settings_size};
}

/* group_change.c, group_save.c */
extern const struct work_kind group_change_work, group_save_work;

#endif
