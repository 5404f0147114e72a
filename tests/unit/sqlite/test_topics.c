/* test_topics.c - topics of a store: made, appended to, read, trimmed, deleted. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "loop/loop.h"
#include "power_vfs.h"
#include "topic_fixture.h"

static struct store_fixture fixture;

static void begin(void)
{
    power_vfs_register();
    power_plan_set(&(struct power_plan){.off_at = 0});
    fixture_init(&fixture);
    fixture_expect_open(&fixture);
}

static void end(void)
{
    fixture_fini(&fixture);
}

TestSuite(topics, .init = begin, .fini = end, .timeout = 100);

static const struct topic_settings no_bounds = {.max_events = 0};

Test(topics, what_was_confirmed_is_there_after_a_restart)
{
    const uint64_t orders = make_topic(&fixture, "orders"), logs = make_topic(&fixture, "logs");

    cr_assert_str_eq(topic_text(&fixture, orders), "");
    cr_assert_eq(append(&fixture, orders, 'a', 0, 1, 5), TOPIC_DONE);
    cr_assert_eq(append(&fixture, logs, 'b', 0, 1, 2), TOPIC_DONE);
    cr_assert_eq(append(&fixture, orders, 'c', 0, 1, 1), TOPIC_DONE);
    cr_assert_str_eq(topic_text(&fixture, orders), "a1-5 c1");
    fixture_reopen(&fixture);
    cr_assert_str_eq(topic_text(&fixture, orders), "a1-5 c1");
    cr_assert_str_eq(topic_text(&fixture, logs), "b1-2");
    cr_assert_eq(append(&fixture, orders, 'a', 0, 6, 1), TOPIC_DONE);
    cr_assert_str_eq(topic_text(&fixture, orders), "a1-5 c1 a6");
    const struct topic_info info = topic_info_of(&fixture, orders);
    cr_assert_eq(info.first_seq, 1u);
    cr_assert_eq(info.next_seq, 8u);
    cr_assert_eq(put(&fixture, "endpoint", "1"), STORE_DONE, "records go on beside it");
}

Test(topics, names_are_unique_and_ids_are_never_used_again)
{
    const uint64_t first = make_topic(&fixture, "orders");

    struct topic_change change = change_topic(&fixture, TOPIC_CREATE, "orders", no_bounds);
    cr_assert_eq(change.outcome, TOPIC_EXISTS);
    cr_assert_eq(change.id, first);
    cr_assert_eq(append(&fixture, first, 'a', 0, 1, 3), TOPIC_DONE);
    change = change_topic(&fixture, TOPIC_DELETE, "orders", no_bounds);
    cr_assert_eq(change.outcome, TOPIC_DONE);
    cr_assert_eq(change.next_seq, 4);
    cr_assert_eq(change_topic(&fixture, TOPIC_DELETE, "orders", no_bounds).outcome, TOPIC_NOT_FOUND);
    cr_assert_eq(append(&fixture, first, 'a', 0, 4, 1), TOPIC_NOT_FOUND);
    cr_assert_str_eq(topic_text(&fixture, first), "outcome 1");
    change = change_topic(&fixture, TOPIC_CREATE, "orders", no_bounds);
    cr_assert_eq(change.outcome, TOPIC_DONE);
    cr_assert_gt(change.id, first);
    cr_assert_gt(change.incarnation, first);
    cr_assert_str_eq(topic_text(&fixture, change.id), "");
    fixture_reopen(&fixture);
    cr_assert_str_eq(topic_text(&fixture, change.id), "");
    cr_assert_str_eq(topic_text(&fixture, first), "outcome 1");
}

Test(topics, bad_names_and_settings_are_refused)
{
    cr_assert_eq(change_topic(&fixture, TOPIC_CREATE, "", no_bounds).outcome, TOPIC_INVALID);
    cr_assert_eq(change_topic(&fixture, TOPIC_CREATE, "@a", no_bounds).outcome, TOPIC_INVALID);
    cr_assert_eq(change_topic(&fixture, TOPIC_CREATE, "a", (struct topic_settings){.max_age_ns = 1}).outcome,
                 TOPIC_INVALID);
    cr_assert_eq(change_topic(&fixture, TOPIC_UPDATE, "a", no_bounds).outcome, TOPIC_NOT_FOUND);
}

Test(topics, numbered_events_are_stored_once)
{
    const uint64_t topic = make_topic(&fixture, "orders"), other = make_topic(&fixture, "other");
    struct batch batch;

    cr_assert_eq(append(&fixture, topic, 'a', 1, 1, 5), TOPIC_DONE);
    cr_assert_eq(append(&fixture, topic, 'a', 1, 1, 5), TOPIC_DONE);
    batch_init(&batch, (struct batch_params){topic, 'a', 1, 4, 4, 0});
    batch_begin(&fixture, &batch);
    cr_assert_eq(batch_end(&batch), TOPIC_DONE);
    cr_assert_eq(batch.append.duplicates, 2u);
    cr_assert_eq(batch.part.stored, 2u);
    cr_assert_eq(batch.part.first_seq, 6u);
    batch_init(&batch, (struct batch_params){topic, 'a', 1, 9, 1, 0});
    batch_begin(&fixture, &batch);
    cr_assert_eq(batch_end(&batch), TOPIC_GAP);
    cr_assert_eq(batch.append.expected, 8u);
    cr_assert_str_eq(topic_text(&fixture, topic), "a1-7");
    fixture_reopen(&fixture);
    cr_assert_eq(append(&fixture, topic, 'a', 1, 6, 3), TOPIC_DONE);
    cr_assert_eq(append(&fixture, topic, 'b', 1, 2, 1), TOPIC_PUBLISHER_FORGOTTEN, "it is another one");
    cr_assert_eq(append(&fixture, other, 'a', 1, 9, 2), TOPIC_DONE, "numbers are of the whole store");
    cr_assert_eq(append(&fixture, topic, 'a', 2, 100, 2), TOPIC_DONE);
    cr_assert_eq(append(&fixture, topic, 'a', 1, 11, 1), TOPIC_FENCED);
    cr_assert_str_eq(topic_text(&fixture, topic), "a1-8 a100-101");
    cr_assert_str_eq(topic_text(&fixture, other), "a9-10");
}

Test(topics, batches_that_wait_share_rows_and_a_refused_one_does_no_harm)
{
    const uint64_t topic = make_topic(&fixture, "orders");
    static struct batch batches[50];

    power_plan_change(&(struct power_plan){.block_sync = true});
    batch_init(&batches[0], (struct batch_params){topic, 'z', 0, 1, 1, 0});
    batch_begin(&fixture, &batches[0]); /* the thread waits for the disk with this one */
    while (!power_sync_waits())
        usleep(100);
    for (unsigned i = 1; i < ARRAY_LEN(batches); i++) {
        /* number 20 is missing, so from 21 on all are refused */
        batch_init(&batches[i], (struct batch_params){topic, 'a', 1, i < 20 ? i : i + 1, 1, 0});
        batch_begin(&fixture, &batches[i]);
    }
    power_release_sync();
    for (unsigned i = 0; i < ARRAY_LEN(batches); i++)
        cr_assert_eq(batch_end(&batches[i]), i < 20 ? TOPIC_DONE : TOPIC_GAP);
    cr_assert_str_eq(topic_text(&fixture, topic), "z1 a1-19");
    struct topic_read read = {.topic = topic, .max_rows = 10, .max_bytes = 1000};
    read_step(&fixture, &read);
    cr_assert_eq(read.count, 2u, "what was committed together is one row");
    buf_fini(&read.data);
}

