/* test_topic_marks.c - events that wait for their time, and events whose ids were seen already. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "marked_events.h"
#include "power_vfs.h"

#define HOUR_NS (3600 * NS_PER_S)

static struct store_fixture fixture;

static void begin(void)
{
    power_vfs_register();
    power_plan_set(&(struct power_plan){.off_at = 0});
    fixture_init(&fixture);
    fixture_expect_open(&fixture);
    appeared_listen(&fixture);
}

static void end(void)
{
    fixture_fini(&fixture);
    power_plan_set(&(struct power_plan){.off_at = 0});
}

TestSuite(marks, .init = begin, .fini = end);

/* A topic that looks at ids. */
static uint64_t topic_with_ids(int64_t window_ns, uint32_t max_ids)
{
    const struct topic_settings settings = {.id_window_ns = window_ns, .max_ids = max_ids};
    const struct topic_change change = change_topic(&fixture, TOPIC_CREATE, "orders", settings);

    cr_assert_eq(change.outcome, TOPIC_DONE);
    return change.id;
}

static void wait_for(uint64_t topic, uint64_t next_seq)
{
    const int64_t deadline_ns = clock_from_now_ns(10 * NS_PER_S);

    while (topic_info_of(&fixture, topic).next_seq < next_seq && clock_mono_ns() < deadline_ns)
        usleep(1000);
    cr_assert_eq(topic_info_of(&fixture, topic).next_seq, next_seq);
}

/* ---- delays ---- */

Test(marks, an_event_waits_for_its_time)
{
    const uint64_t topic = make_topic(&fixture, "orders");
    struct marked batch;

    marked_init(&batch, topic);
    marked_add(&batch, "a", NULL, 0);
    marked_add(&batch, "late", NULL, clock_wall_ns() + NS_PER_S / 2);
    marked_add(&batch, "past", NULL, clock_wall_ns() - NS_PER_S);
    marked_add(&batch, "never", NULL, INT64_MAX);
    marked_add(&batch, "beyond", NULL, -1); /* 2^64 - 1 */
    cr_assert_eq(marked_append(&fixture, &batch), TOPIC_DONE);
    cr_assert_eq(batch.part.delayed, 3u);
    cr_assert_eq(batch.part.stored, 2u);
    cr_assert(batch.part.is_split);
    cr_assert_eq(batch.part.first_seq, 1u);
    cr_assert_str_eq(appeared_text(), "1:a 2:past", "before done()");
    cr_assert_str_eq(marked_text(&fixture, topic), "a past");
    cr_assert_eq(topic_info_of(&fixture, topic).delayed, 3u);
    wait_for(topic, 4);
    for (int i = 0; i < 1000 && strlen(appeared_text()) < 18; i++)
        usleep(1000);
    cr_assert_str_eq(appeared_text(), "1:a 2:past 3:late");
    cr_assert_eq(topic_info_of(&fixture, topic).delayed, 2u);
    cr_assert_str_eq(marked_text(&fixture, topic), "a past late");
}

Test(marks, a_batch_that_waits_as_a_whole_has_no_sequences)
{
    const uint64_t topic = make_topic(&fixture, "orders");
    struct marked batch;

    cr_assert_eq(marked_one(&fixture, topic, &batch, "a", NULL, clock_wall_ns() + HOUR_NS), TOPIC_DONE);
    cr_assert_eq(batch.part.stored, 0u);
    cr_assert_eq(batch.part.first_seq, 0u);
    cr_assert_eq(batch.part.delayed, 1u);
    cr_assert_eq(topic_info_of(&fixture, topic).next_seq, 1u);
    cr_assert_str_eq(appeared_text(), "");
}

