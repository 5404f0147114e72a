/* test_bad_disk.c - a disk that fails, is full, or is locked by somebody else. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <sqlite3.h>
#include <string.h>

#include "power_vfs.h"
#include "store_fixture.h"

static struct store_fixture fixture;

static void begin(void)
{
    power_vfs_register();
    power_plan_set(&(struct power_plan){.off_at = 0});
    fixture_init(&fixture);
}

static void end(void)
{
    fixture_fini(&fixture);
    power_plan_set(&(struct power_plan){.off_at = 0});
}

TestSuite(bad_disk, .init = begin, .fini = end);

/* A sync that fails in a commit: nobody knows whether it is there; all before is, and nothing is
 * written after it. */
Test(bad_disk, the_first_failed_sync_is_final)
{
    struct store_health health;
    unsigned failed = 0;

    for (unsigned n = 1; n < 40; n++) {
        fixture_fini(&fixture);
        fixture_init(&fixture);
        power_plan_set(&(struct power_plan){.fail_sync_at = n});
        if (fixture_open(&fixture) != ERR_OK) {
            cr_assert(strstr(fixture.refusal.text, "SQLITE_IOERR_FSYNC"), "%s", fixture.refusal.text);
            continue;
        }
        const enum store_outcome first = put(&fixture, "a", "1"), second = put(&fixture, "b", "2");
        health = store_health(fixture.store);
        if (second == STORE_DONE)
            cr_assert_eq(health.state, STORE_HEALTHY);
        else
            failed++;
        if (first == STORE_UNKNOWN)
            cr_assert_eq(second, STORE_FAILED, "nothing is tried again");
        if (second != STORE_DONE) {
            cr_assert_eq(health.state, STORE_IS_FAILED);
            cr_assert_str_eq(health.code, "SQLITE_IOERR_FSYNC");
            cr_assert(strstr(health.message, "commit"), "%s", health.message);
            const unsigned calls = power_calls();
            cr_assert_eq(put(&fixture, "c", "3"), STORE_FAILED);
            cr_assert_eq(removal(&fixture, "a"), STORE_FAILED);
            cr_assert_eq(power_calls(), calls, "nothing is written any more");
        }
        fixture_close(&fixture);
        power_return(n);
        fixture_expect_open(&fixture);
        const char *records = fixture_records(&fixture);
        cr_assert(first != STORE_DONE || strstr(records, "a=1"), "%s", records);
        cr_assert(second != STORE_DONE || strstr(records, "b=2"), "%s", records);
        cr_assert(second != STORE_FAILED || !strstr(records, "b=2"), "%s", records);
        fixture_close(&fixture);
    }
    cr_assert_geq(failed, 2u, "the two commits have a sync each");
}

/* The log is full, and a checkpoint makes it empty: one change is refused, and then the store goes
 * on by itself. test_disk_full.c has a disk that stays full. */
static void expect_full(void)
{
    char value[32], expected[64];
    enum store_outcome outcome = STORE_DONE;
    unsigned i = 0;

    for (; i < 500 && outcome == STORE_DONE; i++) {
        snprintf(value, sizeof(value), "%u", i);
        outcome = put(&fixture, "a", value);
    }
    cr_assert_eq(outcome, STORE_DISK_FULL);
    cr_assert_eq(put(&fixture, "c", "y"), STORE_DONE, "the log was made empty");
    cr_assert_eq(store_health(fixture.store).state, STORE_HEALTHY);
    power_plan_change(&(struct power_plan){.off_at = 0});
    fixture_reopen(&fixture);
    snprintf(expected, sizeof(expected), "a=%u c=y", i - 2);
    cr_assert_str_eq(fixture_records(&fixture), expected);
}

Test(bad_disk, a_full_disk_is_not_final_and_loses_nothing)
{
    fixture_expect_open(&fixture);
    power_plan_change(&(struct power_plan){.free_bytes = 341000});
    expect_full();
}

