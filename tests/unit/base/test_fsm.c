/* test_fsm.c - allowed moves happen, others end the process, and the trace shows each move. */
#include "base/fsm.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum valve_state { SHUT, AJAR, WIDE, SEALED };

static const struct fsm machine = {
    .name = "valve",
    .states = {[SHUT] = {"SHUT", BIT(AJAR) | BIT(SEALED)},
               [AJAR] = {"AJAR", BIT(SHUT) | BIT(WIDE) | BIT(AJAR)},
               [WIDE] = {"WIDE", BIT(AJAR)},
               [SEALED] = {"SEALED", 0}},
};

struct valve {
    int width;
    enum valve_state state;
};

/* Moves a valve in a child process. Its standard error is in `text`. Returns the wait status. */
static int moved(enum valve_state from, enum valve_state to, enum log_level level, char *text,
                 size_t capacity)
{
    int ends[2], status = 0;
    size_t size = 0;
    ssize_t got;
    pid_t child;

    cr_assert_eq(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        struct valve valve = {.state = from};

        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        log_setup(level, LOG_AS_TEXT, STDERR_FILENO);
        fsm_move(&machine, &valve, to);
        _exit(valve.state == to ? 0 : 1);
    }
    close(ends[1]);
    while ((got = read(ends[0], text + size, capacity - 1 - size)) > 0)
        size += (size_t)got;
    text[size] = '\0';
    close(ends[0]);
    cr_assert_eq(waitpid(child, &status, 0), child);
    return status;
}

static void assert_refused(enum valve_state from, enum valve_state to, const char *expected)
{
    char text[1024];
    int status = moved(from, to, LOG_DEBUG, text, sizeof(text));
    const char *refusal = strstr(text, "broken promise: ");

    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%#x", (unsigned)status);
    cr_assert_not_null(strstr(text, "test_fsm.c:"), "the place of the move: %s", text);
    cr_assert_not_null(refusal, "%s", text);
    cr_assert_str_eq(refusal + strlen("broken promise: "), expected);
    cr_assert_eq(strchr(text, '\n'), text + strlen(text) - 1, "one line, and no trace: %s", text);
}

Test(fsm, an_allowed_move_sets_the_state_and_nothing_else)
{
    struct valve valve = {.width = 80, .state = SHUT};

    fsm_move(&machine, &valve, AJAR);
    cr_assert_eq(valve.state, AJAR);
    fsm_move(&machine, &valve, WIDE);
    cr_assert_eq(valve.state, WIDE);
    cr_assert_eq(valve.width, 80);
}

Test(fsm, the_table_decides_whether_a_state_may_follow_itself)
{
    struct valve valve = {.state = AJAR};

    fsm_move(&machine, &valve, AJAR);
    cr_assert_eq(valve.state, AJAR);
    cr_assert_not(fsm_allows(&machine, SHUT, SHUT));
}

Test(fsm, each_argument_is_evaluated_once)
{
    struct valve valves[3] = {{.state = SHUT}, {.state = SHUT}, {.state = SHUT}};
    enum valve_state states[2] = {AJAR, WIDE};
    size_t valve = 0, state = 0;

    fsm_move(&machine, &valves[valve++], states[state++]);
    cr_assert_eq(valve, 1);
    cr_assert_eq(state, 1);
    cr_assert_eq(valves[0].state, AJAR);
    cr_assert_eq(valves[1].state, SHUT);
}

Test(fsm, a_move_that_is_not_in_the_table_ends_the_process_and_names_machine_and_states)
{
    assert_refused(SHUT, WIDE, "valve may not move from SHUT (0) to WIDE (2)\n");
    assert_refused(SHUT, SHUT, "valve may not move from SHUT (0) to SHUT (0)\n");
}

Test(fsm, nothing_follows_a_last_state)
{
    for (unsigned to = SHUT; to <= SEALED; to++)
        cr_assert_not(fsm_allows(&machine, SEALED, to), "%u", to);
    assert_refused(SEALED, SHUT, "valve may not move from SEALED (3) to SHUT (0)\n");
}

Test(fsm, a_state_that_the_machine_does_not_have_is_refused)
{
    assert_refused(SHUT, (enum valve_state)4, "valve may not move from SHUT (0) to UNKNOWN (4)\n");
    assert_refused(SHUT, (enum valve_state)MAX_FSM_STATES,
                   "valve may not move from SHUT (0) to UNKNOWN (8)\n");
    assert_refused((enum valve_state)40, SHUT, "valve may not move from UNKNOWN (40) to SHUT (0)\n");
    for (unsigned state = 4; state < 70; state++) {
        cr_assert_not(fsm_allows(&machine, SHUT, state), "%u", state);
        cr_assert_not(fsm_allows(&machine, state, AJAR), "%u", state);
    }
}

Test(fsm, the_trace_is_one_line_with_machine_object_and_states)
{
    struct valve valve = {.state = SHUT};
    char line[512], expected[256];
    ssize_t size;
    int ends[2];

    cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
    log_setup(LOG_DEBUG, LOG_AS_TEXT, ends[1]);
    errno = EXDEV;
    fsm_move(&machine, &valve, AJAR);
    cr_assert_eq(errno, EXDEV);
    size = read(ends[0], line, sizeof(line) - 1);
    cr_assert_gt(size, 27, "a time stands first");
    line[size] = '\0';
    snprintf(expected, sizeof(expected),
             " debug fsm.moved machine=\"valve\" object=\"%p\" from=\"SHUT\" to=\"AJAR\"\n", (void *)&valve);
    cr_assert_str_eq(line + 27, expected);
    close(ends[0]);
    close(ends[1]);
}

Test(fsm, without_the_level_debug_no_move_is_traced)
{
    char text[1024];

    cr_assert_eq(moved(SHUT, AJAR, LOG_INFO, text, sizeof(text)), 0);
    cr_assert_str_eq(text, "");
    cr_assert_eq(moved(SHUT, AJAR, LOG_OFF, text, sizeof(text)), 0);
    cr_assert_str_eq(text, "");
}
