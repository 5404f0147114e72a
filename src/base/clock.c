/* clock.c - reads the clocks, and makes epochs. */
#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

static int64_t read_ns(clockid_t which)
{
    struct timespec now;

    CHECK(clock_gettime(which, &now) == 0);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t clock_mono_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

int64_t clock_wall_ns(void)
{
    return read_ns(CLOCK_REALTIME);
}

uint64_t clock_epoch_ns(void)
{
    static _Atomic uint64_t last;
    uint64_t before = atomic_load_explicit(&last, memory_order_relaxed);
    uint64_t next;

    do {
        int64_t now = clock_wall_ns();

        next = MAX_OF(now > 0 ? (uint64_t)now : 0, before + 1);
    } while (!atomic_compare_exchange_weak_explicit(&last, &before, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return next;
}
