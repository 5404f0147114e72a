/* bell.h - what a thread of a stress test waits for: rung from any other, remembered until it is
 * waited for. */
#ifndef TRIBUTARY_TESTS_STRESS_BELL_H
#define TRIBUTARY_TESTS_STRESS_BELL_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "base/clock.h"

struct wakeup {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool rung;
};

static inline void bell_ring(struct wakeup *wakeup)
{
    pthread_mutex_lock(&wakeup->lock);
    wakeup->rung = true;
    pthread_cond_signal(&wakeup->cond);
    pthread_mutex_unlock(&wakeup->lock);
}

/* Until it was rung, or `max_ns` have passed. */
static inline void bell_wait(struct wakeup *wakeup, int64_t max_ns)
{
    int64_t until_ns = clock_wall_ns() + max_ns;
    struct timespec until = {.tv_sec = until_ns / NS_PER_S, .tv_nsec = until_ns % NS_PER_S};

    pthread_mutex_lock(&wakeup->lock);
    while (!wakeup->rung && pthread_cond_timedwait(&wakeup->cond, &wakeup->lock, &until) == 0)
        continue;
    wakeup->rung = false;
    pthread_mutex_unlock(&wakeup->lock);
}

#define BELL                                                                                                 \
    {                                                                                                        \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false                                           \
    }

#endif
