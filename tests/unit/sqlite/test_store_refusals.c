/* test_store_refusals.c - what is odd when a store is opened is refused in one sentence that names
 * path and cause, and stays as it is (row_6). */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
    (void)chmod(fixture.path, 0700);
    fixture_fini(&fixture);
}

TestSuite(store_refusals, .init = begin, .fini = end);

static void expect_refusal(const char *path, const char *cause)
{
    cr_assert_eq(fixture_open(&fixture), ERR_INVALID, "not refused: %s", cause);
    cr_assert(strstr(fixture.refusal.text, path), "no path '%s' in: %s", path, fixture.refusal.text);
    cr_assert(strstr(fixture.refusal.text, cause), "no '%s' in: %s", cause, fixture.refusal.text);
    cr_assert_null(fixture.store);
}

/* A closed store with one record. */
static void make_store(void)
{
    fixture_expect_open(&fixture);
    cr_assert_eq(put(&fixture, "a", "1"), STORE_DONE);
    fixture_close(&fixture);
}

static void write_at(const char *name, off_t offset, const void *bytes, size_t size)
{
    const int fd = open(fixture_file(&fixture, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    cr_assert(fd >= 0);
    cr_assert_eq(pwrite(fd, bytes, size, offset), (ssize_t)size);
    close(fd);
}

static size_t file_bytes(const char *name, char *bytes, size_t capacity)
{
    const int fd = open(fixture_file(&fixture, name), O_RDONLY | O_CLOEXEC);
    const ssize_t size = fd < 0 ? 0 : read(fd, bytes, capacity);

    if (fd >= 0)
        close(fd);
    return size > 0 ? (size_t)size : 0;
}

Test(store_refusals, a_second_process_is_kept_out_and_hears_who_it_is)
{
    struct store_fixture second = fixture;
    char pid[32];

    fixture_expect_open(&fixture);
    cr_assert_eq(fixture_open(&second), ERR_INVALID);
    snprintf(pid, sizeof(pid), "process %d", getpid());
    cr_assert(strstr(second.refusal.text, "another tributaryd uses it"), "%s", second.refusal.text);
    cr_assert(strstr(second.refusal.text, pid), "%s", second.refusal.text);
    cr_assert_eq(unlink(fixture_file(&fixture, "store.lock")), 0);
    cr_assert_eq(fixture_open(&second), ERR_INVALID, "the folder is locked too");
    cr_assert_eq(put(&fixture, "a", "1"), STORE_DONE, "the first one goes on");
}

Test(store_refusals, a_folder_that_others_may_write_to)
{
    cr_assert_eq(mkdir(fixture.path, 0700), 0);
    cr_assert_eq(chmod(fixture.path, 0770), 0);
    expect_refusal(fixture.path, "others may write");
    cr_assert_eq(chmod(fixture.path, 0702), 0);
    expect_refusal(fixture.path, "others may write");
    cr_assert_eq(chmod(fixture.path, 0755), 0);
    fixture_expect_open(&fixture);
}

Test(store_refusals, a_folder_of_another_user)
{
    if (geteuid() != 0)
        return; /* only root can make one */
    cr_assert_eq(mkdir(fixture.path, 0700), 0);
    cr_assert_eq(chown(fixture.path, 12345, 12345), 0);
    expect_refusal(fixture.path, "user 12345 owns it");
}

Test(store_refusals, a_folder_that_cannot_be_made_or_is_none)
{
    char path[96];

    strcpy(path, fixture.path);
    snprintf(fixture.path, sizeof(fixture.path), "%s/no/such", fixture.folder);
    expect_refusal(fixture.path, "No such file or directory");
    snprintf(fixture.path, sizeof(fixture.path), "/dev/null");
    expect_refusal("/dev/null", "Not a directory");
    strcpy(fixture.path, path);
}

Test(store_refusals, files_that_others_may_use_or_that_are_no_files)
{
    make_store();
    cr_assert_eq(chmod(fixture_file(&fixture, "store.db"), 0640), 0);
    expect_refusal(fixture_file(&fixture, "store.db"), "mode is 0640");
    cr_assert_eq(chmod(fixture_file(&fixture, "store.db"), 0600), 0);
    char path[256], other[256];
    snprintf(path, sizeof(path), "%s", fixture_file(&fixture, "store.db"));
    snprintf(other, sizeof(other), "%s", fixture_file(&fixture, "store.db-shm"));
    cr_assert_eq(link(path, other), 0);
    expect_refusal(path, "second name");
    cr_assert_eq(rename(path, other), 0); /* one file, two names: does nothing */
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(symlink(other, path), 0);
    expect_refusal(path, "no regular file");
}

Test(store_refusals, a_file_that_is_no_database_and_is_left_as_it_is)
{
    static const char text[200] = "This is somebody's letter.";
    char bytes[400];

    cr_assert_eq(mkdir(fixture.path, 0700), 0);
    write_at("store.db", 0, text, sizeof(text));
    expect_refusal("store.db", "no SQLite database");
    cr_assert_eq(file_bytes("store.db", bytes, sizeof(bytes)), sizeof(text));
    cr_assert_eq(memcmp(bytes, text, sizeof(text)), 0);
}

Test(store_refusals, an_empty_or_short_file)
{
    cr_assert_eq(mkdir(fixture.path, 0700), 0);
    write_at("store.db", 0, "", 0);
    expect_refusal("store.db", "only 0 bytes");
    write_at("store.db", 0, "SQLite format 3", 16);
    expect_refusal("store.db", "only 16 bytes");
}

Test(store_refusals, another_programs_database_and_a_later_version)
{
    make_store();
    fixture_sql(&fixture, "PRAGMA journal_mode=DELETE; PRAGMA application_id=17");
    expect_refusal("store.db", "belongs to another program: its application_id is 0x00000011");
    fixture_sql(&fixture, "PRAGMA application_id=0x74726962; PRAGMA user_version=7");
    expect_refusal("store.db", "its user_version is 7, and this one knows 6");
    fixture_sql(&fixture, "PRAGMA user_version=0");
    expect_refusal("store.db", "'PRAGMA user_version' is 0, and not 1 to 6");
    fixture_sql(&fixture, "PRAGMA user_version=6");
    fixture_expect_open(&fixture);
    cr_assert_str_eq(fixture_records(&fixture), "a=1");
}

Test(store_refusals, tables_that_are_not_ours)
{
    make_store();
    fixture_sql(&fixture, "CREATE TABLE notes(text)");
    expect_refusal("store.db", "'notes' is not as version 6 of the store has it");
    fixture_sql(&fixture,
                "DROP TABLE notes; CREATE TRIGGER t AFTER INSERT ON record BEGIN DELETE FROM record; END");
    expect_refusal("store.db", "'t' is not as version 6");
    fixture_sql(&fixture, "DROP TRIGGER t; ALTER TABLE record ADD COLUMN more ANY");
    expect_refusal("store.db", "'record' is not as version 6");
}

Test(store_refusals, a_table_that_is_missing_and_meta_that_is_not_ours)
{
    make_store();
    fixture_sql(&fixture, "DELETE FROM meta WHERE key = 'uuid'");
    expect_refusal("store.db", "'meta' is not complete");
    fixture_sql(&fixture, "INSERT INTO meta VALUES('uuid', 'x')");
    expect_refusal("store.db", "holds what no tributaryd writes");
    fixture_sql(&fixture, "DROP TABLE record");
    expect_refusal("store.db", "11 of 12 tables");
}

Test(store_refusals, a_record_whose_hash_is_wrong)
{
    make_store();
    fixture_sql(&fixture, "UPDATE record SET owner = x'3939'");
    fixture_expect_open(&fixture);
    cr_assert(strstr(fixture_records(&fixture), "'a' is damaged"), "%s", fixture_records(&fixture));
}

/* Somebody copies store.db of a daemon that runs, or of one that was killed, without its log. */
Test(store_refusals, a_copy_without_its_log)
{
    static char copy[1 << 20];
    size_t size;

    fixture_expect_open(&fixture);
    cr_assert_eq(put(&fixture, "a", "1"), STORE_DONE);
    size = file_bytes("store.db", copy, sizeof(copy));
    fixture_close(&fixture);
    write_at("store.db", 0, copy, size);
    expect_refusal("store.db", "store.db-wal is missing");
    cr_assert_neq(access(fixture_file(&fixture, "store.db-wal"), F_OK), 0, "and none was made");
    expect_refusal("store.db", "store.db-wal is missing");
}

Test(store_refusals, a_log_without_its_database)
{
    make_store();
    cr_assert_eq(unlink(fixture_file(&fixture, "store.db")), 0);
    write_at("store.db-wal", 0, "x", 1);
    expect_refusal("store.db", "missing, but store.db-wal is there");
}

/* Bytes of a closed file are changed one after the other. It is refused, or what it holds is
 * right; nothing crashes and nothing else is read. */
Test(store_refusals, a_file_with_changed_bytes_is_refused_or_right, .timeout = 100)
{
    static char good[1 << 20], now[1 << 20];
    size_t size;
    unsigned refused = 0;

    make_store();
    size = file_bytes("store.db", good, sizeof(good));
    for (size_t i = 0; i < 600; i++) {
        const size_t at = i < 120 ? i : (i * 7919u) % size;
        const char bad = (char)(good[at] ^ (1 << (i % 8)));

        write_at("store.db", 0, good, size);
        cr_assert_eq(truncate(fixture_file(&fixture, "store.db"), (off_t)size), 0);
        write_at("store.db", (off_t)at, &bad, 1);
        if (fixture_open(&fixture) != ERR_OK) {
            cr_assert(strstr(fixture.refusal.text, "store.db"), "%s", fixture.refusal.text);
            refused++;
            cr_assert_eq(file_bytes("store.db", now, sizeof(now)), size, "it stays as it is");
        } else {
            const char *records = fixture_records(&fixture);

            cr_assert(strcmp(records, "a=1") == 0 || strncmp(records, "refused:", 8) == 0,
                      "byte %zu: there is '%s'", at, records);
            refused += strncmp(records, "refused:", 8) == 0;
            fixture_close(&fixture);
        }
        (void)unlink(fixture_file(&fixture, "store.db-wal"));
        (void)unlink(fixture_file(&fixture, "store.db-shm"));
    }
    cr_assert_gt(refused, 40u);
    write_at("store.db", 0, good, size);
}
