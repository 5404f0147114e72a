/* test_wal_tail.c - what SQLite leaves out of a log that is damaged or incomplete. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/sqlite/wal_tail.h"
#include "power_vfs.h"
#include "store_fixture.h"

#define COPY "copy-wal"
#define HEADER_BYTES 32u
#define FRAME_BYTES (24u + 8192u)
#define MAX_FRAMES 200u
#define COMMITS 4

static struct store_fixture fixture;
static struct state_dir dir;
static uint8_t log_bytes[HEADER_BYTES + MAX_FRAMES * FRAME_BYTES], changed[sizeof(log_bytes)];
static size_t log_size;
static int64_t frames;

/* A log with some commits, as a process that is killed leaves it. */
static void begin(void)
{
    int fd;

    power_vfs_register();
    power_plan_set(&(struct power_plan){.off_at = 0});
    fixture_init(&fixture);
    fixture_expect_open(&fixture);
    for (int i = 0; i < COMMITS; i++) {
        char name[16];

        snprintf(name, sizeof(name), "name-%d", i);
        cr_assert_eq(put(&fixture, name, "value"), STORE_DONE);
    }
    fd = open(fixture_file(&fixture, "store.db-wal"), O_RDONLY | O_CLOEXEC);
    log_size = (size_t)read(fd, log_bytes, sizeof(log_bytes));
    close(fd);
    cr_assert_eq((log_size - HEADER_BYTES) % FRAME_BYTES, 0);
    frames = (int64_t)((log_size - HEADER_BYTES) / FRAME_BYTES);
    cr_assert_geq(frames, COMMITS);
    cr_assert_lt(frames, (int64_t)MAX_FRAMES);
    dir.fd = open(fixture.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    memcpy(changed, log_bytes, log_size);
}

static void end(void)
{
    (void)unlink(fixture_file(&fixture, COPY));
    close(dir.fd);
    fixture_fini(&fixture);
}

TestSuite(wal_tail, .init = begin, .fini = end);

static struct wal_tail tail_of(const void *bytes, size_t size)
{
    const int fd = open(fixture_file(&fixture, COPY), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    cr_assert_eq(write(fd, bytes, size), (ssize_t)size);
    close(fd);
    return wal_tail_read(&dir, COPY);
}

static void expect(struct wal_tail tail, int64_t bad_frame, int64_t unused)
{
    cr_assert_eq(tail.bad_frame, bad_frame, "%ld, and not %ld", (long)tail.bad_frame, (long)bad_frame);
    cr_assert_eq(tail.unused, unused, "%ld, and not %ld", (long)tail.unused, (long)unused);
}

Test(wal_tail, a_whole_log_has_none)
{
    const struct wal_tail tail = tail_of(log_bytes, log_size);

    expect(tail, -1, 0);
    cr_assert_eq(tail.used, frames);
    expect(wal_tail_read(&dir, "not-there"), -1, 0);
    expect(tail_of("", 0), -1, 0);
}

Test(wal_tail, a_bad_frame_ends_what_is_used)
{
    int64_t used = 0;

    for (int64_t frame = 0; frame < frames; frame++) {
        uint8_t *byte = &changed[HEADER_BYTES + (size_t)frame * FRAME_BYTES + 24 + 100];

        *byte ^= 1;
        const struct wal_tail tail = tail_of(changed, log_size);
        *byte ^= 1;
        expect(tail, frame + 1, frames - frame);
        cr_assert_leq(tail.used, frame);
        cr_assert_geq(tail.used, used);
        used = tail.used;
    }
    cr_assert_gt(used, 0);
}

/* In the middle, where others follow it. */
Test(wal_tail, each_part_of_a_frame_counts)
{
    static const size_t parts[] = {0, 3, 7, 8, 15, 16, 23, 24, FRAME_BYTES - 1};

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        uint8_t *byte = &changed[HEADER_BYTES + FRAME_BYTES + parts[i]];
        const bool is_salt = parts[i] >= 8 && parts[i] < 16;

        *byte ^= 0x80;
        expect(tail_of(changed, log_size), 2, frames - 1 - is_salt);
        *byte ^= 0x80;
    }
}

Test(wal_tail, with_a_bad_header_nothing_is_used)
{
    for (size_t i = 0; i < HEADER_BYTES; i++) {
        changed[i] ^= 0x10;
        const struct wal_tail tail = tail_of(changed, log_size);
        changed[i] ^= 0x10;
        cr_assert_eq(tail.bad_frame, 0, "byte %zu", i);
        cr_assert_eq(tail.used, 0);
        cr_assert_gt(tail.unused, 0);
    }
}

/* What was not written is not missing; nor is what an older log has left behind. */
Test(wal_tail, a_short_log_and_an_older_one_are_no_damage)
{
    uint8_t *last = &changed[HEADER_BYTES + (size_t)(frames - 1) * FRAME_BYTES];

    for (size_t size = 0; size < log_size; size += 1009) {
        const struct wal_tail tail = tail_of(log_bytes, size);

        expect(tail, -1, 0);
        cr_assert_lt(tail.used, frames);
    }
    last[8] ^= 1;
    expect(tail_of(changed, log_size), -1, 0);
}

Test(wal_tail, any_bytes_may_be_there)
{
    unsigned state = 1;

    for (int round = 0; round < 200; round++) {
        const size_t size = (size_t)rand_r(&state) % (3 * FRAME_BYTES);

        for (size_t i = round % 2 ? HEADER_BYTES : 0; i < size; i++)
            changed[i] = (uint8_t)rand_r(&state);
        const struct wal_tail tail = tail_of(changed, size);
        cr_assert_geq(tail.unused, 0);
        cr_assert_eq(tail.used, 0);
    }
}
