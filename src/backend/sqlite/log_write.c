/* log_write.c - appends: a batch's events become rows. */
#include <inttypes.h>
#include <stdio.h>

#include "backend/sqlite/columns.h"
#include "backend/sqlite/id_table.h"
#include "backend/sqlite/publisher_table.h"
#include "backend/sqlite/store_internal.h"

#define SQL_CAPACITY 160

/* ---- rows ---- */

static enum db_result insert(struct database *database, struct stored_topic *topic,
                             const struct topic_row *row)
{
    char sql[SQL_CAPACITY];

    snprintf(sql, sizeof(sql),
             "INSERT INTO log_%" PRIu64 "(seq, count, appended, before_bytes, hash, data)"
             " VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
             topic->id);
    const enum db_result result = database_prepare_one(database, &topic->insert, sql);
    if (result != DB_OK)
        return result;
    bind_number(topic->insert, 1, row->first_seq);
    bind_number(topic->insert, 2, row->count);
    bind_number(topic->insert, 3, (uint64_t)row->appended_ns);
    bind_number(topic->insert, 4, row->before_bytes);
    bind_number(topic->insert, 5, topic_row_hash(topic->id, row));
    bind_bytes(topic->insert, 6, row->data);
    return database_step_of(database, topic->insert, "append to a topic");
}

static void extend(struct log_bounds *bounds, const struct topic_row *row)
{
    if (bounds->first_seq == bounds->next_seq) {
        bounds->first_count = row->count;
        bounds->first_size = row->data.size;
        bounds->first_ns = row->appended_ns;
    }
    bounds->next_seq += row->count;
    bounds->end_bytes += row->data.size;
    bounds->last_ns = row->appended_ns;
}

enum db_result log_flush(struct store *store, struct stored_topic *topic)
{
    struct topic_log *log = &store->log;

    if (topic->builder.events == 0)
        return DB_OK;
    buf_clear(&log->row);
    if (!row_builder_encode(&topic->builder, &log->row))
        return database_failed(&store->database, SQLITE_NOMEM, "append to a topic");
    const struct topic_row row = {.first_seq = topic->next.next_seq,
                                  .count = topic->builder.events,
                                  .appended_ns = MAX_OF(log->now_ns, topic->next.last_ns),
                                  .before_bytes = topic->next.end_bytes,
                                  .data = {log->row.data, log->row.size}};
    const enum db_result result = insert(&store->database, topic, &row);
    if (result == DB_OK) {
        extend(&topic->next, &row);
        row_builder_clear(&topic->builder);
    }
    buf_rest(&log->row, 2 * TOPIC_ROW_BYTES);
    return result;
}

enum db_result log_add_piece(struct store *store, struct stored_topic *topic, const struct topic_run *piece,
                             uint64_t *first_seq_out)
{
    enum db_result result = DB_OK;

    log_touch(&store->log, topic);
    if (!row_builder_fits(&topic->builder, piece))
        result = log_flush(store, topic);
    if (result != DB_OK)
        return result;
    *first_seq_out = topic->next.next_seq + topic->builder.events;
    return row_builder_add(&topic->builder, piece)
               ? DB_OK
               : database_failed(&store->database, SQLITE_NOMEM, "append to a topic");
}

static enum db_result add(struct store *store, struct topic_part *part, bool has_delayed)
{
    struct stored_topic *topic = log_find(&store->log, part->topic);
    enum db_result result = DB_OK;

    if (part->stored > 0 && (has_delayed || ids_count(topic)))
        result = log_split(store, topic, part);
    if (result != DB_OK || part->stored == 0)
        return result;
    const struct topic_run piece = {part->run.origin, part->stored, part->rest, part->expires};
    return log_add_piece(store, topic, &piece, &part->first_seq);
}

/* ---- what is new ---- */

static bool is_possible(const struct topic_part *part)
{
    return part->run.count > 0 && part->run.count <= MAX_PIECE_EVENTS && part->run.events.size > 0 &&
           part->run.events.size <= MAX_PIECE_BYTES && part->run.origin.size <= MAX_ORIGIN_BYTES;
}

static enum topic_outcome check_parts(const struct topic_log *log, struct topic_append *append,
                                      uint32_t *events_out)
{
    uint64_t events = 0;

    for (uint32_t i = 0; i < append->part_count; i++) {
        const struct stored_topic *topic = log_find(log, append->parts[i].topic);

        if (!topic)
            return TOPIC_NOT_FOUND;
        if (!is_possible(&append->parts[i]))
            return TOPIC_INVALID;
        append->parts[i].incarnation = topic->incarnation;
        events += append->parts[i].run.count;
    }
    *events_out = (uint32_t)MIN_OF(events, UINT32_MAX);
    return append->part_count > 0 && events < UINT32_MAX ? TOPIC_DONE : TOPIC_INVALID;
}

