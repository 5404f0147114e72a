/* group_query.h - what a group, its sources and its members look like.
 *
 * Threads: one, or the caller's lock. */
#ifndef TRIBUTARY_GROUP_GROUP_QUERY_H
#define TRIBUTARY_GROUP_GROUP_QUERY_H

#include "group/group_totals.h"

struct group;
struct group_member;
struct group_source;

/* The totals of all sources. Those of a source that was closed are gone. O(sources). */
void group_totals_of(const struct group *group, struct group_totals *totals_out);
void group_member_totals(const struct group_member *member, struct member_totals *totals_out);

struct group_source_info {
    uint64_t floor;                 /* all up to it are finished */
    uint64_t head;                  /* the last position that was offered or passed */
    uint64_t committed;             /* the floor of the last commit that is durable */
    uint32_t ranges, settled_above; /* finished above the floor: ranges, events */
    struct group_totals totals;
    /* The event after the floor, which holds the commit back: only where floor < head. */
    enum event_state oldest_state;
    uint16_t oldest_shard, oldest_attempt;
    int64_t oldest_ns;                  /* WAITING: when its next attempt may be; SENT: since when */
    struct group_member *oldest_member; /* at which it is; NULL: at none */
};

/* O(1). */
void group_source_info(const struct group_source *source, struct group_source_info *info_out);

/* How many events from the floor to `last`, the source's last event, are not finished. O(1). */
uint64_t group_lag(const struct group_source *source, uint64_t last);

#endif
