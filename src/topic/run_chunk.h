/* run_chunk.h - chunks of what a topic keeps.
 *
 * Threads: any; values. */
#ifndef TRIBUTARY_TOPIC_RUN_CHUNK_H
#define TRIBUTARY_TOPIC_RUN_CHUNK_H

#include "base/status.h"
#include "event/framing.h"
#include "topic/row.h"

struct chunk;

/* Copies a run's events but the first `skip`, of which it has more: the next one, and as many after
 * it as have `max_bytes` together. `scan` is scratch memory that framing_fini() frees. The chunk
 * has no source and no sequences yet.
 *   ERR_INVALID    these are no such events
 *   ERR_NO_MEMORY  nothing was made */
MUST_CHECK enum err run_chunk(const struct topic_run *run, uint32_t skip, size_t max_bytes,
                              struct framing_scan *scan, struct chunk **chunk_out);

#endif
