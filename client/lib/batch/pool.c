/* pool.c - see pool.h. */
#include "client/lib/batch/pool.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/threads.h"

static _Thread_local const struct pool *mine;

static void *run(void *ctx)
{
    struct pool *pool = ctx;
    struct list *node = NULL;

    mine = pool;
    pthread_mutex_lock(&pool->lock);
    while (true) {
        while (!(node = list_first(&pool->jobs)) && !pool->ends) {
            pool->idle++;
            pthread_cond_wait(&pool->added, &pool->lock);
            pool->idle--;
        }
        if (!node)
            break;
        list_remove(node);
        pthread_mutex_unlock(&pool->lock);

        struct job *job = container_of(node, struct job, node);

        job->run(job);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

uint32_t pool_thread_count(uint32_t asked, uint32_t max)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);

    if (asked > 0)
        return asked;
    return processors < 2 ? 2 : MIN_OF((uint32_t)processors, max);
}

bool pool_begin(struct pool *pool, uint32_t threads)
{
    *pool = (struct pool){.threads = calloc(threads, sizeof(pthread_t))};
    if (!pool->threads)
        return false;
    list_init(&pool->jobs);
    pthread_mutex_init(&pool->lock, NULL);
    cond_init(&pool->added);
    while (pool->count < threads &&
           thread_start(&pool->threads[pool->count], run, pool, "tributary-batch") == 0)
        pool->count++;
    if (pool->count == threads)
        return true;
    pool_end(pool);
    return false;
}

void pool_end(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->ends = true;
    pthread_cond_broadcast(&pool->added);
    pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 0; i < pool->count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->added);
    pthread_mutex_destroy(&pool->lock);
    free(pool->threads);
}

void pool_add_all(struct pool *pool, struct list *jobs)
{
    const bool several = jobs->next != jobs->prev;
    uint32_t idle = 0;

    if (list_empty(jobs))
        return;
    pthread_mutex_lock(&pool->lock);
    list_move_all(jobs, &pool->jobs);
    idle = pool->idle;
    pthread_mutex_unlock(&pool->lock);
    if (idle > 1 && several)
        pthread_cond_broadcast(&pool->added);
    else if (idle > 0)
        pthread_cond_signal(&pool->added);
}

bool pool_is_mine(const struct pool *pool)
{
    return mine == pool;
}
