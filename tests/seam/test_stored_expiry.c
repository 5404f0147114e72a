/* test_stored_expiry.c - events of a stored topic whose time has passed before they are put. */
#include <criterion/criterion.h>

#include "flow/chan_stats.h"
#include "hub/subscription_internal.h"
#include "seam/fake_log.h"

#define PAST 1u
#define FUTURE UINT64_MAX

static const uint64_t mixed[] = {PAST, 0, FUTURE, PAST, PAST};

struct setting {
    struct hub_fixture fixture;
    struct fake_log log;
    struct consumer consumer;
};

static void topic_open(struct setting *setting)
{
    hub_fixture_open(&setting->fixture);
    fake_log_open(&setting->log, &setting->fixture);
}

static void topic_close(struct setting *setting)
{
    consumer_leave(&setting->consumer);
    fake_log_close(&setting->log);
    hub_fixture_close(&setting->fixture);
}

static void join(struct setting *setting, uint32_t max_events, enum stored_start start, const char *origin)
{
    struct subscription_params params = subscription_params_of(NULL);

    params.limits.overflow = OVERFLOW_BY_FEED;
    params.limits.max_events = max_events;
    params.stored_start = start;
    if (origin) {
        filter_free(params.filter);
        params.filter = filter_of(origin, NULL, NULL);
    }
    consumer_join(&setting->consumer, &setting->fixture, params);
    fake_log_settle(&setting->log);
}

static void commit(struct setting *setting, const char *origin)
{
    fake_log_commit_expiring(&setting->log, ARRAY_LEN(mixed), origin, mixed);
}

Test(stored_expiry, what_has_expired_is_not_read_from_the_log_and_is_counted)
{
    struct setting setting;

    topic_open(&setting);
    commit(&setting, "web");
    fake_log_commit(&setting.log, 2, "web");
    fake_log_deliver(&setting.log);
    join(&setting, 1024, STORED_EARLIEST, NULL);
    cr_assert_str_eq(consumer_read(&setting.consumer),
                     "lost @orders 3 1-5 EXPIRED, @orders 2-3, @orders 6-7, @orders is ACTIVE\n");
    cr_assert_str_eq(consumer_positions(&setting.consumer), "@orders=7");
    topic_close(&setting);
}

Test(stored_expiry, what_has_expired_is_not_delivered_when_it_is_published)
{
    struct setting setting;

    topic_open(&setting);
    join(&setting, 1024, STORED_AS_OTHERS, NULL);
    fake_log_commit(&setting.log, 2, "web");
    commit(&setting, "web");
    fake_log_commit(&setting.log, 1, "web");
    fake_log_deliver(&setting.log);
    cr_assert_str_eq(
        consumer_read(&setting.consumer),
        "lost @orders 3 3-7 EXPIRED, @orders 1-2, @orders 4-5, @orders 8-8, @orders is ACTIVE\n");
    cr_assert_str_eq(consumer_positions(&setting.consumer), "@orders=8");
    topic_close(&setting);
}

/* Its position moves past them though nothing is delivered. */
Test(stored_expiry, all_of_a_topic_may_have_expired)
{
    static const uint64_t past[] = {PAST, PAST};
    struct setting setting;

    topic_open(&setting);
    fake_log_commit_expiring(&setting.log, 2, "web", past);
    fake_log_deliver(&setting.log);
    join(&setting, 1024, STORED_EARLIEST, NULL);
    fake_log_commit_expiring(&setting.log, 2, "web", past);
    fake_log_deliver(&setting.log);
    cr_assert_eq(live_topic_readers(setting.log.topic).behind, 0);
    cr_assert_str_eq(consumer_read(&setting.consumer), "lost @orders 4 1-4 EXPIRED, @orders is ACTIVE\n");
    cr_assert_str_eq(consumer_positions(&setting.consumer), "@orders=4");
    topic_close(&setting);
}

Test(stored_expiry, only_what_the_filter_wants_is_lost)
{
    struct setting setting;

    topic_open(&setting);
    commit(&setting, "web");
    commit(&setting, "app");
    fake_log_deliver(&setting.log);
    join(&setting, 1024, STORED_EARLIEST, "app");
    commit(&setting, "web");
    commit(&setting, "app");
    fake_log_deliver(&setting.log);
    cr_assert_str_eq(consumer_read(&setting.consumer),
                     "lost @orders 6 6-20 EXPIRED, @orders 7-8, @orders 17-18, @orders is ACTIVE\n");
    topic_close(&setting);
}

/* It falls behind in the middle of what has and has not expired, and catches up with it. */
Test(stored_expiry, each_is_counted_once_where_the_channel_is_full)
{
    struct setting setting;
    uint64_t lost = 0, got = 0;

    topic_open(&setting);
    join(&setting, 1, STORED_AS_OTHERS, NULL);
    for (int i = 0; i < 5; i++) {
        commit(&setting, "web");
        fake_log_deliver(&setting.log);
    }
    for (int i = 0; i < 20; i++) {
        (void)consumer_read(&setting.consumer);
        fake_log_settle(&setting.log);
    }
    struct chan_stats stats;
    chan_stats(setting.consumer.subscription->chan, &stats);
    lost = stats.dropped[LOSS_EXPIRED].events;
    got = stats.delivered.events;
    cr_assert_eq(got, 10, "%ju", (uintmax_t)got);
    cr_assert_eq(lost, 15, "%ju", (uintmax_t)lost);
    cr_assert_str_eq(consumer_positions(&setting.consumer), "@orders=25");
    topic_close(&setting);
}

/* What was delivered between the last step and its end comes from memory. */
Test(stored_expiry, what_has_expired_is_not_put_from_the_history)
{
    struct setting setting;

    topic_open(&setting);
    fake_log_commit(&setting.log, 2, "web");
    fake_log_deliver(&setting.log);
    struct subscription_params params = subscription_params_of(NULL);
    params.stored_start = STORED_EARLIEST;
    consumer_join(&setting.consumer, &setting.fixture, params);
    loop_turn(setting.fixture.loop);
    cr_assert(fake_log_query(&setting.log));
    commit(&setting, "web");
    fake_log_commit(&setting.log, 1, "web");
    fake_log_deliver(&setting.log);
    cr_assert(fake_log_answer(&setting.log));
    cr_assert_eq(live_topic_readers(setting.log.topic).behind, 0);
    cr_assert_str_eq(
        consumer_read(&setting.consumer),
        "lost @orders 3 3-7 EXPIRED, @orders 1-2, @orders 4-5, @orders 8-8, @orders is ACTIVE\n");
    topic_close(&setting);
}
