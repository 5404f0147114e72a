/* group_delivery.h - events go to members, and are settled by them.
 *
 *   group_dispatch()  the member gets events, as far as its limits allow: they are *queued*
 *   group_sent()      they are written to it: from now on they may be acked, and the ack wait runs
 *   group_ack() ...   it settles them, or asks for more time
 *   group_tick()      what was not settled in time is returned
 *
 * An event that failed holds back the later events of its shard until its next attempt: the shard
 * is what the group orders, and the group knows no keys. So a group with more shards holds back
 * less. Other shards go on. What the member has of the shard already stays with it.
 *
 * Threads: one, or the caller's lock. */
#ifndef TRIBUTARY_GROUP_GROUP_DELIVERY_H
#define TRIBUTARY_GROUP_GROUP_DELIVERY_H

#include <stdbool.h>

#include "base/base.h"
#include "group/group_totals.h"

struct group;
struct group_member;
struct group_source;

struct group_event {
    struct group_source *source;
    uint64_t position;
    uint32_t bytes;
    uint16_t shard, attempt; /* attempt: deliveries before this one */
};

/* Chooses at most `capacity` events for a member, which are in order for each shard and source.
 * Returns how many; 0 where its limits, a pause or the retry waits allow none. Shards take turns.
 * O(returned + shards of the member that have something). */
uint32_t group_dispatch(struct group_member *member, int64_t now_ns, struct group_event *events,
                        uint32_t capacity);

/* Says that the events are sent now. What is not this member's any more is removed from the array:
 * it must not be sent. Returns how many are left, in their order. Their sources must exist.
 * O(count). */
uint32_t group_sent(struct group_member *member, struct group_event *events, uint32_t count, int64_t now_ns);

/* The server settles an event that was dispatched to the member and not sent: it has expired, is a
 * duplicate, or the topic has not kept it. False: it is not queued at the member any more. O(1). */
bool group_drop(struct group_member *member, const struct group_event *event, enum event_outcome outcome,
                int64_t now_ns);

/* The server takes back an event that was dispatched to the member and not sent: it cannot be read
 * now, or another event with its id is in flight. It waits for `wait_ns`, and holds back its shard.
 * It is no attempt. False: as group_drop(). O(1). */
bool group_put_back(struct group_member *member, const struct group_event *event, int64_t wait_ns,
                    int64_t now_ns);

/* ---- what a member says ---- */

/* Which events: those of the source from `first` to `last` that were sent to this member and are
 * not settled. Others in between are not touched. A single event has first = last; a cumulative ack
 * has first = 0. */
struct group_range {
    struct group_source *source;
    uint64_t first, last;
    uint64_t generation; /* the assignment that the member knew when it got them; 0: not checked */
};

enum group_answer {
    GROUP_SETTLED,         /* the call has done it to `count` events, at least one */
    GROUP_UNKNOWN,         /* there is no such event, or it was never sent */
    GROUP_ALREADY_SETTLED, /* all of them */
    GROUP_NOT_YOURS,       /* the shard is another member's */
    GROUP_LATE,            /* it was returned, and was not sent again */
    GROUP_STALE,           /* sent before the shard came to the member again, or before a seek */
    GROUP_INVALID          /* first > last, or a nack that is none */
};
/* Where a range has no event to settle, the answer is that of its first event. With every answer
 * but GROUP_SETTLED no event has changed. */

struct group_result {
    enum group_answer answer;
    uint32_t count;
    uint64_t next; /* the rest of the range begins there: call again. 0: all is done */
};

/* At most so many positions are looked at in one call. */
#define GROUP_RANGE_STEP 4096u

enum nack_verb { NACK_RETRY, NACK_RETRY_AFTER, NACK_DEAD_LETTER, NACK_SKIP, NACK_VERBS };

struct group_nack {
    enum nack_verb verb;
    unsigned reason;  /* of retry_policy.h, or the caller's; below MAX_RETRY_REASONS */
    int64_t after_ns; /* of NACK_RETRY_AFTER; 0 or more, and cut to the policy's max_ns */
};

/* Each: O(min(last - first + 1, GROUP_RANGE_STEP)); a nack costs O(log) more for each event. */
struct group_result group_ack(struct group_member *member, const struct group_range *range, int64_t now_ns);
struct group_result group_nack(struct group_member *member, const struct group_range *range,
                               const struct group_nack *nack, int64_t now_ns);
/* The ack wait of the events begins anew. */
struct group_result group_extend(struct group_member *member, const struct group_range *range,
                                 int64_t now_ns);

/* ---- time ---- */

/* When group_tick() has something to do: no later than that. INT64_MAX: never. A time that has
 * passed: now. Due commits count. O(sources). */
int64_t group_due_ns(const struct group *group);

/* Returns events whose ack wait is over, lets those go whose retry wait is over, and ends moves of
 * shards whose time is up. At most about `max_events` events, and then group_due_ns() has passed
 * already. Commits are the caller's.
 *
 * A member that has said nothing since an event was sent to it, until the event's time was over, is
 * *silent*: while another member is not, its shards move to others, and it gets none until it says
 * something. O(max_events + shards * sources + members). */
void group_tick(struct group *group, int64_t now_ns, uint32_t max_events);

#endif
