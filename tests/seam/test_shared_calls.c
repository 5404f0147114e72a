/* test_shared_calls.c - BY_REQUEST: consumers whose requests are equal share a call (X5). */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "hub/endpoint_rules.h"
#include "hub/shared_calls.h"
#include "seam/fake_session.h"
#include "seam/virtual_clock.h"

static const struct endpoint_rules rules = {.first_retry_ns = 100 * NS_PER_MS, .max_retry_ns = NS_PER_S};

static struct session_params by_request(const char *name)
{
    struct session_params params = fake_session_params(name, SESSION_BY_REQUEST);

    params.endpoint = &rules;
    return params;
}

static struct subscription_params asks(const char *request)
{
    struct subscription_params params = subscription_params_of(NULL);

    params.request = text_of(request);
    return params;
}

static struct producer_view view_of(struct hub_fixture *fixture, const char *name)
{
    struct producer_view view;
    struct fault fault;

    cr_assert_eq(hub_producer(fixture->hub, text_of(name), hub_fixture_copy_view, &view, &fault), FAULT_NONE);
    return view;
}

static enum producer_state state_of(struct hub_fixture *fixture, const char *name)
{
    return view_of(fixture, name).state;
}

Test(shared_calls, X5_equal_requests_share_a_call_from_the_first_consumer_to_the_last)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer one, two, other;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, by_request("web"));
    cr_assert_eq(state_of(&fixture, "web"), PRODUCER_IDLE);
    consumer_join(&one, &fixture, asks("a"));
    cr_assert_str_eq(fake_session_transcript(&web), "welcome, start 1 \"a\"");
    cr_assert_str_eq(consumer_read(&one), "web is CONNECTING\n");
    fake_session_report(&web, 1, PRODUCER_ACTIVE, 0, NULL);
    cr_assert_str_eq(consumer_read(&one), "web is ACTIVE\n");
    cr_assert_eq(fake_session_put(&web, 1, 2), ERR_OK);

    consumer_join(&two, &fixture, asks("a"));
    consumer_join(&other, &fixture, asks("ab"));
    cr_assert_str_eq(fake_session_transcript(&web), "start 2 \"ab\"", "equal bytes only");
    cr_assert_str_eq(consumer_read(&two), "web is ACTIVE\n", "it joins live and hears the present state");
    cr_assert_eq(fake_session_put(&web, 1, 1), ERR_OK);
    cr_assert_eq(fake_session_put(&web, 2, 1), ERR_OK);
    cr_assert_str_eq(consumer_read(&one), "web 1-2, web 3-3\n");
    cr_assert_str_eq(consumer_read(&two), "web 3-3\n");
    cr_assert_str_eq(consumer_read(&other), "web 1-1, web is CONNECTING\n", "a stream of its own");
    cr_assert_eq(view_of(&fixture, "web").activations, 2);
    cr_assert_eq(view_of(&fixture, "web").subscriptions, 3);
    cr_assert_eq(view_of(&fixture, "web").published.events, 4);

    consumer_leave(&one);
    cr_assert_str_eq(fake_session_transcript(&web), "", "another one still has it");
    cr_assert_eq(fake_session_put(&web, 1, 1), ERR_OK);
    cr_assert_str_eq(consumer_read(&two), "web 4-4\n");
    consumer_leave(&two);
    cr_assert_str_eq(fake_session_transcript(&web), "stop 1 FINISHED now");
    cr_assert_eq(fake_session_put(&web, 1, 1), ERR_CLOSED, "nobody wants it any more");
    consumer_join(&one, &fixture, asks("a"));
    cr_assert_str_eq(fake_session_transcript(&web), "start 3 \"a\"");
    consumer_leave(&one);
    consumer_leave(&other);
    cr_assert_eq(state_of(&fixture, "web"), PRODUCER_IDLE);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

Test(shared_calls, with_requests_of_its_own_all_consumers_share_one)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer consumers[3];
    struct session_params params = by_request("web");

    hub_fixture_open(&fixture);
    params.same_request = true;
    fake_session_join(&web, &fixture, params);
    consumer_join(&consumers[0], &fixture, asks("a"));
    consumer_join(&consumers[1], &fixture, asks("b"));
    consumer_join(&consumers[2], &fixture, subscription_params_of(NULL));
    cr_assert_str_eq(fake_session_transcript(&web), "welcome, start 1 \"\"");
    for (unsigned i = 0; i < 3; i++)
        consumer_leave(&consumers[i]);
    cr_assert_str_eq(fake_session_transcript(&web), "stop 1 FINISHED now");
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

