/* test_stored_reader.c - consumers of a stored topic: from the log, and from memory. */
#include <criterion/criterion.h>

#include "base/budget.h"
#include "hub/positions.h"
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

struct setting {
    struct hub_fixture fixture;
    struct fake_log log;
    struct consumer consumer;
};

/* A topic of `rows` rows of two events each, which were delivered. */
static void topic_open(struct setting *setting, unsigned rows)
{
    hub_fixture_open(&setting->fixture);
    fake_log_open(&setting->log, &setting->fixture);
    for (unsigned i = 0; i < rows; i++)
        fake_log_commit(&setting->log, 2, i % 2 == 0 ? "web" : "app");
    fake_log_deliver(&setting->log);
}

static void topic_close(struct setting *setting)
{
    consumer_leave(&setting->consumer);
    fake_log_close(&setting->log);
    hub_fixture_close(&setting->fixture);
}

static const char *read_from(struct setting *setting, struct subscription_params params)
{
    consumer_join(&setting->consumer, &setting->fixture, params);
    fake_log_settle(&setting->log);
    return consumer_read(&setting->consumer);
}

static struct subscription_params resumed(struct resume_point *point, uint64_t epoch, uint64_t sequence)
{
    struct subscription_params params = params_of(1024, STORED_AS_OTHERS, 0);

