/* group_commit.c - commits: what a store must keep, and dead letters with it. */
#include "base/clock.h"
#include "group/group_internal.h"
#include "group/group_source.h"
#include "group/window_state.h"

int64_t group_commit_due_ns(const struct group_source *source)
{
    const struct group_options *options = &source->group->options;

    if (source->unsaved == 0 || source->is_committing)
        return INT64_MAX;
    if (source->unsaved >= options->commit_events)
        return source->not_before_ns;
    return MAX_OF(source->not_before_ns, clock_add_ns(source->unsaved_since_ns, options->commit_ns));
}

/* An event from one chain of dead letters to the other. */
static void move_letter(struct group_source *source, struct slot_chain *from, struct slot_chain *to,
                        enum event_state state)
{
    const uint64_t position = link_position(&source->window, from->head);

    chain_remove(&source->window, from, position);
    chain_append(&source->window, to, position);
    window_slot(&source->window, position)->state = (uint8_t)state;
}

static void put_letters_back(struct group_source *source)
{
    while (source->committing.head) {
        move_letter(source, &source->committing, &source->dead, EVENT_DEAD);
        source->dead_count++;
    }
}

static uint32_t choose_letters(struct group_source *source, struct group_dead_letter *letters,
                               uint32_t capacity)
{
    uint32_t count = 0;

    while (count < capacity && source->dead.head) {
        const uint64_t position = link_position(&source->window, source->dead.head);
        const struct slot *slot = window_slot(&source->window, position);

        letters[count++] = (struct group_dead_letter){.position = position,
                                                      .attempts = slot->attempt + 1u,
                                                      .reason = slot->reason,
                                                      .first_ns = slot->first_sent_ns};
        move_letter(source, &source->dead, &source->committing, EVENT_COMMITTING);
        source->dead_count--;
    }
    return count;
}

enum err group_commit_begin(struct group_source *source, struct group_commit *commit)
{
    if (source->is_committing)
        return ERR_AGAIN;
    commit->count = choose_letters(source, commit->letters, commit->capacity);
    const uint64_t floor = window_state_encode(&source->window, source->totals.settled,
                                               source->group->options.max_ranges, commit->state);

    if (commit->state->broken) {
        put_letters_back(source);
        return ERR_NO_MEMORY;
    }
    source->is_committing = true;
    source->saving = source->unsaved - source->dead_count;
    source->unsaved = source->dead_count;
    source->saving_floor = floor;
    commit->number = ++source->commits;
    return ERR_OK;
}

static void settle_letters(struct group_source *source)
{
    while (source->committing.head) {
        const uint64_t position = link_position(&source->window, source->committing.head);

        chain_remove(&source->window, &source->committing, position);
        source->totals.in_flight--;
        source->totals.settled[OUTCOME_DEAD_LETTERED]++;
        window_settle(&source->window, position, OUTCOME_DEAD_LETTERED);
    }
}

void group_commit_done(struct group_source *source, uint64_t number, bool ok, int64_t now_ns)
{
    if (!source->is_committing || number != source->commits)
        return;
    source->is_committing = false;
    if (ok) {
        settle_letters(source);
        source->committed = source->saving_floor;
        source->not_before_ns = 0;
        window_rest(&source->window); /* all is committed, or more than that will come */
    } else {
        put_letters_back(source);
        source_unsaved(source, source->saving, now_ns);
        source->not_before_ns = clock_add_ns(now_ns, source->group->options.commit_ns);
    }
}
