/* test_power_cuts.c - the power is cut at every call that the store makes: when it is made, opened,
 * written, checkpointed and closed. What was answered is there afterwards, what was refused is not,
 * and what was in flight is there as a whole or not at all (row_3). */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "loop/loop.h"
#include "power_vfs.h"
#include "store_fixture.h"

#define SEEDS 6u /* ways to cut at each call */

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

TestSuite(power_cuts, .init = begin, .fini = end);

/* The steps of the script: a letter, and its value; '-' removes it. Steps that stand together are
 * given together, and are committed together or one after the other. */
static const char *const script[][4] = {
    {"a1"}, {"b1", "c1", "d1"}, {"a2"}, {"b-"}, {"a3", "b2"}, {"c-", "d2", "e1"}, {"a-"}, {"e2"},
};

/* The records after the first `count` steps of the script. */
static void expected_after(unsigned count, char *text, size_t capacity)
{
    char values[26] = {0};
    size_t size = 0;

    for (size_t i = 0; i < ARRAY_LEN(script); i++)
        for (size_t j = 0; j < ARRAY_LEN(script[i]) && script[i][j] && count > 0; j++, count--)
            values[script[i][j][0] - 'a'] = script[i][j][1] == '-' ? '\0' : script[i][j][1];
    text[0] = '\0';
    for (int i = 0; i < 26; i++)
        if (values[i])
            size += (size_t)snprintf(text + size, capacity - size, "%s%c=%c", size > 0 ? " " : "", 'a' + i,
                                     values[i]);
}

/* Plays the script until a step is not done. *done_out: the steps that were done; *unknown_out: the
 * steps after them whose outcome nobody knows. */
static void play(unsigned *done_out, unsigned *unknown_out)
{
    *done_out = *unknown_out = 0;
    for (size_t i = 0; i < ARRAY_LEN(script); i++) {
        struct step steps[ARRAY_LEN(script[0])];
        size_t count = 0;

        for (; count < ARRAY_LEN(script[i]) && script[i][count]; count++) {
            const char name[2] = {script[i][count][0]};
            const char value[2] = {script[i][count][1]};

            step_begin(&fixture, &steps[count], name, value[0] == '-' ? NULL : value);
        }
        for (size_t j = 0; j < count; j++) {
            const enum store_outcome outcome = step_end(&steps[j]);

            *done_out += outcome == STORE_DONE;
            *unknown_out += outcome == STORE_UNKNOWN;
            cr_assert(outcome == STORE_DONE || outcome == STORE_UNKNOWN || outcome == STORE_FAILED);
        }
    }
}

/* The outcomes that are possible: all steps that were done, and all or none of those in flight. */
static bool is_possible(const char *records, unsigned done, unsigned unknown)
{
    char text[256];

    expected_after(done, text, sizeof(text));
    if (strcmp(records, text) == 0)
        return true;
    expected_after(done + unknown, text, sizeof(text));
    return strcmp(records, text) == 0;
}

/* One life of a store with a cut, and a life after it. Returns whether nothing was lost.
 * *calls_out: how many calls the first life had. */
static bool live(const struct power_plan *plan, uint64_t seed, unsigned *calls_out)
{
    unsigned done = 0, unknown = 0;

    power_plan_set(plan);
    if (fixture_open(&fixture) == ERR_OK)
        play(&done, &unknown);
    fixture_close(&fixture);
    *calls_out = power_calls();
    power_return(seed);
    if (plan->no_sync && fixture_open(&fixture) != ERR_OK)
        return false;
    if (!plan->no_sync)
        fixture_expect_open(&fixture);
    const bool is_kept = is_possible(fixture_records(&fixture), done, unknown);
    cr_assert(is_kept || plan->no_sync, "cut at %u, seed %lu: done %u, unknown %u, there is '%s'",
              plan->off_at, (unsigned long)seed, done, unknown, fixture_records(&fixture));
    if (is_kept) { /* and it works */
        cr_assert_eq(put(&fixture, "z", "9"), STORE_DONE);
        fixture_reopen(&fixture);
        cr_assert(strstr(fixture_records(&fixture), "z=9"));
    }
    return is_kept;
}

static void forget_folder(void)
{
    fixture_fini(&fixture);
    fixture_init(&fixture);
}

Test(power_cuts, at_every_call_of_a_new_store_nothing_that_was_answered_is_lost)
{
    unsigned all, calls;

    cr_assert(live(&(struct power_plan){.off_at = 0}, 1, &all));
    cr_assert_gt(all, 40u);
    for (unsigned n = 1; n <= all; n++)
        for (unsigned seed = 0; seed < SEEDS; seed++) {
            forget_folder();
            cr_assert(live(&(struct power_plan){.off_at = n}, n * SEEDS + seed, &calls));
        }
}

/* The VFS would notice: on a disk that only says that it has synced, much is lost. */
Test(power_cuts, a_disk_that_lies_loses_what_was_answered)
{
    unsigned all, calls, lost = 0;

    cr_assert(live(&(struct power_plan){.off_at = 0}, 1, &all));
    for (unsigned n = 1; n <= all; n += 3) {
        forget_folder();
        lost += !live(&(struct power_plan){.off_at = n, .no_sync = true}, n, &calls);
        fixture_close(&fixture);
    }
    cr_assert_gt(lost, all / 12);
}
