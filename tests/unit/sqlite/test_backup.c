/* test_backup.c - a copy of the store while it is used, and what is made of it (row_7). */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/sqlite/store_backup.h"
#include "base/clock.h"
#include "loop/loop.h"
#include "topic_fixture.h"

static struct store_fixture fixture, restored;

static void begin(void)
{
    fixture_init(&fixture);
    fixture_init(&restored);
}

static void end(void)
{
    fixture_fini(&fixture);
    fixture_fini(&restored);
}

TestSuite(backup, .init = begin, .fini = end);

struct backup_step {
    struct store_backup backup;
    bool is_done;
};

static void on_backup(struct store_backup *backup)
{
    container_of(backup, struct backup_step, backup)->is_done = true;
    loop_stop(fixture.loop);
}

static void backup_begin(struct backup_step *step)
{
    *step = (struct backup_step){.backup = {.done = on_backup}};
    store_backup(fixture.store, &step->backup);
}

static enum backup_outcome backup_await(struct backup_step *step)
{
    while (!step->is_done)
        loop_run(fixture.loop);
    return step->backup.outcome;
}

/* Puts the copy into a folder of its own. */
static void restore(const char *path)
{
    char command[512];

    cr_assert(restored.path[0] == '/' &&
              (mkdir(restored.path, 0700) == 0 || access(restored.path, W_OK) == 0));
    snprintf(command, sizeof(command), "cp -p '%s' '%s/store.db'", path, restored.path);
    cr_assert_eq(system(command), 0);
}

static struct topic_info info_of(struct store_fixture *from, const char *name)
{
    const struct topic_change change = change_topic(from, TOPIC_CREATE, name, (struct topic_settings){0});

    cr_assert_eq(change.outcome, TOPIC_EXISTS);
    return topic_info_of(from, change.id);
}

static void fill_store(uint64_t topic, unsigned batches)
{
    for (unsigned i = 0; i < batches; i++) {
        struct batch batch;

        batch_init(&batch, (struct batch_params){topic, 'a', 1, i * 10u + 1, 10, 5000});
        batch_begin(&fixture, &batch);
        cr_assert_eq(batch_end(&batch), TOPIC_DONE);
    }
}

Test(backup, a_copy_is_a_store_with_new_incarnations)
{
    struct backup_step step;

    fixture_expect_open(&fixture);
    const uint64_t topic = make_topic(&fixture, "orders"), empty = make_topic(&fixture, "empty");
    fill_store(topic, 5);
    cr_assert_eq(put(&fixture, "a", "1"), STORE_DONE);
    backup_begin(&step);
    cr_assert_eq(backup_await(&step), BACKUP_DONE, "%s", step.backup.reason);
    struct stat file;
    cr_assert_eq(stat(step.backup.path, &file), 0);
    cr_assert_eq((uint64_t)file.st_size, step.backup.bytes);
    cr_assert_eq(file.st_mode & 0777, 0600);
    restore(step.backup.path);
    store_backup_end(&step.backup);
    cr_assert_neq(access(fixture_file(&fixture, "backup.tmp"), F_OK), 0);

    char uuid[64];
    snprintf(uuid, sizeof(uuid), "%s", store_uuid(fixture.store));
    fixture_expect_open(&restored);
    cr_assert_str_neq(store_uuid(restored.store), uuid, "it is another store");
    const struct topic_info info = info_of(&restored, "orders"), none = info_of(&restored, "empty");
    cr_assert_eq(info.id, topic);
    cr_assert_gt(info.incarnation, topic);
    cr_assert_neq(info.incarnation, none.incarnation);
    cr_assert_eq(info.ancestor_count, 1u);
    cr_assert_eq(info.ancestors[0].incarnation, topic);
    cr_assert_eq(info.ancestors[0].last_seq, 50u);
    cr_assert_eq(none.ancestors[0].incarnation, empty);
    cr_assert_eq(none.ancestors[0].last_seq, 0u);
    cr_assert_eq(append(&restored, topic, 'a', 1, 51, 1), TOPIC_DONE);
    cr_assert_str_eq(topic_text(&restored, topic), "a1-51");

    fixture_reopen(&restored);
    const struct topic_info again = info_of(&restored, "orders");
    cr_assert_eq(again.incarnation, info.incarnation, "once");
    cr_assert_eq(again.ancestor_count, 1u);
    cr_assert_gt(make_topic(&restored, "later"), info.incarnation, "no incarnation is used again");
    cr_assert_eq(info_of(&fixture, "orders").incarnation, topic, "the store itself goes on as it was");
}

/* The oldest ones are forgotten. */
Test(backup, a_copy_of_a_copy_has_a_longer_lineage)
{
    struct backup_step step;
    uint64_t before = 0;

    fixture_expect_open(&fixture);
    const uint64_t topic = make_topic(&fixture, "orders");
    for (unsigned i = 1; i <= MAX_TOPIC_ANCESTORS + 2; i++) {
        cr_assert_eq(append(&fixture, topic, 'a', 0, i, 1), TOPIC_DONE);
        before = info_of(&fixture, "orders").incarnation;
        backup_begin(&step);
        cr_assert_eq(backup_await(&step), BACKUP_DONE);
        char copy[512];
        snprintf(copy, sizeof(copy), "%s/copy", fixture.folder);
        cr_assert_eq(rename(step.backup.path, copy), 0);
        store_backup_end(&step.backup);
        fixture_close(&fixture);
        cr_assert_eq(rename(copy, fixture_file(&fixture, "store.db")), 0);
        fixture_expect_open(&fixture);
        const struct topic_info info = info_of(&fixture, "orders");
        cr_assert_eq(info.ancestor_count, MIN_OF(i, MAX_TOPIC_ANCESTORS));
        cr_assert_gt(info.incarnation, before);
        cr_assert_eq(info.ancestors[info.ancestor_count - 1].incarnation, before);
        cr_assert_eq(info.ancestors[info.ancestor_count - 1].last_seq, i);
    }
}

