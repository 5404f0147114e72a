/* inlet_table.h - the inlets of one session by their numbers: one for each activation, or for each
 * shared call.
 *
 * Numbers rise and are never used twice. So a number that is not in the table has ended, and a
 * number above the last one was never started. */
#ifndef TRIBUTARY_HUB_INLET_TABLE_H
#define TRIBUTARY_HUB_INLET_TABLE_H

#include "hub/session_internal.h"

/* Loop. Gives the inlet the next number; offers find it from now on. False: out of memory. */
bool inlet_table_add(struct session *session, struct numbered_inlet *numbered);

/* Loop. No offer finds the inlet any more. An offer that runs still holds its lock. Does nothing
 * where it is not in the table. */
void inlet_table_remove(struct session *session, struct numbered_inlet *numbered);

/* Loop. NULL: it is not there. */
struct numbered_inlet *inlet_table_get(struct session *session, uint64_t number);

static inline struct numbered_inlet **inlet_table_slot(const struct session *session, uint64_t number)
{
    return &session->slots[number & (session->slot_count - 1)];
}

/* Any thread, under the session's lock. NULL: it is not there. */
static inline struct numbered_inlet *inlet_table_find(const struct session *session, uint64_t number)
{
    struct numbered_inlet *numbered = session->slot_count > 0 ? *inlet_table_slot(session, number) : NULL;

    while (numbered && numbered->number != number)
        numbered = numbered->next;
    return numbered;
}

#endif
