/* test_shared_call_via.c - BY_REQUEST: consumers that have come through other servers share a call
 * only with those that have come through the same ones (X9). */
#include <criterion/criterion.h>

#include <string.h>

#include "base/shared_bytes.h"
#include "hub/endpoint_rules.h"
#include "seam/fake_session.h"

static const struct endpoint_rules rules = {.first_retry_ns = 100 * NS_PER_MS, .max_retry_ns = NS_PER_S};

static struct subscription_params asks(const char *request, struct shared_bytes *via)
{
    struct subscription_params params = subscription_params_of(NULL);

    params.request = text_of(request);
    params.via = via;
    return params;
}

static struct session_params by_request(bool same_request)
{
    struct session_params params = fake_session_params("web", SESSION_BY_REQUEST);

    params.endpoint = &rules;
    params.same_request = same_request;
    return params;
}

Test(shared_call_via, X9_consumers_share_with_those_that_came_through_the_same_servers)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer plain, one, two, other, late;
    struct shared_bytes *through_a = shared_bytes_new(text_of("aaaa"));
    struct shared_bytes *also_a = shared_bytes_new(text_of("aaaa"));
    struct shared_bytes *through_b = shared_bytes_new(text_of("bbbb"));

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, by_request(false));
    consumer_join(&plain, &fixture, asks("r", NULL));
    cr_assert_str_eq(fake_session_transcript(&web), "welcome, start 1 \"r\"");
    consumer_join(&one, &fixture, asks("r", through_a));
    cr_assert_str_eq(fake_session_transcript(&web), "start 2 \"r\"");
    consumer_join(&two, &fixture, asks("r", also_a));
    cr_assert_str_eq(fake_session_transcript(&web), "", "equal bytes are the same servers");
    consumer_join(&other, &fixture, asks("r", through_b));
    cr_assert_str_eq(fake_session_transcript(&web), "start 3 \"r\"");
    consumer_leave(&one);
    cr_assert_str_eq(fake_session_transcript(&web), "");
    consumer_leave(&two);
    cr_assert_str_eq(fake_session_transcript(&web), "stop 2 FINISHED now");
    consumer_join(&late, &fixture, asks("r", through_a));
    cr_assert_str_eq(fake_session_transcript(&web), "start 4 \"r\"", "one that is over is not joined");
    consumer_leave(&late);
    cr_assert_str_eq(fake_session_transcript(&web), "stop 4 FINISHED now");
    consumer_join(&late, &fixture, asks("r", NULL));
    cr_assert_str_eq(fake_session_transcript(&web), "", "the plain ones share as ever");
    consumer_leave(&late);
    consumer_leave(&plain);
    consumer_leave(&other);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
    shared_bytes_release(through_a);
    shared_bytes_release(also_a);
    shared_bytes_release(through_b);
}

/* A request cannot pass for a way: the two are never one text. */
Test(shared_call_via, X9_a_request_that_looks_like_a_way_is_none)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer plain, other;
    struct shared_bytes *through = shared_bytes_new(text_of("aaaa"));

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, by_request(false));
    consumer_join(&plain, &fixture, asks("aaaar", NULL));
    consumer_join(&other, &fixture, asks("r", through));
    cr_assert_str_eq(fake_session_transcript(&web), "welcome, start 1 \"aaaar\", start 2 \"r\"");
    consumer_leave(&plain);
    consumer_leave(&other);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
    shared_bytes_release(through);
}

Test(shared_call_via, X9_with_requests_of_its_own_the_way_alone_counts)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer consumers[4];
    struct shared_bytes *through = shared_bytes_new(text_of("aaaa"));

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, by_request(true));
    consumer_join(&consumers[0], &fixture, asks("x", NULL));
    consumer_join(&consumers[1], &fixture, asks("y", NULL));
    consumer_join(&consumers[2], &fixture, asks("x", through));
    consumer_join(&consumers[3], &fixture, asks("y", through));
    cr_assert_str_eq(fake_session_transcript(&web), "welcome, start 1 \"\", start 2 \"\"");
    for (unsigned i = 0; i < 4; i++)
        consumer_leave(&consumers[i]);
    cr_assert_str_eq(fake_session_transcript(&web), "stop 1 FINISHED now, stop 2 FINISHED now");
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
    shared_bytes_release(through);
}
