/* stored_topic.h - a topic of a store, as the store's thread keeps it: see topic_log.h. For the
 * files of this room. */
#ifndef TRIBUTARY_BACKEND_SQLITE_STORED_TOPIC_H
#define TRIBUTARY_BACKEND_SQLITE_STORED_TOPIC_H

#include "backend/sqlite/database.h"
#include "backend/sqlite/id_window.h"
#include "base/map.h"
#include "topic/topic_port.h"

struct log_bounds {
    uint64_t first_seq, next_seq; /* equal: the log is empty */
    uint64_t first_bytes;         /* before_bytes of the first row */
    uint64_t end_bytes;           /* before_bytes of the next one */
    uint64_t first_size;          /* of the first row's data */
    uint32_t first_count;
    int64_t first_ns, last_ns; /* when the first and the latest row were appended */
};

struct stored_topic {
    struct map_node by_id, by_name;
    uint64_t id, incarnation;
    struct topic_settings settings;
    int64_t created_ns;
    struct topic_ancestor *ancestors; /* constant while the store is open */
    uint32_t ancestor_count;
    struct log_bounds kept, next;
    bool is_touched, is_deleted; /* by the open transaction */
    bool is_changed;             /* `wanted` are its settings after the commit */
    struct topic_settings wanted;
    struct list node;           /* in `touched`, or in `deleted` */
    struct row_builder builder; /* of the row that is not written yet */
    sqlite3_stmt *insert, *front, *trim;
    struct id_window ids;
    uint64_t ids_removed, ids_removing; /* rows with ids before that are gone; after the commit */
    uint64_t ids_forgotten_early;
    uint64_t delayed, next_delayed; /* events that wait; after the commit */
    size_t name_size;
    uint8_t name[];
};

static inline struct bytes topic_name(const struct stored_topic *topic)
{
    return (struct bytes){topic->name, topic->name_size};
}

#endif
