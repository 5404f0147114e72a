/* register_port.c - what the hub says to a session: commands. */
#include "server/rpc/register_internal.h"

void registration_welcome(void *ctx, uint64_t epoch)
{
    struct registration *registration = ctx;

    command_welcome(&registration->commands, epoch);
    cq_post(call_cq(registration->call), &registration->welcome_task);
}

void registration_start(void *ctx, const struct activation_params *params)
{
    command_start(&((struct registration *)ctx)->commands, params);
}

void registration_stop(void *ctx, uint64_t activation, enum fault_reason reason, int64_t deadline_ns)
{
    command_stop(&((struct registration *)ctx)->commands, activation, reason, deadline_ns);
}

void registration_set_paused(void *ctx, uint64_t activation, bool pause)
{
    command_pause(&((struct registration *)ctx)->commands, activation, pause);
}

void registration_closing(void *ctx, enum fault_reason reason, int64_t deadline_ns)
{
    command_closing(&((struct registration *)ctx)->commands, reason, deadline_ns);
}
