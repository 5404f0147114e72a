/* group_options.h - the options of a group: their bounds and defaults.
 *
 * Threads: any; values. */
#ifndef TRIBUTARY_GROUP_GROUP_OPTIONS_H
#define TRIBUTARY_GROUP_GROUP_OPTIONS_H

#include "base/base.h"
#include "group/retry_policy.h"

#define MAX_GROUP_SHARDS 1024u
#define MAX_GROUP_MEMBERS 1024u
#define MAX_GROUP_SOURCES 256u
#define MAX_GROUP_WINDOW (1u << 20)

struct group_options {
    uint32_t shards;      /* 1 to MAX_GROUP_SHARDS; 16 */
    uint32_t max_members; /* 1 to MAX_GROUP_MEMBERS; 256 */
    uint32_t max_sources; /* 1 to MAX_GROUP_SOURCES; 16 */
    /* Of each source: the events from the first unfinished one on that may have been read, finished
     * ones included. 1 to MAX_GROUP_WINDOW; 16384. An event costs 40 bytes. */
    uint32_t max_window;
    /* Of each source: the ranges of finished events above the first unfinished one. 1 to
     * MAX_GROUP_WINDOW; 1024. At either bound nothing more is read of the source. */
    uint32_t max_ranges;
    int64_t ack_wait_ns;       /* at least 1 ms; 30 s. A member must settle or extend within it */
    int64_t revoke_wait_ns;    /* at least 0; 30 s. What a shard that moves waits for its events */
    struct retry_policy retry; /* 5 attempts; 100 ms to 60 s; UNRECOVERABLE and UNPARSEABLE at once */
    /* A commit is due after so many settled events (1 or more; 1024), or so long after the first
     * (0 or more; 100 ms). */
    uint32_t commit_events;
    int64_t commit_ns;
    uint64_t seed; /* of the jitter */
};

/* The defaults that the comments say. */
void group_options_default(struct group_options *options);

/* NULL: all are within their bounds. Otherwise the name of the first that is not, a static text. */
const char *group_options_check(const struct group_options *options);

#endif
