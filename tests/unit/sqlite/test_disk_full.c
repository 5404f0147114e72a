/* test_disk_full.c - a disk of a size that the test chooses: full, and with space again
 * (row_5). */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "power_vfs.h"
#include "topic_fixture.h"

#define MIB (INT64_C(1) << 20)
#define BALLAST (16 * MIB)
#define MARGIN (BALLAST / 2)
#define BATCH 4u
#define EVENT_BYTES 15000u
#define PATIENCE_NS (20 * NS_PER_S)

/* Files of the store's folder are on the disk, and what others have written to it. */
static int64_t disk_bytes, others_bytes;
static struct store_fixture fixture;

/* ---- the disk ---- */

static int64_t file_bytes(const char *name)
{
    char path[256];
    struct stat file;

    snprintf(path, sizeof(path), "%s/%s", fixture.path, name);
    return stat(path, &file) == 0 ? file.st_size : -1;
}

static int64_t free_bytes(void)
{
    static const char *const names[] = {"store.db", "store.db-wal", "store.ballast", "backup.tmp"};
    int64_t used = __atomic_load_n(&others_bytes, __ATOMIC_SEQ_CST);

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        used += MAX_OF(file_bytes(names[i]), 0);
    return MAX_OF(disk_bytes - used, 0);
}

/* The linker brings the store's calls here. */
int real_fstatvfs(int fd, struct statvfs *system) __asm__("__real_fstatvfs");
int my_fstatvfs(int fd, struct statvfs *system) __asm__("__wrap_fstatvfs");
int my_fstatvfs(int fd, struct statvfs *system)
{
    const int result = real_fstatvfs(fd, system);

    system->f_frsize = system->f_bsize = 4096;
    system->f_blocks = (fsblkcnt_t)(disk_bytes / 4096);
    system->f_bavail = system->f_bfree = (fsblkcnt_t)(free_bytes() / 4096);
    return result;
}

/* SQLite does not call this one: the ballast does. */
ssize_t real_pwrite(int fd, const void *bytes, size_t size, off_t offset) __asm__("__real_pwrite");
ssize_t my_pwrite(int fd, const void *bytes, size_t size, off_t offset) __asm__("__wrap_pwrite");
ssize_t my_pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    if ((int64_t)size > free_bytes()) {
        errno = ENOSPC;
        return -1;
    }
    return real_pwrite(fd, bytes, size, offset);
}

static void set_others(int64_t bytes)
{
    __atomic_store_n(&others_bytes, bytes, __ATOMIC_SEQ_CST);
}

/* ---- the store ---- */

static void begin(void)
{
    power_vfs_register();
    power_plan_set(&(struct power_plan){.find_free = free_bytes});
    fixture_init(&fixture);
    fixture.ballast_bytes = BALLAST;
    disk_bytes = 96 * MIB;
    set_others(0);
}

static void end(void)
{
    fixture_fini(&fixture);
    power_plan_set(&(struct power_plan){.off_at = 0});
}

TestSuite(disk_full, .init = begin, .fini = end);

static bool until(bool (*holds)(void))
{
    const int64_t deadline_ns = clock_from_now_ns(PATIENCE_NS);

    while (!holds() && clock_mono_ns() < deadline_ns)
        nanosleep(&(struct timespec){.tv_nsec = 5 * NS_PER_MS}, NULL);
    return holds();
}

static bool has_ballast(void)
{
    return file_bytes("store.ballast") == BALLAST;
}

static bool has_no_ballast(void)
{
    return file_bytes("store.ballast") < 0;
}

static bool is_healthy(void)
{
    return store_health(fixture.store).state == STORE_HEALTHY;
}

static bool is_full(void)
{
    return store_health(fixture.store).state == STORE_IS_FULL;
}

/* The n-th batch of a topic. */
static enum topic_outcome append_large(uint64_t topic, uint64_t n)
{
    struct batch batch;

    batch_init(&batch, (struct batch_params){topic, 'a', 0, (n - 1) * BATCH + 1, BATCH, EVENT_BYTES});
    batch_begin(&fixture, &batch);
    return batch_end(&batch);
}

