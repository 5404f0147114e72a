/* test_clock.c - the clocks go forward, and epochs are unique over threads. */
#include "base/clock.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define THREADS 4
#define EPOCHS 20000

static uint64_t epochs[THREADS][EPOCHS];

static time_t set_back_s; /* how far the wall clock is set back */

int __real_clock_gettime(clockid_t which, struct timespec *now);
int __wrap_clock_gettime(clockid_t which, struct timespec *now);

/* The linker puts this in place of clock_gettime(), so that a test can set the wall clock back. */
int __wrap_clock_gettime(clockid_t which, struct timespec *now)
{
    int failed = __real_clock_gettime(which, now);

    if (which == CLOCK_REALTIME)
        now->tv_sec -= set_back_s;
    return failed;
}

static void *draw(void *row)
{
    uint64_t *at = row;

    for (int i = 0; i < EPOCHS; i++)
        at[i] = clock_epoch_ns();
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

Test(clock, the_monotonic_clock_never_goes_back)
{
    int64_t before = clock_mono_ns();

    for (int i = 0; i < 10000; i++) {
        int64_t now = clock_mono_ns();

        cr_assert_geq(now, before);
        before = now;
    }
}

Test(clock, the_wall_clock_counts_nanoseconds_since_1970)
{
    int64_t seconds = (int64_t)time(NULL);
    int64_t now_ns = clock_wall_ns();

    cr_assert_geq(now_ns, seconds * NS_PER_S);
    cr_assert_lt(now_ns, (seconds + 60) * NS_PER_S);
}

Test(clock, epochs_rise_on_each_thread_and_never_repeat)
{
    pthread_t threads[THREADS];
    uint64_t *all = &epochs[0][0];

    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, draw, epochs[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++)
        for (int k = 1; k < EPOCHS; k++)
            cr_assert_gt(epochs[i][k], epochs[i][k - 1]);
    qsort(all, THREADS * EPOCHS, sizeof(*all), by_value);
    for (int i = 1; i < THREADS * EPOCHS; i++)
        cr_assert_neq(all[i], all[i - 1]);
}

Test(clock, an_epoch_is_near_the_wall_clock)
{
    int64_t now_ns = clock_wall_ns();
    int64_t epoch_ns = (int64_t)clock_epoch_ns();

    cr_assert_geq(epoch_ns, now_ns);
    cr_assert_lt(epoch_ns, now_ns + 60 * NS_PER_S);
}

Test(clock, epochs_rise_though_the_wall_clock_is_set_back)
{
    uint64_t before = clock_epoch_ns();

    set_back_s = 3600;
    cr_assert_lt(clock_wall_ns(), (int64_t)before);
    for (int i = 0; i < 1000; i++) {
        uint64_t epoch = clock_epoch_ns();

        cr_assert_gt(epoch, before);
        before = epoch;
    }
}
