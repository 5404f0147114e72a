/* group_source.h - the sources of a group: events come, old ones go, and what is finished is
 * committed.
 *
 * A source numbers its events from 1 on; a number is a *position*. All up to the *floor* are
 * finished, and the event after it is not. The group remembers what is finished above the floor, as
 * ranges. Both are bounded: at the bound nothing more is read of this source, and the others go on.
 *
 * Threads: one, or the caller's lock. */
#ifndef TRIBUTARY_GROUP_GROUP_SOURCE_H
#define TRIBUTARY_GROUP_GROUP_SOURCE_H

#include "base/buf.h"
#include "base/status.h"
#include "group/group_totals.h"

struct group;
struct group_source;

/* Adds a source, which belongs to the group until group_source_close(). `first` is the position of
 * the first event that it will have: 1 or more. O(shards).
 *   ERR_FULL       the group has max_sources
 *   ERR_NO_MEMORY  nothing changed */
MUST_CHECK enum err group_source_open(struct group *group, uint64_t first, void *ctx,
                                      struct group_source **source_out);

/* Brings a source that nothing was offered to into the state of an earlier commit. O(window).
 *   ERR_INVALID    the bytes are damaged, or no such state; nothing changed
 *   ERR_NO_MEMORY  nothing changed */
MUST_CHECK enum err group_source_restore(struct group_source *source, struct bytes state);

/* Takes the source away with all its events, and frees it. O(shards + window). */
void group_source_close(struct group_source *source, int64_t now_ns);

/* `ctx` of group_source_open(). */
void *group_source_ctx(const struct group_source *source);

/* ---- events come ---- */

/* The position that comes next, and how many events may be offered or passed from there on: 0 while
 * the window is full. O(1). */
uint64_t group_source_next(const struct group_source *source);
uint32_t group_source_space(const struct group_source *source);

struct group_offered {
    uint32_t bytes;
    uint16_t shard; /* below options.shards */
};

/* Offers the events from group_source_next() on, not more than the space. What an earlier life has
 * settled is passed over. The next position afterwards is at least `count` higher. O(count), and
 * now and then O(window) for memory.
 *   ERR_FULL       there are more than the space; nothing changed
 *   ERR_NO_MEMORY  nothing changed */
MUST_CHECK enum err group_offer(struct group_source *source, const struct group_offered *events,
                                uint32_t count, int64_t now_ns);

/* Passes over the next `count` events: those of OUTCOME_FOREIGN do not belong to the group, others
 * count as assigned and settled. While no event is open and none is remembered above the floor, any
 * count is within the space. Costs and errors as group_offer(). */
MUST_CHECK enum err group_pass(struct group_source *source, uint64_t count, enum event_outcome outcome,
                               int64_t now_ns);

/* Events below `first` are not kept by the topic any more. Those that wait are settled as trimmed;
 * those in flight will be if they are returned. Positions that were not offered are the caller's to
 * pass. O(shards + events that are trimmed). */
void group_trim(struct group_source *source, uint64_t first, int64_t now_ns);

/* Forgets all events and totals: the next position is `first`. All members get a new generation, so
 * acks for what was in flight are STALE. O(shards + window + members). */
void group_seek(struct group_source *source, uint64_t first, int64_t now_ns);

/* ---- commits ---- */

/* When a commit is due: INT64_MAX where there is nothing to commit, or one is under way. At once
 * after `commit_events` settled events, else commit_ns after the first one. O(1). */
int64_t group_commit_due_ns(const struct group_source *source);

/* An event without a further attempt. */
struct group_dead_letter {
    uint64_t position;
    uint32_t attempts; /* deliveries, 1 or more */
    unsigned reason;   /* of the last one */
    int64_t first_ns;  /* when it was first sent */
};

struct group_commit {
    struct buf *state;                 /* the state is appended to it */
    struct group_dead_letter *letters; /* memory of the caller's */
    uint32_t capacity;                 /* of `letters`: 1 or more, or dead letters never go */
    uint32_t count;                    /* set: of `letters` */
    uint64_t number;                   /* set: for group_commit_done() */
};

/* Begins a commit: says what the store must keep, and which dead letters are settled with it. The
 * caller writes both in one transaction, and then calls group_commit_done(). Until then these
 * events count as in flight. One commit at a time for each source. Of two commits the later one has
 * the higher floor, or the same floor and more events settled, unless a seek was between them.
 * O(window).
 *   ERR_AGAIN      a commit is under way; nothing changed
 *   ERR_NO_MEMORY  nothing changed but `state`, which is broken */
MUST_CHECK enum err group_commit_begin(struct group_source *source, struct group_commit *commit);

/* The commit is durable, or failed: then it is due again, with its dead letters, after commit_ns.
 * After one that is durable, a source without open events keeps no memory for events. Ignored where
 * that commit is not under way any more, because a seek has ended it. O(letters). */
void group_commit_done(struct group_source *source, uint64_t number, bool ok, int64_t now_ns);

#endif
