/* test_tool_follow_set.c - several files and patterns are followed, and a state file keeps how far
 * (finding 40). */
#include "follow_fixture.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/tool/follow_state.h"

static struct follow_set set;
static const char *patterns[4];
static char pattern[128], state_path[128];
static char fault[512];

static void set_up(void)
{
    follow_fixture_set_up();
    snprintf(pattern, sizeof(pattern), "%s/*.log", folder);
    snprintf(state_path, sizeof(state_path), "%s/state", folder);
    patterns[0] = pattern;
    with_sources = true;
    follow_set_init(&set, &port, patterns, 1);
}

static void tear_down(void)
{
    follow_set_fini(&set);
    follow_fixture_tear_down();
}

TestSuite(tool_follow_set, .init = set_up, .fini = tear_down);

/* Reads everything, new paths too, as if old files had been quiet for `ns`. */
static void read_all(int64_t ns)
{
    enum follow_outcome outcome;

    set.scanned_ns = 0;
    for (size_t i = 0; i < set.count; i++) {
        set.each[i]->replaced_ns -= ns;
        for (size_t j = 0; j < set.each[i]->file_count; j++)
            set.each[i]->files[j]->moved_ns -= ns;
    }
    while ((outcome = follow_set_read(&set)) == FOLLOW_MORE)
        continue;
    cr_assert_eq(outcome, FOLLOW_QUIET);
}

Test(tool_follow_set, files_that_match_are_followed_and_each_line_names_its_file)
{
    put(file_in_folder("a.log"), "1\n2\n", O_APPEND);
    put(file_in_folder("b.log"), "3\n", O_APPEND);
    put(file_in_folder("other"), "no\n", O_APPEND);
    follow_set_open(&set, 1);
    read_all(0);
    expect_seen("a.log:2,b.log:3,", NULL);
    put(file_in_folder("c.log"), "4\n5\n", O_APPEND);
    put(file_in_folder("a.log"), "6\n", O_APPEND);
    read_all(0);
    expect_seen("a.log:6,c.log:4,c.log:5,", NULL);
}

Test(tool_follow_set, one_path_has_no_name_and_several_have)
{
    follow_set_fini(&set);
    patterns[0] = path;
    follow_set_init(&set, &port, patterns, 1);
    put(path, "1\n", O_APPEND);
    follow_set_open(&set, UINT64_MAX);
    read_all(0);
    expect_seen("1,", NULL);
    follow_set_fini(&set);
    patterns[1] = old_path;
    follow_set_init(&set, &port, patterns, 2);
    follow_set_open(&set, UINT64_MAX);
    read_all(0);
    expect_seen("log:1,", "log.1: it is no file that can be read: waiting for it");
}

Test(tool_follow_set, a_name_with_the_letters_of_a_pattern_is_a_name_where_the_file_exists)
{
    cr_assert(follow_is_pattern("/nowhere/*.log"));
    cr_assert(follow_is_pattern("/nowhere/a[1]"));
    cr_assert_not(follow_is_pattern("/nowhere/a"));
    put(file_in_folder("a[1].log"), "1\n", O_APPEND);
    cr_assert_not(follow_is_pattern(file_in_folder("a[1].log")));
}

Test(tool_follow_set, no_match_is_reported)
{
    follow_set_open(&set, 1);
    expect_seen("", "no file matches yet");
}

Test(tool_follow_set, a_file_that_is_renamed_to_another_match_is_not_read_twice)
{
    put(file_in_folder("a.log"), "1\n", O_APPEND);
    follow_set_open(&set, UINT64_MAX);
    read_all(0);
    expect_seen("a.log:1,", NULL);
    cr_assert_eq(rename(file_in_folder("a.log"), file_in_folder("a.1.log")), 0);
    put(file_in_folder("a.1.log"), "2\n", O_APPEND);
    put(file_in_folder("a.log"), "3\n", O_APPEND);
    read_all(0);
    read_all(FOLLOW_QUIET_MAX_NS);
    expect_seen("a.log:2,a.log:3,", NULL);
    read_all(FOLLOW_KEEP_NS); /* the old file is closed, and its new path takes over */
    read_all(0);
    expect_seen("", NULL);
    put(file_in_folder("a.1.log"), "4\n", O_APPEND);
    read_all(0);
    expect_seen("a.1.log:4,", NULL);
}