Test(topics, a_batch_over_several_topics_is_stored_as_a_whole_or_not_at_all)
{
    const uint64_t one = make_topic(&fixture, "one"), two = make_topic(&fixture, "two");
    struct batch batches[3];
    struct topic_part parts[3];

    for (unsigned i = 0; i < 3; i++) {
        batch_init(&batches[i], (struct batch_params){i == 1 ? two : one, 'a', 1, 1 + 2 * i, 2, 0});
        parts[i] = batches[i].part;
    }
    batches[0].append.parts = parts;
    batches[0].append.part_count = 3;
    parts[2].topic = 17;
    batch_begin(&fixture, &batches[0]);
    while (!__atomic_load_n(&batches[0].is_done, __ATOMIC_ACQUIRE))
        usleep(100);
    cr_assert_eq(batches[0].append.outcome, TOPIC_NOT_FOUND);
    cr_assert_str_eq(topic_text(&fixture, one), "");
    parts[2].topic = one;
    for (unsigned again = 0; again < 2; again++) {
        batches[0].is_done = false;
        batch_begin(&fixture, &batches[0]);
        while (!__atomic_load_n(&batches[0].is_done, __ATOMIC_ACQUIRE))
            usleep(100);
        cr_assert_eq(batches[0].append.outcome, TOPIC_DONE);
        cr_assert_eq(batches[0].append.duplicates, again * 6);
    }
    cr_assert_str_eq(topic_text(&fixture, one), "a1-2 a5-6");
    cr_assert_str_eq(topic_text(&fixture, two), "a3-4");
    /* a part of it was stored: the rest is */
    cr_assert_eq(append(&fixture, two, 'a', 1, 7, 2), TOPIC_DONE);
    for (unsigned i = 0; i < 3; i++)
        buf_fini(&batches[i].events);
}

