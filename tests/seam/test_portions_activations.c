/* test_portions_activations.c - a session with very many consumers, and a consumer with very many
 * sessions, begin and end in portions. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/counters.h"
#include "base/log.h"
#include "seam/fake_session.h"
#include "seam/hub_fixture.h"
#include "seam/virtual_clock.h"

#define MANY 300u
#define AT_ONCE 64u /* FIRST_SUBSCRIPTIONS of bind.c, STEP_ENDS of session_life.c and subscription.c */
#define MAX_STEP 64u

static struct hub_fixture fixture;
static struct consumer consumers[MANY];
static struct fake_session session, sessions[MANY];

static void begin(void)
{
    hub_fixture_settings.max_producers = MANY + 2;
    hub_fixture_settings.max_subscriptions = MANY + 2;
    hub_fixture_open(&fixture);
    log_setup(LOG_OFF, LOG_AS_TEXT, 2);
    memset(consumers, 0, sizeof(consumers));
    memset(sessions, 0, sizeof(sessions));
    memset(&session, 0, sizeof(session));
}

static void end(void)
{
    virtual_slice_steps = 0;
    for (unsigned i = 0; i < MANY; i++)
        consumer_leave(&consumers[i]);
    for (unsigned i = 0; i < MANY; i++)
        if (sessions[i].fixture)
            fake_session_fini(&sessions[i]);
    if (session.fixture)
        fake_session_fini(&session);
    hub_fixture_close(&fixture);
}

TestSuite(portions_activations, .init = begin, .fini = end);

static void join_consumers(const char *producer)
{
    for (unsigned i = 0; i < MANY; i++) {
        struct subscription_params params = subscription_params_of(NULL);

        filter_free(params.filter);
        params.filter = filter_of(producer, NULL, NULL);
        cr_assert_eq(consumer_begin(&consumers[i], &fixture, params), FAULT_NONE);
    }
}

static void join_sessions(void)
{
    char name[8];

    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "s%u", i);
        fake_session_join(&sessions[i], &fixture, fake_session_params(name, SESSION_PER_CONSUMER));
    }
}

static unsigned routes(void)
{
    return (unsigned)count_get(COUNT_LIVE_ROUTES);
}

/* A slice among the others, whose steps look how many routes there are. */
struct observer {
    struct slice slice;
    unsigned until, before, portions;
};

static bool observe(struct slice *slice)
{
    struct observer *observer = container_of(slice, struct observer, slice);
    unsigned now = routes();

    cr_expect_leq(now > observer->before ? now - observer->before : observer->before - now, MAX_STEP);
    observer->portions += now != observer->before;
    observer->before = now;
    return now != observer->until;
}

/* Lets time pass until there are so many routes. In how many portions they came or went; none of
 * them is large. */
static unsigned portions_until(unsigned count)
{
    struct observer observer = {.until = count, .before = routes()};

    slice_init(&observer.slice, observe);
    loop_slice_later(fixture.loop, &observer.slice);
    loop_turn(fixture.loop);
    return observer.portions;
}

Test(portions_activations, a_session_gets_its_consumers_in_portions)
{
    join_consumers("s");
    virtual_slice_steps = 1;
    fake_session_join(&session, &fixture, fake_session_params("s", SESSION_PER_CONSUMER));
    cr_expect_eq(routes(), AT_ONCE);
    cr_expect_gt(portions_until(MANY), 20);
    loop_turn(fixture.loop);
    cr_expect_eq(session.welcomes, 1);
    cr_expect_eq(session.starts, MANY);
}

Test(portions_activations, consumers_that_come_and_change_meanwhile_are_bound_once)
{
    struct consumer late = {0};

    join_consumers("s*");
    virtual_slice_steps = 1;
    fake_session_join(&session, &fixture, fake_session_params("s", SESSION_PER_CONSUMER));
    cr_assert_eq(consumer_begin(&late, &fixture, subscription_params_of(NULL)), FAULT_NONE);
    /* One that it has, one that it will have, and two that stop to want it. */
    cr_expect_gt(consumer_select(&consumers[1], "?*", NULL), 0);
    cr_expect_gt(consumer_select(&consumers[MANY - 1], "?*", NULL), 0);
    cr_expect_gt(consumer_select(&consumers[2], "x", NULL), 0);
    cr_expect_gt(consumer_select(&consumers[MANY - 2], "x", NULL), 0);
    consumer_leave(&consumers[3]);
    consumer_leave(&consumers[MANY - 3]);
    loop_turn(fixture.loop);
    cr_expect_eq(routes(), MANY + 1 - 4);
    cr_expect_eq(count_get(COUNT_LIVE_ACTIVATIONS), MANY + 1 - 4);
    consumer_leave(&late);
}

