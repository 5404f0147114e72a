/* bell.h - what a thread of a stress test waits for: rung from any other, remembered until it is waited for. */
#ifndef TRIBUTARY_TESTS_STRESS_BELL_H
#define TRIBUTARY_TESTS_STRESS_BELL_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "base/clock.h"

struct bell {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool rung;
};

static inline void bell_ring(struct bell *bell)
{
    pthread_mutex_lock(&bell->lock);
    bell->rung = true;
    pthread_cond_signal(&bell->cond);
    pthread_mutex_unlock(&bell->lock);
}

/* Until it was rung, or `most_ns` have passed. */
static inline void bell_wait(struct bell *bell, int64_t most_ns)
{
    int64_t until_ns = clock_wall_ns() + most_ns;
    struct timespec until = {.tv_sec = until_ns / NS_PER_S, .tv_nsec = until_ns % NS_PER_S};

    pthread_mutex_lock(&bell->lock);
    while (!bell->rung && pthread_cond_timedwait(&bell->cond, &bell->lock, &until) == 0)
        continue;
    bell->rung = false;
    pthread_mutex_unlock(&bell->lock);
}

#define BELL                                                                                                                               \
    {                                                                                                                                      \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false                                                                         \
    }

#endif