Test(topics, malformed_events_and_empty_batches_are_refused)
{
    const uint64_t topic = make_topic(&fixture, "orders");
    struct batch batch;

    cr_assert_eq(append(&fixture, topic, 'a', 1, 1, 3), TOPIC_DONE);
    batch_init(&batch, (struct batch_params){topic, 'a', 1, 2, 3, 0});
    batch.events.data[1] = 100;
    batch_begin(&fixture, &batch);
    cr_assert_eq(batch_end(&batch), TOPIC_INVALID, "its duplicates cannot be left out");
    batch_init(&batch, (struct batch_params){topic, 'a', 0, 1, 1, 0});
    batch.append.part_count = 0;
    batch_begin(&fixture, &batch);
    cr_assert_eq(batch_end(&batch), TOPIC_INVALID);
    batch_init(&batch, (struct batch_params){topic, 'a', 1, 0, 1, 0});
    batch_begin(&fixture, &batch);
    cr_assert_eq(batch_end(&batch), TOPIC_INVALID, "there is no number 0");
    cr_assert_str_eq(topic_text(&fixture, topic), "a1-3");
}

/* ---- reading ---- */

static void fill(uint64_t topic, uint32_t batches, uint32_t count, size_t padding)
{
    for (uint32_t i = 0; i < batches; i++) {
        struct batch batch;

        batch_init(&batch, (struct batch_params){topic, 'a', 0, 1 + (uint64_t)i * count, count, padding});
        batch_begin(&fixture, &batch);
        cr_assert_eq(batch_end(&batch), TOPIC_DONE);
    }
}

static struct topic_read step_from(uint64_t topic, enum topic_start start, uint64_t value)
{
    struct topic_read read = {
        .topic = topic, .start = start, .value = value, .max_rows = 3, .max_bytes = 1u << 20};

    read_step(&fixture, &read);
    buf_fini(&read.data);
    return read;
}

