/* limit_text.h - what limits a consumer, in one sentence. For the files of this room.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_RPC_LIMIT_TEXT_H
#define TRIBUTARY_SERVER_RPC_LIMIT_TEXT_H

#include "base/buf.h"
#include "server/rpc/limit_stats.h"

/* Appends the sentence for this limit. Not for LIMIT_RESUME_GAP, which limits nobody, nor
 * for those of producers. */
void limit_write(enum limit limit, const struct limit_stats *stats, struct buf *sentence);

/* Appends "1.2 s", or "340 ms". */
void limit_put_time(struct buf *text, int64_t ns);
/* Appends "1 event", or "2 events". */
void limit_put_count(struct buf *text, uint64_t count, const char *one);

#endif
