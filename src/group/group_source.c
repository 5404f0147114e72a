/* group_source.c - sources: events come, and old ones go. */
#include "group/group_source.h"

#include <stdlib.h>

#include "group/group_internal.h"
#include "group/window_state.h"

enum err group_source_open(struct group *group, uint64_t first, void *ctx, struct group_source **source_out)
{
    const uint32_t shards = group->options.shards;
    struct group_source *source = NULL;

    CHECK(first > 0);
    if (group->source_count == group->options.max_sources)
        return ERR_FULL;
    if (heap_reserve(&group->timers, (size_t)shards * (group->source_count + 1)))
        return ERR_NO_MEMORY;
    if (!(source = calloc(1, sizeof(*source) + shards * sizeof(source->queues[0]))))
        return ERR_NO_MEMORY;
    source->group = group;
    source->ctx = ctx;
    window_reset(&source->window, first - 1);
    source->committed = first - 1;
    for (uint32_t i = 0; i < shards; i++) {
        source->queues[i].source = source;
        source->queues[i].shard = i;
        list_init(&source->queues[i].in_ready);
    }
    list_append(&group->sources, &source->in_sources);
    group->source_count++;
    *source_out = source;
    return ERR_OK;
}

enum err group_source_restore(struct group_source *source, struct bytes state)
{
    uint64_t counts[OUTCOMES];

    CHECK(source->totals.assigned == 0 && source->window.head == source->window.floor);
    const enum err err = window_state_decode(&source->window, counts, state);

    if (err)
        return err;
    source->committed = source->window.floor;
    source->totals = (struct group_totals){0};
    for (unsigned i = 0; i < OUTCOMES; i++) {
        source->totals.settled[i] = counts[i];
        source->totals.assigned += counts[i];
    }
    return ERR_OK;
}

/* Forgets what is at members and what waits. O(shards + open events). */
static void forget_all(struct group_source *source, int64_t now_ns)
{
    struct group *group = source->group;

    for (uint32_t i = 0; i < group->options.shards; i++) {
        struct shard_queue *queue = &source->queues[i];

        while (queue->sent.head)
            event_settle(source, link_position(&source->window, queue->sent.head), OUTCOME_SKIPPED, now_ns);
        while (queue->queued.head)
            event_put_back(source, link_position(&source->window, queue->queued.head), 0, now_ns);
        queue->fresh = (struct slot_chain){0};
        queue->returned = 0;
        queue_refresh(queue, now_ns);
        heap_remove(&group->timers, &queue->timer);
    }
    source->dead = source->committing = (struct slot_chain){0};
    source->dead_count = 0;
    source->is_committing = false;
    source->unsaved = 0;
    source->totals = (struct group_totals){0};
}

void group_source_close(struct group_source *source, int64_t now_ns)
{
    forget_all(source, now_ns);
    list_remove(&source->in_sources);
    source->group->source_count--;
    window_fini(&source->window);
    free(source);
}

void group_seek(struct group_source *source, uint64_t first, int64_t now_ns)
{
    struct group *group = source->group;

    CHECK(first > 0);
    forget_all(source, now_ns);
    window_reset(&source->window, first - 1);
    source->committed = first - 1;
    source->first_kept = MIN_OF(source->first_kept, first);
    source_unsaved(source, 1, now_ns); /* the store must hear of it */
    group->generation++;
    for (uint32_t i = 0; i < group->options.shards; i++)
        if (group->shards[i].owner) {
            group->shards[i].granted = group->generation;
            member_changed(group->shards[i].owner);
        }
}

void *group_source_ctx(const struct group_source *source)
{
    return source->ctx;
}

uint64_t group_source_next(const struct group_source *source)
{
    return source->window.head + 1;
}

uint32_t group_source_space(const struct group_source *source)
{
    const struct window *window = &source->window;
    const struct group_options *options = &source->group->options;
    uint64_t end = window->floor + options->max_window;

    /* What an earlier life has left open between its ranges must come, or these stay for ever. */
    if (window->ranges >= options->max_ranges)
        end = MIN_OF(end, window->top);
    return end > window->head ? (uint32_t)(end - window->head) : 0;
}

static void add_event(struct group_source *source, uint64_t position, const struct group_offered *event,
                      int64_t now_ns)
{
    struct shard_queue *queue = &source->queues[event->shard];
    struct slot *slot = window_slot(&source->window, position);
    const bool was_empty = !queue->fresh.head && !queue->returned;

    *slot = (struct slot){.bytes = event->bytes, .shard = event->shard, .state = EVENT_WAITING};
    chain_append(&source->window, &queue->fresh, position);
    if (was_empty)
        queue_refresh(queue, now_ns);
}

enum err group_offer(struct group_source *source, const struct group_offered *events, uint32_t count,
                     int64_t now_ns)
{
    struct window *window = &source->window;
    uint64_t added = 0, position = window->head + 1;

    if (count > group_source_space(source))
        return ERR_FULL;
    if (window_reserve(window, window->head + count))
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++, position++) {
        CHECK(events[i].shard < source->group->options.shards);
        if (position <= window->floor || window_is_settled(window, position))
            continue; /* an earlier life has settled it */
        add_event(source, position, &events[i], now_ns);
        added++;
    }
    window->head = MAX_OF(window->head, position - 1);
    window->top = MAX_OF(window->top, window->head);
    source->totals.assigned += added;
    source->totals.waiting += added;
    return ERR_OK;
}

/* How many of the next `count` positions were not settled by an earlier life. */
static uint64_t count_new(const struct window *window, uint64_t count)
{
    uint64_t settled = 0;

    for (uint64_t i = 1; i <= count && window->head + i <= window->top; i++)
        settled += window_is_settled(window, window->head + i);
    return count - settled;
}

enum err group_pass(struct group_source *source, uint64_t count, enum event_outcome outcome, int64_t now_ns)
{
    struct window *window = &source->window;
    const bool is_open = window->floor < window->head || window->top > window->head;

    if (count == 0)
        return ERR_OK;
    if (is_open && count > group_source_space(source))
        return ERR_FULL;
    if (is_open && window_reserve(window, window->head + count))
        return ERR_NO_MEMORY;
    const uint64_t added = count_new(window, count);

    if (outcome < OUTCOMES) {
        source->totals.assigned += added;
        source->totals.settled[outcome] += added;
    }
    if (added > 0)
        source_unsaved(source, added, now_ns);
    window_pass(window, window->head + count, outcome);
    return ERR_OK;
}

void group_trim(struct group_source *source, uint64_t first, int64_t now_ns)
{
    struct window *window = &source->window;

    source->first_kept = MAX_OF(source->first_kept, first);
    for (uint32_t i = 0; i < source->group->options.shards; i++) {
        struct shard_queue *queue = &source->queues[i];
        uint64_t position = queue_first(window, queue);
        const bool any = position > 0 && position < first;

        for (; position > 0 && position < first; position = queue_first(window, queue))
            event_settle_waiting(queue, OUTCOME_TRIMMED, now_ns);
        if (!any)
            continue;
        queue_refresh(queue, now_ns);
        if (source->group->shards[i].owner)
            member_not_full(source->group->shards[i].owner); /* what comes first may fit now */
    }
}
