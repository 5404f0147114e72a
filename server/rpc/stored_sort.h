/* stored_sort.h - which events of a message are of stored topics. For the files of this room.
 *
 * Threads: any; a sort belongs to one. */
#ifndef TRIBUTARY_SERVER_RPC_STORED_SORT_H
#define TRIBUTARY_SERVER_RPC_STORED_SORT_H

#include <stdbool.h>

#include "base/fault.h"

struct live_topic;
struct topics;

/* Of one batch. So who sorts needs no table. */
#define MAX_BATCH_TOPICS 64u
/* The place of an event that is of no stored topic. */
#define PLACE_LIVE MAX_BATCH_TOPICS

/* Events with their tags and lengths: event i is [offsets[i], ends[i]) of `data`, and without
 * `ends` [offsets[i], offsets[i + 1]). */
struct sorted_events {
    const uint8_t *data;
    const uint32_t *offsets, *ends;
    uint32_t count;
};

struct sorted_topic {
    struct live_topic *topic; /* a reference */
    uint32_t events, bytes;
};

struct stored_sort {
    struct sorted_topic topics[MAX_BATCH_TOPICS];
    uint32_t topic_count; /* 0: no event is of a stored topic */
    uint32_t live_events, live_bytes;
    uint32_t runs; /* of events in a row of one place */
    /* Of each event the place of its topic in `topics`, or PLACE_LIVE. NULL: all have the same. */
    uint8_t *places;
    struct bytes live_topic; /* the topic of the first live event; points into the events */
};

enum sort_result {
    SORT_DONE,
    /* *missing_out, which points into the events, must be made first. The live events are counted,
     * and the first one of them is noted. */
    SORT_MISSING,
    SORT_REFUSED /* *fault says why: too many topics, or no memory */
};

/* Sorts at least one event. With SORT_DONE stored_sort_fini() must follow; with the others nothing
 * is kept. */
MUST_CHECK enum sort_result stored_sort(struct stored_sort *sort, struct topics *topics,
                                        const struct sorted_events *events, struct bytes *missing_out,
                                        struct fault *fault);
void stored_sort_fini(struct stored_sort *sort);

#endif