Test(tool_follow_set, a_chain_of_rotations_within_the_matches_reads_each_line_once)
{
    put(file_in_folder("a.log"), "1\n", O_APPEND);
    put(file_in_folder("a.1.log"), "0\n", O_APPEND);
    follow_set_open(&set, UINT64_MAX);
    read_all(0);
    expect_seen("a.1.log:0,a.log:1,", NULL);
    for (int i = 2; i < 5; i++) {
        char text[16], lines[32];

        snprintf(text, sizeof(text), "%d\n", i);
        snprintf(lines, sizeof(lines), "a.log:%d,", i);
        rename(file_in_folder("a.2.log"), file_in_folder("a.3.log"));
        rename(file_in_folder("a.1.log"), file_in_folder("a.2.log"));
        cr_assert_eq(rename(file_in_folder("a.log"), file_in_folder("a.1.log")), 0);
        put(file_in_folder("a.log"), text, O_APPEND);
        for (int round = 0; round < 4; round++)
            read_all(FOLLOW_KEEP_NS);
        expect_seen(lines, NULL);
    }
}

Test(tool_follow_set, a_match_that_is_gone_is_forgotten)
{
    put(file_in_folder("a.log"), "1\n", O_APPEND);
    follow_set_open(&set, UINT64_MAX);
    read_all(0);
    cr_assert_eq(set.count, 1);
    cr_assert_eq(unlink(file_in_folder("a.log")), 0);
    read_all(0);
    read_all(FOLLOW_KEEP_NS);
    cr_assert_eq(set.count, 0);
    put(file_in_folder("a.log"), "2\n", O_APPEND);
    read_all(0);
    expect_seen("a.log:1,a.log:2,", NULL);
}

Test(tool_follow_set, more_files_than_the_bound_are_reported_once)
{
    for (unsigned i = 0; i < FOLLOW_MAX_PATHS + 2; i++) {
        char name[16];

        snprintf(name, sizeof(name), "%03u.log", i);
        put(file_in_folder(name), "", O_APPEND);
    }
    follow_set_open(&set, 1);
    read_all(0);
    cr_assert_eq(set.count, FOLLOW_MAX_PATHS);
    const char *first = strstr(notices, "it is not followed: 256 files are");

    cr_assert(first, "%s", notices);
    cr_assert_null(strstr(first + 1, "it is not followed"));
}

Test(tool_follow_set, a_change_is_noticed)
{
    struct pollfd wait = {.events = POLLIN};

    put(file_in_folder("a.log"), "", O_APPEND);
    follow_set_open(&set, 10);
    wait.fd = set.notify_fd;
    cr_assert_eq(poll(&wait, 1, 0), 0);
    put(file_in_folder("a.log"), "1\n", O_APPEND);
    cr_assert_eq(poll(&wait, 1, 5000), 1);
    follow_set_noticed(&set);
    cr_assert_eq(poll(&wait, 1, 0), 0);
    cr_assert_neq(set.scanned_ns, 0, "a file that grows is no new file");
    put(file_in_folder("b.log"), "1\n", O_APPEND);
    cr_assert_eq(poll(&wait, 1, 5000), 1);
    follow_set_noticed(&set);
    cr_assert_eq(set.scanned_ns, 0, "the folder is searched again");
}

/* Opens the state and goes on from it. */
static void resume(struct follow_state *state)
{
    cr_assert(follow_state_open(state, state_path, fault), "%s", fault);
    follow_set_init(&set, &port, patterns, 1);
    follow_set_resume(&set, state->saved, state->saved_count, state->closed, state->closed_count);
    follow_set_open(&set, UINT64_MAX);
}

Test(tool_follow_set, a_later_process_goes_on_after_what_the_state_says)
{
    struct follow_state state;

    follow_set_fini(&set);
    put(file_in_folder("a.log"), "1\n2\n", O_APPEND);
    resume(&state);
    read_all(0);
    expect_seen("a.log:1,a.log:2,", NULL);
    follow_state_note(&state, &set);
    cr_assert_eq(access(state_path, F_OK), -1, "its events are not done");
    cr_assert(follow_state_write(&state, false));
    cr_assert_eq(access(state_path, F_OK), 0);
    put(file_in_folder("a.log"), "3\n", O_APPEND);
    read_all(0);
    follow_state_note(&state, &set);
    follow_set_fini(&set);
    follow_state_close(&state);
    resume(&state);
    seen[0] = '\0';
    read_all(0);
    expect_seen("a.log:3,", NULL);
    follow_state_close(&state);
}