Test(topics, a_step_begins_in_the_row_that_holds_the_sequence)
{
    const uint64_t topic = make_topic(&fixture, "orders");

    fill(topic, 10, 10, 0); /* rows of 10: 1-10, 11-20, ... */
    cr_assert_eq(step_from(topic, START_SEQUENCE, 0).rows[0].first_seq, 1u);
    cr_assert_eq(step_from(topic, START_SEQUENCE, 15).rows[0].first_seq, 11u);
    cr_assert_eq(step_from(topic, START_SEQUENCE, 15).count, 3u);
    cr_assert_eq(step_from(topic, START_SEQUENCE, 100).rows[0].first_seq, 91u);
    cr_assert_eq(step_from(topic, START_SEQUENCE, 101).count, 0u);
    cr_assert_eq(step_from(topic, START_SEQUENCE, 101).outcome, TOPIC_DONE);
    cr_assert_eq(step_from(topic, START_SEQUENCE, 101).next_seq, 101u);
    cr_assert_eq(step_from(topic, START_LAST, 1).rows[0].first_seq, 91u);
    cr_assert_eq(step_from(topic, START_LAST, 11).rows[0].first_seq, 81u);
    cr_assert_eq(step_from(topic, START_LAST, 1000).rows[0].first_seq, 1u);
    cr_assert_eq(step_from(topic, START_LAST, 0).count, 0u);
    cr_assert_eq(step_from(17, START_SEQUENCE, 1).outcome, TOPIC_NOT_FOUND);
    struct topic_read read = {.topic = topic, .max_rows = 64, .max_bytes = 1};
    read_step(&fixture, &read);
    cr_assert_eq(read.count, 1u, "the first row always comes");
    read.max_rows = 65;
    read_step(&fixture, &read);
    cr_assert_eq(read.outcome, TOPIC_INVALID);
    buf_fini(&read.data);
}

Test(topics, a_time_is_found_by_halving)
{
    const uint64_t topic = make_topic(&fixture, "orders");
    int64_t times[40];
    struct topic_read read;

    for (unsigned i = 0; i < ARRAY_LEN(times); i++) {
        fill(topic, 1, 1 + i % 4, 0);
        read = step_from(topic, START_LAST, 1);
        times[i] = read.rows[0].appended_ns;
    }
    for (unsigned i = 0; i < ARRAY_LEN(times); i++) {
        read = step_from(topic, START_TIME, (uint64_t)times[i]);
        cr_assert_eq(read.rows[0].appended_ns, times[i]);
        read = step_from(topic, START_TIME, (uint64_t)times[i] + 1);
        cr_assert_eq(read.count > 0 ? read.rows[0].appended_ns : 0,
                     i + 1 < ARRAY_LEN(times) ? times[i + 1] : 0);
    }
    cr_assert_eq(step_from(topic, START_TIME, 0).rows[0].first_seq, 1u);
    cr_assert_eq(step_from(make_topic(&fixture, "empty"), START_TIME, 0).count, 0u);
}

/* ---- retention ---- */

Test(topics, rows_leave_from_the_front_by_count_and_bytes)
{
    const struct topic_settings count = {.max_events = 30}, bytes = {.max_bytes = 5000};
    const uint64_t one = change_topic(&fixture, TOPIC_CREATE, "one", count).id,
                   two = change_topic(&fixture, TOPIC_CREATE, "two", bytes).id;

    fill(one, 10, 10, 0);
    cr_assert_str_eq(topic_text(&fixture, one), "a71-100");
    cr_assert_eq(topic_info_of(&fixture, one).first_seq, 71u);
    fill(two, 20, 10, 90); /* rows of some 950 bytes */
    cr_assert_geq(topic_info_of(&fixture, two).bytes, 5000u);
    cr_assert_lt(topic_info_of(&fixture, two).bytes, 6000u);
    fixture_reopen(&fixture);
    cr_assert_str_eq(topic_text(&fixture, one), "a71-100");
    fill(one, 1, 10, 0);
    cr_assert_eq(topic_info_of(&fixture, one).first_seq, 81u);
    cr_assert_eq(step_from(one, START_SEQUENCE, 3).first_seq, 81u, "a reader hears where it begins");
}

