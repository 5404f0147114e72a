/* test_groups.c - groups, their cursors, and dead letters in the same transaction. */
#include <criterion/criterion.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "group_steps.h"
#include "power_vfs.h"

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

TestSuite(groups, .init = begin, .fini = end, .timeout = 60);

static enum topic_outcome changed(enum group_verb verb, const char *name, const char *settings)
{
    return change_group(&fixture, verb, name, settings).outcome;
}

static struct group_cursor cursor_of(const char *group, uint64_t incarnation, uint64_t topic,
                                     uint64_t end_seq, const char *text)
{
    return (struct group_cursor){.group = text_bytes(group),
                                 .incarnation = incarnation,
                                 .topic = topic,
                                 .end_seq = end_seq,
                                 .cursor = text_bytes(text),
                                 .counts = text_bytes("7")};
}

/* ---- changes ---- */

Test(groups, are_made_once_changed_and_deleted)
{
    const struct group_change first = change_group(&fixture, GROUP_CREATE, "a", "x");
    const struct group_change again = change_group(&fixture, GROUP_CREATE, "a", "x");
    const struct group_change other = change_group(&fixture, GROUP_CREATE, "a", "y");

    cr_assert_eq(first.outcome, TOPIC_DONE);
    cr_assert_eq(again.outcome, TOPIC_DONE, "it is there, and the same");
    cr_assert_eq(again.incarnation, first.incarnation);
    cr_assert_eq(other.outcome, TOPIC_EXISTS);
    cr_assert_eq(other.incarnation, first.incarnation);
    cr_assert_eq(changed(GROUP_CREATE, "b", ""), TOPIC_DONE);
    cr_assert_eq(changed(GROUP_UPDATE, "b", "z"), TOPIC_DONE);
    cr_assert_str_eq(groups_text(&fixture), "a=x b=z");
    fixture_reopen(&fixture);
    cr_assert_str_eq(groups_text(&fixture), "a=x b=z");
    cr_assert_eq(changed(GROUP_DELETE, "a", ""), TOPIC_DONE);
    cr_assert_eq(changed(GROUP_DELETE, "a", ""), TOPIC_NOT_FOUND);
    cr_assert_eq(changed(GROUP_UPDATE, "a", ""), TOPIC_NOT_FOUND);
    fixture_reopen(&fixture);
    cr_assert_str_eq(groups_text(&fixture), "b=z");
    cr_assert_gt(make_group(&fixture, "a"), first.incarnation);
}

Test(groups, names_and_settings_have_bounds)
{
    static char name[MAX_GROUP_NAME_BYTES + 2], settings[MAX_GROUP_SETTINGS_BYTES + 2];

    memset(name, 'n', MAX_GROUP_NAME_BYTES + 1);
    memset(settings, 's', MAX_GROUP_SETTINGS_BYTES + 1);
    cr_assert_eq(changed(GROUP_CREATE, name, ""), TOPIC_INVALID);
    cr_assert_eq(changed(GROUP_CREATE, "", ""), TOPIC_INVALID);
    cr_assert_eq(changed(GROUP_CREATE, "a", settings), TOPIC_INVALID);
    name[MAX_GROUP_NAME_BYTES] = settings[MAX_GROUP_SETTINGS_BYTES] = '\0';
    cr_assert_eq(changed(GROUP_CREATE, name, settings), TOPIC_DONE);
}

/* ---- saves ---- */

Test(groups, cursors_are_kept_and_the_last_one_counts)
{
    const uint64_t topic = make_topic(&fixture, "orders"), a = make_group(&fixture, "a"),
                   b = make_group(&fixture, "b");

    cr_assert_eq(append(&fixture, topic, 'p', 0, 1, 5), TOPIC_DONE);
    const struct group_cursor both[] = {cursor_of("a", a, topic, 3, "two"),
                                        cursor_of("b", b, topic, 6, "five")};
    cr_assert_eq(save_all(&fixture, both, 2, NULL), TOPIC_DONE);
    cr_assert_eq(save_one(&fixture, cursor_of("a", a, topic, 4, "three"), NULL), TOPIC_DONE);
    cr_assert_str_eq(cursors_text(&fixture), "a:4=three(7) b:6=five(7)");
    fixture_reopen(&fixture);
    cr_assert_str_eq(cursors_text(&fixture), "a:4=three(7) b:6=five(7)");
}

