/* activation_table.h - the activations of one session by their numbers.
 *
 * Numbers rise and are never used twice. So a number that is not in the table has ended, and a
 * number above the last one was never started. */
#ifndef TRIBUTARY_HUB_ACTIVATION_TABLE_H
#define TRIBUTARY_HUB_ACTIVATION_TABLE_H

#include "hub/activation_internal.h"
#include "hub/session_internal.h"

/* Loop. Gives the activation the next number; offers find it from now on. False: out of memory. */
bool activation_table_add(struct activation *activation);

/* Loop. No offer finds the activation any more. An offer that runs still holds its inlet's lock.
 * Does nothing where it is not in the table. */
void activation_table_remove(struct activation *activation);

/* Loop. NULL: it is not there. */
struct activation *activation_table_get(struct session *session, uint64_t number);

static inline struct activation **activation_table_slot(const struct session *session, uint64_t number)
{
    return &session->slots[number & (session->slot_count - 1)];
}

/* Any thread, under the session's lock. NULL: it is not there. */
static inline struct activation *activation_table_find(const struct session *session, uint64_t number)
{
    struct activation *activation = session->slot_count > 0 ? *activation_table_slot(session, number) : NULL;

    while (activation && activation->number != number)
        activation = activation->next;
    return activation;
}

#endif