Test(marks, what_waits_survives_a_restart_and_comes_in_the_order_of_times)
{
    const uint64_t topic = make_topic(&fixture, "orders");
    const int64_t now_ns = clock_wall_ns();
    struct marked batch;

    marked_init(&batch, topic);
    batch.number = 1;
    marked_add(&batch, "c", NULL, now_ns + 600 * NS_PER_MS);
    marked_add(&batch, "b", NULL, now_ns + 500 * NS_PER_MS);
    marked_add(&batch, "d", NULL, now_ns + 600 * NS_PER_MS);
    cr_assert_eq(marked_append(&fixture, &batch), TOPIC_DONE);
    fixture_reopen(&fixture);
    appeared_listen(&fixture);
    cr_assert_eq(topic_info_of(&fixture, topic).delayed, 3u);
    marked_init(&batch, topic);
    batch.number = 1;
    marked_add(&batch, "c", NULL, now_ns + 600 * NS_PER_MS);
    marked_add(&batch, "b", NULL, now_ns + 500 * NS_PER_MS);
    marked_add(&batch, "d", NULL, now_ns + 600 * NS_PER_MS);
    cr_assert_eq(marked_append(&fixture, &batch), TOPIC_DONE);
    cr_assert_eq(batch.append.duplicates, 3u, "its numbers are known");
    wait_for(topic, 4);
    cr_assert_str_eq(marked_text(&fixture, topic), "b c d");
}

Test(marks, many_are_due_at_once)
{
    const uint64_t topic = make_topic(&fixture, "orders");
    const int64_t at_ns = clock_wall_ns() + 300 * NS_PER_MS;

    for (unsigned i = 0; i < 10; i++) {
        struct marked batch;
        marked_init(&batch, topic);
        for (unsigned j = 0; j < 100; j++)
            marked_add(&batch, "x", NULL, at_ns);
        cr_assert_eq(marked_append(&fixture, &batch), TOPIC_DONE);
    }
    wait_for(topic, 1001);
    cr_assert_eq(topic_info_of(&fixture, topic).delayed, 0u);
}

Test(marks, a_topic_that_is_deleted_forgets_what_waits)
{
    const uint64_t topic = make_topic(&fixture, "orders");
    struct marked batch;

    cr_assert_eq(marked_one(&fixture, topic, &batch, "a", NULL, clock_wall_ns() + 300 * NS_PER_MS),
                 TOPIC_DONE);
    cr_assert_eq(
        change_topic(&fixture, TOPIC_DELETE, "orders", (struct topic_settings){.max_events = 0}).outcome,
        TOPIC_DONE);
    const uint64_t again = make_topic(&fixture, "orders");
    usleep(500000);
    cr_assert_eq(topic_info_of(&fixture, again).next_seq, 1u);
    cr_assert_str_eq(appeared_text(), "");
    fixture_close(&fixture);
    fixture_sql(&fixture, "CREATE TEMP TABLE t(n CHECK(n = 0)); INSERT INTO t SELECT count(*) FROM due");
}

Test(marks, what_waits_is_bounded)
{
    const uint64_t topic = make_topic(&fixture, "orders");
    const int64_t at_ns = clock_wall_ns() + HOUR_NS;
    enum topic_outcome outcome = TOPIC_DONE;
    uint64_t count = 0;

    while (outcome == TOPIC_DONE && count < 200000) {
        struct marked batch;
        marked_init(&batch, topic);
        for (unsigned j = 0; j < 7000; j++)
            marked_add(&batch, "x", NULL, at_ns);
        outcome = marked_append(&fixture, &batch);
        count += outcome == TOPIC_DONE ? 7000 : 0;
    }
    cr_assert_eq(outcome, TOPIC_TOO_MANY_DELAYED);
    cr_assert_eq(count, 98000u);
    cr_assert_eq(topic_info_of(&fixture, topic).delayed, 98000u);
    struct marked batch;
    cr_assert_eq(marked_one(&fixture, topic, &batch, "now", NULL, 0), TOPIC_DONE, "others go on");
}

/* ---- events that expire ---- */

