/* group_save.c - cursors of groups, and the dead letters that belong to them, in one
 * transaction. */
#include "backend/sqlite/group_table.h"
#include "backend/sqlite/store_internal.h"

static enum topic_outcome check_cursor(const struct store *store, const struct group_cursor *cursor)
{
    const struct stored_group *group = group_find(&store->groups, cursor->group);
    const struct stored_topic *topic = log_find(&store->log, cursor->topic);

    if (!group || group->id != cursor->incarnation || !topic)
        return TOPIC_NOT_FOUND;
    return cursor->cursor.size <= MAX_CURSOR_BYTES && cursor->counts.size <= MAX_COUNTS_BYTES &&
                   cursor->end_seq <= topic->next.next_seq + topic->builder.events
               ? TOPIC_DONE
               : TOPIC_INVALID;
}

/* Near the bound those that are new are counted. One that comes twice counts twice. */
static enum db_result check_count(struct store *store, struct group_save *save)
{
    uint64_t count = store->groups.next_cursors;
    bool is_there;

    if (count + save->cursor_count <= MAX_CURSORS)
        return DB_OK;
    for (uint32_t i = 0; i < save->cursor_count; i++) {
        const struct group_cursor *cursor = &save->cursors[i];
        const enum db_result result =
            cursor_find(&store->database, cursor->incarnation, cursor->topic, &is_there);

        if (result != DB_OK)
            return result;
        count += !is_there;
    }
    if (count > MAX_CURSORS)
        save->outcome = TOPIC_TOO_MANY;
    return DB_OK;
}

/* Nothing has changed yet, unless it is TOPIC_DONE: then the dead letters are appended. */
static enum db_result check(struct store *store, struct group_save *save)
{
    enum db_result result = DB_OK;

    save->outcome =
        save->cursor_count > 0 && save->cursor_count <= MAX_SAVED_CURSORS ? TOPIC_DONE : TOPIC_INVALID;
    for (uint32_t i = 0; i < save->cursor_count && save->outcome == TOPIC_DONE; i++)
        save->outcome = check_cursor(store, &save->cursors[i]);
    if (save->outcome == TOPIC_DONE)
        result = check_count(store, save);
    if (result == DB_OK && save->outcome == TOPIC_DONE && save->dead) {
        result = append_work.carry_out(store, &save->dead->work);
        save->outcome = save->dead->outcome;
    }
    return result;
}

static enum db_result carry_out(struct store *store, struct topic_work *work)
{
    struct group_save *save = container_of(work, struct group_save, work);
    enum db_result result = check(store, save);

    if (save->outcome != TOPIC_DONE)
        return result;
    for (uint32_t i = 0; i < save->cursor_count && result == DB_OK; i++) {
        const struct group_cursor *cursor = &save->cursors[i];

        result =
            cursor_put(store, cursor->incarnation, log_find(&store->log, cursor->topic)->incarnation, cursor);
    }
    return result;
}

static void answer(struct store *store, struct topic_work *work, enum db_result result, bool committed)
{
    struct group_save *save = container_of(work, struct group_save, work);

    if (result != DB_OK)
        save->outcome = topic_outcome_of(result, committed);
    if (save->dead) {
        save->dead->outcome = save->outcome;
        append_work.answer(store, &save->dead->work, result, committed);
    }
    save->done(save);
}

const struct work_kind group_save_work = {.carry_out = carry_out, .answer = answer};
