/* test_tool_follow.c - a file is followed through growth, rotation, truncation, absence and a
 * restart of its reader; what is lost is reported (finding 40). */
#include "follow_fixture.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

static struct follow follow;

static void set_up(void)
{
    follow_fixture_set_up();
    cr_assert(follow_init(&follow, &port, NULL, path));
}

static void tear_down(void)
{
    follow_fini(&follow);
    follow_fixture_tear_down();
}

TestSuite(tool_follow, .init = set_up, .fini = tear_down);

/* Reads at a moment so long after now. */
static void read_after(int64_t ns)
{
    enum follow_outcome outcome;

    while ((outcome = follow_read(&follow, clock_mono_ns() + ns)) == FOLLOW_MORE)
        continue;
    cr_assert_eq(outcome, FOLLOW_QUIET);
}

static void expect(const char *lines)
{
    read_after(0);
    expect_seen(lines, NULL);
}

Test(tool_follow, begins_with_the_last_lines_and_reads_on)
{
    put(path, "1\n2\n3\n4\n", O_APPEND);
    cr_assert(follow_open(&follow, 2));
    expect("3,4,");
    put(path, "5\n6", O_APPEND);
    expect("5,");
    put(path, "x\n", O_APPEND);
    expect("6x,");
    expect("");
}

Test(tool_follow, begins_with_the_requested_number_of_lines)
{
    static const struct {
        uint64_t count;
        const char *lines;
    } samples[] = {{0, ""}, {1, "2,"}, {2, "1,2,"}, {3, "1,2,"}, {UINT64_MAX, "1,2,"}};

    put(path, "1\n2\n", O_APPEND);
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        follow_fini(&follow);
        cr_assert(follow_init(&follow, &port, NULL, path));
        cr_assert(follow_open(&follow, samples[i].count));
        expect(samples[i].lines);
    }
    put(path, "3", O_APPEND);
    follow_fini(&follow);
    cr_assert(follow_init(&follow, &port, NULL, path));
    cr_assert(follow_open(&follow, 1));
    expect("");
    put(path, "\n", O_APPEND);
    expect("3,");
}

Test(tool_follow, what_a_writer_adds_to_the_old_file_after_a_rotation_comes_first)
{
    put(path, "1\n", O_APPEND);
    cr_assert(follow_open(&follow, UINT64_MAX));
    expect("1,");
    cr_assert_eq(rename(path, old_path), 0);
    put(path, "4\n", O_APPEND);
    put(old_path, "2\nto", O_APPEND);
    expect("2,");
    cr_assert(follow.is_waiting, "the old file may still grow");
    put(old_path, "rn\n3\n", O_APPEND);
    expect("torn,3,");
    read_after(FOLLOW_QUIET_NS + NS_PER_S);
    expect_seen("4,", NULL);
    cr_assert_not(follow.is_waiting);
    cr_assert_eq(follow.rotations, 1);
    put(old_path, "late\n", O_APPEND);
    put(path, "5\n", O_APPEND);
    read_after(FOLLOW_QUIET_MAX_NS);
    expect_seen("late,5,", NULL);
}

Test(tool_follow, a_writer_that_stays_with_the_old_file_does_not_hold_up_the_new_one)
{
    put(path, "1\n", O_APPEND);
    cr_assert(follow_open(&follow, UINT64_MAX));
    expect("1,");
    cr_assert_eq(rename(path, old_path), 0);
    put(path, "new\n", O_APPEND);
    expect("");
    put(old_path, "2\n", O_APPEND);
    follow.replaced_ns -= FOLLOW_QUIET_MAX_NS;
    expect("2,new,");
}

Test(tool_follow, a_torn_last_line_of_an_old_file_is_kept_until_it_is_closed)
{
    put(path, "1\nrest", O_APPEND);
    cr_assert(follow_open(&follow, UINT64_MAX));
    expect("1,");
    cr_assert_eq(rename(path, old_path), 0);
    put(path, "2\n", O_APPEND);
    expect("");
    read_after(FOLLOW_QUIET_MAX_NS);
    expect_seen("2,", NULL);
    read_after(FOLLOW_KEEP_NS + NS_PER_S);
    expect_seen("rest,", "its last line has no end");
    cr_assert_eq(follow.file_count, 1);
}

Test(tool_follow, a_missing_file_is_read_when_it_appears)
{
    cr_assert_not(follow_open(&follow, 10));
    cr_assert_eq(follow.error, 0, "it may come");
    expect("");
    put(path, "1\n", O_APPEND);
    expect("1,");
    cr_assert_eq(unlink(path), 0);
    expect("");
    put(path, "2\n", O_APPEND);
    read_after(FOLLOW_QUIET_MAX_NS);
    expect_seen("2,", NULL);
}

