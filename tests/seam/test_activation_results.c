/* test_activation_results.c - what follows when a producer ends an activation: it is started again
 * or not (A13), its session is lost (A15), the stream ends (A24). */
#include <criterion/criterion.h>

#include <string.h>

#include "base/counters.h"
#include "hub/session.h"
#include "seam/fake_session.h"
#include "seam/virtual_clock.h"

static struct subscription_params params_with_request(const char *request)
{
    struct subscription_params params = subscription_params_of(NULL);

    params.request = text_of(request);
    return params;
}

/* The consumer reads this, among other things. Producers that were there before it are bound in no
 * particular order. */
static bool has_read(const struct consumer *consumer, const char *text)
{
    return !!strstr((const char *)consumer->transcript.data, text);
}

Test(activation_results, A13_an_activation_that_completed_is_not_started_again)
{
    struct hub_fixture fixture;
    struct fake_session web = {0}, api = {0};
    struct consumer consumer;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &fixture, params_with_request("q"));
    fake_session_join(&api, &fixture, fake_session_params("api", SESSION_PER_CONSUMER));
    cr_assert_eq(fake_session_put(&web, 1, 1), ERR_OK);
    fake_session_end(&web, 1, CODE_OK, "all of it");
    fake_session_end(&web, 1, CODE_INTERNAL, "twice is harmless");
    fake_session_end(&web, 7, CODE_OK, "never there");
    cr_assert_eq(fake_session_put(&web, 1, 1), ERR_CLOSED);
    cr_assert_eq(fake_session_put(&web, 2, 1), ERR_NOT_FOUND);
    cr_assert_eq(fake_session_put(&web, 0, 1), ERR_INVALID);
    cr_assert_eq(fake_session_put(&api, 1, 1), ERR_OK);
    virtual_time_pass(fixture.loop, 3600 * NS_PER_S);
    cr_assert_eq(web.starts, 1);
    cr_assert_eq(web.stops, 0);
    cr_assert_str_eq(consumer_read(&consumer), "web 1-1, api 1-1, web is ENDED, api is ACTIVE\n");
    cr_assert_eq(consumer.closings + consumer.aborts, 0);
    consumer_leave(&consumer);
    fake_session_fini(&web);
    fake_session_fini(&api);
    hub_fixture_close(&fixture);
}

Test(activation_results, A13_an_activation_that_failed_is_retried_after_longer_and_longer)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer consumer;
    int64_t wait_ns = NS_PER_S;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &fixture, params_with_request("q"));
    for (unsigned i = 1; i <= 8; i++) {
        fake_session_end(&web, web.latest, CODE_INTERNAL, "no luck");
        cr_assert_eq(count_get(COUNT_LIVE_ACTIVATIONS), 0);
        virtual_time_pass(fixture.loop, wait_ns / 4 * 3 - 1);
        cr_assert_eq(web.starts, i, "not before three quarters of %lld ms", (long long)(wait_ns / NS_PER_MS));
        virtual_time_pass(fixture.loop, wait_ns / 4 + 1);
        cr_assert_eq(web.starts, i + 1, "with another number after %lld ms",
                     (long long)(wait_ns / NS_PER_MS));
        cr_assert_eq(web.latest, i + 1);
        wait_ns = MIN_OF(wait_ns * 2, 30 * NS_PER_S);
    }
    cr_assert_eq(fake_session_put(&web, web.latest, 1), ERR_OK);
    cr_assert_eq(web.offer.first_sequence, 1);
    consumer_read(&consumer);
    cr_assert(has_read(&consumer, "web is ENDED with INTERNAL: no luck"));
    virtual_time_pass(fixture.loop, 60 * NS_PER_S);
    fake_session_end(&web, web.latest, CODE_INTERNAL, "no luck");
    virtual_time_pass(fixture.loop, NS_PER_S);
    cr_assert_eq(web.starts, 10, "a minute of life is forgiven for");
    consumer_leave(&consumer);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}

Test(activation_results, A13_a_failed_activation_is_not_retried_when_either_side_is_gone)
{
    struct hub_fixture fixture;
    struct fake_session web = {0}, api = {0};
    struct consumer gone, stays;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    fake_session_join(&api, &fixture, fake_session_params("api", SESSION_PER_CONSUMER));
    consumer_join(&gone, &fixture, params_with_request("gone"));
    consumer_join(&stays, &fixture, params_with_request("stays"));
    fake_session_end(&web, 1, CODE_INTERNAL, "");
    fake_session_end(&web, 2, CODE_INTERNAL, "");
    fake_session_end(&api, 2, CODE_INTERNAL, "");
    consumer_leave(&gone);
    fake_session_leave(&api, FAULT_NONE);
    virtual_time_pass(fixture.loop, 3600 * NS_PER_S);
    cr_assert_str_eq(fake_session_transcript(&web),
                     "welcome, start 1 \"gone\", start 2 \"stays\", start 3 \"stays\"");
    cr_assert_eq(api.starts, 2);
    consumer_leave(&stays);
    fake_session_fini(&web);
    fake_session_fini(&api);
    hub_fixture_close(&fixture);
}

