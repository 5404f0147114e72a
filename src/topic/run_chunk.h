/* run_chunk.h - chunks of what a topic keeps.
 *
 * Threads: any; values. */
#ifndef TRIBUTARY_TOPIC_RUN_CHUNK_H
#define TRIBUTARY_TOPIC_RUN_CHUNK_H

#include "base/status.h"
#include "event/framing.h"
#include "topic/row.h"

struct chunk;

/* The run loses its first `skip` events, of which it must have more. Of the others a chunk gets a
 * copy of the first one, and of as many after it as have `max_bytes` together, and the run loses
 * these, too. `scan` is scratch memory that framing_fini() frees. The chunk has no source and no
 * sequences yet.
 *   ERR_INVALID    these are no such events; nothing was made
 *   ERR_NO_MEMORY  nothing was made */
MUST_CHECK enum err run_chunk(struct topic_run *run, uint32_t skip, size_t max_bytes,
                              struct framing_scan *scan, struct chunk **chunk_out);

#endif
