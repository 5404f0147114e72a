/* group.h - a consumer group: its members, and which of them has which shard.
 *
 * A group shares out the events of its *sources* (topics) over its *members*. Each event is in one
 * of `shards` shards (event_shard.h), and each shard is at one member at a time, which gets its
 * events in order. What a member has not settled in time goes out again, with the next *attempt*.
 * Nothing is committed past an event that is not finished.
 *
 * The group holds positions and states, and no event. It reads no clock, starts no thread and calls
 * nobody: who drives it passes the time in nanoseconds of the monotonic clock, which must not go
 * back, and gets answers. The other parts are group_source.h (events come, commits),
 * group_delivery.h (events go to members, and are settled) and group_query.h.
 *
 * Who drives it does this:
 *   1. events of a source have come: group_offer() and group_pass(), as far as there is space
 *   2. each member of group_next_ready(): group_dispatch(), then group_sent() and the write
 *   3. each member of group_next_changed(): send it its assignment
 *   4. a member says something: group_ack() and the like; its stream ends: group_leave() if gently,
 *      and group_remove()
 *   5. at group_due_ns(): group_tick(), and group_commit_begin() for each source that is due
 * After each of 1, 4 and 5 there may be something for 2 and 3, and more space for 1.
 *
 * Memory: what group_new(), group_source_open() and group_join() allocate, and 40 bytes for each
 * event in a window, at most `max_window` of each source.
 *
 * Threads: one, or the caller's lock. */
#ifndef TRIBUTARY_GROUP_GROUP_H
#define TRIBUTARY_GROUP_GROUP_H

#include "base/status.h"
#include "group/group_options.h"

struct group;
struct group_member;

/* Makes a group without members and sources. The options are copied.
 *   ERR_INVALID    an option is out of its bounds (group_options_check())
 *   ERR_NO_MEMORY  nothing was made */
MUST_CHECK enum err group_new(const struct group_options *options, struct group **group_out);

/* Frees the group with its members and sources. NULL allowed. */
void group_free(struct group *group);
OWNED_BY(group_free, struct group);

/* Changes the options, which hold from now on for all that is open, too: a shorter ack wait may be
 * over already. A move that has begun keeps its deadline. The seed is ignored. O(shards * sources).
 *   ERR_INVALID  an option is out of its bounds, or shards, max_members or max_sources differ;
 *                nothing changed */
MUST_CHECK enum err group_update(struct group *group, const struct group_options *options);

/* While it is paused nothing is dispatched. All else goes on: acks, timeouts, moves, commits.
 * Idempotent. O(members). */
void group_pause(struct group *group);
void group_resume(struct group *group);

/* ---- members ---- */

/* What may be in flight at a member: at least 1 each. One event goes out whatever its size if
 * nothing is in flight. */
struct member_limits {
    uint32_t max_events;
    uint64_t max_bytes;
};

/* Adds a member, which belongs to the group until group_remove(). Shards move to it: those of
 * nobody at once. O(shards * sources + members + events queued in shards that move).
 *   ERR_FULL       the group has max_members
 *   ERR_INVALID    a limit is 0
 *   ERR_NO_MEMORY  nothing changed */
MUST_CHECK enum err group_join(struct group *group, const struct member_limits *limits, void *ctx,
                               int64_t now_ns, struct group_member **member_out);

/* A gentle end: the member gets no new events, what is queued is returned, and its shards move when
 * what was sent is settled, or after revoke_wait_ns. Then its assignment is empty, and
 * group_remove() follows. Idempotent. Cost as group_join(). */
void group_leave(struct group_member *member, int64_t now_ns);

/* The member is gone: all its events that are not settled are returned, those that were sent with
 * attempt + 1 (or as the retry policy says), and its shards are others' at once. Frees the member.
 * O(shards * sources + members + its events in flight). */
void group_remove(struct group_member *member, int64_t now_ns);

/* `ctx` of group_join(). */
void *group_member_ctx(const struct group_member *member);

/* ---- the assignment ---- */

/* What a member may do. Another member gets a shard when it is in neither list of this one. */
struct group_assignment {
    uint64_t generation; /* rises with every change of the group's assignment; 1 or more */
    uint32_t owned_count, revoking_count;
    int64_t deadline_ns; /* the earliest end of a shard that is revoking; INT64_MAX: none is */
    uint16_t owned[MAX_GROUP_SHARDS];
    uint16_t revoking[MAX_GROUP_SHARDS]; /* no new events: settle what you have, before the deadline */
};

/* Reads the assignment of a member. O(shards). */
void group_assignment_of(const struct group_member *member, struct group_assignment *assignment_out);

/* The next member whose assignment has changed since it was returned here; NULL: none has. O(1). */
struct group_member *group_next_changed(struct group *group);

/* The next member to which something may be dispatched, and which was not returned here since that
 * began: call group_dispatch() when it can send, until it returns 0. NULL: there is none. O(1). */
struct group_member *group_next_ready(struct group *group);

#endif
