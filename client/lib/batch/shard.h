/* shard.h - the keys of a processor are spread over shards. A shard has a lock, an engine, and what
 * must be done outside of the lock:
 *
 *   leads  batches that have something to do: jobs for the pool
 *   ends   what nothing waits for: records are put into rings, operations are reported
 *
 * What is "led" is a batch for which a thread of the pool does one thing after another. */
#ifndef TRIBUTARY_CLIENT_BATCH_SHARD_H
#define TRIBUTARY_CLIENT_BATCH_SHARD_H

#include <stdalign.h>

#include "batch/batch_engine.h"
#include "client/lib/batch/pool.h"
#include "client/lib/batch/records.h"
#include "client/lib/batch/ticker.h"
#include "client/lib/batch/unused.h"
#include "tributary/tributary.h"

struct lead;

struct shard {
    alignas(64) pthread_mutex_t lock;
    struct tributary_batch *batch;
    struct batch_engine *engine;
    unsigned number;
    struct list leads, ends;
    struct lead *leading; /* whose thread reports at this moment; NULL also when its batch has ended */
    uint64_t ending;      /* ends that have not been done */
    bool stopped;         /* the engine has */
    struct unused unused; /* operations */
};

struct tributary_batch {
    struct tributary_batch_options options;
    struct shard shards[TICKER_SLOTS];
    unsigned shard_count;
    _Atomic uint64_t keys; /* of all shards */
    struct pool pool;
    struct ticker ticker;
    struct records records;
    _Atomic bool stopping; /* no operation is to start any more */
    pthread_mutex_t stop_lock;
    pthread_cond_t quiet; /* a shard may have become quiet */
};

/* Something of `ends`. */
struct end {
    struct job job;
    struct shard *shard;
    /* No lock is held. It may free itself. Operations that are free now it adds to `unused`. */
    void (*run)(struct end *end, struct list *unused);
};

/* The shard of a key. */
struct shard *shard_of(struct tributary_batch *batch, struct bytes key);

void shard_enter(struct shard *shard);
/* Leaves it, and gives all that is to be done to the pool. */
void shard_leave(struct shard *shard);
/* A thread of the pool does what is in `ends` itself. With the lock; it is left meanwhile, if there
 * is anything. */
void shard_do_ends(struct shard *shard);

/* With the lock. */
void shard_add_end(struct shard *shard, struct end *end, void (*run)(struct end *end, struct list *unused));

/* Stopped, and no callback runs or is to run. Any thread. */
bool shard_is_quiet(struct shard *shard);

#endif
