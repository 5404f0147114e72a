/* group_model.h - a naive model of a group: what is known of each event, and the rules of the
 * headers of src/group. It looks at all events again and again, and knows nothing of how the group
 * keeps them.
 *
 * Threads: one. */
#ifndef TRIBUTARY_TESTS_UNIT_GROUP_GROUP_MODEL_H
#define TRIBUTARY_TESTS_UNIT_GROUP_GROUP_MODEL_H

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/splitmix.h"
#include "group/group.h"
#include "group/group_delivery.h"
#include "group/group_query.h"
#include "group/group_source.h"

#define SOURCES 2
#define EVENTS 160 /* of a source; positions 1 to EVENTS */
#define MEMBERS 4
#define SHARDS 6
#define NOBODY (-1)
#define IN_CHANNEL 256

struct model_event {
    enum event_state state;
    enum event_outcome outcome;
    uint32_t attempt, bytes;
    uint16_t shard;
    int holder;
    bool was_sent;
    unsigned reason;
    int64_t sent_ns, ready_min_ns, ready_max_ns; /* its next attempt is somewhere between */
};

/* What a store has of a source. */
struct model_state {
    bool exists;
    struct buf bytes;
    uint64_t floor, finished;
    bool is_finished[EVENTS + 2]; /* of those above the floor */
    uint64_t counts[OUTCOMES];
};

struct model_source {
    struct group_source *source;
    struct model_event events[EVENTS + 2];
    uint64_t base; /* no more than the floor */
    uint64_t head, kept, group_kept;
    uint64_t counts[OUTCOMES];
    bool is_committing, has_sought;
    uint64_t commit;
    struct model_state durable, pending;
};

struct model_member {
    struct group_member *member;
    struct member_limits limits;
    bool is_leaving, is_silent, is_ready;
    int64_t heard_ns;
    uint64_t generation;
    struct member_totals totals;
    struct group_event channel[IN_CHANNEL];
    unsigned channel_count;
};

struct model_shard {
    int owner;
    bool is_revoking;
    int64_t deadline_ns;
    uint64_t before, after; /* the generation in which it was granted: above `before`, up to `after` */
};

extern uint64_t seed, random_state;
extern int64_t now;
extern bool paused;
extern struct group *group;
extern struct group_options options;
extern struct model_source sources[SOURCES];
extern struct model_member members[MEMBERS];
extern struct model_shard shards[SHARDS];

#define HOLDS(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s\nschedule %llu failed: test_group_model 1 %llu\n", __FILE__,          \
                    __LINE__, #condition, (unsigned long long)seed, (unsigned long long)seed);               \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

unsigned roll(unsigned sides);
struct model_source *model_source_of(const struct group_source *source);
uint64_t model_floor(const struct model_source *source);
uint32_t model_ranges(const struct model_source *source, uint64_t *settled_out);
/* Events at a member. */
void model_load(int member, uint32_t *events_out, uint64_t *bytes_out);
/* The first event of a shard that waits; 0: there is none. */
uint64_t model_first(const struct model_source *source, unsigned shard);

void model_settle(struct model_source *source, uint64_t position, enum event_outcome outcome);
void model_put_back(struct model_source *source, uint64_t position, int64_t from_ns);
void model_fail(struct model_source *source, uint64_t position, unsigned reason, int64_t asked_ns);
void model_give_up(struct model_source *source, uint64_t position, bool skip);
/* A member is gone, and a shard's or an event's time is up. */
void model_lose(int member);
void model_tick(void);

/* Reads the assignment, and follows what has changed. `generation`: before that. */
void model_follow(uint64_t generation);
/* After each step: the same, and compares everything. */
void model_observe(uint64_t generation);
uint64_t model_generation(void);
/* Nothing may be dispatched to the member any more. */
void model_check_exhausted(int member);

#endif
