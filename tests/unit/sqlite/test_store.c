/* test_store.c - records of a store: they survive, they are carried out in order and together, and
 * every operation is answered. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
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
}

static void end(void)
{
    power_release_sync();
    fixture_fini(&fixture);
    power_plan_set(&(struct power_plan){.off_at = 0});
}

TestSuite(store, .init = begin, .fini = end);

static mode_t mode_of(const char *path)
{
    struct stat file;

    cr_assert_eq(stat(path, &file), 0, "%s", path);
    return file.st_mode & 07777u;
}

Test(store, keeps_records_over_a_restart)
{
    fixture_expect_open(&fixture);
    cr_assert_str_eq(fixture_records(&fixture), "");
    cr_assert_eq(put(&fixture, "b", "2"), STORE_DONE);
    cr_assert_eq(put(&fixture, "a", "1"), STORE_DONE);
    cr_assert_eq(put(&fixture, "c", ""), STORE_DONE);
    cr_assert_eq(put(&fixture, "b", "3"), STORE_DONE);
    cr_assert_eq(removal(&fixture, "a"), STORE_DONE);
    cr_assert_eq(removal(&fixture, "nobody"), STORE_DONE);
    fixture_reopen(&fixture);
    cr_assert_str_eq(fixture_records(&fixture), "b=3 c=");
}

Test(store, makes_folder_and_files_that_nobody_else_can_read)
{
    umask(0);
    fixture_expect_open(&fixture);
    cr_assert_eq(put(&fixture, "a", "secret"), STORE_DONE);
    cr_assert_eq(mode_of(fixture.path), 0700);
    cr_assert_eq(mode_of(fixture_file(&fixture, "store.db")), 0600);
    cr_assert_eq(mode_of(fixture_file(&fixture, "store.db-wal")), 0600);
    cr_assert_eq(mode_of(fixture_file(&fixture, "store.db-shm")), 0600);
    cr_assert_eq(mode_of(fixture_file(&fixture, "store.lock")), 0600);
}

Test(store, gives_back_what_the_record_was_before)
{
    struct step step;

    fixture_expect_open(&fixture);
    step_begin(&fixture, &step, "a", "1");
    while (!step.is_done)
        loop_run(fixture.loop);
    cr_assert_not(step.op.before.is_there);
    step_begin(&fixture, &step, "a", "2");
    while (!step.is_done)
        loop_run(fixture.loop);
    cr_assert(step.op.before.is_there);
    cr_assert_eq(step.op.before.value.size, 1u);
    cr_assert_eq(step.op.before.value.data[0], '1');
    cr_assert_eq(step.op.before.owner.size, 2u);
    cr_assert_gt(step.op.before.changed_wall_ns, 0);
    (void)step_end(&step);
    step_begin(&fixture, &step, "a", NULL);
    while (!step.is_done)
        loop_run(fixture.loop);
    cr_assert_eq(step.op.before.value.data[0], '2');
    (void)step_end(&step);
}

Test(store, carries_out_operations_in_their_order)
{
    struct step steps[50];
    char value[16];

    fixture_expect_open(&fixture);
    for (unsigned i = 0; i < ARRAY_LEN(steps); i++) {
        snprintf(value, sizeof(value), "%u", i);
        step_begin(&fixture, &steps[i], i % 2 ? "odd" : "even", i % 7 == 0 ? NULL : value);
    }
    for (unsigned i = 0; i < ARRAY_LEN(steps); i++)
        cr_assert_eq(step_end(&steps[i]), STORE_DONE);
    fixture_reopen(&fixture);
    cr_assert_str_eq(fixture_records(&fixture), "even=48");
}

Test(store, commits_all_that_waits_together)
{
    struct step first, steps[40];

    fixture_expect_open(&fixture);
    power_plan_change(&(struct power_plan){.block_sync = true});
    step_begin(&fixture, &first, "first", "x");
    while (!power_sync_waits())
        usleep(100);
    const unsigned calls = power_calls();
    for (unsigned i = 0; i < ARRAY_LEN(steps); i++)
        step_begin(&fixture, &steps[i], "same", "y");
    power_release_sync();
    cr_assert_eq(step_end(&first), STORE_DONE);
    for (unsigned i = 0; i < ARRAY_LEN(steps); i++)
        cr_assert_eq(step_end(&steps[i]), STORE_DONE);
    cr_assert_lt(power_calls() - calls, 12u, "one transaction: a few frames and one sync");
}

Test(store, refuses_what_is_more_than_may_wait)
{
    struct step first, second, third, removed;

    fixture.max_waiting = 2;
    fixture_expect_open(&fixture);
    power_plan_change(&(struct power_plan){.block_sync = true});
    step_begin(&fixture, &first, "1", "x");
    while (!power_sync_waits())
        usleep(100);
    step_begin(&fixture, &second, "2", "x");
    step_begin(&fixture, &third, "3", "x");
    step_begin(&fixture, &removed, "2", NULL);
    cr_assert_eq(step_end(&removed), STORE_QUEUE_FULL);
    power_release_sync();
    cr_assert_eq(step_end(&first), STORE_DONE);
    cr_assert_eq(step_end(&second), STORE_DONE);
    cr_assert_eq(step_end(&third), STORE_DONE);
    fixture_reopen(&fixture);
    cr_assert_str_eq(fixture_records(&fixture), "1=x 2=x 3=x");
}

Test(store, says_that_a_begun_operation_is_late_and_gives_up_those_that_wait)
{
    struct step begun, waits;

    fixture.timeout_ns = 50 * NS_PER_MS;
    fixture_expect_open(&fixture);
    power_plan_change(&(struct power_plan){.block_sync = true});
    step_begin(&fixture, &begun, "begun", "x");
    while (!power_sync_waits())
        usleep(100);
    step_begin(&fixture, &waits, "waits", "x");
    cr_assert_eq(step_end(&waits), STORE_TOO_LATE);
    cr_assert(begun.was_late);
    cr_assert_not(begun.is_done);
    cr_assert_not(waits.was_late);
    power_release_sync();
    cr_assert_eq(step_end(&begun), STORE_DONE);
    fixture_reopen(&fixture);
    cr_assert_str_eq(fixture_records(&fixture), "begun=x");
}

Test(store, answers_what_waits_when_it_is_stopped)
{
    struct step steps[10];

    fixture_expect_open(&fixture);
    for (unsigned i = 0; i < ARRAY_LEN(steps); i++)
        step_begin(&fixture, &steps[i], "a", "x");
    cr_assert(store_stop(fixture.store, 10 * NS_PER_S));
    for (unsigned i = 0; i < ARRAY_LEN(steps); i++)
        cr_assert_eq(step_end(&steps[i]), STORE_DONE);
    store_free(fixture.store);
    fixture.store = NULL;
    fixture_expect_open(&fixture);
    cr_assert_str_eq(fixture_records(&fixture), "a=x");
}

Test(store, does_not_wait_for_ever_for_a_disk_that_does_not_answer)
{
    struct step step;

    fixture_expect_open(&fixture);
    power_plan_change(&(struct power_plan){.block_sync = true});
    step_begin(&fixture, &step, "a", "x");
    while (!power_sync_waits())
        usleep(100);
    cr_assert_not(store_stop(fixture.store, 20 * NS_PER_MS));
    power_release_sync();
    cr_assert_eq(step_end(&step), STORE_DONE);
}

Test(store, brings_a_long_log_into_the_file)
{
    struct stat file;
    char name[16];
    int64_t largest = 0;

    fixture_expect_open(&fixture);
    for (unsigned i = 0; i < 1200; i++) { /* some 25 KB each */
        snprintf(name, sizeof(name), "%u", i % 100);
        cr_assert_eq(put(&fixture, name, i % 3 ? "x" : "another value"), STORE_DONE);
        cr_assert_eq(stat(fixture_file(&fixture, "store.db-wal"), &file), 0);
        largest = MAX_OF(largest, file.st_size);
    }
    cr_assert_gt(largest, 2 << 20);
    cr_assert_leq(largest, (8 << 20) + (1 << 20));
    fixture_close(&fixture);
    cr_assert_neq(access(fixture_file(&fixture, "store.db-wal"), F_OK), 0, "a clean end leaves no log");
    fixture_expect_open(&fixture);
    cr_assert_eq(strlen(fixture_records(&fixture)) > 0, true);
}

