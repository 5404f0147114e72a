/* group_query.c - see group_query.h. */
#include "group/group_query.h"

#include "group/group_internal.h"

void group_totals_of(const struct group *group, struct group_totals *totals_out)
{
    *totals_out = (struct group_totals){0};
    list_each(node, following, &group->sources)
        group_totals_add(totals_out, &container_of(node, struct group_source, in_sources)->totals);
}

void group_member_totals(const struct group_member *member, struct member_totals *totals_out)
{
    *totals_out = member->totals;
}

void group_source_info(const struct group_source *source, struct group_source_info *info_out)
{
    const struct window *window = &source->window;

    *info_out = (struct group_source_info){.floor = window->floor,
                                           .head = window->head,
                                           .committed = source->committed,
                                           .ranges = window->ranges,
                                           .settled_above = window->settled,
                                           .totals = source->totals};
    if (window->floor == window->head)
        return;
    const struct slot *slot = window_slot(window, window->floor + 1);

    info_out->oldest_state = slot->state;
    info_out->oldest_shard = slot->shard;
    info_out->oldest_attempt = slot->attempt;
    info_out->oldest_ns = slot->time_ns;
    if (slot->state == EVENT_QUEUED || slot->state == EVENT_SENT)
        info_out->oldest_member = source->group->shards[slot->shard].owner;
}

uint64_t group_lag(const struct group_source *source, uint64_t last)
{
    const struct window *window = &source->window;

    return last > window->floor + window->settled ? last - window->floor - window->settled : 0;
}
