/* ticker.h - a thread that calls a function when the earliest of some times has come. The times
 * belong to slots, and each may change at any moment. */
#ifndef TRIBUTARY_CLIENT_BATCH_TICKER_H
#define TRIBUTARY_CLIENT_BATCH_TICKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"

#define TICKER_SLOTS 16u

struct ticker {
    _Atomic int64_t slots[TICKER_SLOTS]; /* clock_mono_ns(); INT64_MAX: none */
    _Atomic int64_t next_ns;             /* what the thread waits for */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ends;
    pthread_t thread;
    void (*tick)(void *ctx, unsigned slot); /* the thread's; the slot is to be set again */
    void *ctx;
};

/* False: no thread. */
bool ticker_begin(struct ticker *ticker, void (*tick)(void *ctx, unsigned slot), void *ctx);
void ticker_end(struct ticker *ticker);

/* Sets the time of a slot. Any thread, but one at a time for a slot. It may hold locks that tick()
 * takes. */
void ticker_set(struct ticker *ticker, unsigned slot, int64_t at_ns);

#endif
