/* event_shard.h - the shard of an event: a number that its key, its producer or a header decides.
 *
 * Events with the same text are in the same shard, and so in order. The hash is XXH3 with 64 bits
 * and without a secret, so a shard is the same in every process and after every restart. A text
 * that is empty gives way to the producer: what one producer publishes without keys stays in order,
 * and not all of it is in one shard.
 *
 * Threads: any; values. */
#ifndef TRIBUTARY_GROUP_EVENT_SHARD_H
#define TRIBUTARY_GROUP_EVENT_SHARD_H

#include "base/base.h"

struct event_view;
struct pair_name;

enum shard_by { SHARD_BY_KEY, SHARD_BY_PRODUCER, SHARD_BY_HEADER };

/* The shard of a text, 0 to shards - 1. `shards` is at least 1. */
uint32_t text_shard(struct bytes text, uint32_t shards);

/* The shard of an event. `header` is the name for SHARD_BY_HEADER, and not used by the others. Of
 * the view it needs the key, the origin or the headers, as `by` says, and the origin always. */
uint32_t event_shard(const struct event_view *view, enum shard_by by, const struct pair_name *header,
                     uint32_t shards);

#endif