Test(shared_calls, all_members_hear_each_state_with_its_cause_and_the_sequences_go_on)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer one, late;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, by_request("web"));
    consumer_join(&one, &fixture, asks("a"));
    fake_session_report(&web, 1, PRODUCER_ACTIVE, 0, NULL);
    cr_assert_eq(fake_session_put(&web, 1, 1), ERR_OK);
    cr_assert_str_eq(consumer_read(&one), "web 1-1, web is ACTIVE\n");
    fake_session_report(&web, 1, PRODUCER_UNAVAILABLE, CODE_INTERNAL, "no luck");
    cr_assert_eq(state_of(&fixture, "web"), PRODUCER_UNAVAILABLE);
    consumer_join(&late, &fixture, asks("a"));
    cr_assert_str_eq(consumer_read(&one), "web is UNAVAILABLE with INTERNAL: no luck\n");
    cr_assert_str_eq(consumer_read(&late), "web is UNAVAILABLE with INTERNAL: no luck\n");
    fake_session_report(&web, 1, PRODUCER_UNAVAILABLE, CODE_ABORTED, "other");
    cr_assert_str_eq(consumer_read(&late), "web is UNAVAILABLE with ABORTED: other\n");
    fake_session_report(&web, 1, PRODUCER_ACTIVE, 0, NULL);
    cr_assert_eq(fake_session_put(&web, 1, 1), ERR_OK);
    cr_assert_str_eq(consumer_read(&one), "web 2-2, web is ACTIVE\n");
    cr_assert_str_eq(consumer_read(&late), "web 2-2, web is ACTIVE\n");
    cr_assert_eq(web.starts, 1);
    consumer_leave(&one);
    consumer_leave(&late);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

Test(shared_calls, an_end_is_that_of_all_members_and_who_comes_later_gets_a_new_call)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer members[20], late;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, by_request("web"));
    for (unsigned i = 0; i < 8; i++)
        consumer_join(&members[i], &fixture, i > 6 ? asks("other") : asks("a"));
    fake_session_report(&web, 1, PRODUCER_ACTIVE, 0, NULL);
    cr_assert_eq(fake_session_put(&web, 1, 1), ERR_OK);
    fake_session_end(&web, 1, CODE_NOT_FOUND, "no such thing");
    for (unsigned i = 0; i < 7; i++)
        cr_assert_str_eq(consumer_read(&members[i]), "web 1-1, web is ENDED with NOT_FOUND: no such thing\n");
    cr_assert_str_eq(consumer_read(&members[7]), "web is CONNECTING\n");
    consumer_leave(&members[0]);
    consumer_join(&late, &fixture, asks("a"));
    cr_assert_eq(web.starts, 3);
    cr_assert_str_eq(consumer_read(&late), "web is CONNECTING\n");
    fake_session_report(&web, 1, PRODUCER_ACTIVE, 0, NULL);
    fake_session_end(&web, 1, CODE_OK, NULL);
    cr_assert_str_eq(consumer_read(&late), "", "what has ended is not heard any more");
    consumer_leave(&late);
    for (unsigned i = 1; i < 8; i++)
        consumer_leave(&members[i]);
    cr_assert_eq(web.stops, 2, "those that had not ended");
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

Test(shared_calls, a_failure_is_an_end_for_who_ends_with_the_activations)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer waits, stays;
    struct subscription_params params = asks("a");

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, by_request("web"));
    params.end_when_all_ended = true;
    consumer_join(&waits, &fixture, params);
    consumer_join(&stays, &fixture, asks("a"));
    fake_session_report(&web, 1, PRODUCER_UNAVAILABLE, CODE_INTERNAL, "no luck");
    cr_assert_str_eq(consumer_read(&waits), "web is ENDED with INTERNAL: no luck\n");
    cr_assert_eq(waits.closings, 1);
    cr_assert_str_eq(consumer_read(&stays), "web is UNAVAILABLE with INTERNAL: no luck\n");
    consumer_leave(&waits);
    cr_assert_eq(web.stops, 0);
    consumer_leave(&stays);
    cr_assert_eq(web.stops, 1);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

static struct subscription_params blocks(const char *request)
{
    struct subscription_params params = asks(request);

    params.limits.overflow = OVERFLOW_BLOCK;
    params.limits.fallback = OVERFLOW_DROP_NEWEST;
    params.limits.max_events = 2;
    params.limits.block_timeout_ns = NS_PER_S;
    return params;
}

