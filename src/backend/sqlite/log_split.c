/* log_split.c - parts of an append from whose middle events are left out: their ids were seen
 * already, or their time has not come. */
#include "backend/sqlite/due_table.h"
#include "backend/sqlite/id_table.h"
#include "backend/sqlite/store_internal.h"
#include "topic/event_marks.h"

/* Nothing has changed yet. *has_delayed_out: one of the events waits. Notes which parts have events
 * that expire. */
enum topic_outcome log_check_delays(const struct topic_log *log, const struct topic_append *append,
                                    bool *has_delayed_out)
{
    uint32_t count = 0;
    size_t bytes = 0;

    *has_delayed_out = false;
    for (uint32_t i = 0; i < append->part_count; i++) {
        struct topic_part *part = &append->parts[i];
        const struct events_delayed delayed = events_delayed(part->rest, log->now_ns);

        if (delayed.is_malformed || delayed.all != part->stored)
            return TOPIC_INVALID;
        part->expires = delayed.expires;
        count += delayed.count;
        bytes += delayed.bytes;
        if (delayed.count > 0 && !due_has_space(log, log_find(log, part->topic), count, bytes))
            return TOPIC_TOO_MANY_DELAYED;
    }
    *has_delayed_out = count > 0;
    return TOPIC_DONE;
}

/* What becomes of one event. */
static enum db_result split_off(struct store *store, struct stored_topic *topic, struct topic_part *part,
                                const struct event_marks *marks, bool *stays)
{
    bool was_there = false;

    *stays = true;
    if (ids_count(topic) && marks->id.size > 0) {
        const enum db_result result = ids_claim(store, topic, marks->id, &was_there);

        if (result != DB_OK)
            return result;
    }
    if (was_there) {
        part->same_ids++;
        *stays = false;
    } else if (marks->deliver_wall_ns > store->log.now_ns) {
        part->delayed++;
        *stays = false;
        return due_add(store, topic, part->run.origin, marks->event, marks->deliver_wall_ns);
    }
    return DB_OK;
}

/* Events that stay are copied when the first one leaves. */
enum db_result log_split(struct store *store, struct stored_topic *topic, struct topic_part *part)
{
    struct bytes events = part->rest;
    struct event_marks marks;
    bool stays;

    log_touch(&store->log, topic);
    if (ids_count(topic))
        ids_expire(&store->log, topic);
    while (event_marks_next(&events, &marks)) {
        const enum db_result result = split_off(store, topic, part, &marks, &stays);

        if (result != DB_OK)
            return result;
        if (!stays && !part->is_split) {
            part->is_split = true;
            buf_bytes(&part->kept, part->rest.data, (size_t)(marks.event.data - part->rest.data));
        } else if (stays && part->is_split) {
            buf_bytes(&part->kept, marks.event.data, marks.event.size);
        }
    }
    if (!part->is_split)
        return DB_OK;
    if (part->kept.broken)
        return database_failed(&store->database, SQLITE_NOMEM, "append to a topic");
    part->stored -= part->same_ids + part->delayed;
    part->rest = (struct bytes){part->kept.data, part->kept.size};
    return DB_OK;
}

static void notify(struct store *store, const struct topic_part *part)
{
    const struct topic_run run = {part->run.origin, part->stored, part->rest, part->expires};
    const struct topic_appeared appeared = {
        .topic = part->topic, .incarnation = part->incarnation, .first_seq = part->first_seq, .run = run};

    if (part->stored > 0)
        store_appeared(store, &appeared);
}

/* Parts of one topic would otherwise reach its readers in two ways, and out of order. */
void log_notify_split(struct store *store, struct topic_append *append)
{
    bool is_split = false;

    for (uint32_t i = 0; i < append->part_count; i++)
        is_split |= append->parts[i].is_split;
    for (uint32_t i = 0; i < append->part_count && is_split; i++) {
        append->parts[i].is_split = true;
        notify(store, &append->parts[i]);
    }
}
