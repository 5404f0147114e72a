/* producer_limits.h - what limits one producer: its figures, and the ordered list of conditions on
 * them. The counterpart of limit_stats.h and limit_rules.h. For the files of this room.
 *
 * Times are nanoseconds, and ages. NOT_SO: it does not hold.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_RPC_PRODUCER_LIMITS_H
#define TRIBUTARY_SERVER_RPC_PRODUCER_LIMITS_H

#include "base/buf.h"
#include "flow/producer_state.h"
#include "server/rpc/limit_rules.h"

struct producer_stats {
    char name[MAX_LIMIT_NAME + 1];
    int64_t window_ns; /* between the two looks */
    /* In the window. */
    uint64_t published;       /* events */
    uint64_t refused_batches; /* of any publisher */
    /* At the second look. */
    enum producer_state state;
    bool is_endpoint, is_set;
    bool is_away;   /* a publisher without an open call */
    bool has_calls; /* each consumer has a call of it, or shares one: PER_CONSUMER, BY_REQUEST */
    uint32_t subscriptions, activations;
    uint32_t blocked_calls, paused, waiting; /* the last two are activations */
    bool waits_turn;                         /* to dial */
    int64_t last_event_ns;                   /* since its last event; NOT_SO: never */
    int64_t retry_in_ns;
    uint32_t failure_code; /* of its last call, where none was accepted since; 0: none */
    bool failed_in_dial;
    char failure_text[MAX_LIMIT_TEXT + 1];
    uint64_t memory_used, memory_limit; /* memory_limit 0: none */
    bool memory_short;
    /* The last consumer found of each kind; empty: none. */
    char blocking_id[32], paused_id[32];
    /* At the first look. */
    bool was_blocked, was_paused;
};

/* The first condition that limits, as limit_decide(). verdict.producer is its name. */
struct limit_verdict producer_limit_decide(const struct producer_stats *stats, struct buf *sentence);

/* Calls `each` for every figure that holds, in an order for people. */
void producer_limit_each(const struct producer_stats *stats,
                         void (*each)(void *ctx, const char *name, int64_t value, const char *unit),
                         void *ctx);

/* ---- producer_text.c ---- */

/* Appends the sentence for this limit, which a row of the table has. */
void producer_limit_write(enum limit limit, const struct producer_stats *stats, struct buf *sentence);

#endif
