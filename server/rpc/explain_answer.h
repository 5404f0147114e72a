/* explain_answer.h - writes an Explanation. For the files of this room.
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_RPC_EXPLAIN_ANSWER_H
#define TRIBUTARY_SERVER_RPC_EXPLAIN_ANSWER_H

#include "base/buf.h"
#include "server/rpc/limit_rules.h"

/* Appends a Stat to the struct buf `ctx`, which holds an Explanation: for limit_each(). */
void explain_write_stat(void *ctx, const char *name, int64_t value, const char *unit);

/* Appends what is decided. `blocking_id` is empty where there is none. */
void explain_write_verdict(const struct limit_verdict *verdict, struct bytes sentence,
                           const char *blocking_id, struct buf *answer);

#endif