Test(tool_follow, what_is_no_regular_file_is_not_read)
{
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_assert_not(follow_open(&follow, 10));
    cr_assert_neq(follow.error, 0);
    expect("");
    cr_assert_eq(unlink(path), 0);
}

Test(tool_follow, a_truncated_file_is_read_from_its_beginning)
{
    put(path, "long line\nhalf", O_APPEND);
    cr_assert(follow_open(&follow, UINT64_MAX));
    expect("long line,");
    put(path, "new\n", O_TRUNC);
    read_after(0);
    expect_seen("half,new,", "truncated: it is read from its beginning; what was written behind byte 14");
    cr_assert_eq(follow.truncations, 1);
}

Test(tool_follow, a_file_that_was_truncated_and_grew_again_is_read_from_its_beginning)
{
    static const char *const contents[] = {"a\nb\nc\nd\n", "x\ny\n" /* as long as before */, "e\nf\n"};
    static const char *const lines[] = {"a,b,c,d,", "x,y,", "e,f,"};

    put(path, "1\n2\n", O_APPEND);
    cr_assert(follow_open(&follow, UINT64_MAX));
    expect("1,2,");
    for (size_t i = 0; i < ARRAY_LEN(contents); i++) {
        put(path, contents[i], O_TRUNC);
        read_after(0);
        expect_seen(lines[i], "was truncated");
    }
}

Test(tool_follow, truncation_is_noticed_by_the_bytes_before_the_offset)
{
    char text[3 * FOLLOW_TAIL_BYTES];

    memset(text, 'x', sizeof(text));
    for (size_t i = 99; i < sizeof(text); i += 100)
        text[i] = '\n';
    text[sizeof(text) - 2] = '\n';
    text[sizeof(text) - 1] = '\0';
    put(path, text, O_APPEND);
    cr_assert(follow_open(&follow, 0));
    expect("");
    put(path, "more\n", O_APPEND);
    expect("more,");
    text[sizeof(text) - FOLLOW_TAIL_BYTES + 100] = 'y'; /* one byte is another one */
    put(path, text, O_TRUNC);
    put(path, "more\nand\n", O_APPEND);
    read_after(0);
    cr_assert(strstr(notices, "was truncated"), "%s", notices);
    cr_assert(strstr(seen, "more,and,"));
}

Test(tool_follow, many_rotations_close_the_oldest_file_and_say_so)
{
    put(path, "0\n", O_APPEND);
    cr_assert(follow_open(&follow, UINT64_MAX));
    expect("0,");
    for (unsigned i = 1; i < FOLLOW_MAX_FILES; i++) {
        char name[16], text[16];

        snprintf(name, sizeof(name), "old%u", i);
        snprintf(text, sizeof(text), "%u\n", i);
        cr_assert_eq(rename(path, file_in_folder(name)), 0);
        put(path, text, O_APPEND);
        read_after(0);
        read_after(FOLLOW_QUIET_MAX_NS);
        snprintf(text, sizeof(text), "%u,", i);
        expect_seen(text, NULL);
    }
    put(file_in_folder("old1"), "late\n", O_APPEND);
    read_after(FOLLOW_QUIET_MAX_NS);
    expect_seen("late,", NULL);
    cr_assert_eq(rename(path, file_in_folder("old")), 0);
    put(path, "last\n", O_APPEND);
    read_after(0);
    read_after(FOLLOW_QUIET_MAX_NS);
    expect_seen("last,", "5 files were here before and are still read");
}

/* Moves the file at the path away, and puts a new one there, with these lines. */
static void rotate_to(const char *name, const char *text)
{
    cr_assert_eq(rename(path, file_in_folder(name)), 0);
    put(path, text, O_APPEND);
    follow_read(&follow, clock_mono_ns()); /* opens it, and reads the oldest file only */
}

Test(tool_follow, the_oldest_file_is_read_before_it_is_closed)
{
    put(path, "0\n", O_APPEND);
    cr_assert(follow_open(&follow, UINT64_MAX));
    expect("0,");
    for (unsigned i = 1; i <= FOLLOW_MAX_FILES + 1; i++) {
        char name[16], text[16];

        snprintf(name, sizeof(name), "%u", i);
        snprintf(text, sizeof(text), "%u\n", i);
        if (i == FOLLOW_MAX_FILES)
            put(file_in_folder("1"), "late\n", O_APPEND);
        rotate_to(name, text);
    }
    for (unsigned i = 0; i < FOLLOW_MAX_FILES; i++)
        read_after(FOLLOW_QUIET_MAX_NS);
    expect_seen("late,1,2,3,4,5,6,", "the oldest one is closed");
}

