/* batch_write.h - writes the messages of the service Batch. For the files of this room.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_RPC_BATCH_WRITE_H
#define TRIBUTARY_SERVER_RPC_BATCH_WRITE_H

#include "base/buf.h"
#include "batch/worker.h"

struct call;

/* A message is full beyond this, where its receiver allows several in one. */
#define MAX_PACKED_BYTES ((size_t)128 << 10)

/* Appends RunResponse. */
void write_run_response(struct buf *buf, const struct processor_operation *operation);
/* Appends the fields of RunError. `from` NULL: `reason` says it all. */
void write_run_error(struct buf *buf, enum fault_reason reason, const struct batch_error *from,
                     bool may_have_run);
/* Ends a call with what went wrong with its operation. */
void finish_with_error(struct call *call, const struct processor_operation *operation);

/* Appends one RunStreamResponse, within the field `more` if `packed`. */
void write_stream_response(struct buf *buf, bool packed, uint64_t request,
                           const struct processor_operation *operation);

/* Appends one ProcessResponse, within the field `more` if `packed`. */
void write_worker_command(struct buf *buf, bool packed, const struct worker_command *command);

#endif
