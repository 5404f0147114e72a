/* activation_table.c - the activations of one session by their numbers: chains in a power-of-two
 * number of slots. */
#include "hub/activation_table.h"

#include <stdlib.h>

#include "base/counters.h"

#define MIN_SLOTS 8u

/* Without memory the chains get longer. */
static void grow(struct session *session)
{
    uint32_t old_count = session->slot_count;
    struct activation **slots, **old = session->slots;

    if (session->active_count < old_count)
        return;
    slots = calloc(MAX_OF(old_count * 2, MIN_SLOTS), sizeof(struct activation *));
    if (!slots)
        return;
    session->slots = slots;
    session->slot_count = MAX_OF(old_count * 2, MIN_SLOTS);
    for (uint32_t i = 0; i < old_count; i++) {
        struct activation *next;

        for (struct activation *activation = old[i]; activation; activation = next) {
            next = activation->next;
            activation->next = *activation_table_slot(session, activation->number);
            *activation_table_slot(session, activation->number) = activation;
        }
    }
    free(old);
}

bool activation_table_add(struct activation *activation)
{
    struct session *session = activation->session;
    bool added;

    pthread_mutex_lock(&session->lock);
    grow(session);
    added = session->slot_count > 0;
    if (added) {
        activation->number = ++session->last_number;
        activation->next = *activation_table_slot(session, activation->number);
        *activation_table_slot(session, activation->number) = activation;
        session->active_count++;
        activation->in_table = true;
        count_add(COUNT_LIVE_ACTIVATIONS, 1);
    }
    pthread_mutex_unlock(&session->lock);
    return added;
}

void activation_table_remove(struct activation *activation)
{
    struct session *session = activation->session;
    struct activation **link;

    if (!activation->in_table)
        return;
    activation->in_table = false;
    pthread_mutex_lock(&session->lock);
    link = activation_table_slot(session, activation->number);
    while (*link != activation)
        link = &(*link)->next;
    *link = activation->next;
    session->active_count--;
    pthread_mutex_unlock(&session->lock);
    count_add(COUNT_LIVE_ACTIVATIONS, -1);
}

struct activation *activation_table_get(struct session *session, uint64_t number)
{
    struct activation *activation;

    pthread_mutex_lock(&session->lock);
    activation = activation_table_find(session, number);
    pthread_mutex_unlock(&session->lock);
    return activation;
}