Test(marks, rows_note_whether_one_of_their_events_expires)
{
    const uint64_t topic = make_topic(&fixture, "orders");
    const int64_t now_ns = clock_wall_ns();
    struct marked batch;

    cr_assert_eq(marked_one(&fixture, topic, &batch, "a", NULL, 0), TOPIC_DONE);
    cr_assert_not(batch.part.expires);
    marked_init(&batch, topic);
    marked_add(&batch, "b", NULL, 0);
    marked_add_expiring(&batch, "c", 0, now_ns + HOUR_NS);
    cr_assert_eq(marked_append(&fixture, &batch), TOPIC_DONE);
    cr_assert(batch.part.expires);
    cr_assert_eq(marked_one(&fixture, topic, &batch, "d", NULL, 0), TOPIC_DONE, "the next row is another");
    cr_assert_eq(marked_one(&fixture, topic, &batch, "e", NULL, now_ns + NS_PER_S / 5), TOPIC_DONE);
    wait_for(topic, 6);
    marked_init(&batch, topic);
    marked_add_expiring(&batch, "f", now_ns + NS_PER_S / 2, now_ns + HOUR_NS);
    cr_assert_eq(marked_append(&fixture, &batch), TOPIC_DONE);
    wait_for(topic, 7);
    cr_assert_str_eq(marked_text(&fixture, topic), "a b c d e f");
    cr_assert_str_eq(expiring_text(&fixture, topic), "-e--e");
}

/* Its rows all have version 1. */
Test(marks, rows_of_a_store_of_version_4_may_have_events_that_expire)
{
    const uint64_t topic = make_topic(&fixture, "orders");
    struct marked batch;

    marked_init(&batch, topic);
    marked_add_expiring(&batch, "a", 0, clock_wall_ns() + HOUR_NS);
    cr_assert_eq(marked_append(&fixture, &batch), TOPIC_DONE);
    fixture_close(&fixture);
    fixture_sql(&fixture, "DROP TABLE consumer_group; DROP TABLE cursor;"
                          "UPDATE meta SET value = '4' WHERE key = 'schema'; PRAGMA user_version = 4");
    fixture_expect_open(&fixture);
    cr_assert_eq(marked_one(&fixture, topic, &batch, "b", NULL, 0), TOPIC_DONE);
    fixture_reopen(&fixture);
    cr_assert_str_eq(marked_text(&fixture, topic), "a b");
    cr_assert_str_eq(expiring_text(&fixture, topic), "e-");
    fixture_close(&fixture);
    fixture_sql(&fixture, "CREATE TEMP TABLE t(n CHECK(n = 6));"
                          "INSERT INTO t SELECT user_version FROM pragma_user_version");
}

/* ---- ids ---- */

Test(marks, an_event_with_a_known_id_is_left_out)
{
    const uint64_t topic = topic_with_ids(HOUR_NS, 0);
    struct marked batch;

    marked_init(&batch, topic);
    marked_add(&batch, "a", "1", 0);
    marked_add(&batch, "twin", "1", 0);
    marked_add(&batch, "none", NULL, 0);
    marked_add(&batch, "none2", "", 0);
    marked_add(&batch, "b", "2", 0);
    cr_assert_eq(marked_append(&fixture, &batch), TOPIC_DONE);
    cr_assert_eq(batch.part.same_ids, 1u);
    cr_assert_eq(batch.part.stored, 4u);
    cr_assert(batch.part.is_split);
    cr_assert_str_eq(appeared_text(), "1:a 2:none 3:none2 4:b");
    cr_assert_eq(marked_one(&fixture, topic, &batch, "again", "2", 0), TOPIC_DONE);
    cr_assert_eq(batch.part.same_ids, 1u);
    cr_assert_eq(batch.part.stored, 0u);
    fixture_reopen(&fixture);
    cr_assert_eq(marked_one(&fixture, topic, &batch, "again", "1", 0), TOPIC_DONE);
    cr_assert_eq(batch.part.same_ids, 1u, "after a restart too");
    cr_assert_eq(marked_one(&fixture, topic, &batch, "c", "3", 0), TOPIC_DONE);
    cr_assert_not(batch.part.is_split);
    cr_assert_str_eq(marked_text(&fixture, topic), "a none none2 b c");
}