Test(shared_calls, a_slow_member_blocks_the_call_and_its_leaving_goes_on)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer slow, fast;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, by_request("web"));
    consumer_join(&slow, &fixture, blocks("a"));
    consumer_join(&fast, &fixture, asks("a"));
    fake_session_report(&web, 1, PRODUCER_ACTIVE, 0, NULL);
    cr_assert_eq(fake_session_put(&web, 1, 3), ERR_AGAIN);
    cr_assert_eq(state_of(&fixture, "web"), PRODUCER_BLOCKED);
    cr_assert_str_eq(consumer_read(&fast), "web 1-3, web is ACTIVE\n");
    cr_assert_str_eq(consumer_read(&slow), "web 1-2, web is ACTIVE\nweb 3-3\n");
    cr_assert_eq(web.over, 1);
    loop_turn(fixture.loop);
    cr_assert_eq(state_of(&fixture, "web"), PRODUCER_ACTIVE);
    cr_assert_eq(fake_session_put(&web, 1, 3), ERR_AGAIN);
    consumer_leave(&slow);
    cr_assert_eq(web.over, 2, "nobody waits for who has left");
    consumer_leave(&fast);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

Test(shared_calls, the_last_member_may_leave_while_it_blocks_the_call)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer slow;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, by_request("web"));
    consumer_join(&slow, &fixture, blocks("a"));
    cr_assert_eq(fake_session_put(&web, 1, 3), ERR_AGAIN);
    consumer_leave(&slow);
    cr_assert_eq(web.over, 1);
    loop_turn(fixture.loop);
    cr_assert_eq(view_of(&fixture, "web").blocked_calls, 0);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

Test(shared_calls, a_gentle_end_of_the_session_lets_each_call_end)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer one, other, late;
    struct fault fault;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, by_request("web"));
    consumer_join(&one, &fixture, asks("a"));
    consumer_join(&other, &fixture, asks("b"));
    (void)fake_session_transcript(&web);
    web.leaves_at_abort = true;
    cr_assert_eq(hub_remove(fixture.hub, text_of("web"), NS_PER_S, hub_fixture_copy_view,
                            &(struct producer_view){.epoch = 0}, &fault),
                 FAULT_NONE);
    cr_assert_str_eq(fake_session_transcript(&web),
                     "stop 1 REMOVED in 1000, stop 2 REMOVED in 1000, closing REMOVED in 1000");
    consumer_join(&late, &fixture, asks("a"));
    cr_assert_str_eq(consumer_read(&late), "", "it is joined no more");
    cr_assert_eq(fake_session_put(&web, 1, 1), ERR_OK);
    fake_session_end(&web, 1, CODE_OK, NULL);
    cr_assert_str_eq(consumer_read(&one), "web 1-1, web is ENDED\n");
    consumer_leave(&other);
    cr_assert_str_eq(fake_session_transcript(&web), "abort REMOVED", "it was stopped once");
    consumer_leave(&one);
    consumer_leave(&late);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

Test(shared_calls, a_session_that_is_removed_at_once_ends_all_members)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer one, two;
    struct fault fault;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, by_request("web"));
    consumer_join(&one, &fixture, asks("a"));
    consumer_join(&two, &fixture, asks("a"));
    (void)fake_session_transcript(&web);
    web.leaves_at_abort = true;
    cr_assert_eq(hub_remove(fixture.hub, text_of("web"), 0, hub_fixture_copy_view,
                            &(struct producer_view){.epoch = 0}, &fault),
                 FAULT_NONE);
    cr_assert_str_eq(fake_session_transcript(&web), "stop 1 REMOVED now, abort REMOVED");
    cr_assert_str_eq(consumer_read(&one), "web is REMOVED\n");
    cr_assert_str_eq(consumer_read(&two), "web is REMOVED\n");
    consumer_leave(&one);
    consumer_leave(&two);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

Test(shared_calls, a_select_leaves_and_joins_and_a_filter_holds_for_its_member_only)
{
    struct hub_fixture fixture;
    struct fake_session web = {0}, db = {0};
    struct consumer one, two;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, by_request("web"));
    fake_session_join(&db, &fixture, by_request("db"));
    consumer_join(&one, &fixture, asks("a"));
    consumer_join(&two, &fixture, asks("a"));
    (void)consumer_read(&one);
    (void)consumer_read(&two);
    cr_assert(consumer_select(&one, "web", "x") > 0);
    cr_assert_str_eq(consumer_read(&one), "mark 1\ndb is ENDED\n");
    cr_assert_eq(db.stops, 0, "another consumer has it");
    cr_assert_eq(fake_session_put_topics(&web, 1, "xyx"), ERR_OK);
    cr_assert_str_eq(consumer_read(&one), "web 1-1, web 3-3\n");
    cr_assert_str_eq(consumer_read(&two), "web 1-3\n");
    cr_assert(consumer_select(&one, "*", NULL) > 0);
    cr_assert_eq(web.starts + db.starts, 2);
    cr_assert_eq(fake_session_put(&db, 1, 1), ERR_OK);
    cr_assert_str_eq(consumer_read(&one), "mark 2\ndb 1-1, db is CONNECTING\n");
    cr_assert_str_eq(consumer_read(&two), "db 1-1\n");
    consumer_leave(&two);
    cr_assert_eq(web.stops + db.stops, 0);
    consumer_leave(&one);
    cr_assert_eq(web.stops + db.stops, 2);
    fake_session_fini(&web);
    fake_session_fini(&db);
    hub_fixture_close(&fixture);
}

