/* test_status.c - the names of error codes, owned locals, and how a failed CHECK() ends a
 * process. */
#include "base/status.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct thing {
    int before;
    int member;
};

static int released;

static void thing_release(struct thing *thing)
{
    if (thing)
        released++;
}
OWNED_BY(thing_release, struct thing);

Test(status, every_error_has_a_name_of_its_own)
{
    for (int a = 0; a < ERR_COUNT; a++) {
        cr_assert_not_null(err_name((enum err)a), "%d", a);
        for (int b = 0; b < a; b++)
            cr_assert_str_neq(err_name((enum err)a), err_name((enum err)b));
    }
    cr_assert_str_eq(err_name(ERR_OK), "OK");
    cr_assert_str_eq(err_name(ERR_NOT_FOUND), "NOT_FOUND");
    cr_assert_str_eq(err_name(ERR_IO), "IO");
    cr_assert_str_eq(err_name(ERR_COUNT), "UNKNOWN");
}

Test(status, ok_is_zero_and_has_no_text)
{
    struct status ok = STATUS_OK;

    cr_assert_eq(ok.code, 0);
    cr_assert_eq(ok.sys, 0);
    cr_assert_str_eq(ok.what, "");
}

Test(status, an_owned_local_is_released_at_the_end_of_its_scope)
{
    struct thing thing = {0};

    {
        OWNED(thing_release) struct thing *kept = &thing;
        OWNED(thing_release) struct thing *given_away = &thing;

        given_away = NULL;
        cr_assert_not_null(kept);
        cr_assert_null(given_away);
    }
    cr_assert_eq(released, 1);
}

Test(status, container_of_finds_the_structure_of_a_member)
{
    struct thing thing = {0};

    cr_assert_eq(container_of(&thing.member, struct thing, member), &thing);
}

/* Runs a CHECK() in a child process. Its standard error is in `text`. Returns the wait status. */
static int checked(const char *condition, bool is_true, char *text, size_t capacity)
{
    int ends[2], status = 0;
    size_t size = 0;
    ssize_t got;
    pid_t child;

    cr_assert_eq(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        if (!is_true)
            check_failed(condition, "room/file.c", 17);
        CHECK(is_true);
        _exit(0);
    }
    close(ends[1]);
    while ((got = read(ends[0], text + size, capacity - 1 - size)) > 0)
        size += (size_t)got;
    text[size] = '\0';
    close(ends[0]);
    cr_assert_eq(waitpid(child, &status, 0), child);
    return status;
}

Test(status, a_true_check_continues)
{
    char text[1024];

    cr_assert_eq(checked("", true, text, sizeof(text)), 0);
    cr_assert_str_eq(text, "");
}

Test(status, a_failed_check_writes_its_place_in_one_line_and_aborts)
{
    char text[1024];
    int status = checked("count > 0", false, text, sizeof(text));

    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%#x", (unsigned)status);
    cr_assert_str_eq(text, "room/file.c:17: broken promise: count > 0\n");
}

Test(status, a_long_condition_is_cut_to_one_line)
{
    char condition[900], text[1024];

    memset(condition, 'x', sizeof(condition) - 1);
    condition[sizeof(condition) - 1] = '\0';
    cr_assert(WIFSIGNALED(checked(condition, false, text, sizeof(text))));
    cr_assert_lt(strlen(text), 513);
    cr_assert_eq(strchr(text, '\n'), text + strlen(text) - 1);
    cr_assert_eq(text[strlen(text) - 2], 'x');
}
