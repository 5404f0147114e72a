/* test_stored_reader.c - consumers of a stored topic: from the log, and from memory. */
#include <criterion/criterion.h>

#include "seam/fake_log.h"

/* A consumer whose full channel makes it fall behind. */
static struct subscription_params params_of(uint32_t max_events, enum stored_start start, uint64_t value)
{
    struct subscription_params params = subscription_params_of(NULL);

    params.limits.overflow = OVERFLOW_BY_FEED;
    params.limits.max_events = max_events;
    params.stored_start = start;
    params.stored_value = value;
    return params;
}

Test(stored_reader, reads_the_log_from_its_beginning_and_then_keeps_up)
{
    struct hub_fixture fixture;
    struct consumer consumer;
    struct fake_log log;

    hub_fixture_open(&fixture);
    fake_log_open(&log, &fixture);
    for (int i = 0; i < 10; i++)
        fake_log_commit(&log, 3, "web");
    fake_log_deliver(&log);
    consumer_join(&consumer, &fixture, params_of(1024, STORED_EARLIEST, 0));
    cr_assert_eq(live_topic_readers(log.topic).behind, 1);
    fake_log_settle(&log);
    cr_assert_eq(live_topic_readers(log.topic).behind, 0);
    fake_log_commit(&log, 2, "web");
    fake_log_deliver(&log);
    cr_assert_str_eq(consumer_read(&consumer),
                     "@orders 1-3, @orders 4-6, @orders 7-9, @orders 10-12, @orders 13-15, @orders 16-18, "
                     "@orders 19-21, @orders 22-24, @orders 25-27, @orders 28-30, @orders 31-32, @orders is "
                     "ACTIVE\n");
    cr_assert_str_eq(consumer_positions(&consumer), "@orders=32");
    consumer_leave(&consumer);
    fake_log_close(&log);
    hub_fixture_close(&fixture);
}

/* It costs no memory meanwhile, and gets each event once. */
Test(stored_reader, falls_behind_where_its_channel_is_full_and_goes_on_from_the_log)
{
    struct hub_fixture fixture;
    struct consumer consumer;
    struct fake_log log;

    hub_fixture_open(&fixture);
    fake_log_open(&log, &fixture);
    consumer_join(&consumer, &fixture, params_of(4, STORED_AS_OTHERS, 0));
    for (int i = 0; i < 5; i++) {
        fake_log_commit(&log, 3, "web");
        fake_log_deliver(&log);
    }
    cr_assert_eq(live_topic_readers(log.topic).behind, 1);
    cr_assert_eq(log.steps, 0, "nothing is read while it is full");
    cr_assert_str_eq(consumer_read(&consumer), "@orders 1-3, @orders 4-4, @orders is ACTIVE\n@orders 5-6\n");
    fake_log_settle(&log);
    cr_assert_str_eq(consumer_read(&consumer), "@orders 7-9, @orders 10-10\n@orders 11-12\n");
    fake_log_settle(&log);
    cr_assert_str_eq(consumer_read(&consumer), "@orders 13-15\n");
    fake_log_settle(&log);
    cr_assert_eq(live_topic_readers(log.topic).behind, 0);
    cr_assert_str_eq(consumer_positions(&consumer), "@orders=15");
    fake_log_commit(&log, 1, "web");
    fake_log_deliver(&log);
    cr_assert_str_eq(consumer_read(&consumer), "@orders 16-16\n");
    consumer_leave(&consumer);
    fake_log_close(&log);
    hub_fixture_close(&fixture);
}
