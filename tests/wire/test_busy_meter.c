/* test_busy_meter.c - which share of the time a thread runs, or could run. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "base/clock.h"
#include "server/wire/busy_meter.h"

static _Atomic bool others_end;

static void *burn(void *arg)
{
    (void)arg;
    while (!others_end)
        continue;
    return NULL;
}

static void spin(int64_t ns)
{
    for (int64_t until_ns = clock_mono_ns() + ns; clock_mono_ns() < until_ns;)
        continue;
}

static void rest(int64_t ns)
{
    nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

/* Turns for 200 ms, each of which spins and then sleeps. Returns whether the thread counted as busy
 * after most of them. */
static bool is_busy_with(int64_t spin_ns, int64_t sleep_ns)
{
    struct busy_meter meter = {.file = -1};
    int busy = 0, turns = 0;

    busy_meter_start(&meter, clock_mono_ns());
    for (int64_t until_ns = clock_mono_ns() + 200 * NS_PER_MS; clock_mono_ns() < until_ns; turns++) {
        spin(spin_ns);
        if (sleep_ns > 0)
            rest(sleep_ns);
        busy_meter_update(&meter, clock_mono_ns());
        busy += busy_meter_is_busy(&meter);
    }
    busy_meter_stop(&meter);
    cr_assert_eq(meter.file, -1);
    return busy > turns / 2;
}

Test(busy_meter, a_thread_that_waits_for_nothing_is_busy)
{
    cr_assert(is_busy_with(100 * NS_PER_US, 0));
}

Test(busy_meter, a_thread_that_sleeps_is_not_busy)
{
    cr_assert_not(is_busy_with(0, 40 * NS_PER_MS));
}

/* Three threads share one processor, so each has a third of it. */
Test(busy_meter, a_thread_that_waits_for_a_processor_is_busy)
{
    pthread_t others[2];
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    cr_assert_eq(sched_setaffinity(0, sizeof(one), &one), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&others[i], NULL, burn, NULL), 0);
    cr_assert(is_busy_with(100 * NS_PER_US, 0));
    others_end = true;
    for (int i = 0; i < 2; i++)
        pthread_join(others[i], NULL);
}