/* The walks of the session and of the selects pass each other in any order. */
Test(portions_activations, consumers_that_begin_to_want_it_meanwhile_get_it_once)
{
    join_consumers("x");
    virtual_slice_steps = 1;
    fake_session_join(&session, &fixture, fake_session_params("s", SESSION_PER_CONSUMER));
    for (unsigned i = 0; i < MANY; i++)
        cr_expect_gt(consumer_select(&consumers[i], "s*", NULL), 0);
    loop_turn(fixture.loop);
    loop_turn(fixture.loop);
    cr_expect_eq(routes(), MANY);
    cr_expect_eq(count_get(COUNT_LIVE_ACTIVATIONS), MANY);
    cr_expect_eq(session.starts, MANY, "%u", session.starts);
}

Test(portions_activations, a_session_that_closes_meanwhile_gets_no_more)
{
    struct producer_view view;
    struct fault fault;

    join_consumers("s");
    virtual_slice_steps = 1;
    fake_session_join(&session, &fixture, fake_session_params("s", SESSION_PER_CONSUMER));
    cr_assert_eq(hub_remove(fixture.hub, text_of("s"), NS_PER_S, hub_fixture_copy_view, &view, &fault),
                 FAULT_NONE);
    loop_turn(fixture.loop);
    cr_expect_leq(session.starts, AT_ONCE);
    fake_session_leave(&session, FAULT_NONE);
    (void)portions_until(0);
}

Test(portions_activations, a_session_that_is_gone_publishes_nothing_and_lets_go_in_portions)
{
    struct producer_view view;
    struct fault fault;

    join_consumers("s");
    fake_session_join(&session, &fixture, fake_session_params("s", SESSION_PER_CONSUMER));
    cr_assert_eq(session.starts, MANY);
    virtual_slice_steps = 1;
    cr_assert_eq(hub_remove(fixture.hub, text_of("s"), 0, hub_fixture_copy_view, &view, &fault), FAULT_NONE);
    /* The number of the last activation is still in the table. */
    cr_expect_eq(fake_session_put(&session, MANY, 1), ERR_CLOSED);
    cr_expect_gt(routes(), MANY - 2 * AT_ONCE);
    cr_expect_gt(portions_until(0), MANY / MAX_STEP);
    loop_turn(fixture.loop);
    cr_expect_eq(session.stops, MANY);
    cr_expect_eq(session.aborts, 1);
    for (unsigned i = 0; i < MANY; i++)
        cr_expect(strstr(consumer_read(&consumers[i]), "s is REMOVED"));
}

/* The port of a session that has left is not called, also for activations whose end is still to
 * come. */
Test(portions_activations, who_has_left_hears_of_no_pause)
{
    join_consumers("s");
    fake_session_join(&session, &fixture, fake_session_params("s", SESSION_PER_CONSUMER));
    virtual_slice_steps = 1;
    fake_session_leave(&session, FAULT_NONE);

    unsigned pauses = session.pauses, resumes = session.resumes;

    for (unsigned i = 0; i < MANY; i++)
        (void)consumer_read(&consumers[i]);
    (void)portions_until(0);
    cr_expect_eq(session.pauses, pauses);
    cr_expect_eq(session.resumes, resumes);
}

Test(portions_activations, a_consumer_of_many_sessions_leaves_in_portions)
{
    join_sessions();
    cr_assert_eq(consumer_begin(&consumers[0], &fixture, subscription_params_of(NULL)), FAULT_NONE);
    cr_assert_eq(routes(), MANY);
    virtual_slice_steps = 1;
    consumer_leave(&consumers[0]);
    cr_expect_gt(routes(), MANY - 2 * AT_ONCE);
    cr_expect_gt(portions_until(0), MANY / MAX_STEP);
    loop_turn(fixture.loop);
    for (unsigned i = 0; i < MANY; i++)
        cr_expect_eq(sessions[i].stops, 1);
}

Test(portions_activations, one_that_gives_up_while_it_is_bound_takes_all_of_them_back)
{
    join_sessions();
    virtual_slice_steps = 7;
    cr_assert_eq(consumer_begin(&consumers[0], &fixture, subscription_params_of(NULL)), FAULT_NONE);
    cr_expect_lt(routes(), MANY);
    consumer_leave(&consumers[0]);
    (void)portions_until(0);
    for (unsigned i = 0; i < MANY; i++)
        cr_expect_eq(sessions[i].starts, 0);
}