    *point = (struct resume_point){.source = text_of("@orders"), .epoch = epoch, .sequence = sequence};
    params.resume = point;
    params.resume_count = 1;
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

/* ---- memory ---- */

/* What an event that waits for its consumer takes from the budget. */
static uint64_t waiting_bytes(const char *origin)
{
    struct setting setting;
    uint64_t before, bytes;

    topic_open(&setting, 0);
    fake_log_commit(&setting.log, 1, origin);
    fake_log_deliver(&setting.log);
    before = budget_used();
    consumer_join(&setting.consumer, &setting.fixture, params_of(1024, STORED_EARLIEST, 0));
    fake_log_settle(&setting.log);
    bytes = budget_used() - before;
    topic_close(&setting);
    return bytes;
}

Test(stored_reader, the_name_of_the_publisher_is_in_the_budget)
{
    cr_assert_eq(waiting_bytes("a publisher with a long name") - waiting_bytes("web"), 25);
}

/* ---- where it begins ---- */

/* Of a topic of four rows it reads this first. */
static void expect_from(struct subscription_params params, const char *text)
{
    struct setting setting;

    topic_open(&setting, 4);
    cr_assert_str_eq(read_from(&setting, params), text);
    topic_close(&setting);
}

Test(stored_reader, begins_with_a_sequence)
{
    expect_from(params_of(1024, STORED_SEQUENCE, 6), "@orders 6-6, @orders 7-8, @orders is ACTIVE\n");
}

Test(stored_reader, waits_for_a_sequence_that_is_beyond_the_head)
{
    struct setting setting;

    topic_open(&setting, 2);
    cr_assert_str_eq(read_from(&setting, params_of(1024, STORED_SEQUENCE, 8)), "@orders is ACTIVE\n");
    for (int i = 0; i < 3; i++)
        fake_log_commit(&setting.log, 2, "web");
    fake_log_deliver(&setting.log);
    cr_assert_str_eq(consumer_read(&setting.consumer), "@orders 8-8, @orders 9-10\n");
    topic_close(&setting);
}

Test(stored_reader, a_sequence_that_is_not_kept_ends_the_stream_and_names_the_first)
{
    struct setting setting;

    topic_open(&setting, 4);
    (void)fake_log_trim(&setting.log);
    (void)read_from(&setting, params_of(1024, STORED_SEQUENCE, 2));
    cr_assert_eq(setting.consumer.aborts, 1);
    cr_assert_eq(setting.consumer.fault.reason, FAULT_TRIMMED);
    cr_assert_str_eq(setting.consumer.fault.value, "\"@orders\"");
    cr_assert_str_eq(setting.consumer.fault.bound, "sequence 2: the first is 3");
    topic_close(&setting);
}

Test(stored_reader, begins_with_what_was_stored_at_a_time)
{
    expect_from(params_of(1024, STORED_TIME, 4), "@orders 5-6, @orders 7-8, @orders is ACTIVE\n");
}

Test(stored_reader, begins_with_the_last_events)
{
    struct subscription_params params = params_of(1024, STORED_AS_OTHERS, 0);

    params.last = 3;
    expect_from(params, "@orders 6-6, @orders 7-8, @orders is ACTIVE\n");
}

Test(stored_reader, resumes_behind_the_position_of_a_token)
{
    struct resume_point point;

    expect_from(resumed(&point, FAKE_LOG_INCARNATION, 5), "@orders 6-6, @orders 7-8, @orders is ACTIVE\n");
}

Test(stored_reader, reports_what_retention_removed_before_a_resume)
{
    struct resume_point point;
    struct setting setting;

    topic_open(&setting, 4);
    (void)fake_log_trim(&setting.log);
    (void)fake_log_trim(&setting.log);
    cr_assert_str_eq(read_from(&setting, resumed(&point, FAKE_LOG_INCARNATION, 1)),
                     "lost @orders 3 2-4 TRIMMED, @orders 5-6, @orders 7-8, @orders is ACTIVE\n");
    topic_close(&setting);
}

Test(stored_reader, a_position_beyond_the_head_is_a_gap_that_nobody_can_count)
{
    struct resume_point point;
    struct setting setting;

    topic_open(&setting, 2);
    cr_assert_str_eq(read_from(&setting, resumed(&point, FAKE_LOG_INCARNATION, 50)),
                     "lost @orders ? 0-0 RESUME_GAP, @orders is ACTIVE\n");
    fake_log_commit(&setting.log, 1, "web");
    fake_log_deliver(&setting.log);
    cr_assert_str_eq(consumer_read(&setting.consumer), "@orders 5-5\n");
    topic_close(&setting);
}

Test(stored_reader, a_topic_that_was_made_again_is_read_from_its_first_event)
{
    struct resume_point point;
    struct setting setting;

    topic_open(&setting, 2);
    cr_assert_str_eq(read_from(&setting, resumed(&point, FAKE_LOG_INCARNATION - 1, 50)),
                     "lost @orders ? 0-0 RESUME_GAP, @orders 1-2, @orders 3-4, @orders is ACTIVE\n");
    topic_close(&setting);
}

/* The store was restored from a backup that had the first three events. */
Test(stored_reader, resumes_where_the_lineage_ended)
{
    static const struct topic_ancestor ancestor = {FAKE_LOG_INCARNATION - 2, 3};
    struct resume_point point;
    struct setting setting;

    topic_open(&setting, 3);
    setting.log.topic->ancestors = &ancestor;
    setting.log.topic->ancestor_count = 1;
    cr_assert_str_eq(read_from(&setting, resumed(&point, ancestor.incarnation, 2)),
                     "@orders 3-4, @orders 5-6, @orders is ACTIVE\n");
    consumer_leave(&setting.consumer);
    cr_assert_str_eq(read_from(&setting, resumed(&point, ancestor.incarnation, 40)),
                     "lost @orders ? 0-0 RESUME_GAP, @orders 4-4, @orders 5-6, @orders is ACTIVE\n");
    topic_close(&setting);
}

Test(stored_reader, a_topic_that_a_token_does_not_name_is_read_from_its_first_event)
{
    struct subscription_params params;
    struct resume_point point;
    struct setting setting;

    topic_open(&setting, 2);
    params = resumed(&point, 1, 1);
    point.source = text_of("other");
    cr_assert_str_eq(read_from(&setting, params),
                     "lost other ? 0-0 RESUME_GAP, @orders 1-2, @orders 3-4, @orders is ACTIVE, other is "
                     "REMOVED\n");
    consumer_leave(&setting.consumer);
    params.filter = filter_of("*", NULL, NULL);
    params.resume_others_live = true;
    cr_assert_str_eq(read_from(&setting, params),
                     "lost other ? 0-0 RESUME_GAP, @orders is ACTIVE, other is REMOVED\n");
    topic_close(&setting);
}

/* ---- what may happen to it ---- */

Test(stored_reader, reads_only_what_its_filter_wants)
{
    struct subscription_params params = params_of(1024, STORED_EARLIEST, 0);
    struct setting setting;

    filter_free(params.filter);
    params.filter = filter_of("app", NULL, NULL);
    topic_open(&setting, 5);
    cr_assert_str_eq(read_from(&setting, params), "@orders 3-4, @orders 7-8, @orders is ACTIVE\n");
    cr_assert_str_eq(consumer_positions(&setting.consumer), "@orders=10");
    topic_close(&setting);
}

Test(stored_reader, a_damaged_row_ends_the_stream_behind_what_comes_before_it)
{
    struct setting setting;

    topic_open(&setting, 3);
    setting.log.damaged = 5;
    consumer_join(&setting.consumer, &setting.fixture, params_of(1024, STORED_EARLIEST, 0));
    loop_turn(setting.fixture.loop);
    cr_assert(fake_log_query(&setting.log) && fake_log_answer(&setting.log));
    cr_assert_str_eq(consumer_read(&setting.consumer), "@orders 1-2, @orders 3-4, @orders is ACTIVE\n");
    fake_log_settle(&setting.log);
    cr_assert_eq(setting.consumer.aborts, 1);
    cr_assert_eq(setting.consumer.fault.reason, FAULT_STORED_DATA_LOST);
    cr_assert_str_eq(setting.consumer.fault.value, "\"@orders\"");
    cr_assert_str_eq(setting.consumer.fault.bound, "sequence 5");
    topic_close(&setting);
}

Test(stored_reader, the_stream_ends_when_every_topic_has_caught_up)
{
    struct subscription_params params = params_of(1024, STORED_EARLIEST, 0);
    struct setting setting;

    params.end_when_caught_up = true;
    topic_open(&setting, 2);
    consumer_join(&setting.consumer, &setting.fixture, params);
    cr_assert_eq(setting.consumer.closings, 0);
    fake_log_settle(&setting.log);
    cr_assert_eq(setting.consumer.closings, 1);
    cr_assert_eq(setting.consumer.closing, CLOSING_CAUGHT_UP);
    cr_assert_str_eq(consumer_read(&setting.consumer), "@orders 1-2, @orders 3-4, @orders is ACTIVE\n");
    cr_assert_str_eq(consumer_positions(&setting.consumer), "@orders=4");
    topic_close(&setting);
}

Test(stored_reader, a_stream_that_matches_no_topic_has_caught_up_at_once)
{
    struct subscription_params params = params_of(1024, STORED_EARLIEST, 0);
    struct setting setting;

    filter_free(params.filter);
    params.filter = filter_of("@other", NULL, NULL);
    params.end_when_caught_up = true;
    topic_open(&setting, 2);
    consumer_join(&setting.consumer, &setting.fixture, params);
    cr_assert_eq(setting.consumer.closings, 0, "its caller does not know yet that it has begun");
    loop_turn(setting.fixture.loop);
    cr_assert_eq(setting.consumer.closing, CLOSING_CAUGHT_UP);
    topic_close(&setting);
}

static bool count_position(void *ctx, const struct source *source, uint64_t sequence)
{
    (void)source;
    (void)sequence;
    ++*(unsigned *)ctx;
    return true;
}

/* A token without the topic would be that of a stream that had come to nothing of it. */
Test(stored_reader, has_no_positions_until_it_knows_where_it_begins)
{
    struct subscription_params params = params_of(1024, STORED_AS_OTHERS, 0);
    struct setting setting;
    unsigned count = 0;

    topic_open(&setting, 3);
    params.last = 1;
    consumer_join(&setting.consumer, &setting.fixture, params);
    cr_assert_eq(hub_positions(setting.consumer.subscription, count_position, &count), POSITIONS_UNKNOWN);
    cr_assert_eq(count, 0);
    fake_log_settle(&setting.log);
    cr_assert_str_eq(consumer_positions(&setting.consumer), "@orders=5");
    cr_assert_str_eq(consumer_read(&setting.consumer), "@orders 6-6, @orders is ACTIVE\n");
    topic_close(&setting);
}

Test(stored_reader, a_topic_that_is_deleted_while_it_is_read_says_what_was_not_read)
{
    struct setting setting;

    topic_open(&setting, 3);
    consumer_join(&setting.consumer, &setting.fixture, params_of(2, STORED_EARLIEST, 0));
    fake_log_settle(&setting.log);
    fake_log_remove_topic(&setting.log);
    cr_assert_str_eq(consumer_read(&setting.consumer),
                     "lost @orders 2 5-6 TRIMMED, @orders 1-2\n@orders 3-4, @orders is REMOVED\n");
    topic_close(&setting);
}

/* It has asked for no more than that. */
Test(stored_reader, a_topic_that_is_deleted_before_the_first_step_says_no_more_than_was_wanted)
{
    struct subscription_params params = params_of(1024, STORED_AS_OTHERS, 0);
    struct setting setting;
    struct consumer by_time;

    topic_open(&setting, 3);
    params.last = 2;
    consumer_join(&setting.consumer, &setting.fixture, params);
    consumer_join(&by_time, &setting.fixture, params_of(1024, STORED_TIME, 4));
    fake_log_remove_topic(&setting.log);
    cr_assert_str_eq(consumer_read(&setting.consumer), "lost @orders 2 5-6 TRIMMED, @orders is REMOVED\n");
    cr_assert_str_eq(consumer_read(&by_time), "lost @orders ? 1-6 TRIMMED, @orders is REMOVED\n");
    consumer_leave(&by_time);
    topic_close(&setting);
}

/* The position is never beyond the log's end: who resumes there would be told of a gap. */
Test(stored_reader, a_start_beyond_the_end_leaves_out_what_comes_before)
{
    struct setting setting;

    topic_open(&setting, 1);
    consumer_join(&setting.consumer, &setting.fixture, params_of(1024, STORED_SEQUENCE, 6));
    fake_log_settle(&setting.log);
    (void)consumer_read(&setting.consumer);
    fake_log_commit(&setting.log, 2, "web");
    fake_log_deliver(&setting.log);
    cr_assert_str_eq(consumer_positions(&setting.consumer), "@orders=4");
    fake_log_commit(&setting.log, 3, "web");
    fake_log_deliver(&setting.log);
    cr_assert_str_eq(consumer_read(&setting.consumer), "@orders 6-7\n");
    cr_assert_str_eq(consumer_positions(&setting.consumer), "@orders=7");
    topic_close(&setting);
}

Test(stored_reader, may_leave_while_a_step_is_under_way)
{
    struct setting setting;

    topic_open(&setting, 3);
    consumer_join(&setting.consumer, &setting.fixture, params_of(1024, STORED_EARLIEST, 0));
    loop_turn(setting.fixture.loop);
    cr_assert(fake_log_query(&setting.log));
    consumer_leave(&setting.consumer);
    cr_assert(fake_log_answer(&setting.log));
    topic_close(&setting);
}

Test(stored_reader, keeps_its_position_where_the_hub_drains)
{
    struct setting setting;

    topic_open(&setting, 3);
    consumer_join(&setting.consumer, &setting.fixture, params_of(3, STORED_EARLIEST, 0));
    fake_log_settle(&setting.log);
    hub_drain(setting.fixture.hub, NS_PER_S, hub_fixture_emptied, &setting.fixture);
    fake_log_settle(&setting.log);
    cr_assert_str_eq(consumer_read(&setting.consumer),
                     "@orders 1-2, @orders 3-3, @orders 4-4, @orders is ACTIVE\n");
    cr_assert_str_eq(consumer_positions(&setting.consumer), "@orders=4");
    consumer_leave(&setting.consumer);
    fake_log_settle(&setting.log);
    topic_close(&setting);
}

/* What could not be delivered is in the log. */
Test(stored_reader, goes_on_from_the_log_where_the_tail_has_a_hole)
{
    struct setting setting;
    struct committed *hole;

    topic_open(&setting, 1);
    consumer_join(&setting.consumer, &setting.fixture, params_of(1024, STORED_AS_OTHERS, 0));
    fake_log_commit(&setting.log, 2, "web");
    hole = container_of(list_first(&setting.log.topic->tail.waiting), struct committed, in_tail);
    list_remove(&hole->in_tail);
    chunk_release(hole->chunk);
    hole->over(hole);
    fake_log_commit(&setting.log, 2, "web");
    fake_log_deliver(&setting.log);
    cr_assert_eq(live_topic_readers(setting.log.topic).behind, 1);
    fake_log_settle(&setting.log);
    cr_assert_str_eq(consumer_read(&setting.consumer), "@orders 3-4, @orders 5-6, @orders is ACTIVE\n");
    cr_assert_eq(live_topic_readers(setting.log.topic).behind, 0);
    topic_close(&setting);
}

Test(stored_reader, a_new_filter_holds_from_its_mark_on)
{
    struct setting setting;

    topic_open(&setting, 4);
    consumer_join(&setting.consumer, &setting.fixture, params_of(2, STORED_EARLIEST, 0));
    fake_log_settle(&setting.log);
    cr_assert_eq(consumer_select(&setting.consumer, "app", NULL), 1);
    cr_assert_str_eq(consumer_read(&setting.consumer),
                     "@orders 1-2, @orders is ACTIVE\n@orders 3-4\nmark 1\n");
    fake_log_settle(&setting.log);
    cr_assert_str_eq(consumer_read(&setting.consumer), "@orders 7-8\n");
    cr_assert_eq(consumer_select(&setting.consumer, "@none", NULL), 2);
    cr_assert_str_eq(consumer_read(&setting.consumer), "mark 2\n@orders is ENDED\n");
    fake_log_commit(&setting.log, 2, "app");
    fake_log_deliver(&setting.log);
    cr_assert_eq(consumer_select(&setting.consumer, "@orders", NULL), 3);
    fake_log_commit(&setting.log, 2, "app");
    fake_log_deliver(&setting.log);
    cr_assert_str_eq(consumer_read(&setting.consumer), "mark 3\n@orders 11-12, @orders is ACTIVE\n");
    topic_close(&setting);
}
