/* explain_probe.h - what limits one consumer: a probe looks at it twice, `window` apart. For the
 * files of this room.
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_RPC_EXPLAIN_PROBE_H
#define TRIBUTARY_SERVER_RPC_EXPLAIN_PROBE_H

#include "base/buf.h"
#include "base/fault.h"

struct explain_probe;
struct rpc;

/* The memory of one, with what is allocated for it. */
#define EXPLAIN_PROBE_BYTES 8192u

/* Makes a probe. Its first look is in a later turn. `done` is called once, in a later turn, and may
 * free it. `id` is copied. NULL: out of memory. */
struct explain_probe *explain_probe_new(struct rpc *rpc, struct bytes id, int64_t window_ns,
                                        void (*done)(void *ctx, struct explain_probe *probe), void *ctx);

/* At any time: `done` is not called any more. NULL is allowed. */
void explain_probe_free(struct explain_probe *probe);

/* After `done`: why there is no answer, SUBSCRIPTION_NOT_FOUND or MEMORY_BUDGET. NULL: there is
 * one. */
const struct fault *explain_probe_fault(const struct explain_probe *probe);

/* After `done`, and where there is no fault: appends the fields of an Explanation. */
void explain_probe_write(const struct explain_probe *probe, struct buf *answer);

#endif
