/* topic_info.h - what a topic is, and what appears in it without a batch of its own.
 *
 * Threads: any; values. */
#ifndef TRIBUTARY_TOPIC_TOPIC_INFO_H
#define TRIBUTARY_TOPIC_TOPIC_INFO_H

#include "base/base.h"
#include "topic/row.h"
#include "topic/topic_settings.h"

/* An incarnation that a topic had before its store was restored from a backup. Its sequences up to
 * `last_seq` are those of the topic now. What it had beyond is lost. */
struct topic_ancestor {
    uint64_t incarnation, last_seq;
};
#define MAX_TOPIC_ANCESTORS 32u

struct topic_info {
    uint64_t id, incarnation;
    struct bytes name;
    struct topic_settings settings;
    uint64_t first_seq, next_seq; /* equal: it is empty */
    uint64_t bytes;               /* of rows */
    int64_t created_wall_ns;
    /* The latest ones, oldest first. They stay as they are until the store is closed. */
    const struct topic_ancestor *ancestors;
    uint32_t ancestor_count;
    uint64_t delayed;             /* events that wait for their time */
    uint64_t ids_forgotten_early; /* since the store was opened: see max_ids */
};

/* Events that were appended, and that are not simply the last ones of an append's part: they were
 * delayed and are now due, or others of their part were left out. They have the sequences from
 * first_seq on. */
struct topic_appeared {
    uint64_t topic, incarnation, first_seq;
    struct topic_run run; /* points to memory that is gone after the call */
};

#endif
