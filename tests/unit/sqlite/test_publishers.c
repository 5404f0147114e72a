/* test_publishers.c - the table of publishers is full: the one that was silent for longest is
 * forgotten. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "backend/sqlite/store.h"
#include "topic_fixture.h"

static struct store_fixture fixture;

static void begin(void)
{
    fixture_init(&fixture);
    fixture_expect_open(&fixture);
}

static void end(void)
{
    fixture_fini(&fixture);
}

TestSuite(publishers, .init = begin, .fini = end, .timeout = 60);

/* Adds so many publishers of producer "." to the table. They were used one after the other, an hour
 * from now: the wall clock went back since. */
static void add_others(unsigned count)
{
    char sql[512];

    fixture_close(&fixture);
    snprintf(sql, sizeof(sql),
             "WITH RECURSIVE number(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM number WHERE n < %u)"
             " INSERT INTO publisher SELECT x'2e', CAST(n AS BLOB), 1, 1,"
             " (CAST(strftime('%%s', 'now') AS INTEGER) + 3600) * 1000000000 + n, 0 FROM number",
             count);
    fixture_sql(&fixture, sql);
    fixture_expect_open(&fixture);
}

/* Fails unless this is the number of rows. Closes the store. */
static void expect_rows(const char *where, unsigned count)
{
    char sql[256];

    fixture_close(&fixture);
    /* the division by zero is NULL, which the column does not accept */
    snprintf(sql, sizeof(sql),
             "CREATE TEMP TABLE checked(yes INTEGER NOT NULL);"
             "INSERT INTO checked SELECT 1 / ((SELECT count(*) FROM publisher WHERE %s) = %u)",
             where, count);
    fixture_sql(&fixture, sql);
}

Test(publishers, the_one_that_was_silent_for_longest_gives_way)
{
    const uint64_t topic = make_topic(&fixture, "orders");

    cr_assert_eq(append(&fixture, topic, 'a', 1, 1, 1), TOPIC_DONE);
    cr_assert_eq(append(&fixture, topic, 'b', 1, 1, 1), TOPIC_DONE);
    add_others(MAX_PUBLISHERS - 2);
    cr_assert_eq(append(&fixture, topic, 'b', 1, 2, 1), TOPIC_DONE,
                 "the table is full, and nobody new comes");
    cr_assert_eq(append(&fixture, topic, 'a', 1, 1, 1), TOPIC_DONE, "what is there already was used too");
    cr_assert_eq(append(&fixture, topic, 'c', 1, 1, 1), TOPIC_DONE, "the first one of the others gives way");
    cr_assert_eq(append(&fixture, topic, 'c', 1, 2, 1), TOPIC_DONE, "whoever came last stays");
    cr_assert_eq(append(&fixture, topic, 'b', 1, 3, 1), TOPIC_DONE);
    cr_assert_eq(append(&fixture, topic, 'a', 1, 2, 1), TOPIC_DONE);
    cr_assert_str_eq(topic_text(&fixture, topic), "a1 b1-2 c1-2 b3 a2");
    expect_rows("1", MAX_PUBLISHERS);
    expect_rows("producer = x'2e'", MAX_PUBLISHERS - 3);
    expect_rows("producer = x'2e' AND id = x'31'", 0);
}

Test(publishers, who_was_forgotten_hears_of_it_and_begins_a_higher_life)
{
    const uint64_t topic = make_topic(&fixture, "orders");

    cr_assert_eq(append(&fixture, topic, 'a', 1, 1, 3), TOPIC_DONE);
    add_others(MAX_PUBLISHERS - 1);
    cr_assert_eq(append(&fixture, topic, 'b', 1, 1, 1), TOPIC_DONE);
    cr_assert_eq(append(&fixture, topic, 'a', 1, 2, 3), TOPIC_PUBLISHER_FORGOTTEN);
    cr_assert_eq(append(&fixture, topic, 'a', 2, 1, 2), TOPIC_DONE);
    cr_assert_eq(append(&fixture, topic, 'a', 2, 2, 2), TOPIC_DONE);
    cr_assert_str_eq(topic_text(&fixture, topic), "a1-3 b1 a1-3");
    fixture_reopen(&fixture);
    cr_assert_eq(append(&fixture, topic, 'a', 2, 3, 2), TOPIC_DONE);
    cr_assert_eq(append(&fixture, topic, 'b', 1, 2, 1), TOPIC_DONE);
    expect_rows("1", MAX_PUBLISHERS);
}

Test(publishers, many_that_come_at_once_do_not_forget_each_other)
{
    const uint64_t topic = make_topic(&fixture, "orders");
    static struct batch batches[26];

    add_others(MAX_PUBLISHERS);
    for (unsigned round = 1; round <= 2; round++) {
        for (unsigned i = 0; i < ARRAY_LEN(batches); i++) {
            batch_init(&batches[i], (struct batch_params){topic, (char)('a' + i), 1, round, 1, 0});
            batch_begin(&fixture, &batches[i]);
        }
        for (unsigned i = 0; i < ARRAY_LEN(batches); i++)
            cr_assert_eq(batch_end(&batches[i]), TOPIC_DONE);
    }
    expect_rows("1", MAX_PUBLISHERS);
    expect_rows("producer = x'2e'", MAX_PUBLISHERS - ARRAY_LEN(batches));
}