Test(groups, a_save_that_is_refused_changes_nothing)
{
    static uint8_t large[MAX_CURSOR_BYTES + 1];
    const uint64_t topic = make_topic(&fixture, "orders"), dead = make_topic(&fixture, "orders.dlq"),
                   a = make_group(&fixture, "a");
    struct group_cursor cursors[] = {cursor_of("a", a, topic, 1, "one"),
                                     cursor_of("a", a, topic, 2, "ahead")};
    struct batch batch;

    batch_init(&batch, (struct batch_params){.topic = dead, .producer = 'd', .first = 1, .count = 1});
    cr_assert_eq(save_all(&fixture, cursors, 2, &batch), TOPIC_INVALID, "beyond the end of the log");
    cursors[1] = cursor_of("a", a + 1, topic, 1, "another incarnation");
    cr_assert_eq(save_all(&fixture, cursors, 2, NULL), TOPIC_NOT_FOUND);
    cursors[1] = cursor_of("a", a, dead + 1, 1, "no topic");
    cr_assert_eq(save_all(&fixture, cursors, 2, NULL), TOPIC_NOT_FOUND);
    cursors[1] = cursor_of("a", a, topic, 1, "");
    cursors[1].cursor = (struct bytes){large, sizeof(large)};
    cr_assert_eq(save_all(&fixture, cursors, 2, NULL), TOPIC_INVALID);
    cr_assert_eq(save_all(&fixture, cursors, 0, NULL), TOPIC_INVALID);
    batch_init(&batch, (struct batch_params){.topic = dead + 1, .producer = 'd', .first = 1, .count = 1});
    cr_assert_eq(save_all(&fixture, cursors, 1, &batch), TOPIC_NOT_FOUND, "no topic for dead letters");
    cr_assert_str_eq(cursors_text(&fixture), "");
    cr_assert_str_eq(topic_text(&fixture, dead), "");
}

Test(groups, dead_letters_are_appended_with_the_cursor)
{
    const uint64_t topic = make_topic(&fixture, "orders"), dead = make_topic(&fixture, "orders.dlq"),
                   a = make_group(&fixture, "a");
    struct batch batch;

    cr_assert_eq(append(&fixture, topic, 'p', 0, 1, 5), TOPIC_DONE);
    batch_init(&batch, (struct batch_params){.topic = dead, .producer = 'd', .first = 3, .count = 2});
    cr_assert_eq(save_one(&fixture, cursor_of("a", a, topic, 5, "four"), &batch), TOPIC_DONE);
    cr_assert_eq(batch.part.first_seq, 1u);
    cr_assert_eq(batch.part.stored, 2u);
    fixture_reopen(&fixture);
    cr_assert_str_eq(topic_text(&fixture, dead), "d3-4");
    cr_assert_str_eq(cursors_text(&fixture), "a:5=four(7)");
}

/* ---- too much that waits ---- */

#define MAX_SAVES 400u

static atomic_uint answers, announcements;

static void on_saved(struct group_save *save)
{
    cr_expect_eq(save->outcome, TOPIC_DONE);
    atomic_fetch_add(&answers, 1u);
}

static void on_writable(void *ctx)
{
    (void)ctx;
    atomic_fetch_add(&announcements, 1u);
}

static void wait_until(const atomic_uint *number, unsigned count)
{
    while (atomic_load(number) < count)
        (void)sched_yield();
}

/* Its suite has a time limit. */
Test(groups, too_much_that_waits_is_refused_and_announced)
{
    static uint8_t large[MAX_CURSOR_BYTES];
    static struct group_save saves[MAX_SAVES];
    const uint64_t topic = make_topic(&fixture, "orders"), a = make_group(&fixture, "a");
    const struct group_port port = store_groups(fixture.store, on_writable, NULL);
    struct group_cursor cursor = cursor_of("a", a, topic, 1, "");
    enum err err = ERR_OK;
    unsigned count = 0;

    cursor.cursor = (struct bytes){large, sizeof(large)};
    power_plan_change(&(struct power_plan){.block_sync = true});
    while (err == ERR_OK && count < MAX_SAVES) {
        saves[count] = (struct group_save){.cursors = &cursor, .cursor_count = 1, .done = on_saved};
        err = port.save(port.ctx, &saves[count]);
        count += err == ERR_OK;
    }
    cr_assert_eq(err, ERR_FULL, "%u wait", count);
    cr_assert_geq(count, (unsigned)(MAX_UNCOMMITTED_BYTES / (2 * sizeof(large))));
    cr_assert_eq(atomic_load(&announcements), 0u);
    power_release_sync();
    wait_until(&answers, count);
    wait_until(&announcements, 1);
    cr_assert_eq(save_one(&fixture, cursor_of("a", a, topic, 1, "one"), NULL), TOPIC_DONE);
    cr_assert_eq(atomic_load(&announcements), 1u, "once");
    cr_assert_str_eq(cursors_text(&fixture), "a:1=one(7)");
}

/* ---- what is deleted ---- */