Test(store, says_how_it_is)
{
    fixture_expect_open(&fixture);
    cr_assert_eq(store_health(fixture.store).state, STORE_HEALTHY);
    cr_assert_str_eq(store_health(fixture.store).code, "");
    cr_assert_str_eq(store_path(fixture.store), fixture.path);
    cr_assert_eq(strlen(store_uuid(fixture.store)), 32u);
    char uuid[33];
    strcpy(uuid, store_uuid(fixture.store));
    fixture_reopen(&fixture);
    cr_assert_str_eq(store_uuid(fixture.store), uuid, "it stays the same store");
}

static atomic_bool is_released;

static void *release_soon(void *ctx)
{
    (void)ctx;
    usleep(100000); /* a reader that does not wait has read by then */
    is_released = true;
    power_release_sync();
    return NULL;
}

static bool sees_the_release(void *ctx, const struct store_record *record)
{
    (void)record;
    *(bool *)ctx = is_released;
    return true;
}

/* The thread may have begun with what is due with the topics when records are read at a start. */
Test(store, a_read_waits_until_the_thread_does_not_use_the_connection)
{
    struct batch batch;
    pthread_t thread;
    bool saw_release = false;

    fixture_expect_open(&fixture);
    cr_assert_eq(put(&fixture, "a", "1"), STORE_DONE);
    batch_init(&batch, (struct batch_params){make_topic(&fixture, "orders"), 'a', 0, 1, 1, 0});
    power_plan_change(&(struct power_plan){.block_sync = true});
    batch_begin(&fixture, &batch);
    while (!power_sync_waits())
        usleep(100);
    cr_assert_eq(pthread_create(&thread, NULL, release_soon, NULL), 0);
    cr_assert_eq(store_read(fixture.store, KIND, sees_the_release, &saw_release, &fixture.refusal), ERR_OK);
    cr_assert(saw_release);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(batch_end(&batch), TOPIC_DONE);
    cr_assert_str_eq(fixture_records(&fixture), "a=1");
}
