/* fsm.c - what a refused move and the trace of moves write. */
#include "base/fsm.h"

#include <stdio.h>

/* A state that the machine does not have is shown as "UNKNOWN". */
static const char *state_name(const struct fsm *machine, unsigned state)
{
    return state < MAX_FSM_STATES && machine->states[state].name ? machine->states[state].name : "UNKNOWN";
}

void fsm_refused(const struct fsm *machine, unsigned from, unsigned to, const char *file, int line)
{
    char text[256];

    snprintf(text, sizeof(text), "%s may not move from %s (%u) to %s (%u)", machine->name,
             state_name(machine, from), from, state_name(machine, to), to);
    check_failed(text, file, line);
}

void fsm_trace(const struct fsm *machine, const void *object, unsigned from, unsigned to)
{
    char address[2 + 2 * sizeof(object) + 1];

    snprintf(address, sizeof(address), "%p", object);
    log_write(LOG_DEBUG, "fsm.moved", LOG_TEXT("machine", machine->name), LOG_TEXT("object", address),
              LOG_TEXT("from", state_name(machine, from)), LOG_TEXT("to", state_name(machine, to)));
}
