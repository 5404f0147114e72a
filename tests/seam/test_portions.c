/* test_portions.c - work on very many objects costs so much for each of them, and is done in
 * portions (findings 14, 15 and 16).
 *
 * The tests measure the processor time of their thread, so other work on the machine does not
 * matter. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/counters.h"
#include "base/log.h"
#include "hub/positions.h"
#include "seam/hub_fixture.h"

#define CONSUMERS 300u
#define MAX_TURN_NS (25 * NS_PER_MS) /* 2 ms for tasks, 1 ms for slices, and a step; much for sanitizers */

static struct hub_fixture fixture;
static struct consumer consumers[CONSUMERS];

static int64_t cpu_ns(void)
{
    struct timespec used;

    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) == 0);
    return used.tv_sec * NS_PER_S + used.tv_nsec;
}

static void open_fixture(uint32_t max_producers)
{
    hub_fixture_settings.max_producers = max_producers;
    hub_fixture_settings.max_subscriptions = CONSUMERS;
    hub_fixture_open(&fixture);
    log_setup(LOG_OFF, LOG_AS_TEXT, 2);
}

/* Producers whose calls have ended. Names of `size` bytes: "aa...a" and a number. */
static void add_producers(uint32_t count, unsigned size)
{
    struct putter putter;
    char name[257];

    memset(name, 'a', sizeof(name));
    for (uint32_t i = 0; i < count; i++) {
        snprintf(name + size - 6, 7, "%06u", i % 1000000);
        putter_open(&putter, &fixture, name);
        putter_leave(&putter);
    }
}

/* The time that a turn took at most, of those until `done`. */
static int64_t turn_until(bool (*done)(void), int64_t *total_ns_out)
{
    const int64_t until_ns = clock_mono_ns() + 60 * NS_PER_S;
    int64_t max_ns = 0;

    *total_ns_out = 0;
    while (!done()) {
        int64_t began_ns = cpu_ns();

        cr_assert(clock_mono_ns() < until_ns);
        loop_turn(fixture.loop);

        const int64_t took_ns = cpu_ns() - began_ns;

        *total_ns_out += took_ns;
        max_ns = MAX_OF(max_ns, took_ns);
    }
    return max_ns;
}

static bool nothing_is_left(void)
{
    return count_get(COUNT_LIVE_PRODUCERS) == 0 && count_get(COUNT_LIVE_ROUTES) == 0;
}

static bool is_emptied(void)
{
    return fixture.emptied > 0;
}

static int64_t free_ns(uint32_t count)
{
    open_fixture(count);
    add_producers(count, 16);

    const int64_t began_ns = cpu_ns();

    hub_fixture_close(&fixture);
    return cpu_ns() - began_ns;
}

/* Finding 14. 8 times as many would take 64 times as long, if each looked through the others. */
Test(portions, freeing_many_producers_takes_linear_time)
{
    (void)free_ns(1000); /* what is slow the first time only */

    const int64_t few_ns = free_ns(8000), many_ns = free_ns(64000);

    cr_assert_lt(many_ns, 32 * few_ns, "%g ms, %g ms", (double)few_ns / 1e6, (double)many_ns / 1e6);
}

static void begin_drain(struct task *task)
{
    (void)task;
    hub_drain(fixture.hub, NS_PER_S, hub_fixture_emptied, &fixture);
}

/* Finding 14: signals and timers have their turns meanwhile. */
Test(portions, a_drain_of_many_producers_leaves_time_for_others)
{
    struct task task = {.run = begin_drain};
    int64_t total_ns = 0;

    open_fixture(32000);
    add_producers(32000, 16);
    loop_post(fixture.loop, &task);

    const int64_t max_ns = turn_until(is_emptied, &total_ns);

    cr_expect_lt(max_ns, MAX_TURN_NS, "%g of %g ms", (double)max_ns / 1e6, (double)total_ns / 1e6);
    hub_fixture_close(&fixture);
}

