/* group_life.c - makes and frees groups; pause; who is to be notified. */
#include "group/group_internal.h"

#include <stdlib.h>

#include "base/clock.h"

enum err group_new(const struct group_options *options, struct group **group_out)
{
    struct group *group = NULL;

    if (group_options_check(options))
        return ERR_INVALID;
    group = calloc(1, sizeof(*group) + options->shards * sizeof(group->shards[0]));
    if (!group)
        return ERR_NO_MEMORY;
    group->members = calloc(options->max_members, sizeof(struct group_member *));
    group->balance_members = calloc(options->max_members, sizeof(*group->balance_members));
    group->balance_shards = calloc(options->shards, sizeof(*group->balance_shards));
    group->options = *options;
    group->random = options->seed;
    group->generation = 1;
    list_init(&group->sources);
    list_init(&group->revoking);
    list_init(&group->changed);
    list_init(&group->ready_members);
    for (uint32_t i = 0; i < options->shards; i++)
        list_init(&group->shards[i].in_revoking);
    if (!group->members || !group->balance_members || !group->balance_shards) {
        group_free(group);
        return ERR_NO_MEMORY;
    }
    *group_out = group;
    return ERR_OK;
}

void group_free(struct group *group)
{
    if (!group)
        return;
    heap_fini(&group->timers); /* its nodes are in the sources */
    list_each(node, following, &group->sources) {
        struct group_source *source = container_of(node, struct group_source, in_sources);

        window_fini(&source->window);
        free(source);
    }
    for (uint32_t i = 0; group->members && i < group->options.max_members; i++)
        free(group->members[i]);
    free(group->members);
    free(group->balance_members);
    free(group->balance_shards);
    free(group);
}

enum err group_update(struct group *group, const struct group_options *options)
{
    const struct group_options *before = &group->options;

    if (group_options_check(options) || options->shards != before->shards ||
        options->max_members != before->max_members || options->max_sources != before->max_sources)
        return ERR_INVALID;
    group->options = *options;
    list_each(node, following, &group->sources) {
        struct group_source *source = container_of(node, struct group_source, in_sources);

        for (uint32_t i = 0; i < options->shards; i++) {
            struct shard_queue *queue = &source->queues[i];

            if (queue->sent.head)
                queue_arm(queue, clock_add_ns(link_slot(&source->window, queue->sent.head)->time_ns,
                                              options->ack_wait_ns));
        }
    }
    return ERR_OK;
}

void group_pause(struct group *group)
{
    group->is_paused = true;
}

void group_resume(struct group *group)
{
    group->is_paused = false;
    for (uint32_t i = 0; i < group->options.max_members; i++)
        if (group->members[i] && !list_empty(&group->members[i]->ready))
            member_ready(group->members[i]);
}

struct group_member *group_next_changed(struct group *group)
{
    struct list *first = list_first(&group->changed);

    if (!first)
        return NULL;
    list_remove(first);
    return container_of(first, struct group_member, in_changed);
}

struct group_member *group_next_ready(struct group *group)
{
    struct list *first = list_first(&group->ready_members);

    if (!first || group->is_paused)
        return NULL;
    list_remove(first);
    return container_of(first, struct group_member, in_ready);
}
