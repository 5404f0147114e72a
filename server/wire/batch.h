/* batch.h - one EventBatch as slices: notes, then a head and the events' bytes per run. For the
 * files of this room. */
#ifndef TRIBUTARY_SERVER_WIRE_BATCH_H
#define TRIBUTARY_SERVER_WIRE_BATCH_H

#include <stdbool.h>

#include "base/buf.h"
#include "flow/chan_batch.h"
#include "server/wire/call.h"

/* Lays out `notes` (empty afterwards) and what was taken, and sends it. Small chunks are copied
 * into one piece with their heads, large ones go by reference, entries of one source that follow
 * each other become one run. The take stays the caller's. False: the call is not alive, or memory
 * ran out. */
bool batch_send(struct call *call, struct buf *notes, const struct chan_batch *batch);

#endif
