/* log_state.c - the topics of a store: how they are found, and what a transaction leads to. */
#include "backend/sqlite/topic_log.h"

#include <stdlib.h>

#include "backend/sqlite/due_table.h"
#include "backend/sqlite/id_table.h"
#include "backend/sqlite/publisher_table.h"
#include "backend/sqlite/store_internal.h"
#include "base/clock.h"
#include "topic/retention.h"

/* At the start, of all topics together. */
#define CHECKED_BYTES (UINT64_C(64) << 20)

/* ---- a topic ---- */

struct stored_topic *stored_topic_new(struct bytes name, uint64_t id)
{
    struct stored_topic *topic = calloc(1, sizeof(*topic) + name.size);

    if (!topic)
        return NULL;
    topic->id = topic->incarnation = id;
    topic->name_size = name.size;
    if (name.size > 0)
        memcpy(topic->name, name.data, name.size);
    topic->by_id.key = (struct bytes){(const uint8_t *)&topic->id, sizeof(topic->id)};
    topic->by_name.key = topic_name(topic);
    topic->kept.first_seq = topic->kept.next_seq = 1;
    topic->next = topic->kept;
    list_init(&topic->node);
    return topic;
}

static void finalize(struct stored_topic *topic)
{
    sqlite3_finalize(topic->insert);
    sqlite3_finalize(topic->front);
    sqlite3_finalize(topic->trim);
    topic->insert = topic->front = topic->trim = NULL;
}

void stored_topic_free(struct stored_topic *topic)
{
    if (!topic)
        return;
    finalize(topic);
    row_builder_fini(&topic->builder);
    free(topic->ancestors);
    id_window_fini(&topic->ids);
    free(topic);
}

/* ---- all of them ---- */

void log_init(struct topic_log *log)
{
    *log = (struct topic_log){.due_ns = INT64_MAX, .kept_at_ns = INT64_MAX, .next_at_ns = INT64_MAX};
    list_init(&log->due);
    list_init(&log->touched);
    list_init(&log->deleted);
    list_init(&log->gone);
}

void log_fini(struct topic_log *log)
{
    map_each(node, following, &log->by_id) stored_topic_free(container_of(node, struct stored_topic, by_id));
    list_each(node, safe, &log->deleted)
        stored_topic_free(container_of(node, struct stored_topic, node));
    list_each(node, safe, &log->gone)
        stored_topic_free(container_of(node, struct stored_topic, node));
    stored_topic_free(log->created);
    map_fini(&log->by_id);
    map_fini(&log->by_name);
    publisher_forget(log, false);
    due_fini(log);
    map_fini(&log->publishers);
    buf_fini(&log->row);
    log_init(log);
}

bool log_add(struct topic_log *log, struct stored_topic *topic)
{
    if (map_reserve(&log->by_id) != ERR_OK || map_reserve(&log->by_name) != ERR_OK)
        return false;
    CHECK(map_add(&log->by_id, &topic->by_id) == ERR_OK);
    CHECK(map_add(&log->by_name, &topic->by_name) == ERR_OK);
    return true;
}

static void be_due(struct topic_log *log, int64_t at_ns)
{
    log->due_ns = MIN_OF(log->due_ns, at_ns);
}

/* When the first row of a topic is too old, but not before a second has passed. */
void log_note_age(struct topic_log *log, const struct stored_topic *topic)
{
    if (topic->kept.first_seq == topic->kept.next_seq || topic->settings.max_age_ns == 0)
        return;
    const int64_t wait_ns = retention_due_ns(&topic->settings, topic->kept.first_ns) - clock_wall_ns();
    be_due(log, clock_from_now_ns(MAX_OF(wait_ns, NS_PER_S)));
}

bool log_open(struct database *database, struct topic_log *log, struct refusal *refusal)
{
    if (!topic_read_all(database, log, refusal) || !publisher_count(database, log, refusal) ||
        !ids_read_all(database, log, refusal))
        return false;
    map_each(node, following, &log->by_id)
    {
        struct stored_topic *topic = container_of(node, struct stored_topic, by_id);

        if (!log_check(database, topic, CHECKED_BYTES / log->by_id.count, refusal))
            return false;
        log_note_age(log, topic);
    }
    if (!due_read_all(database, log, refusal))
        return false;
    be_due(log, list_empty(&log->deleted) ? clock_from_now_ns(PUBLISHERS_EVERY_NS) : clock_mono_ns());
    return true;
}