/* Beyond a quota a write fails as if the disk were broken. */
Test(bad_disk, a_full_quota_is_not_final_either)
{
    fixture_expect_open(&fixture);
    power_plan_change(&(struct power_plan){.free_bytes = 341000, .write_errno = EDQUOT});
    expect_full();
}

Test(bad_disk, another_error_of_a_write_is_final)
{
    fixture_expect_open(&fixture);
    power_plan_change(&(struct power_plan){.free_bytes = 1, .write_errno = EIO});
    cr_assert_eq(put(&fixture, "a", "1"), STORE_UNKNOWN);
    cr_assert_eq(store_health(fixture.store).state, STORE_IS_FAILED);
    cr_assert(strstr(store_health(fixture.store).message, "Input/output error"));
}

/* With a power cut while the disk is full: what was refused is not there. */
Test(bad_disk, what_a_full_disk_refused_is_not_there_after_a_power_cut)
{
    for (unsigned seed = 0; seed < 40; seed++) {
        fixture_expect_open(&fixture);
        power_plan_change(&(struct power_plan){.free_bytes = 90000 + 1000 * seed});
        unsigned i = 0;
        char value[32], expected[64];

        for (enum store_outcome outcome = STORE_DONE; outcome == STORE_DONE; i++) {
            snprintf(value, sizeof(value), "%u", i);
            outcome = put(&fixture, "a", value);
        }
        power_plan_change(&(struct power_plan){.off_at = 1});
        fixture_close(&fixture);
        power_return(seed);
        fixture_expect_open(&fixture);
        snprintf(expected, sizeof(expected), "a=%u", i - 2);
        cr_assert_str_eq(fixture_records(&fixture), i > 1 ? expected : "");
        cr_assert_eq(removal(&fixture, "a"), STORE_DONE);
        fixture_close(&fixture);
        power_plan_set(&(struct power_plan){.off_at = 0});
    }
}

Test(bad_disk, a_full_disk_at_the_start_is_refused_with_its_cause)
{
    power_plan_set(&(struct power_plan){.free_bytes = 20000});
    cr_assert_neq(fixture_open(&fixture), ERR_OK);
    cr_assert(strstr(fixture.refusal.text, "SQLITE_FULL"), "%s", fixture.refusal.text);
    cr_assert(strstr(fixture.refusal.text, fixture.path), "%s", fixture.refusal.text);
    power_plan_set(&(struct power_plan){.off_at = 0});
    fixture_expect_open(&fixture);
}

Test(bad_disk, another_program_that_writes_is_waited_for_and_then_named)
{
    sqlite3 *shell;

    fixture_expect_open(&fixture);
    cr_assert_eq(sqlite3_open(fixture_file(&fixture, "store.db"), &shell), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(shell, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    cr_assert_eq(put(&fixture, "a", "1"), STORE_LOCKED);
    cr_assert_eq(store_health(fixture.store).state, STORE_HEALTHY);
    cr_assert_eq(sqlite3_exec(shell, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    cr_assert_eq(put(&fixture, "a", "1"), STORE_DONE);
    cr_assert_eq(sqlite3_close(shell), SQLITE_OK);
}

Test(bad_disk, a_row_that_is_not_what_was_written_is_final_for_who_writes)
{
    fixture_expect_open(&fixture);
    cr_assert_eq(put(&fixture, "a", "1"), STORE_DONE);
    fixture_sql(&fixture, "UPDATE record SET value = x'32'");
    cr_assert_eq(put(&fixture, "a", "3"), STORE_FAILED);
    cr_assert_eq(store_health(fixture.store).state, STORE_IS_FAILED);
    cr_assert_str_eq(store_health(fixture.store).code, "SQLITE_CORRUPT");
    fixture_close(&fixture);
    fixture_expect_open(&fixture);
    cr_assert(strstr(fixture_records(&fixture), "its hash is wrong"), "%s", fixture_records(&fixture));
}
