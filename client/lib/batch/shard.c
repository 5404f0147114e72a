/* shard.c - see shard.h. */
#include "client/lib/batch/shard.h"

#include <string.h>

/* Spreads keys; engines have a secret hash of their own. */
static uint64_t hash_of(struct bytes key)
{
    uint64_t hash = key.size * UINT64_C(0x9e3779b97f4a7c15);
    size_t done = 0;

    for (; key.size - done >= 8; done += 8) {
        uint64_t word;

        memcpy(&word, key.data + done, 8);
        hash = (hash ^ word) * UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 32;
    }
    for (; done < key.size; done++)
        hash = (hash ^ key.data[done]) * UINT64_C(0x100000001b3);
    return hash ^ (hash >> 29);
}

struct shard *shard_of(struct tributary_batch *batch, struct bytes key)
{
    const uint64_t mixed = hash_of(key) * UINT64_C(0x9e3779b97f4a7c15);

    return &batch->shards[(mixed >> 32) % batch->shard_count];
}

void shard_enter(struct shard *shard)
{
    pthread_mutex_lock(&shard->lock);
}

/* With the lock. */
static bool is_quiet(const struct shard *shard)
{
    return shard->stopped && shard->ending == 0;
}

static void notify_quiet(struct tributary_batch *batch)
{
    pthread_mutex_lock(&batch->stop_lock);
    pthread_cond_broadcast(&batch->quiet);
    pthread_mutex_unlock(&batch->stop_lock);
}

void shard_leave(struct shard *shard)
{
    struct tributary_batch *batch = shard->batch;
    const bool quiet = is_quiet(shard);
    struct list jobs;

    list_init(&jobs);
    list_move_all(&shard->ends, &jobs);
    list_move_all(&shard->leads, &jobs);
    pthread_mutex_unlock(&shard->lock);
    if (quiet)
        notify_quiet(batch);
    pool_add_all(&batch->pool, &jobs);
}

void shard_do_ends(struct shard *shard)
{
    uint64_t done = 0;
    unsigned kept = 0;
    struct list ends, unused;

    if (list_empty(&shard->ends))
        return;
    list_init(&ends);
    list_init(&unused);
    list_move_all(&shard->ends, &ends);
    shard_leave(shard);
    list_each(node, next, &ends) {
        struct end *end = container_of(node, struct end, job.node);

        list_remove(node);
        end->run(end, &unused);
        done++;
    }
    kept = unused_trim(&shard->unused, &unused);
    shard_enter(shard);
    unused_add(&shard->unused, &unused, kept);
    shard->ending -= done;
}

static void run_end(struct job *job)
{
    struct end *end = container_of(job, struct end, job);
    struct shard *shard = end->shard;
    struct list unused;
    unsigned kept = 0;

    list_init(&unused);
    end->run(end, &unused);
    kept = unused_trim(&shard->unused, &unused);
    shard_enter(shard);
    unused_add(&shard->unused, &unused, kept);
    shard->ending--;
    shard_leave(shard);
}

void shard_add_end(struct shard *shard, struct end *end, void (*run)(struct end *end, struct list *unused))
{
    end->job.run = run_end;
    end->shard = shard;
    end->run = run;
    shard->ending++;
    list_append(&shard->ends, &end->job.node);
}

bool shard_is_quiet(struct shard *shard)
{
    shard_enter(shard);

    const bool quiet = is_quiet(shard);

    pthread_mutex_unlock(&shard->lock);
    return quiet;
}
