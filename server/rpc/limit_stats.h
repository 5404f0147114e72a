/* limit_stats.h - the figures that say what limits one consumer, as plain numbers. explain.c
 * gathers them, limit_rules.c decides by them. For the files of this room.
 *
 * Times are nanoseconds, and ages: how long something has held. NOT_SO: it does not hold. */
#ifndef TRIBUTARY_SERVER_RPC_LIMIT_STATS_H
#define TRIBUTARY_SERVER_RPC_LIMIT_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "flow/chan_limits.h"
#include "flow/totals.h"

#define NOT_SO (-1)
#define MAX_LIMIT_NAME 256u
#define MAX_LIMIT_TEXT 256u

/* Numbers as in the API's enum Explanation.Limit. */
enum limit {
    LIMIT_HEALTHY = 1,
    LIMIT_DRAINING,
    LIMIT_SERVER_BEHIND,
    LIMIT_STARTING,
    LIMIT_SLOW_NETWORK,
    LIMIT_NO_CREDIT,
    LIMIT_QUOTA,
    LIMIT_BLOCKING,
    LIMIT_PAUSED,
    LIMIT_LOSING,
    LIMIT_COALESCING,
    LIMIT_CREDIT_TRICKLE,
    LIMIT_SLOW_READER,
    LIMIT_NO_PRODUCER,
    LIMIT_PRODUCER_BLOCKED,
    LIMIT_UNAVAILABLE,
    LIMIT_CONNECTING,
    LIMIT_BACKOFF,
    LIMIT_FILTERED,
    LIMIT_SILENT,
    LIMIT_RESUME_GAP,
    /* Of producers: producer_limits.h. */
    LIMIT_NO_CONSUMER,
    LIMIT_DIAL_TURN,
    LIMIT_ENDED,
    LIMIT_SORT_WINDOW, /* of a consumer */
    LIMIT_COUNT
};

/* The producers of a consumer, or the first so many of them. */
struct limit_producers {
    uint32_t looked_at;
    uint32_t active;      /* it can be reached, as far as that is known */
    uint32_t unavailable; /* endpoints that have failed, and were not accepted since */
    uint32_t connecting;
    uint32_t backoff; /* sessions that have failed for this consumer, and wait to be started again */
    uint32_t paused;
    uint32_t blocked;  /* by another consumer */
    uint32_t filtered; /* of which some events only are wanted */
    /* The last event of any of them, and of those that are filtered: wall clock. 0: never. */
    int64_t last_event_wall_ns, last_filtered_wall_ns;
    /* The first one of each kind; empty: none. */
    struct limit_names {
        char unavailable[MAX_LIMIT_NAME + 1], connecting[MAX_LIMIT_NAME + 1], backoff[MAX_LIMIT_NAME + 1];
        char paused[MAX_LIMIT_NAME + 1], blocked[MAX_LIMIT_NAME + 1];
        char latest[MAX_LIMIT_NAME + 1]; /* which sent the last event */
    } names;
    char blocking_id[32]; /* whose buffer blocks names.blocked; empty: none was found */
    /* Of names.unavailable. */
    uint32_t failure_code;
    char failure_text[MAX_LIMIT_TEXT + 1];
    bool failed_in_dial, failed_in_stream; /* before the call was accepted, or later; else not known */
    int64_t retry_in_ns;                   /* until it, or names.backoff, is tried again */
};

struct limit_stats {
    int64_t window_ns; /* between the two looks */
    /* In the window. */
    uint64_t accepted, delivered, losses[LOSS_COUNT];
    uint64_t refused_batches;        /* of any publisher */
    uint64_t sorted_late, sort_full; /* as in struct chan_stats */
    /* At the second look. */
    struct totals waiting, in_flight, parked;
    struct chan_limits limits;
    uint32_t blocked_ranges;
    bool fallback_active;
    int64_t blocked_ns; /* shared producers are held back */
    int64_t oldest_ns;  /* the age of the oldest event that waits */
    uint32_t gaps;
    bool draining, binding;
    int64_t drain_left_ns;
    uint32_t matched;
    uint64_t memory_used, memory_limit; /* memory_limit 0: none */
    bool memory_short;
    /* Of its sender; at the second look, too. */
    bool answered; /* the thread of the sender; otherwise the rest is not known */
    bool has_sender;
    int64_t write_ns;      /* a message is in flight */
    int64_t unwritable_ns; /* the connection takes nothing */
    uint64_t unread_bytes;
    bool has_credit;                  /* the consumer gives credit */
    uint64_t events_left, bytes_left; /* UINT64_MAX: no bound */
    int64_t starved_ns;               /* events wait, and the credit allows none */
    int64_t last_sent_ns;             /* since the last message with events; NOT_SO: never */
    int64_t thread_delay_ns;          /* until the thread answered */
    int64_t busy_percent;             /* of the thread, in the window */
    struct limit_producers producers;
    int64_t last_event_ns;   /* since the last event of these producers; NOT_SO: never */
    int64_t filtered_age_ns; /* the same of those of which some events only are wanted */
    /* At the first look. */
    bool was_blocked, was_starved, was_stuck; /* stuck: a write in flight, or unwritable */
    bool was_paused, was_blocked_by_other;
    int64_t was_oldest_ns;
};

/* Events that its own policy dropped in the window. */
static inline uint64_t limit_lost(const struct limit_stats *stats)
{
    return stats->losses[LOSS_OVERFLOW_OLDEST] + stats->losses[LOSS_OVERFLOW_NEWEST] +
           stats->losses[LOSS_EXPIRED] + stats->losses[LOSS_BLOCK_TIMEOUT];
}

#endif