Test(topics, a_lower_bound_holds_at_once_and_in_portions)
{
    const uint64_t topic = make_topic(&fixture, "orders");

    fill(topic, 1000, 1, 0);
    cr_assert_eq(
        change_topic(&fixture, TOPIC_UPDATE, "orders", (struct topic_settings){.max_events = 10}).outcome,
        TOPIC_DONE);
    const uint64_t first_seq = topic_info_of(&fixture, topic).first_seq;
    cr_assert(first_seq == 401 || first_seq == 801 || first_seq == 991, "at most 400 rows in one commit");
    const int64_t until_ns = clock_from_now_ns(20 * NS_PER_S);
    while (topic_info_of(&fixture, topic).first_seq != 991 && clock_mono_ns() < until_ns)
        usleep(1000);
    cr_assert_eq(topic_info_of(&fixture, topic).first_seq, 991u, "the rest leaves without appends");
}

static void wait_until_empty(uint64_t topic)
{
    const int64_t until_ns = clock_from_now_ns(20 * NS_PER_S);

    for (struct topic_info info = topic_info_of(&fixture, topic); info.first_seq != info.next_seq;
         info = topic_info_of(&fixture, topic)) {
        cr_assert_lt(clock_mono_ns(), until_ns);
        usleep(10000);
    }
}

/* Without any append. The next sequence survives. */
Test(topics, old_rows_leave_by_themselves_and_the_sequence_goes_on)
{
    const struct topic_settings age = {.max_age_ns = NS_PER_S};
    const uint64_t topic = change_topic(&fixture, TOPIC_CREATE, "orders", age).id;

    fill(topic, 5, 2, 0);
    wait_until_empty(topic);
    cr_assert_eq(topic_info_of(&fixture, topic).next_seq, 11u);
    cr_assert_eq(topic_info_of(&fixture, topic).bytes, 0u);
    fixture_reopen(&fixture);
    cr_assert_eq(topic_info_of(&fixture, topic).first_seq, 11u);
    cr_assert_eq(append(&fixture, topic, 'b', 0, 1, 1), TOPIC_DONE);
    cr_assert_eq(step_from(topic, START_SEQUENCE, 1).rows[0].first_seq, 11u);
    fixture_reopen(&fixture);
    wait_until_empty(topic);
    cr_assert_eq(topic_info_of(&fixture, topic).next_seq, 12u);
}

/* ---- refusals ---- */

Test(topics, too_much_that_is_not_committed_is_refused_until_it_is)
{
    const uint64_t topic = make_topic(&fixture, "orders");
    const struct topic_port port = topics_of(&fixture);
    static struct batch batches[40];
    unsigned begun = 0;
    enum err err = ERR_OK;

    power_plan_change(&(struct power_plan){.block_sync = true});
    for (; begun < ARRAY_LEN(batches) && err == ERR_OK; begun++) {
        batch_init(&batches[begun], (struct batch_params){topic, 'a', 0, 1 + begun * 4000u, 4000, 0});
        err = port.append(port.ctx, &batches[begun].append);
    }
    cr_assert_eq(err, ERR_FULL);
    cr_assert_eq(begun, 65536u / 4000u + 1);
    power_release_sync();
    for (unsigned i = 0; i + 1 < begun; i++)
        cr_assert_eq(batch_end(&batches[i]), TOPIC_DONE);
    batch_begin(&fixture, &batches[begun - 1]);
    cr_assert_eq(batch_end(&batches[begun - 1]), TOPIC_DONE);
    char expected[32];
    snprintf(expected, sizeof(expected), "a1-%u", begun * 4000);
    cr_assert_str_eq(topic_text(&fixture, topic), expected);
}

static void expect_damage(const char *sql, const char *text)
{
    fixture_close(&fixture);
    fixture_sql(&fixture, sql);
    cr_assert_eq(fixture_open(&fixture), ERR_INVALID);
    cr_assert(strstr(fixture.refusal.text, text), "%s", fixture.refusal.text);
}

