/* wakeup.h - what a thread of a stress test waits for. A signal from another thread is remembered
 * until the thread waits. */
#ifndef TRIBUTARY_TESTS_STRESS_WAKEUP_H
#define TRIBUTARY_TESTS_STRESS_WAKEUP_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "base/clock.h"

struct wakeup {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool signalled;
};

static inline void wakeup_signal(struct wakeup *wakeup)
{
    pthread_mutex_lock(&wakeup->lock);
    wakeup->signalled = true;
    pthread_cond_signal(&wakeup->cond);
    pthread_mutex_unlock(&wakeup->lock);
}

/* Waits until it was signalled, or until `max_ns` have passed. */
static inline void wakeup_wait(struct wakeup *wakeup, int64_t max_ns)
{
    int64_t until_ns = clock_wall_ns() + max_ns;
    struct timespec until = {.tv_sec = until_ns / NS_PER_S, .tv_nsec = until_ns % NS_PER_S};

    pthread_mutex_lock(&wakeup->lock);
    while (!wakeup->signalled && pthread_cond_timedwait(&wakeup->cond, &wakeup->lock, &until) == 0)
        continue;
    wakeup->signalled = false;
    pthread_mutex_unlock(&wakeup->lock);
}

#define WAKEUP_INIT                                                                                          \
    {                                                                                                        \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false                                           \
    }

#endif