/* One id in two topics is two. Without a window ids are not looked at. */
Test(marks, a_window_is_of_its_topic)
{
    const uint64_t topic = topic_with_ids(HOUR_NS, 0), other = make_topic(&fixture, "other");
    struct marked batch;

    cr_assert_eq(marked_one(&fixture, topic, &batch, "a", "1", 0), TOPIC_DONE);
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(marked_one(&fixture, other, &batch, "a", "1", 0), TOPIC_DONE);
        cr_assert_eq(batch.part.stored, 1u);
    }
}

Test(marks, ids_beyond_the_count_are_forgotten_early)
{
    const uint64_t topic = topic_with_ids(HOUR_NS, 10);
    struct marked batch;
    char id[16];

    for (unsigned i = 0; i < 25; i++) {
        snprintf(id, sizeof(id), "%u", i);
        cr_assert_eq(marked_one(&fixture, topic, &batch, id, id, 0), TOPIC_DONE);
    }
    cr_assert_eq(topic_info_of(&fixture, topic).ids_forgotten_early, 15u);
    cr_assert_eq(marked_one(&fixture, topic, &batch, "x", "15", 0), TOPIC_DONE);
    cr_assert_eq(batch.part.same_ids, 1u, "the tenth last");
    cr_assert_eq(marked_one(&fixture, topic, &batch, "x", "14", 0), TOPIC_DONE);
    cr_assert_eq(batch.part.same_ids, 0u);
}

Test(marks, ids_beyond_the_window_are_forgotten)
{
    const uint64_t topic = topic_with_ids(300 * NS_PER_MS, 0);
    struct marked batch;

    cr_assert_eq(marked_one(&fixture, topic, &batch, "a", "1", 0), TOPIC_DONE);
    usleep(400000);
    cr_assert_eq(marked_one(&fixture, topic, &batch, "a", "1", 0), TOPIC_DONE);
    cr_assert_eq(batch.part.same_ids, 0u);
    cr_assert_eq(topic_info_of(&fixture, topic).ids_forgotten_early, 0u);
    usleep(400000);
    fixture_reopen(&fixture);
    cr_assert_eq(marked_one(&fixture, topic, &batch, "a", "1", 0), TOPIC_DONE);
    cr_assert_eq(batch.part.same_ids, 0u);
}

/* Many: the table of rows is trimmed too, and a window that becomes smaller forgets. */
Test(marks, rows_of_forgotten_ids_leave)
{
    const uint64_t topic = topic_with_ids(HOUR_NS, 5000);
    char id[16];

    for (unsigned i = 0; i < 400; i++) {
        struct marked batch;
        marked_init(&batch, topic);
        for (unsigned j = 0; j < 100; j++) {
            snprintf(id, sizeof(id), "%u", i * 100 + j);
            marked_add(&batch, "x", id, 0);
        }
        cr_assert_eq(marked_append(&fixture, &batch), TOPIC_DONE);
        cr_assert_eq(batch.part.same_ids, 0u);
    }
    fixture_reopen(&fixture);
    struct marked batch;
    cr_assert_eq(marked_one(&fixture, topic, &batch, "x", "39999", 0), TOPIC_DONE);
    cr_assert_eq(batch.part.same_ids, 1u);
    cr_assert_eq(marked_one(&fixture, topic, &batch, "x", "34998", 0), TOPIC_DONE);
    cr_assert_eq(batch.part.same_ids, 0u);
    const struct topic_settings none = {.max_events = 0};
    cr_assert_eq(change_topic(&fixture, TOPIC_UPDATE, "orders", none).outcome, TOPIC_DONE);
    cr_assert_eq(marked_one(&fixture, topic, &batch, "x", "39999", 0), TOPIC_DONE);
    cr_assert_eq(batch.part.same_ids, 0u, "ids are not looked at any more");
    fixture_close(&fixture);
    fixture_sql(&fixture, "CREATE TEMP TABLE t(n CHECK(n < 100)); INSERT INTO t SELECT count(*) FROM ids");
}