Test(activation_results, A15_a_lost_producer_ends_with_UNAVAILABLE_and_a_closed_one_with_OK)
{
    struct hub_fixture fixture;
    struct fake_session lost = {0}, closed = {0}, shared = {0};
    struct consumer consumer;

    hub_fixture_open(&fixture);
    fake_session_join(&lost, &fixture, fake_session_params("lost", SESSION_PER_CONSUMER));
    fake_session_join(&closed, &fixture, fake_session_params("closed", SESSION_PER_CONSUMER));
    fake_session_join(&shared, &fixture, fake_session_params("shared", SESSION_SHARED));
    consumer_join(&consumer, &fixture, params_with_request("q"));
    cr_assert_eq(fake_session_put(&lost, 1, 1), ERR_OK);
    cr_assert_eq(fake_session_put(&closed, 1, 1), ERR_OK);
    fake_session_leave(&lost, FAULT_CANCELLED);
    fake_session_leave(&closed, FAULT_NONE);
    fake_session_leave(&shared, FAULT_CANCELLED);
    consumer_read(&consumer);
    cr_assert(has_read(&consumer, "lost 1-1, closed 1-1, "));
    cr_assert(has_read(&consumer, "lost is ENDED with UNAVAILABLE: the producer was lost"));
    cr_assert(has_read(&consumer, "shared is ENDED with UNAVAILABLE: the producer was lost"));
    cr_assert(has_read(&consumer, "closed is ENDED") && !has_read(&consumer, "closed is ENDED with"));
    cr_assert_eq(lost.stops + closed.stops + lost.aborts + shared.aborts, 0,
                 "a session that left is not notified");
    cr_assert_eq(consumer.closings + consumer.aborts, 0);
    consumer_leave(&consumer);
    fake_session_fini(&lost);
    fake_session_fini(&closed);
    fake_session_fini(&shared);
    cr_assert_eq(hub_fixture_logged(&fixture, "producer.removed"), 3);
    hub_fixture_close(&fixture);
}

Test(activation_results, A24_end_when_all_ended_drains_after_the_last_activation)
{
    struct hub_fixture fixture;
    struct fake_session web = {0}, api = {0}, shared = {0};
    struct consumer consumer, patient;
    struct subscription_params params;

    hub_fixture_open(&fixture);
    fake_session_join(&web, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    fake_session_join(&api, &fixture, fake_session_params("api", SESSION_PER_CONSUMER));
    fake_session_join(&shared, &fixture, fake_session_params("shared", SESSION_SHARED));
    params = params_with_request("q");
    params.end_when_all_ended = true;
    consumer_join(&consumer, &fixture, params);
    consumer_join(&patient, &fixture, params_with_request("q"));
    cr_assert_eq(fake_session_put(&web, 1, 2), ERR_OK);
    fake_session_end(&web, 1, CODE_OK, "");
    cr_assert_eq(consumer.closings, 0);
    fake_session_end(&api, 1, CODE_NOT_FOUND, "no such thing");
    cr_assert_eq(consumer.closings, 1);
    cr_assert_eq(consumer.closing, CLOSING_ALL_ENDED);
    cr_assert_eq(chan_state(consumer.chan), CHAN_DRAINING);
    virtual_time_pass(fixture.loop, 60 * NS_PER_S);
    cr_assert_eq(api.starts, 2, "a failure is an answer: no other attempt for this consumer");
    consumer_read(&consumer);
    cr_assert(has_read(&consumer, "web 1-2, "));
    cr_assert(has_read(&consumer, "api is ENDED with NOT_FOUND: no such thing"));
    cr_assert(has_read(&consumer, "web is ENDED"));
    consumer_leave(&consumer);
    cr_assert_eq(patient.closings, 0);
    consumer_leave(&patient);
    fake_session_fini(&web);
    fake_session_fini(&api);
    fake_session_fini(&shared);
    hub_fixture_close(&fixture);
}

Test(activation_results, A24_without_any_activation_the_stream_goes_on)
{
    struct hub_fixture fixture;
    struct fake_session shared = {0}, web = {0};
    struct consumer consumer;
    struct subscription_params params = params_with_request("q");

    params.end_when_all_ended = true;
    hub_fixture_open(&fixture);
    fake_session_join(&shared, &fixture, fake_session_params("shared", SESSION_SHARED));
    consumer_join(&consumer, &fixture, params);
    fake_session_leave(&shared, FAULT_NONE);
    cr_assert_eq(consumer.closings, 0);
    web.ends_at_start = true;
    fake_session_join(&web, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    cr_assert_eq(consumer.closings, 1);
    consumer_leave(&consumer);
    fake_session_fini(&web);
    fake_session_fini(&shared);
    hub_fixture_close(&fixture);
}

Test(activation_results, A24_an_activation_may_end_during_hub_subscribe)
{
    struct hub_fixture fixture;
    struct fake_session web = {0};
    struct consumer consumer;
    struct subscription_params params = params_with_request("q");

    params.end_when_all_ended = true;
    hub_fixture_open(&fixture);
    web.ends_at_start = true;
    fake_session_join(&web, &fixture, fake_session_params("web", SESSION_PER_CONSUMER));
    consumer_join(&consumer, &fixture, params);
    cr_assert_eq(consumer.closings, 1);
    cr_assert_eq(chan_state(consumer.chan), CHAN_DRAINING);
    consumer_leave(&consumer);
    fake_session_fini(&web);
    hub_fixture_close(&fixture);
}
