/* test_restore_cuts.c - the power is cut, or a sync fails, at each call of the first opening of a
 * backup (S26, row_3, row_7). Afterwards the copy has begun its new life once: each topic has one
 * incarnation more, no incarnation is used again, and what was seen before the cut stays. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/sqlite/store_backup.h"
#include "loop/loop.h"
#include "power_vfs.h"
#include "topic_fixture.h"

#define SEEDS 4u
#define EVENTS 50u

static struct store_fixture fixture, restored;
static uint64_t topic, latest; /* the incarnation that was seen last */
static char uuid[64], copy[512];

static void begin(void)
{
    power_vfs_register();
    power_plan_set(&(struct power_plan){.off_at = 0});
    fixture_init(&fixture);
    fixture_init(&restored);
}

static void end(void)
{
    (void)unlink(copy);
    power_plan_set(&(struct power_plan){.off_at = 0});
    fixture_fini(&restored);
    fixture_fini(&fixture);
}

TestSuite(restore_cuts, .init = begin, .fini = end, .timeout = 200);

static bool is_copied;

static void on_copied(struct store_backup *backup)
{
    (void)backup;
    is_copied = true;
    loop_stop(fixture.loop);
}

static void make_copy(void)
{
    struct store_backup backup = {.done = on_copied};

    fixture_expect_open(&fixture);
    topic = make_topic(&fixture, "orders");
    cr_assert_eq(append(&fixture, topic, 'a', 1, 1, EVENTS), TOPIC_DONE);
    snprintf(uuid, sizeof(uuid), "%s", store_uuid(fixture.store));
    latest = topic_info_of(&fixture, topic).incarnation;
    store_backup(fixture.store, &backup);
    while (!is_copied)
        loop_run(fixture.loop);
    cr_assert_eq(backup.outcome, BACKUP_DONE);
    snprintf(copy, sizeof(copy), "%s/copy", fixture.folder);
    cr_assert_eq(rename(backup.path, copy), 0);
    store_backup_end(&backup);
    fixture_close(&fixture);
}

/* A new folder with the copy in it. */
static void restore(void)
{
    char command[1024];

    fixture_fini(&restored);
    fixture_init(&restored);
    cr_assert_eq(mkdir(restored.path, 0700), 0);
    snprintf(command, sizeof(command), "cp -p '%s' '%s/store.db'", copy, restored.path);
    cr_assert_eq(system(command), 0);
}

/* What consumers and operators see of the restored store. */
struct seen {
    uint64_t incarnation;
    char uuid[64];
};

static struct seen query(void)
{
    const struct topic_info info = topic_info_of(&restored, topic);
    struct seen seen = {.incarnation = info.incarnation};

    cr_assert_eq(info.id, topic);
    cr_assert_eq(info.ancestor_count, 1u, "one lineage");
    cr_assert_eq(info.ancestors[0].last_seq, EVENTS);
    cr_assert_lt(info.ancestors[0].incarnation, info.incarnation);
    snprintf(seen.uuid, sizeof(seen.uuid), "%s", store_uuid(restored.store));
    cr_assert_str_neq(seen.uuid, uuid, "it is another store");
    return seen;
}

static void expect_same(const struct seen *before)
{
    const struct seen now = query();

    cr_assert_eq(now.incarnation, before->incarnation, "an incarnation was seen, and is another one now");
    cr_assert_str_eq(now.uuid, before->uuid);
}

/* Returns the calls of the first opening. */
static unsigned live(const struct power_plan *plan, uint64_t seed)
{
    struct seen first = {.incarnation = 0}, second;

    restore();
    power_plan_set(plan);
    if (fixture_open(&restored) == ERR_OK)
        first = query();
    const unsigned calls = power_calls();
    fixture_close(&restored);
    power_return(seed);
    fixture_expect_open(&restored);
    if (first.incarnation != 0)
        expect_same(&first);
    second = query();
    cr_assert_gt(second.incarnation, latest, "an incarnation is used again");
    latest = second.incarnation;
    cr_assert_eq(append(&restored, topic, 'a', 1, EVENTS + 1, 1), TOPIC_DONE);
    fixture_reopen(&restored);
    expect_same(&second);
    cr_assert_str_eq(topic_text(&restored, topic), "a1-51");
    fixture_close(&restored);
    return calls;
}

Test(restore_cuts, a_copy_begins_its_new_life_once_wherever_the_power_is_cut)
{
    make_copy();
    const unsigned calls = live(&(struct power_plan){.off_at = 0}, 1);
    cr_assert_gt(calls, 8u);
    for (unsigned n = 1; n <= calls + 1; n++)
        for (unsigned seed = 0; seed < SEEDS; seed++)
            (void)live(&(struct power_plan){.off_at = n}, n * SEEDS + seed);
}

Test(restore_cuts, a_sync_that_fails_begins_no_second_life)
{
    make_copy();
    for (unsigned n = 1; n <= 12; n++)
        for (unsigned seed = 0; seed < SEEDS; seed++)
            (void)live(&(struct power_plan){.fail_sync_at = n}, n * SEEDS + seed);
}