Test(topics, damage_is_refused_at_the_start)
{
    char sql[200];
    const uint64_t topic = make_topic(&fixture, "orders");

    fill(topic, 5, 2, 0);
    cr_assert_eq(append(&fixture, topic, 'b', 1, 1, 1), TOPIC_DONE);
    snprintf(sql, sizeof(sql), "UPDATE log_%lu SET appended = appended + 1 WHERE seq = 9",
             (unsigned long)topic);
    expect_damage(sql, "topic 'orders' is damaged: the hash of a row is wrong at sequence 9");
    snprintf(sql, sizeof(sql),
             "UPDATE log_%lu SET appended = appended - 1 WHERE seq = 9;"
             " CREATE TABLE keep AS SELECT * FROM log_%lu WHERE seq = 5; DELETE FROM log_%lu WHERE seq = 5;",
             (unsigned long)topic, (unsigned long)topic, (unsigned long)topic);
    fixture_sql(&fixture, sql);
    fixture_sql(&fixture, "ALTER TABLE keep RENAME TO log_1");
    expect_damage("DROP TABLE log_1", "rows are missing before the one at sequence 7");
    expect_damage("UPDATE topic SET next_seq = 3", "the row of topic 'orders'");
    snprintf(sql, sizeof(sql), "DROP TABLE log_%lu", (unsigned long)topic);
    expect_damage(sql, "'orders'");
}

Test(topics, a_reader_hears_of_damage_after_what_is_good)
{
    char sql[200];
    const uint64_t topic = make_topic(&fixture, "orders");

    fill(topic, 5, 2, 0);
    snprintf(sql, sizeof(sql), "UPDATE log_%lu SET data = zeroblob(length(data)) WHERE seq = 5",
             (unsigned long)topic);
    fixture_sql(&fixture, sql);
    struct topic_read read = {.topic = topic, .max_rows = 64, .max_bytes = 1u << 20};
    read_step(&fixture, &read);
    cr_assert_eq(read.outcome, TOPIC_DONE);
    cr_assert_eq(read.count, 2u);
    read.value = 5;
    read_step(&fixture, &read);
    cr_assert_eq(read.outcome, TOPIC_DAMAGED);
    cr_assert_eq(read.value, 5u);
    read.value = 7;
    read_step(&fixture, &read);
    cr_assert_eq(read.outcome, TOPIC_DONE);
    cr_assert_eq(read.count, 2u, "what is behind it can be read");
    buf_fini(&read.data);
}

/* ---- migration ---- */

static void back_to_version_1(void)
{
    fixture_close(&fixture);
    fixture_sql(&fixture, "DROP TABLE topic; DROP TABLE publisher; DROP TABLE due; DROP TABLE ids;"
                          "DROP TABLE consumer_group; DROP TABLE cursor;"
                          "DELETE FROM meta WHERE key IN ('topic_id', 'id_key');"
                          "UPDATE meta SET value = '1' WHERE key = 'schema'; PRAGMA user_version = 1");
}

Test(topics, a_store_of_version_1_keeps_its_records)
{
    cr_assert_eq(put(&fixture, "a", "1"), STORE_DONE);
    back_to_version_1();
    fixture_expect_open(&fixture);
    cr_assert_str_eq(fixture_records(&fixture), "a=1");
    cr_assert_eq(append(&fixture, make_topic(&fixture, "orders"), 'a', 0, 1, 1), TOPIC_DONE);
    fixture_reopen(&fixture);
    cr_assert_str_eq(fixture_records(&fixture), "a=1");
}

Test(topics, a_migration_that_was_interrupted_goes_on)
{
    unsigned calls;

    cr_assert_eq(put(&fixture, "a", "1"), STORE_DONE);
    back_to_version_1();
    power_plan_set(&(struct power_plan){.off_at = 0});
    fixture_expect_open(&fixture);
    calls = power_calls();
    for (unsigned n = 1; n <= calls; n++) {
        back_to_version_1();
        power_plan_set(&(struct power_plan){.off_at = n});
        (void)!fixture_open(&fixture);
        fixture_close(&fixture);
        power_return(n);
        fixture_expect_open(&fixture);
        cr_assert_str_eq(fixture_records(&fixture), "a=1");
    }
    cr_assert_eq(append(&fixture, make_topic(&fixture, "orders"), 'a', 0, 1, 1), TOPIC_DONE);
}