struct stored_topic *log_find(const struct topic_log *log, uint64_t id)
{
    struct map_node *node = map_find(&log->by_id, (struct bytes){(const uint8_t *)&id, sizeof(id)});

    return node ? container_of(node, struct stored_topic, by_id) : NULL;
}

struct stored_topic *log_find_name(const struct topic_log *log, struct bytes name)
{
    struct map_node *node = map_find(&log->by_name, name);

    return node ? container_of(node, struct stored_topic, by_name) : NULL;
}

void log_touch(struct topic_log *log, struct stored_topic *topic)
{
    if (topic->is_touched)
        return;
    topic->is_touched = true;
    list_append(&log->touched, &topic->node);
}

/* ---- around a transaction ---- */

void log_begin(struct topic_log *log)
{
    log->now_ns = clock_wall_ns();
    log->trim_left = MAX_TRIM_ROWS;
}

enum db_result log_end(struct store *store)
{
    struct topic_log *log = &store->log;
    enum db_result result = due_append(store);

    list_each(node, safe, &log->touched) {
        struct stored_topic *topic = container_of(node, struct stored_topic, node);

        if (result == DB_OK)
            result = log_flush(store, topic);
        if (result == DB_OK)
            result = ids_write(store, topic);
        if (result == DB_OK && !topic->is_deleted)
            result = log_trim(store, topic);
    }
    if (result == DB_OK) /* before publishers are forgotten: these were not silent */
        result = publisher_write_all(&store->database, log);
    return result == DB_OK && clock_mono_ns() >= log->due_ns ? log_tidy(store) : result;
}

static void untouch(struct stored_topic *topic)
{
    list_remove(&topic->node);
    row_builder_clear(&topic->builder);
    topic->is_touched = topic->is_changed = topic->is_deleted = false;
}

static void keep(struct topic_log *log, struct stored_topic *topic)
{
    const bool is_deleted = topic->is_deleted;

    topic->kept = topic->next;
    topic->delayed = topic->next_delayed;
    if (topic->is_changed)
        topic->settings = topic->wanted;
    ids_keep(log, topic);
    untouch(topic);
    if (is_deleted) {
        finalize(topic);
        ids_forget(log, topic);
        map_remove(&log->by_id, &topic->by_id);
        map_remove(&log->by_name, &topic->by_name);
        list_append(&log->deleted, &topic->node);
    } else {
        log_note_age(log, topic);
        if (log_wants_trim(topic))
            be_due(log, clock_mono_ns());
    }
}

void log_committed(struct store *store)
{
    struct topic_log *log = &store->log;

    list_each(node, safe, &log->touched)
        keep(log, container_of(node, struct stored_topic, node));
    if (log->created) {
        log->last_id = log->created->id;
        CHECK(log_add(log, log->created)); /* it has space */
        log->created = NULL;
    }
    if (log->dropped) {
        list_remove(&log->dropped->node);
        if (log->dropped->ancestors)
            list_append(&log->gone, &log->dropped->node);
        else
            stored_topic_free(log->dropped);
        log->dropped = NULL;
    }
    if (!list_empty(&log->deleted))
        be_due(log, clock_mono_ns());
    publisher_forget(log, true);
    due_keep(store);
}

void log_rolled_back(struct store *store)
{
    struct topic_log *log = &store->log;

    list_each(node, safe, &log->touched) {
        struct stored_topic *topic = container_of(node, struct stored_topic, node);

        topic->next = topic->kept;
        topic->next_delayed = topic->delayed;
        ids_undo(log, topic);
        untouch(topic);
    }
    stored_topic_free(log->created);
    log->created = log->dropped = NULL;
    log->due_ns = clock_from_now_ns(NS_PER_S);
    publisher_forget(log, false);
    due_undo(store);
}