/* Appends until the disk is full. Returns how many are there. */
static uint64_t fill(uint64_t topic, uint64_t count)
{
    enum topic_outcome outcome = TOPIC_DONE;

    for (; outcome == TOPIC_DONE && count < 5000; count += outcome == TOPIC_DONE)
        outcome = append_large(topic, count + 1);
    cr_assert_eq(outcome, TOPIC_DISK_FULL);
    cr_assert(is_full());
    return count;
}

static void count_event(void *ctx, uint64_t seq, char producer, uint64_t number)
{
    uint64_t *count = ctx;

    (void)producer;
    cr_assert_eq(seq, number);
    ++*count;
}

static void expect_batches(uint64_t topic, uint64_t batches)
{
    const uint64_t expected = batches * BATCH;
    uint64_t count = 0;

    cr_assert_eq(topic_each(&fixture, topic, count_event, &count), TOPIC_DONE);
    cr_assert_eq(count, expected, "%lu events, not %lu", (unsigned long)count, (unsigned long)expected);
}

/* ---- the tests ---- */

Test(disk_full, the_ballast_is_written_and_stays)
{
    fixture_expect_open(&fixture);
    cr_assert(until(has_ballast));
    struct stat file;
    cr_assert_eq(stat(fixture_file(&fixture, "store.ballast"), &file), 0);
    cr_assert_geq(file.st_blocks * 512, BALLAST, "it is sparse");
    const ino_t inode = file.st_ino;
    fixture_reopen(&fixture);
    cr_assert_eq(put(&fixture, "a", "1"), STORE_DONE);
    cr_assert_eq(stat(fixture_file(&fixture, "store.ballast"), &file), 0);
    cr_assert_eq(file.st_ino, inode, "it is not written anew");
}

Test(disk_full, a_ballast_that_is_no_such_file_is_made_again)
{
    fixture_expect_open(&fixture);
    cr_assert(until(has_ballast));
    fixture_close(&fixture);
    cr_assert_eq(truncate(fixture_file(&fixture, "store.ballast"), 0), 0);
    cr_assert_eq(truncate(fixture_file(&fixture, "store.ballast"), BALLAST), 0);
    fixture_expect_open(&fixture);
    struct stat file = {0};
    for (int i = 0; i < 2000 && file.st_blocks * 512 < BALLAST; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 5 * NS_PER_MS}, NULL);
        if (stat(fixture_file(&fixture, "store.ballast"), &file) != 0)
            file.st_blocks = 0;
    }
    cr_assert_geq(file.st_blocks * 512, BALLAST, "it was sparse");
}

Test(disk_full, a_store_without_space_for_a_ballast_starts)
{
    set_others(disk_bytes - MARGIN - BALLAST + MIB);
    fixture_expect_open(&fixture);
    cr_assert_eq(put(&fixture, "a", "1"), STORE_DONE);
    cr_assert(has_no_ballast());
    cr_assert(is_healthy());
    set_others(0);
    cr_assert(until(has_ballast), "there is space now");
}

Test(disk_full, a_small_disk_has_a_small_ballast)
{
    disk_bytes = 16 * MIB;
    fixture_expect_open(&fixture);
    for (int i = 0; i < 2000 && file_bytes("store.ballast") < 4 * MIB; i++)
        nanosleep(&(struct timespec){.tv_nsec = 5 * NS_PER_MS}, NULL);
    cr_assert_eq(file_bytes("store.ballast"), 4 * MIB);
}

/* Nothing that was confirmed is lost; reading goes on; appends are refused at once. */
Test(disk_full, appends_are_refused_and_reads_go_on)
{
    fixture_expect_open(&fixture);
    cr_assert(until(has_ballast));
    const uint64_t topic = make_topic(&fixture, "orders"), count = fill(topic, 0);

    cr_assert(until(has_no_ballast));
    for (unsigned i = 0; i < 50; i++)
        cr_assert_eq(append_large(topic, count + 1), TOPIC_DISK_FULL);
    cr_assert_str_eq(store_health(fixture.store).code, "SQLITE_FULL");
    cr_assert(strlen(store_health(fixture.store).message) > 0);
    expect_batches(topic, count);
    cr_assert_eq(put(&fixture, "a", "1"), STORE_DONE, "small things are still written");
    cr_assert(is_full(), "the space of the ballast is not for appends");

    disk_bytes += 64 * MIB;
    cr_assert(until(is_healthy));
    cr_assert_eq(append_large(topic, count + 1), TOPIC_DONE);
    cr_assert(until(has_ballast), "it comes back");
    fixture_reopen(&fixture);
    expect_batches(topic, count + 1);
}

