/* test_bind_walk.c - what a resumed consumer learns of producers that come and go while it is bound
 * in portions. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/budget.h"
#include "seam/hub_fixture.h"
#include "seam/virtual_clock.h"

#define PRODUCERS 12u
#define FIRST_PORTION 8u /* STEP_PRODUCERS of bind_walk.c */

static struct hub_fixture fixture;
static uint64_t epochs[PRODUCERS + 1]; /* by number, from 1 */

static const char *name_of(unsigned number)
{
    static char names[PRODUCERS + 1][8];

    snprintf(names[number], sizeof(names[number]), "p%02u", number);
    return names[number];
}

static void begin(void)
{
    hub_fixture_open(&fixture);
    for (unsigned i = 1; i <= PRODUCERS; i++)
        epochs[i] = publish(&fixture, name_of(i), 3, "t").epoch;
}

static void end(void)
{
    virtual_slice_steps = 0;
    hub_fixture_close(&fixture);
}

TestSuite(bind_walk, .init = begin, .fini = end);

/* Subscribes to everything, after this point, and is bound to the first portion only. */
static void join(struct consumer *consumer, const struct resume_point *point)
{
    virtual_slice_steps = 1;
    do { /* a slice sometimes takes no step at first */
        struct subscription_params params = subscription_params_of(NULL);

        params.resume = point;
        params.resume_count = 1;
        params.resume_left_out = 1; /* so that nothing is said of sources that are not in it */
        cr_assert_eq(consumer_begin(consumer, &fixture, params), FAULT_NONE);
        cr_assert(consumer->result.pending);
        if (consumer->result.producers_matched == 0)
            consumer_leave(consumer);
    } while (!consumer->subscription);
    cr_assert_eq(consumer->result.producers_matched, FIRST_PORTION);
}

static void remove_producer(const char *name)
{
    struct producer_view view;
    struct fault fault;

    cr_assert_eq(hub_remove(fixture.hub, text_of(name), 0, hub_fixture_copy_view, &view, &fault), FAULT_NONE);
}

/* Lets the walk end, and checks how often the consumer hears this. */
static void expect(struct consumer *consumer, const char *text, unsigned times)
{
    const char *found;
    unsigned count = 0;

    virtual_time_pass(fixture.loop, NS_PER_MS);
    const char *read = consumer_read(consumer);
    for (found = read; (found = strstr(found, text)); found++)
        count++;
    cr_assert_eq(count, times, "%s: %u times in: %s", text, count, read);
    consumer_leave(consumer);
}

Test(bind_walk, a_producer_that_comes_back_meanwhile_has_a_gap)
{
    const struct resume_point point = {text_of(name_of(PRODUCERS)), epochs[PRODUCERS], 1, false};
    struct consumer consumer;

    join(&consumer, &point);
    remove_producer(name_of(PRODUCERS));
    publish(&fixture, name_of(PRODUCERS), 2, "t");
    expect(&consumer, "lost p12 ?", 1);
}

Test(bind_walk, a_producer_that_was_bound_and_left_is_reported_once)
{
    const struct resume_point point = {text_of(name_of(1)), epochs[1], 1, false};
    struct consumer consumer;

    join(&consumer, &point);
    remove_producer(name_of(1));
    expect(&consumer, "lost p01", 1);
}

Test(bind_walk, a_producer_that_was_bound_left_and_came_back_has_its_gap_once)
{
    const struct resume_point point = {text_of(name_of(1)), epochs[1], 1, false};
    struct consumer consumer;

    join(&consumer, &point);
    remove_producer(name_of(1));
    publish(&fixture, name_of(1), 2, "t");
    expect(&consumer, "lost p01", 1);
}

Test(bind_walk, a_producer_that_left_before_it_was_bound_is_a_lost_source)
{
    const struct resume_point point = {text_of(name_of(PRODUCERS)), epochs[PRODUCERS], 1, false};
    struct consumer consumer;

    join(&consumer, &point);
    remove_producer(name_of(PRODUCERS));
    expect(&consumer, "lost p12 ?", 1);
}

Test(bind_walk, a_consumer_for_whose_later_routes_there_is_no_space_ends)
{
    const struct resume_point point = {text_of(name_of(1)), epochs[1], 1, false};
    struct consumer consumer;

    join(&consumer, &point);
    budget_set(1);
    virtual_time_pass(fixture.loop, NS_PER_MS);
    cr_assert(consumer.bound);
    cr_assert_eq(consumer.aborts, 1);
    cr_assert_eq(consumer.fault.reason, FAULT_MEMORY_BUDGET);
    consumer_leave(&consumer);
    budget_set(0);
}

Test(bind_walk, a_consumer_that_was_lost_is_bound_no_further)
{
    const struct resume_point point = {text_of(name_of(1)), epochs[1], 1, false};
    struct consumer consumer;

    join(&consumer, &point);
    hub_give_up(consumer.subscription);
    virtual_time_pass(fixture.loop, NS_PER_MS);
    cr_assert(consumer.bound);
    cr_assert_leq(consumer.result.producers_matched, FIRST_PORTION);
    consumer_leave(&consumer);
}

Test(bind_walk, a_drain_of_the_hub_does_not_wait_for_it)
{
    const struct resume_point point = {text_of(name_of(1)), epochs[1], 1, false};
    struct consumer consumer;

    join(&consumer, &point);
    hub_drain(fixture.hub, NS_PER_S, hub_fixture_emptied, &fixture);
    virtual_time_pass(fixture.loop, NS_PER_MS);
    cr_assert(consumer.bound);
    cr_assert_leq(consumer.result.producers_matched, FIRST_PORTION);
    cr_assert_eq(consumer.closings, 1);
    consumer_leave(&consumer);
    virtual_slice_steps = 0;
    virtual_time_pass(fixture.loop, NS_PER_S);
    cr_assert_eq(fixture.emptied, 1);
}
