/* explain_producer.h - Admin.Explain of a producer. For the files of this room.
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_RPC_EXPLAIN_PRODUCER_H
#define TRIBUTARY_SERVER_RPC_EXPLAIN_PRODUCER_H

#include "server/rpc/unary.h"

/* Answers the call later (unary->waits), or sets unary->fault. `name` is in the request. */
void explain_producer(struct unary_call *unary, struct bytes name, int64_t window_ns);

#endif