Test(tool_follow, a_file_that_gets_its_name_back_is_not_read_twice)
{
    put(path, "1\n", O_APPEND);
    cr_assert(follow_open(&follow, UINT64_MAX));
    expect("1,");
    cr_assert_eq(rename(path, old_path), 0);
    expect("");
    cr_assert_eq(rename(old_path, path), 0);
    put(path, "2\n", O_APPEND);
    expect("2,");
    cr_assert_eq(follow.file_count, 1);
}

Test(tool_follow, the_end_of_following_reports_a_line_that_has_begun)
{
    put(path, "1\nhalf", O_APPEND);
    cr_assert(follow_open(&follow, UINT64_MAX));
    expect("1,");
    follow_fini(&follow);
    expect_seen("", "it ends within a line, of which 4 bytes were not published");
    cr_assert(follow_init(&follow, &port, NULL, path));
}

/* Ends following, and begins anew where it ended. `between` runs meanwhile. */
static void restart(void (*between)(void))
{
    struct follow_mark marks[FOLLOW_MAX_FILES];
    const size_t count = follow.file_count;

    for (size_t i = 0; i < count; i++)
        marks[i] = follow.files[i]->mark;
    follow_fini(&follow);
    notices[0] = '\0';
    between();
    cr_assert(follow_init(&follow, &port, NULL, path));
    follow_resume(&follow, marks, count);
}

static void grow(void)
{
    put(path, "n\n3\n", O_APPEND);
}

static void rotate(void)
{
    put(path, "n\n3\n", O_APPEND);
    cr_assert_eq(rename(path, old_path), 0);
    put(path, "4\n", O_APPEND);
}

/* One more rotation than a process follows, and nothing of it was read. */
static void rotate_full(void)
{
    put(path, "unread\n", O_APPEND);
    cr_assert_eq(rename(path, old_path), 0);
    put(path, "present\n", O_APPEND);
}

static void take_away(void)
{
    cr_assert_eq(unlink(path), 0);
}

static void overwrite(void)
{
    put(path, "another text\n", O_TRUNC);
}

static void set_up_torn(void)
{
    put(path, "1\n2\ntor", O_APPEND);
    cr_assert(follow_open(&follow, UINT64_MAX));
    expect("1,2,");
}

Test(tool_follow, a_later_process_goes_on_at_the_line_that_had_begun)
{
    set_up_torn();
    restart(grow);
    expect("torn,3,");
    restart(grow);
    expect("n,3,");
}

Test(tool_follow, a_later_process_finds_a_file_that_was_rotated_meanwhile)
{
    set_up_torn();
    restart(rotate);
    read_after(FOLLOW_QUIET_MAX_NS);
    expect_seen("torn,3,4,", "a file that came and went in between is not read");
}

Test(tool_follow, a_later_process_reads_the_rest_of_as_many_files_as_were_open)
{
    put(path, "0\n", O_APPEND);
    cr_assert(follow_open(&follow, UINT64_MAX));
    expect("0,");
    for (unsigned i = 1; i < FOLLOW_MAX_FILES; i++) {
        char name[16], text[16];

        snprintf(name, sizeof(name), "%u", i);
        snprintf(text, sizeof(text), "%u\n", i);
        rotate_to(name, text);
        read_after(FOLLOW_QUIET_MAX_NS);
    }
    expect_seen("1,2,3,4,", NULL);
    cr_assert_eq(follow.file_count, FOLLOW_MAX_FILES);
    put(file_in_folder("1"), "late\n", O_APPEND);
    restart(rotate_full);
    read_after(0);
    read_after(FOLLOW_QUIET_MAX_NS);
    cr_assert_not(strstr(notices, "is gone"), "%s", notices);
    expect_seen("late,unread,present,", "a file that came and went in between is not read");
}

Test(tool_follow, a_later_process_says_what_is_gone)
{
    set_up_torn();
    restart(take_away);
    read_after(0);
    expect_seen("", "is gone: what was written behind its byte 4 is lost");
}

Test(tool_follow, a_later_process_notices_truncation)
{
    set_up_torn();
    restart(overwrite);
    read_after(0);
    expect_seen("another text,", "truncated while it was not followed");
}