/* Finding 15: every second consumer has a route to each producer, the others are wildcards. */
Test(portions, forgetting_many_producers_with_many_consumers_leaves_time_for_others)
{
    int64_t total_ns = 0;

    hub_fixture_settings.transient_forget_ns = NS_PER_MS;
    open_fixture(1000);
    for (unsigned i = 0; i < CONSUMERS; i++) {
        struct subscription_params params = subscription_params_of(NULL);

        if (i % 2 == 0) {
            filter_free(params.filter);
            params.filter = filter_of("a*", NULL, NULL);
        }
        consumer_join(&consumers[i], &fixture, params);
    }
    add_producers(1000, 16);
    cr_assert_eq(count_get(COUNT_LIVE_ROUTES), 1000 * CONSUMERS);

    const int64_t max_ns = turn_until(nothing_is_left, &total_ns);

    cr_expect_lt(max_ns, MAX_TURN_NS, "%g of %g ms", (double)max_ns / 1e6, (double)total_ns / 1e6);
    cr_expect_gt(total_ns, 2 * MAX_TURN_NS, "too little work to show anything: %g ms",
                 (double)total_ns / 1e6);
    for (unsigned i = 0; i < CONSUMERS; i++)
        consumer_leave(&consumers[i]);
    hub_fixture_close(&fixture);
}

static void count_shown(void *ctx, const struct producer_view *view)
{
    (void)view;
    (*(uint32_t *)ctx)++;
}

/* Finding 16: long names, and a pattern that is slow for each of them. */
Test(portions, a_list_of_many_producers_is_made_in_portions)
{
    struct hub_list list = {.pattern = text_of("*a*a*a*a*a*a*a*a*a*b"), .left = 1000};
    uint32_t calls = 0, shown = 0;
    int64_t max_ns = 0;
    bool more = true;

    open_fixture(20000);
    add_producers(20000, 256);
    while (more) {
        const int64_t began_ns = cpu_ns();

        more = hub_producers(fixture.hub, &list, count_shown, &shown);
        max_ns = MAX_OF(max_ns, cpu_ns() - began_ns);
        calls++;
    }
    cr_expect_eq(shown, 0);
    cr_expect_geq(calls, 20000 / 16);
    cr_expect_lt(max_ns, NS_PER_MS * 10, "%g ms", (double)max_ns / 1e6);
    hub_fixture_close(&fixture);
}

static bool count_position(void *ctx, const struct source *source, uint64_t sequence)
{
    (void)source;
    (void)sequence;
    ++*(unsigned *)ctx;
    return true;
}

/* What it takes to find where a consumer of everything stands, a hundred times. */
static int64_t positions_ns(uint32_t silent_producers)
{
    unsigned positions = 0;

    open_fixture(silent_producers + 2);
    consumer_join(&consumers[0], &fixture, subscription_params_of(NULL));
    publish(&fixture, "z1", 1, "t");
    add_producers(silent_producers, 16);
    publish(&fixture, "z2", 1, "t");

    const int64_t began_ns = cpu_ns();

    for (unsigned i = 0; i < 100; i++)
        (void)hub_positions(consumers[0].subscription, count_position, &positions);

    const int64_t took_ns = cpu_ns() - began_ns;

    cr_expect_eq(positions, 0, "nothing was delivered yet");
    consumer_read(&consumers[0]);
    (void)hub_positions(consumers[0].subscription, count_position, &positions);
    cr_expect_eq(positions, 2);
    consumer_leave(&consumers[0]);
    hub_fixture_close(&fixture);
    return took_ns;
}

/* Finding 17: a Progress costs what has moved, and not what is silent. */
Test(portions, positions_cost_nothing_for_producers_that_never_published)
{
    (void)positions_ns(10);

    const int64_t few_ns = positions_ns(10), many_ns = positions_ns(20000);

    cr_assert_lt(many_ns, 20 * few_ns, "%g ms, %g ms", (double)few_ns / 1e6, (double)many_ns / 1e6);
}