Test(shared_calls, a_drain_of_a_consumer_leaves_the_call_to_the_others)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer one, two;
    struct fault fault;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, by_request("web"));
    consumer_join(&one, &fixture, asks("a"));
    consumer_join(&two, &fixture, asks("a"));
    cr_assert_eq(fake_session_put(&web, 1, 1), ERR_OK);
    cr_assert_eq(hub_finish(fixture.hub, text_of(one.result.id), CLOSING_FINISHED, NS_PER_S, &fault),
                 FAULT_NONE);
    cr_assert_eq(fake_session_put(&web, 1, 1), ERR_OK);
    cr_assert_str_eq(consumer_read(&one), "web 1-1, web is ENDED\n", "what came before is delivered");
    cr_assert_str_eq(consumer_read(&two), "web 1-1, web 2-2, web is CONNECTING\n");
    cr_assert_eq(web.stops, 0);
    consumer_leave(&one);
    consumer_leave(&two);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

Test(shared_calls, a_request_too_many_is_ENDED_with_its_cause)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    static struct consumer consumers[MAX_SHARED_CALLS], more;
    char request[16];

    hub_fixture_settings.max_subscriptions = MAX_SHARED_CALLS + 10;
    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, by_request("web"));
    for (unsigned i = 0; i < MAX_SHARED_CALLS; i++) {
        snprintf(request, sizeof(request), "%u", i);
        consumer_join(&consumers[i], &fixture, asks(request));
    }
    cr_assert_eq(web.starts, MAX_SHARED_CALLS);
    consumer_join(&more, &fixture, asks("more"));
    cr_assert_str_eq(consumer_read(&more), "web is ENDED with RESOURCE_EXHAUSTED: this producer serves too "
                                           "many different requests\n");
    consumer_leave(&more);
    consumer_join(&more, &fixture, asks("7"));
    cr_assert_str_eq(consumer_read(&more), "web is CONNECTING\n", "it shares one that is there");
    consumer_leave(&more);
    consumer_leave(&consumers[7]);
    consumer_join(&more, &fixture, asks("more"));
    cr_assert_str_eq(consumer_read(&more), "web is CONNECTING\n", "there is space again");
    consumer_leave(&more);
    for (unsigned i = 0; i < MAX_SHARED_CALLS; i++)
        consumer_leave(&consumers[i]);
    cr_assert_eq(web.stops, web.starts);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

static struct peer_key peer_number(uint64_t number)
{
    return (struct peer_key){PEER_IPV4, number};
}

static void join_as(struct consumer *consumer, struct hub_fixture *fixture, struct peer_key peer,
                    const char *request)
{
    struct subscription_params params = asks(request);

    params.peer_key = peer;
    consumer_join(consumer, fixture, params);
}

Test(shared_calls, a_peer_may_begin_its_share_of_them)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    static struct consumer mine[10], more, others;
    char request[16];

    hub_fixture_settings.max_subscriptions = 10000;
    hub_fixture_settings.peer_share_percent = 1; /* 10 calls of 1000 */
    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, by_request("web"));
    for (unsigned i = 0; i < 10; i++) {
        snprintf(request, sizeof(request), "%u", i);
        join_as(&mine[i], &fixture, peer_number(1), request);
    }
    join_as(&more, &fixture, peer_number(1), "more");
    cr_assert_str_eq(consumer_read(&more), "web is ENDED with RESOURCE_EXHAUSTED: this producer serves too "
                                           "many different requests\n");
    consumer_leave(&more);
    join_as(&others, &fixture, peer_number(2), "9");
    cr_assert_eq(web.starts, 10, "it shares one");
    consumer_leave(&mine[9]);
    join_as(&mine[9], &fixture, peer_number(1), "new");
    cr_assert_eq(web.starts, 11, "the one that goes on is charged to the other peer now");
    for (unsigned i = 0; i < 10; i++)
        consumer_leave(&mine[i]);
    consumer_leave(&others);
    cr_assert_eq(web.stops, 11);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}
