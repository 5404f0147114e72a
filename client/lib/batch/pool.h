/* pool.h - threads that run jobs, in the order in which they came. A job may block: then the others
 * wait for the other threads.
 *
 * Threads: any; what is different says so. */
#ifndef TRIBUTARY_CLIENT_BATCH_POOL_H
#define TRIBUTARY_CLIENT_BATCH_POOL_H

#include <pthread.h>

#include "base/base.h"
#include "base/list.h"

/* Embedded in what it is about. It may free itself, or be added again, while it runs. */
struct job {
    struct list node;
    void (*run)(struct job *job);
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t added;
    struct list jobs;
    uint32_t idle; /* threads that wait */
    bool ends;
    pthread_t *threads;
    uint32_t count;
};

/* How many threads to begin where `asked` were asked for; 0: one for each processor, at least 2, at
 * most `max`. */
uint32_t pool_thread_count(uint32_t asked, uint32_t max);

/* False: no memory, or no thread; nothing is left to end. */
bool pool_begin(struct pool *pool, uint32_t threads);

/* Waits until all jobs have run and all threads have ended. Only jobs themselves may add jobs. */
void pool_end(struct pool *pool);

/* Adds all jobs of a list, which is empty afterwards. */
void pool_add_all(struct pool *pool, struct list *jobs);

/* Whether the caller is a thread of it. */
bool pool_is_mine(const struct pool *pool);

#endif