/* ---- while it is used ---- */

static atomic_bool appender_ends;
static uint64_t busy_topic;

static void *append_always(void *ctx)
{
    uint64_t *count = ctx;

    while (!appender_ends) {
        struct batch batch;

        batch_init(&batch, (struct batch_params){busy_topic, 'b', 1, *count * 4 + 1, 4, 15000});
        batch_begin(&fixture, &batch);
        cr_assert_eq(batch_end(&batch), TOPIC_DONE);
        ++*count;
    }
    return NULL;
}

static void in_order(void *ctx, uint64_t seq, char producer, uint64_t number)
{
    uint64_t *last = ctx;

    (void)producer;
    cr_assert_eq(number, *last + 1);
    cr_assert_eq(seq, number);
    *last = number;
}

/* The copy has all that was confirmed before it began, without a hole. */
Test(backup, a_copy_beside_appends_is_of_one_moment)
{
    struct backup_step step;
    pthread_t thread;
    uint64_t count = 0, last = 0;

    fixture_expect_open(&fixture);
    const uint64_t topic = make_topic(&fixture, "orders");
    busy_topic = make_topic(&fixture, "busy");
    fill_store(topic, 1000); /* 50 MB: a dozen turns */
    cr_assert_eq(pthread_create(&thread, NULL, append_always, &count), 0);
    while (topic_info_of(&fixture, busy_topic).next_seq < 100)
        usleep(1000);
    const uint64_t before = topic_info_of(&fixture, busy_topic).next_seq - 1;
    backup_begin(&step);
    cr_assert_eq(backup_await(&step), BACKUP_DONE, "%s", step.backup.reason);
    const uint64_t after = topic_info_of(&fixture, busy_topic).next_seq - 1;
    appender_ends = true;
    pthread_join(thread, NULL);
    cr_assert_gt(after, before + 8, "appends go on meanwhile");
    restore(step.backup.path);
    store_backup_end(&step.backup);
    fixture_expect_open(&restored);
    cr_assert_eq(topic_each(&restored, topic, in_order, &last), TOPIC_DONE);
    cr_assert_eq(last, 10000u);
    last = 0;
    cr_assert_eq(topic_each(&restored, busy_topic, in_order, &last), TOPIC_DONE);
    cr_assert_geq(last, before);
    cr_assert_leq(last, after);
    cr_assert_eq(last % 4, 0u, "commits are whole");
}

Test(backup, one_at_a_time)
{
    struct backup_step first, second;

    fixture_expect_open(&fixture);
    backup_begin(&first);
    backup_begin(&second);
    cr_assert_eq(backup_await(&second), BACKUP_BUSY);
    cr_assert_eq(backup_await(&first), BACKUP_DONE);
    backup_begin(&second);
    cr_assert_eq(backup_await(&second), BACKUP_BUSY, "until the file was given back");
    store_backup_end(&first.backup);
    backup_begin(&second);
    cr_assert_eq(backup_await(&second), BACKUP_DONE);
    store_backup_end(&second.backup);
}

Test(backup, a_cancelled_one_leaves_nothing)
{
    fixture_expect_open(&fixture);
    fill_store(make_topic(&fixture, "orders"), 500);
    for (unsigned i = 0; i < 20; i++) {
        struct backup_step step;

        backup_begin(&step);
        usleep(i * 3000);
        store_backup_cancel(&step.backup);
        if (backup_await(&step) == BACKUP_DONE)
            store_backup_end(&step.backup);
        else
            cr_assert_eq(step.backup.outcome, BACKUP_CANCELLED, "%s", step.backup.reason);
        cr_assert_neq(access(fixture_file(&fixture, "backup.tmp"), F_OK), 0);
        cr_assert_neq(access(fixture_file(&fixture, "backup.tmp-wal"), F_OK), 0);
        cr_assert_neq(access(fixture_file(&fixture, "backup.tmp-journal"), F_OK), 0);
    }
}

Test(backup, the_end_of_the_store_cancels)
{
    struct backup_step step;

    fixture_expect_open(&fixture);
    fill_store(make_topic(&fixture, "orders"), 500);
    backup_begin(&step);
    cr_assert(store_stop(fixture.store, 10 * NS_PER_S));
    cr_assert_not(step.is_done || store_is_idle(fixture.store));
    (void)backup_await(&step);
    cr_assert(step.backup.outcome == BACKUP_CANCELLED || step.backup.outcome == BACKUP_DONE);
    cr_assert(store_is_idle(fixture.store));
    store_free(fixture.store);
    fixture.store = NULL;
    cr_assert_neq(access(fixture_file(&fixture, "backup.tmp"), F_OK), 0);
}

Test(backup, what_a_killed_process_left_is_removed)
{
    fixture_expect_open(&fixture);
    fixture_close(&fixture);
    FILE *file = fopen(fixture_file(&fixture, "backup.tmp"), "w");
    fclose(file);
    fixture_expect_open(&fixture);
    cr_assert_neq(access(fixture_file(&fixture, "backup.tmp"), F_OK), 0);
}

Test(backup, a_damaged_lineage_is_refused)
{
    fixture_expect_open(&fixture);
    (void)make_topic(&fixture, "orders");
    fixture_close(&fixture);
    fixture_sql(&fixture, "UPDATE topic SET lineage = x'0102030405060708090a0b0c0d0e0f101112131415161718'");
    cr_assert_neq(fixture_open(&fixture), ERR_OK);
    cr_assert(strstr(fixture.refusal.text, "lineage"), "%s", fixture.refusal.text);
}
