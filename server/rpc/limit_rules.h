/* limit_rules.h - decides what limits a consumer: an ordered list of conditions on its figures. For
 * the files of this room.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_RPC_LIMIT_RULES_H
#define TRIBUTARY_SERVER_RPC_LIMIT_RULES_H

#include "base/buf.h"
#include "server/rpc/limit_stats.h"

struct limit_verdict {
    enum limit limit;
    enum limit also[LIMIT_COUNT];
    uint32_t also_count;
    const char *producer; /* in the stats; empty: none is named */
};

/* The first condition that limits. Others that hold are in `also`. Appends one sentence to
 * `sentence`. */
struct limit_verdict limit_decide(const struct limit_stats *stats, struct buf *sentence);

/* Calls `each` for every figure that holds, in an order for people. */
void limit_each(const struct limit_stats *stats,
                void (*each)(void *ctx, const char *name, int64_t value, const char *unit), void *ctx);

#endif
