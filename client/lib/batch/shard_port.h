/* shard_port.h - the engine of a shard, and what is done with operations there. */
#ifndef TRIBUTARY_CLIENT_BATCH_SHARD_PORT_H
#define TRIBUTARY_CLIENT_BATCH_SHARD_PORT_H

#include "client/lib/batch/operation.h"

/* False: no memory. */
bool shard_init(struct shard *shard, struct tributary_batch *batch, unsigned number,
                const struct batch_settings *settings);
void shard_fini(struct shard *shard);

/* Admits an operation into its shard, which has its reference from then on. After a fault it is the
 * caller's. Any thread. */
enum fault_reason shard_run(struct bytes key, struct operation *operation, struct fault *fault);

/* The same for one that is not there yet, and has neither a thread that waits nor what may cancel
 * it. FAULT_MEMORY_BUDGET also where there is no memory for it. */
enum fault_reason shard_submit(struct shard *shard, const struct tributary_batch_operation *params,
                               struct fault *fault);

/* Ends it, if it has not started. Any thread that has a reference. */
void shard_cancel(struct operation *operation, enum ending ending);

/* For the ticker. */
void shard_tick(struct shard *shard);

/* Admits nothing any more, and ends what has not started. Any thread. */
void shard_stop(struct shard *shard);

#endif
