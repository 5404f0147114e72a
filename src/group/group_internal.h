/* group_internal.h - the objects of a group. Inside of src/group only.
 *
 * Which file changes what:
 *   ready_queues.c   queues that may be dispatched from, members to be notified, shards that move
 *   event_moves.c    one event: dispatched, returned, settled; all totals
 *   group_members.c  who is there, and the assignment
 *
 * Threads: one, or the caller's lock. */
#ifndef TRIBUTARY_GROUP_GROUP_INTERNAL_H
#define TRIBUTARY_GROUP_GROUP_INTERNAL_H

#include "base/heap.h"
#include "base/list.h"
#include "group/balance.h"
#include "group/group.h"
#include "group/group_totals.h"
#include "group/shard_queue.h"

struct group_shard {
    struct group_member *owner;  /* NULL: nobody */
    struct group_member *target; /* the owner; or who gets it, while it is revoking; NULL: nobody */
    struct list in_revoking;     /* in group->revoking, while it moves */
    bool is_revoking;
    int64_t deadline_ns; /* while it is revoking */
    uint64_t granted;    /* the generation in which the owner got it */
    uint32_t in_flight;  /* events at the owner */
};

struct group_member {
    struct group *group;
    struct member_limits limits;
    void *ctx;
    uint16_t index; /* in group->members */
    bool is_leaving, is_silent;
    bool is_full; /* a dispatch ended at its limits */
    int64_t heard_ns;
    uint32_t events; /* in flight */
    uint64_t bytes;
    struct list ready; /* shard queues, in turns */
    struct list in_ready, in_changed;
    struct member_totals totals;
};

struct group_source {
    struct group *group;
    struct list in_sources;
    void *ctx;
    struct window window;
    uint64_t first_kept; /* the topic keeps none below it */
    struct group_totals totals;
    struct slot_chain dead; /* DEAD */
    uint64_t dead_count;
    /* The commit. */
    uint64_t unsaved;         /* events settled or dead that no commit has */
    int64_t unsaved_since_ns; /* when the first of them was */
    int64_t not_before_ns;    /* after one that failed */
    bool is_committing;
    uint64_t commits; /* the number of the last one */
    uint64_t saving;  /* events of the commit that is under way */
    uint64_t saving_floor, committed;
    struct slot_chain committing;
    struct shard_queue queues[]; /* one for each shard */
};

struct group {
    struct group_options options;
    uint64_t random;
    uint64_t generation;
    bool is_paused;
    uint32_t member_count, source_count;
    struct list sources;
    struct list revoking; /* shards, by their deadlines */
    struct list changed, ready_members;
    struct heap timers;            /* of queues */
    struct group_member **members; /* by index; NULL: free */
    struct balance_shard *balance_shards;
    struct balance_member *balance_members;
    struct group_shard shards[];
};

/* ---- ready_queues.c ---- */

/* The member may have something to dispatch, or has another assignment. */
void member_ready(struct group_member *member);
void member_changed(struct group_member *member);
/* The member may be below its limits again. */
void member_not_full(struct group_member *member);
/* Whether the queue stands in its owner's list follows from what waits and when. O(1), or O(log)
 * with a timer. */
void queue_refresh(struct shard_queue *queue, int64_t now_ns);
/* The queue is looked at by group_tick() no later than that. */
void queue_arm(struct shard_queue *queue, int64_t at_ns);
/* Refreshes the queues of a shard in all sources. O(sources). */
void shard_refresh(struct group *group, uint32_t shard, int64_t now_ns);
/* Gives a shard to its target. Nothing of it is in flight. */
void shard_move(struct group *group, uint32_t shard, int64_t now_ns);

/* ---- event_moves.c ---- */

/* The owner of an event in flight says, or the server decides: it is finished. It is QUEUED or
 * SENT. */
void event_settle(struct group_source *source, uint64_t position, enum event_outcome outcome, int64_t now_ns);
/* Settles what waits, and is first in its queue. */
void event_settle_waiting(struct shard_queue *queue, enum event_outcome outcome, int64_t now_ns);
/* What was dispatched and not sent waits again, until `from_ns`. */
void event_put_back(struct group_source *source, uint64_t position, int64_t from_ns, int64_t now_ns);
/* What was sent has failed: another attempt, a dead letter, or skipped. */
void event_fail(struct group_source *source, uint64_t position, unsigned reason, int64_t asked_ns,
                int64_t now_ns);
/* What was sent has failed for the last time. */
void event_give_up(struct group_source *source, uint64_t position, enum retry_verdict verdict,
                   int64_t now_ns);
/* Counts an event that is settled, for the next commit. */
void source_unsaved(struct group_source *source, uint64_t count, int64_t now_ns);
/* Takes back what is queued in a shard; fails all that was sent. */
void shard_put_back_queued(struct group *group, uint32_t shard, int64_t now_ns);
void shard_fail_all(struct group *group, uint32_t shard, unsigned reason, int64_t now_ns);

/* ---- group_members.c ---- */

/* Decides anew who should have which shard, and begins the moves. */
void group_reassign(struct group *group, int64_t now_ns);

#endif
