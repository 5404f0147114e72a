/* test_counters.c - the sums over several threads, and the names. */
#include "base/counters.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#define THREADS 4
#define ROUNDS 50000

static void *add(void *unused)
{
    for (int i = 0; i < ROUNDS; i++) {
        count_add(COUNT_EVENTS_IN, 2);
        count_add(COUNT_LIVE_CALLS, 1);
        count_add(COUNT_LIVE_CALLS, -1);
    }
    return unused;
}

Test(counters, names_are_unique)
{
    for (int a = 0; a < COUNTER_COUNT; a++)
        for (int b = 0; b < a; b++)
            cr_assert_str_neq(counter_name((enum counter)a), counter_name((enum counter)b));
    cr_assert_str_eq(counter_name(COUNT_LIVE_CHUNKS), "live.chunks");
    cr_assert_str_eq(counter_name(COUNTER_COUNT), "unknown");
}

Test(counters, additions_of_several_threads_all_count)
{
    pthread_t threads[THREADS];

    cr_assert_eq(count_get(COUNT_EVENTS_IN), 0);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, add, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(count_get(COUNT_EVENTS_IN), 2 * THREADS * ROUNDS);
    cr_assert_eq(count_get(COUNT_LIVE_CALLS), 0);
}

Test(counters, a_raised_counter_keeps_the_highest_value)
{
    count_raise(COUNT_LOOP_TURN_MAX_US, 7);
    count_raise(COUNT_LOOP_TURN_MAX_US, 3);
    cr_assert_eq(count_get(COUNT_LOOP_TURN_MAX_US), 7);
}