/* An operator makes space in the store itself. */
Test(disk_full, deleting_a_topic_makes_space)
{
    fixture_expect_open(&fixture);
    cr_assert(until(has_ballast));
    const uint64_t old = make_topic(&fixture, "old");
    for (uint64_t i = 1; i <= 600; i++) /* more than what is needed to go on */
        cr_assert_eq(append_large(old, i), TOPIC_DONE);
    const uint64_t topic = make_topic(&fixture, "orders"), count = fill(topic, 0);

    cr_assert_eq(append_large(old, 601), TOPIC_DISK_FULL);
    cr_assert_eq(
        change_topic(&fixture, TOPIC_DELETE, "old", (struct topic_settings){.max_events = 0}).outcome,
        TOPIC_DONE);
    cr_assert(until(is_healthy));
    cr_assert_eq(append_large(topic, count + 1), TOPIC_DONE);
    expect_batches(topic, count + 1);
}

static uint64_t trimmed_topic;

static bool is_trimmed(void)
{
    const struct topic_info info = topic_info_of(&fixture, trimmed_topic);

    return info.next_seq - info.first_seq <= 5 + BATCH;
}

Test(disk_full, a_smaller_bound_makes_space)
{
    fixture_expect_open(&fixture);
    cr_assert(until(has_ballast));
    const uint64_t topic = make_topic(&fixture, "orders"), count = fill(topic, 0);

    cr_assert_eq(
        change_topic(&fixture, TOPIC_UPDATE, "orders", (struct topic_settings){.max_events = 5}).outcome,
        TOPIC_DONE);
    cr_assert(until(is_healthy));
    cr_assert_eq(append_large(topic, count + 1), TOPIC_DONE);
    trimmed_topic = topic;
    cr_assert(until(is_trimmed), "the rest leaves without appends");
}

/* The store stops before checkpoints fail. */
Test(disk_full, without_a_ballast_some_space_stays_free)
{
    set_others(disk_bytes - MARGIN - BALLAST + MIB);
    fixture_expect_open(&fixture);
    const uint64_t topic = make_topic(&fixture, "orders"), count = fill(topic, 0);

    cr_assert(has_no_ballast());
    cr_assert_gt(free_bytes(), 0);
    expect_batches(topic, count);
    set_others(0);
    cr_assert(until(is_healthy));
    cr_assert_eq(append_large(topic, count + 1), TOPIC_DONE);
}

Test(disk_full, a_store_on_a_full_disk_opens_with_the_space_of_its_ballast)
{
    fixture_expect_open(&fixture);
    cr_assert(until(has_ballast));
    const uint64_t topic = make_topic(&fixture, "orders");
    cr_assert_eq(append_large(topic, 1), TOPIC_DONE);
    fixture_close(&fixture);
    set_others(free_bytes());
    cr_assert_eq(free_bytes(), 0);
    fixture_expect_open(&fixture);
    expect_batches(topic, 1);
    fixture_reopen(&fixture);
    set_others(0);
    cr_assert(until(has_ballast));
    cr_assert_eq(append_large(topic, 2), TOPIC_DONE);
}

/* A quota: the file system says that there is space, and writes fail. */
Test(disk_full, a_quota_is_a_full_disk_too)
{
    fixture_expect_open(&fixture);
    cr_assert(until(has_ballast));
    const uint64_t topic = make_topic(&fixture, "orders");
    power_plan_change(&(struct power_plan){.free_bytes = 24 * MIB, .write_errno = EDQUOT});
    disk_bytes = 1000 * MIB;
    enum topic_outcome outcome = TOPIC_DONE;
    uint64_t count = 0;

    for (; outcome == TOPIC_DONE && count < 5000; count += outcome == TOPIC_DONE)
        outcome = append_large(topic, count + 1);
    cr_assert_eq(outcome, TOPIC_DISK_FULL);
    cr_assert_neq(store_health(fixture.store).state, STORE_IS_FAILED);
    expect_batches(topic, count);
    power_plan_change(&(struct power_plan){.find_free = free_bytes});
    cr_assert(until(is_healthy));
    cr_assert_eq(append_large(topic, count + 1), TOPIC_DONE);
}