/* What was refused has claimed nothing. */
Test(marks, an_id_of_an_append_that_failed_is_not_known)
{
    const uint64_t topic = topic_with_ids(HOUR_NS, 0);
    struct marked batch;

    cr_assert_eq(marked_one(&fixture, topic, &batch, "a", "1", 0), TOPIC_DONE);
    power_plan_change(&(struct power_plan){.free_bytes = 1});
    while (marked_one(&fixture, topic, &batch, "b", "2", 0) == TOPIC_DONE)
        cr_assert_eq(batch.part.same_ids, 1u);
    power_plan_change(&(struct power_plan){.off_at = 0});
    enum topic_outcome outcome = TOPIC_DISK_FULL;
    for (unsigned i = 0; i < 500 && outcome != TOPIC_DONE; i++) {
        usleep(10000);
        outcome = marked_one(&fixture, topic, &batch, "b", "2", 0);
    }
    cr_assert_eq(outcome, TOPIC_DONE);
    cr_assert_str_eq(marked_text(&fixture, topic), "a b");
}

Test(marks, a_delayed_event_claims_its_id)
{
    const uint64_t topic = topic_with_ids(HOUR_NS, 0);
    struct marked batch;

    cr_assert_eq(marked_one(&fixture, topic, &batch, "a", "1", clock_wall_ns() + 200 * NS_PER_MS),
                 TOPIC_DONE);
    cr_assert_eq(marked_one(&fixture, topic, &batch, "b", "1", 0), TOPIC_DONE);
    cr_assert_eq(batch.part.same_ids, 1u);
    wait_for(topic, 2);
    cr_assert_str_eq(marked_text(&fixture, topic), "a");
}

Test(marks, damaged_rows_are_refused)
{
    const uint64_t topic = topic_with_ids(HOUR_NS, 0);
    struct marked batch;

    cr_assert_eq(marked_one(&fixture, topic, &batch, "a", "1", 0), TOPIC_DONE);
    fixture_close(&fixture);
    fixture_sql(&fixture, "UPDATE ids SET data = x'0102030405060708'");
    cr_assert_neq(fixture_open(&fixture), ERR_OK);
    cr_assert(strstr(fixture.refusal.text, "ids of topic"), "%s", fixture.refusal.text);
    fixture_sql(&fixture, "DELETE FROM ids");
    fixture_expect_open(&fixture);
    appeared_listen(&fixture);
    cr_assert_eq(marked_one(&fixture, topic, &batch, "b", NULL, clock_wall_ns() + 500 * NS_PER_MS),
                 TOPIC_DONE);
    fixture_sql(&fixture, "UPDATE due SET data = x'0a00'");
    for (unsigned i = 0; i < 1000 && store_health(fixture.store).state != STORE_IS_FAILED; i++)
        usleep(10000);
    cr_assert_eq(store_health(fixture.store).state, STORE_IS_FAILED, "it is not appended");
}

Test(marks, a_store_of_version_2_keeps_its_topics)
{
    const uint64_t topic = make_topic(&fixture, "orders");

    cr_assert_eq(append(&fixture, topic, 'a', 1, 1, 50), TOPIC_DONE);
    fixture_close(&fixture);
    fixture_sql(&fixture, "DROP TABLE consumer_group; DROP TABLE cursor; DROP TABLE due; DROP TABLE ids; "
                          "DROP INDEX publisher_used;"
                          "DELETE FROM meta WHERE key = 'id_key';"
                          "UPDATE meta SET value = '2' WHERE key = 'schema'; PRAGMA user_version = 2");
    fixture_expect_open(&fixture);
    cr_assert_eq(topic_info_of(&fixture, topic).next_seq, 51u);
    fixture_reopen(&fixture);
    cr_assert_str_eq(topic_text(&fixture, topic), "a1-50");
}
