/* test_tool_follow.c - a file is followed through growth, rotation, truncation and absence. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/tool/follow.h"

static char folder[64];
static char path[128];
static char seen[1024];
static struct lines lines;
static struct follow follow;

static bool on_line(void *ctx, const struct line *line)
{
    (void)ctx;
    snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%.*s,", (int)line->size,
             line->text ? line->text : "");
    return true;
}

static void put(const char *name, const char *text, int flags)
{
    const int fd = open(name, O_WRONLY | O_CREAT | flags, 0600);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void expect(const char *text)
{
    cr_assert(follow_read(&follow, &lines));
    cr_assert_str_eq(seen, text);
    seen[0] = '\0';
}

static void set_up(void)
{
    snprintf(folder, sizeof(folder), "/tmp/follow-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/log", folder);
    lines = (struct lines){.line = on_line};
}

static void tear_down(void)
{
    char old[160];

    snprintf(old, sizeof(old), "%s.1", path);
    follow_close(&follow);
    lines_fini(&lines);
    unlink(path);
    unlink(old);
    rmdir(folder);
}

TestSuite(tool_follow, .init = set_up, .fini = tear_down);

Test(tool_follow, begins_with_the_last_lines_and_reads_on)
{
    put(path, "1\n2\n3\n4\n", O_APPEND);
    follow_open(&follow, path, 2);
    expect("3,4,");
    put(path, "5\n6", O_APPEND);
    expect("5,");
    put(path, "x\n", O_APPEND);
    expect("6x,");
    expect("");
}

Test(tool_follow, begins_with_the_requested_number_of_lines)
{
    put(path, "1\n2\n", O_APPEND);
    follow_open(&follow, path, 0);
    expect("");
    follow_close(&follow);
    follow_open(&follow, path, UINT64_MAX);
    expect("1,2,");
    follow_close(&follow);
    follow_open(&follow, path, 3);
    expect("1,2,");
    follow_close(&follow);
    put(path, "3", O_APPEND);
    follow_open(&follow, path, 1);
    expect("");
    put(path, "\n", O_APPEND);
    expect("3,");
}

Test(tool_follow, a_rotated_file_is_read_to_its_end_and_then_the_new_one)
{
    char old[160];

    snprintf(old, sizeof(old), "%s.1", path);
    put(path, "1\n", O_APPEND);
    follow_open(&follow, path, UINT64_MAX);
    expect("1,");
    cr_assert_eq(rename(path, old), 0);
    put(old, "2\nrest", O_APPEND);
    put(path, "3\n4\n", O_APPEND);
    expect("2,rest,3,4,");
    cr_assert_eq(follow.rotations, 1);
}

Test(tool_follow, a_missing_file_is_read_when_it_appears)
{
    follow_open(&follow, path, 10);
    cr_assert(follow.was_missing);
    expect("");
    put(path, "1\n", O_APPEND);
    expect("1,");
    cr_assert_eq(unlink(path), 0);
    expect("");
    put(path, "2\n", O_APPEND);
    expect("2,");
}

Test(tool_follow, a_truncated_file_is_read_from_its_beginning)
{
    put(path, "long line\nhalf", O_APPEND);
    follow_open(&follow, path, UINT64_MAX);
    expect("long line,");
    put(path, "new\n", O_TRUNC);
    expect("half,new,");
    cr_assert_eq(follow.truncations, 1);
}

Test(tool_follow, a_change_is_noticed)
{
    struct pollfd wait = {.events = POLLIN};

    put(path, "", O_APPEND);
    follow_open(&follow, path, 10);
    wait.fd = follow.notify_fd;
    cr_assert_eq(poll(&wait, 1, 0), 0);
    put(path, "1\n", O_APPEND);
    cr_assert_eq(poll(&wait, 1, 5000), 1);
    follow_noticed(&follow);
    cr_assert_eq(poll(&wait, 1, 0), 0);
    expect("1,");
}
