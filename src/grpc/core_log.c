/* core_log.c - takes the core's lines, and counts them in each second. */
#include "grpc/core_log.h"

#include <stdatomic.h>
#include <strings.h>

#include "base/clock.h"

#include <grpc/support/log.h>

static struct {
    const struct core_log_port *port; /* constant after core_log_init() */
    _Atomic int64_t second;           /* the one that `count` is for */
    _Atomic unsigned count;
} state;

/* Two threads at the start of a second may disagree by a line, which does no harm. */
static bool is_within_limit(void)
{
    const int64_t second = clock_mono_ns() / NS_PER_S;

    if (state.port->max_per_second == 0)
        return true;
    if (atomic_exchange(&state.second, second) != second)
        atomic_store(&state.count, 0);
    return atomic_fetch_add(&state.count, 1) < state.port->max_per_second;
}

static void on_line(gpr_log_func_args *args)
{
    static const char assertion[] = "assertion failed";
    const struct core_line line = {.message = args->message,
                                   .file = args->file,
                                   .line = args->line,
                                   .is_error = args->severity == GPR_LOG_SEVERITY_ERROR};

    if (is_within_limit() || strncasecmp(line.message, assertion, sizeof(assertion) - 1) == 0)
        state.port->write(&line);
    else
        state.port->left_out(&line);
}

void core_log_init(const struct core_log_port *port)
{
    state.port = port;
    gpr_set_log_function(on_line);
}
