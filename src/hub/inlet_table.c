/* inlet_table.c - the inlets of one session by their numbers: chains in a power-of-two number of
 * slots. */
#include "hub/inlet_table.h"

#include <stdlib.h>

#include "base/counters.h"

#define MIN_SLOTS 8u

/* Without memory the chains get longer. */
static void grow(struct session *session)
{
    uint32_t old_count = session->slot_count;
    struct numbered_inlet **slots, **old = session->slots;

    if (session->active_count < old_count)
        return;
    slots = calloc(MAX_OF(old_count * 2, MIN_SLOTS), sizeof(struct numbered_inlet *));
    if (!slots)
        return;
    session->slots = slots;
    session->slot_count = MAX_OF(old_count * 2, MIN_SLOTS);
    for (uint32_t i = 0; i < old_count; i++) {
        struct numbered_inlet *next;

        for (struct numbered_inlet *numbered = old[i]; numbered; numbered = next) {
            next = numbered->next;
            numbered->next = *inlet_table_slot(session, numbered->number);
            *inlet_table_slot(session, numbered->number) = numbered;
        }
    }
    free(old);
}

bool inlet_table_add(struct session *session, struct numbered_inlet *numbered)
{
    bool added;

    pthread_mutex_lock(&session->lock);
    grow(session);
    added = session->slot_count > 0;
    if (added) {
        numbered->number = ++session->last_number;
        numbered->next = *inlet_table_slot(session, numbered->number);
        *inlet_table_slot(session, numbered->number) = numbered;
        session->active_count++;
        numbered->in_table = true;
        count_add(COUNT_LIVE_ACTIVATIONS, 1);
    }
    pthread_mutex_unlock(&session->lock);
    return added;
}

void inlet_table_remove(struct session *session, struct numbered_inlet *numbered)
{
    struct numbered_inlet **link;

    if (!numbered->in_table)
        return;
    numbered->in_table = false;
    pthread_mutex_lock(&session->lock);
    link = inlet_table_slot(session, numbered->number);
    while (*link != numbered)
        link = &(*link)->next;
    *link = numbered->next;
    session->active_count--;
    pthread_mutex_unlock(&session->lock);
    count_add(COUNT_LIVE_ACTIVATIONS, -1);
}

struct numbered_inlet *inlet_table_get(struct session *session, uint64_t number)
{
    struct numbered_inlet *numbered;

    pthread_mutex_lock(&session->lock);
    numbered = inlet_table_find(session, number);
    pthread_mutex_unlock(&session->lock);
    return numbered;
}