static void expect_rows(unsigned count)
{
    char sql[128];

    fixture_close(&fixture);
    snprintf(sql, sizeof(sql),
             "CREATE TEMP TABLE t(n CHECK(n = %u)); INSERT INTO t SELECT count(*) FROM cursor", count);
    fixture_sql(&fixture, sql);
    fixture_expect_open(&fixture);
}

/* A change later the rows have left: each commit does what is due. */
Test(groups, a_deleted_group_and_a_deleted_topic_leave_no_cursor)
{
    const uint64_t topic = make_topic(&fixture, "orders"), other = make_topic(&fixture, "other");
    const uint64_t a = make_group(&fixture, "a"), b = make_group(&fixture, "b");
    const struct group_cursor cursors[] = {cursor_of("a", a, topic, 1, "1"), cursor_of("a", a, other, 1, "2"),
                                           cursor_of("b", b, topic, 1, "3"),
                                           cursor_of("b", b, other, 1, "4")};

    cr_assert_eq(save_all(&fixture, cursors, 4, NULL), TOPIC_DONE);
    expect_rows(4);
    cr_assert_eq(changed(GROUP_DELETE, "a", ""), TOPIC_DONE);
    cr_assert_str_eq(cursors_text(&fixture), "b:1=3(7) b:1=4(7)");
    make_group(&fixture, "a");
    cr_assert_str_eq(cursors_text(&fixture), "b:1=3(7) b:1=4(7)", "the new one begins without");
    expect_rows(2);
    cr_assert_eq(
        change_topic(&fixture, TOPIC_DELETE, "other", (struct topic_settings){.max_events = 0}).outcome,
        TOPIC_DONE);
    cr_assert_str_eq(cursors_text(&fixture), "b:1=3(7)");
    make_group(&fixture, "c");
    expect_rows(1);
}

/* ---- after a backup was restored ---- */

Test(groups, a_cursor_beyond_what_the_topic_ever_had_is_reported)
{
    const uint64_t topic = make_topic(&fixture, "orders"), a = make_group(&fixture, "a"),
                   b = make_group(&fixture, "b");

    cr_assert_eq(append(&fixture, topic, 'p', 0, 1, 5), TOPIC_DONE);
    const struct group_cursor both[] = {cursor_of("a", a, topic, 6, "five"),
                                        cursor_of("b", b, topic, 3, "two")};
    cr_assert_eq(save_all(&fixture, both, 2, NULL), TOPIC_DONE);
    fixture_close(&fixture);
    fixture_sql(&fixture, "INSERT INTO meta VALUES('copied', '1')");
    fixture_expect_open(&fixture);
    cr_assert_str_eq(cursors_text(&fixture), "a:6=five(7) b:3=two(7)", "both are within the lineage");
    fixture_close(&fixture);
    /* a log that ended earlier, as in another file */
    fixture_sql(&fixture, "UPDATE topic SET lineage = x''");
    fixture_expect_open(&fixture);
    cr_assert_str_eq(cursors_text(&fixture), "a:6=five(7)! b:3=two(7)!", "nobody knows that incarnation");
}

Test(groups, damaged_rows_are_refused)
{
    const uint64_t topic = make_topic(&fixture, "orders"), a = make_group(&fixture, "a");

    cr_assert_eq(save_one(&fixture, cursor_of("a", a, topic, 1, "one"), NULL), TOPIC_DONE);
    fixture_close(&fixture);
    fixture_sql(&fixture, "UPDATE cursor SET data = x'00'");
    cr_assert_eq(fixture_open(&fixture), ERR_INVALID);
    cr_assert(strstr(fixture.refusal.text, "is damaged"), "%s", fixture.refusal.text);
    fixture_sql(&fixture, "DELETE FROM cursor; UPDATE consumer_group SET settings = x'00'");
    cr_assert_eq(fixture_open(&fixture), ERR_INVALID);
    cr_assert(strstr(fixture.refusal.text, "is damaged"), "%s", fixture.refusal.text);
}

Test(groups, a_store_of_version_5_keeps_its_topics)
{
    const uint64_t topic = make_topic(&fixture, "orders");

    cr_assert_eq(append(&fixture, topic, 'p', 0, 1, 5), TOPIC_DONE);
    fixture_close(&fixture);
    fixture_sql(&fixture, "DROP TABLE consumer_group; DROP TABLE cursor;"
                          "UPDATE meta SET value = '5' WHERE key = 'schema'; PRAGMA user_version = 5");
    fixture_expect_open(&fixture);
    cr_assert_str_eq(topic_text(&fixture, topic), "p1-5");
    make_group(&fixture, "a");
    fixture_reopen(&fixture);
    cr_assert_str_eq(groups_text(&fixture), "a=");
}
