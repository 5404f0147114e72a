/* test_positions.c - the positions of a subscription, which another thread may ask for whenever it
 * gets the lock of the wildcard set. Here they are asked for each time that the hub releases it. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "hub/hub_parts.h"
#include "hub/positions.h"
#include "route/wildcard.h"
#include "seam/hub_fixture.h"

int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);

static struct consumer *asking; /* NULL: nobody asks */
static unsigned asked;

/* New sources come all at once, and those that were there stay. */
static void check(void)
{
    struct consumer *consumer = asking;

    asking = NULL; /* not while it asks */
    const char *text = consumer_positions(consumer);
    cr_expect_not_null(strstr(text, "web=3"), "%s", text);
    cr_expect_eq(!strstr(text, "api=2"), !strstr(text, "db=1"), "%s", text);
    asked++;
    asking = consumer;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    int result = __real_pthread_mutex_unlock(mutex);

    if (asking && mutex == &hub_wildcards(asking->fixture->hub)->lock)
        check();
    return result;
}

static void choose(struct consumer *consumer, const char *producer, const char *topic)
{
    asking = consumer;
    cr_assert_neq(consumer_select(consumer, producer, topic), 0);
    asking = NULL;
    cr_assert_gt(asked, 0);
    asked = 0;
}

static void begin(struct hub_fixture *fixture, struct consumer *consumer, const char *producer)
{
    struct subscription_params params = subscription_params_of(NULL);

    hub_fixture_open(fixture);
    publish(fixture, "web", 3, "t");
    publish(fixture, "api", 2, "t");
    publish(fixture, "db", 1, "t");
    filter_free(params.filter);
    params.filter = filter_of(producer, NULL, NULL);
    params.limits.no_states = true; /* else a state keeps a feed, which has a position */
    consumer_join(consumer, fixture, params);
    consumer_read(consumer);
}

static void end(struct hub_fixture *fixture, struct consumer *consumer)
{
    consumer_leave(consumer);
    hub_fixture_close(fixture);
}

Test(positions, a_select_that_widens_brings_all_new_sources_at_once)
{
    struct hub_fixture fixture;
    struct consumer consumer;

    begin(&fixture, &consumer, "web");
    cr_assert_str_eq(consumer_positions(&consumer), "web=3");
    choose(&consumer, "*", "t");
    cr_assert_not_null(strstr(consumer_positions(&consumer), "db=1"));
    choose(&consumer, "*", NULL);
    end(&fixture, &consumer);
}

Test(positions, a_wildcard_that_gets_bindings_misses_no_source)
{
    struct hub_fixture fixture;
    struct consumer consumer;

    begin(&fixture, &consumer, "*");
    choose(&consumer, "*", "t");
    choose(&consumer, "*", NULL);
    end(&fixture, &consumer);
}

Test(positions, events_that_are_filtered_out_move_a_position_that_no_feed_knows)
{
    struct hub_fixture fixture;
    struct consumer consumer;

    begin(&fixture, &consumer, "*");
    choose(&consumer, "*", "b");
    consumer_read(&consumer);
    cr_assert_str_eq(consumer_filtered_positions(&consumer, 10), "",
                     "they are as they were when it was bound");
    publish(&fixture, "web", 2, "a");
    publish(&fixture, "api", 1, "a");
    publish(&fixture, "db", 1, "b");
    cr_assert_eq(strlen(consumer_filtered_positions(&consumer, 1)), strlen("web=5"),
                 "no more than it may give");
    cr_assert_eq(strlen(consumer_filtered_positions(&consumer, 10)), strlen("web=5"), "the other one");
    cr_assert_str_eq(consumer_filtered_positions(&consumer, 10), "", "each once");
    cr_assert_str_eq(consumer_read(&consumer), "db 2-2\n", "that one has a feed");
    publish(&fixture, "db", 1, "a");
    cr_assert_str_eq(consumer_filtered_positions(&consumer, 10), "", "and it knows the position still");
    end(&fixture, &consumer);
}

Test(positions, a_wildcard_has_no_filtered_events)
{
    struct hub_fixture fixture;
    struct consumer consumer;

    begin(&fixture, &consumer, "*");
    publish(&fixture, "web", 2, "a");
    cr_assert_str_eq(consumer_filtered_positions(&consumer, 10), "");
    end(&fixture, &consumer);
}
