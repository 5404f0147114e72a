/* test_core_log.c - so many of gRPC core's lines in a second, and the reason of an abort always
 * (finding 13). */
#include "grpc/core_log.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#include <grpc/support/log.h>

static unsigned written, left_out, errors;
static char last[64];

static void on_write(const struct core_line *line)
{
    written++;
    errors += line->is_error;
    strncpy(last, line->message, sizeof(last) - 1);
}

static void on_left_out(const struct core_line *line)
{
    (void)line;
    left_out++;
}

static void start(unsigned max_per_second)
{
    static struct core_log_port port = {.write = on_write, .left_out = on_left_out};

    port.max_per_second = max_per_second;
    core_log_init(&port);
    gpr_set_log_verbosity(GPR_LOG_SEVERITY_INFO);
}

/* Waits for the start of a second, so that what follows is in one. */
static int64_t next_second(void)
{
    const int64_t second = clock_mono_ns() / NS_PER_S;

    while (clock_mono_ns() / NS_PER_S == second)
        usleep(1000);
    return second + 1;
}

Test(core_log, so_many_lines_in_a_second_and_the_rest_is_left_out)
{
    start(20);
    next_second();
    for (unsigned i = 0; i < 100; i++)
        gpr_log(GPR_ERROR, "line %u", i);
    cr_assert_geq(written, 20u);
    cr_assert_eq(written + left_out, 100u);
    cr_assert_lt(written, 60u, "the limit holds in each second");
    next_second();
    gpr_log(GPR_INFO, "later");
    cr_assert_str_eq(last, "later");
    cr_assert_eq(errors, written - 1);
}

Test(core_log, a_failed_assertion_is_always_written)
{
    start(1);
    for (unsigned i = 0; i < 10; i++)
        gpr_log(GPR_ERROR, "line");
    gpr_log(GPR_ERROR, "assertion failed: %s", "1 == 2");
    cr_assert_str_eq(last, "assertion failed: 1 == 2");
}

Test(core_log, zero_is_no_limit)
{
    start(0);
    for (unsigned i = 0; i < 1000; i++)
        gpr_log(GPR_INFO, "line");
    cr_assert_eq(written, 1000u);
    cr_assert_eq(left_out, 0u);
}