Test(tool_follow_set, the_state_keeps_old_files_and_closed_ones)
{
    struct follow_state state;

    follow_set_fini(&set);
    put(file_in_folder("a.log"), "1\n", O_APPEND);
    resume(&state);
    read_all(0);
    cr_assert_eq(rename(file_in_folder("a.log"), file_in_folder("a.1.log")), 0);
    put(file_in_folder("a.log"), "2\n", O_APPEND);
    read_all(0);
    read_all(FOLLOW_QUIET_MAX_NS);
    expect_seen("a.log:1,a.log:2,", NULL);
    for (int round = 0; round < 3; round++) { /* open as an old file; then closed; then at its new path */
        follow_state_note(&state, &set);
        cr_assert(follow_state_write(&state, true));
        follow_set_fini(&set);
        follow_state_close(&state);
        put(file_in_folder("a.1.log"), "late\n", O_APPEND);
        resume(&state);
        read_all(FOLLOW_QUIET_MAX_NS);
        expect_seen(round == 0 ? "a.log:late," : "a.1.log:late,", NULL);
        read_all(FOLLOW_KEEP_NS);
        read_all(0);
        expect_seen("", NULL);
    }
    follow_state_close(&state);
}

static void expect_refused(const char *text)
{
    struct follow_state state;

    cr_expect_not(follow_state_open(&state, state_path, fault), "%s", text);
    cr_expect(strstr(fault, text), "%s", fault);
    follow_state_close(&state);
}

#define TAIL_BEYOND_THE_FILE                                                                                 \
    "{\"tributary_follow\": 1, \"files\": [], \"closed\": [{\"device\": 1, \"inode\": 1, \"offset\": 1, "    \
    "\"tail_bytes\": 2, \"fingerprint\": \"0000000000000000\"}]}"

Test(tool_follow_set, what_is_no_state_is_refused_and_left_alone)
{
    static const char *const damaged[] = {
        "",
        "{}",
        "[1]",
        "{\"tributary_follow\": 2, \"files\": [], \"closed\": []}",
        "{\"tributary_follow\": 1, \"files\": [{\"path\": \"a\"}], \"closed\": []}",
        "{\"tributary_follow\": 1, \"files\": [], \"closed\": [{\"device\": 1}]}",
        "{\"tributary_follow\": 1, \"files\": [], \"closed\": [{\"device\": 1, \"inode\": 1, \"offset\": "
        "-1}]}",
        TAIL_BEYOND_THE_FILE,
    };
    struct stat about;

    for (size_t i = 0; i < ARRAY_LEN(damaged); i++) {
        put(state_path, damaged[i], O_TRUNC);
        expect_refused(damaged[i][0] == '\0' ? "damaged" : "no state that this version has written");
        cr_assert_eq(stat(state_path, &about), 0);
        cr_assert_eq((size_t)about.st_size, strlen(damaged[i]));
    }
    cr_assert_eq(unlink(state_path), 0);
    cr_assert_eq(mkfifo(state_path, 0600), 0);
    expect_refused("no regular file");
    cr_assert_eq(unlink(state_path), 0);
    cr_assert_eq(symlink("/nowhere", state_path), 0);
    expect_refused("no regular file");
    cr_assert_eq(lstat(state_path, &about), 0);
    cr_assert(S_ISLNK(about.st_mode));
}

Test(tool_follow_set, two_processes_cannot_share_a_state)
{
    struct follow_state state;

    cr_assert(follow_state_open(&state, state_path, fault), "%s", fault);
    expect_refused("another process uses it");
    follow_state_close(&state);
    cr_assert(follow_state_open(&state, state_path, fault), "%s", fault);
    follow_state_close(&state);
}

Test(tool_follow_set, a_state_that_cannot_be_written_is_reported, .init = cr_redirect_stderr)
{
    struct follow_state state;

    set_up();
    cr_assert(follow_state_open(&state, state_path, fault), "%s", fault);
    cr_assert_eq(mkdir(state_path, 0700), 0);
    follow_state_note(&state, &set);
    cr_assert_not(follow_state_write(&state, true));
    cr_assert(state.failed);
    cr_assert_eq(rmdir(state_path), 0, "nothing replaced it");
    cr_assert(follow_state_write(&state, true));
    cr_assert_eq(access(state_path, F_OK), 0);
    follow_state_close(&state);
}