/* Leaves the duplicates out, which come first. */
static enum topic_outcome leave_out(struct topic_append *append, uint32_t duplicates)
{
    for (uint32_t i = 0; i < append->part_count; i++) {
        struct topic_part *part = &append->parts[i];
        const uint32_t skipped = MIN_OF(duplicates, part->run.count);

        part->first_seq = 0;
        part->same_ids = part->delayed = 0;
        part->is_split = false;
        part->stored = part->run.count - skipped;
        part->rest = part->run.events;
        if (!events_skip(&part->rest, skipped) || (part->stored > 0) != (part->rest.size > 0))
            return TOPIC_INVALID;
        duplicates -= skipped;
    }
    return TOPIC_DONE;
}

static enum topic_outcome outcome_of(enum publisher_verdict verdict)
{
    switch (verdict) {
    case PUBLISHER_ACCEPTED:
        return TOPIC_DONE;
    case PUBLISHER_FENCED:
        return TOPIC_FENCED;
    case PUBLISHER_GAP:
        return TOPIC_GAP;
    case PUBLISHER_UNKNOWN:
        return TOPIC_PUBLISHER_FORGOTTEN;
    case PUBLISHER_INVALID:
        break;
    }
    return TOPIC_INVALID;
}

/* What a numbered batch brings. append->outcome is set; with TOPIC_DONE also the duplicates, and
 * what the store then knows of its publisher. */
static enum db_result decide(struct store *store, struct topic_append *append, uint32_t events,
                             struct seen_publisher **seen_out, struct publisher_state *as_out)
{
    const struct publisher_batch batch = {append->life, append->first_number, events};
    const enum db_result result =
        publisher_find(&store->database, &store->log, append->producer, append->publisher, seen_out);

    if (result != DB_OK)
        return result;
    const struct publisher_decision decision = publisher_decide(&(*seen_out)->state, &batch);
    append->outcome = outcome_of(decision.verdict);
    append->duplicates = decision.duplicates;
    append->expected = decision.expected;
    *as_out = decision.as;
    return DB_OK;
}

static bool is_publisher_possible(const struct topic_append *append)
{
    return append->producer.size <= MAX_ORIGIN_BYTES && append->publisher.size <= MAX_PUBLISHER_ID_BYTES;
}

static enum db_result carry_out(struct store *store, struct topic_work *work)
{
    struct topic_append *append = container_of(work, struct topic_append, work);
    struct seen_publisher *seen = NULL;
    struct publisher_state as = {.is_known = false};
    uint32_t events;
    bool has_delayed = false;
    enum db_result result = DB_OK;

    append->duplicates = 0;
    append->outcome = check_parts(&store->log, append, &events);
    if (append->outcome == TOPIC_DONE && !is_publisher_possible(append))
        append->outcome = TOPIC_INVALID;
    if (append->outcome == TOPIC_DONE && append->publisher.size > 0)
        result = decide(store, append, events, &seen, &as);
    if (result == DB_OK && append->outcome == TOPIC_DONE)
        append->outcome = leave_out(append, append->duplicates);
    if (result == DB_OK && append->outcome == TOPIC_DONE)
        append->outcome = log_check_delays(&store->log, append, &has_delayed);
    if (result != DB_OK || append->outcome != TOPIC_DONE)
        return result;
    if (seen) {
        store->log.publisher_count += !seen->state.is_known;
        seen->state = as;
        seen->is_changed = true;
    }
    for (uint32_t i = 0; i < append->part_count && result == DB_OK; i++)
        result = add(store, &append->parts[i], has_delayed);
    return result;
}

static void answer(struct store *store, struct topic_work *work, enum db_result result, bool committed)
{
    struct topic_append *append = container_of(work, struct topic_append, work);

    if (result != DB_OK)
        append->outcome = topic_outcome_of(result, committed);
    if (append->outcome == TOPIC_DONE)
        log_notify_split(store, append);
    for (uint32_t i = 0; i < append->part_count; i++)
        buf_fini(&append->parts[i].kept);
    append->done(append);
}

const struct work_kind append_work = {.carry_out = carry_out, .answer = answer};
