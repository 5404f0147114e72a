/* placement.h - which worker a key goes to: rendezvous hashing (highest random weight).
 *
 * The key goes to the worker with the highest weight. So a worker that comes or goes moves only its
 * own keys, and one that comes back with its name gets them back. Names decide, and nothing else:
 * the weights are the same in every process.
 *
 * Threads: any. */
#ifndef TRIBUTARY_BATCH_PLACEMENT_H
#define TRIBUTARY_BATCH_PLACEMENT_H

#include "base/base.h"
#include "base/splitmix.h"

/* A hash of a worker's name, or of a key. It keeps no secret. */
uint64_t placement_hash(struct bytes text);

static inline uint64_t placement_weight(uint64_t worker_hash, uint64_t key_hash)
{
    uint64_t state = worker_hash ^ key_hash;

    return splitmix64(&state);
}

#endif
