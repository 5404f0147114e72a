/* fsm.h - state machines as data: one table has the names of the states and the allowed moves.
 *
 *   static const struct fsm machine = {
 *       .name = "session",
 *       .states = {[WAITING] = {"WAITING", BIT(LIVE) | BIT(GONE)},
 *                  [LIVE] = {"LIVE", BIT(GONE)},
 *                  [GONE] = {"GONE", 0}}};
 *
 *   fsm_move(&machine, session, LIVE);
 *
 * An object has its state in a member `state`. Only fsm_move() changes it, once the object has its
 * first state. The diagram of the states stands with the enum or in the card of the file that has
 * the table, and shows the same moves.
 *
 * The trace: with the log level debug, each move writes one line. `object` is the address of the
 * object.
 *
 *   fsm.moved machine="session" object="0x55d0c0ffee00" from="WAITING" to="LIVE"
 *
 * A move costs one look into the table, and one branch for the trace. States are for the lives of
 * calls, sessions and streams: no event makes a move.
 *
 * Threads: as the object. The trace is written where the move happens, under whatever locks the
 * caller holds. */
#ifndef TRIBUTARY_BASE_FSM_H
#define TRIBUTARY_BASE_FSM_H

#include <stdbool.h>

#include "base/base.h"
#include "base/log.h"

/* The most states of a machine. The compiler refuses a table with more. */
#define MAX_FSM_STATES 8u

struct fsm {
    const char *name;
    struct fsm_state {
        const char *name;
        unsigned allowed; /* BIT() of each state that may follow */
    } states[MAX_FSM_STATES];
};

/* Whether the move is in the table. False for a state that the machine does not have. */
static inline bool fsm_allows(const struct fsm *machine, unsigned from, unsigned to)
{
    return from < MAX_FSM_STATES && to < MAX_FSM_STATES && (machine->states[from].allowed & BIT(to));
}

/* Moves `object`, a pointer to a struct with a member `state`. A move that is not in the table ends
 * the process as a CHECK() does, with the names of machine and states. `to` has the type of
 * `state`: the compiler warns of a state of another machine. Evaluates each argument once. */
#define fsm_move(machine, object, to)                                                                        \
    do {                                                                                                     \
        __typeof__(object) fsm_object_ = (object);                                                           \
        __typeof__(fsm_object_->state) fsm_to_ = (to);                                                       \
        fsm_check((machine), fsm_object_, fsm_object_->state, fsm_to_, __FILE__, __LINE__);                  \
        fsm_object_->state = fsm_to_;                                                                        \
    } while (0)

/* The rest is for fsm_move() only. */

/* Writes place, machine and states to standard error, and aborts. */
NORETURN void fsm_refused(const struct fsm *machine, unsigned from, unsigned to, const char *file, int line);

/* Writes the line of the trace. errno is unchanged. */
void fsm_trace(const struct fsm *machine, const void *object, unsigned from, unsigned to);

static inline void fsm_check(const struct fsm *machine, const void *object, unsigned from, unsigned to,
                             const char *file, int line)
{
    if (!LIKELY(fsm_allows(machine, from, to)))
        fsm_refused(machine, from, to, file, line);
    if (log_wants(LOG_DEBUG))
        fsm_trace(machine, object, from, to);
}

#endif
