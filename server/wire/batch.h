/* batch.h - writes one EventBatch message as slices. Only this room uses it. */
#ifndef TRIBUTARY_SERVER_WIRE_BATCH_H
#define TRIBUTARY_SERVER_WIRE_BATCH_H

#include <stdbool.h>

#include "base/buf.h"
#include "flow/chan_batch.h"
#include "server/wire/call.h"

/* Sends one EventBatch: first `notes` (encoded fields of the message), then the runs of `batch`.
 * Entries of one source that follow each other become one run. Small entries are copied into one
 * piece with the heads of their runs; large ones are sent by reference.
 *
 * The batch stays the caller's; `notes` is empty afterwards. False: nothing was sent, because the
 * call is not alive, `notes` is broken, or memory ran out. */
bool batch_send(struct call *call, struct buf *notes, const struct chan_batch *batch);

#endif
