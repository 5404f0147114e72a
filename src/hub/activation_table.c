/* numbers.c - what a session publishes: activations by their numbers, and the way of an event to
 * its own.
 *
 * The table is a session's, under its lock: chains in power-of-two slots. Numbers rise and are
 * never used twice, so one that is not in there has ended, and one above the last was never
 * started. An offer goes hand over hand: it takes the inlet's lock before it lets go of the
 * table's, so the loop, which first takes an activation out of the table and then that lock, knows
 * that nobody is inside any more. */
#include "hub/session.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/counters.h"

#define MIN_SLOTS 8u

static struct activation **slot_of(const struct session *session, uint64_t number)
{
    return &session->slots[number & (session->slot_count - 1)];
}

/* Without memory the chains get longer. */
static void table_grow(struct session *session)
{
    uint32_t before = session->slot_count;
    struct activation **slots, **old = session->slots;

    if (session->reported_count < before)
        return;
    slots = calloc(MAX_OF(before * 2, MIN_SLOTS), sizeof(struct activation *));
    if (!slots)
        return;
    session->slots = slots;
    session->slot_count = MAX_OF(before * 2, MIN_SLOTS);
    for (uint32_t i = 0; i < before; i++) {
        struct activation *next;

        for (struct activation *one = old[i]; one; one = next) {
            next = one->next;
            one->next = *slot_of(session, one->number);
            *slot_of(session, one->number) = one;
        }
    }
    free(old);
}

static struct activation *find(const struct session *session, uint64_t number)
{
    struct activation *one = session->slot_count > 0 ? *slot_of(session, number) : NULL;

    while (one && one->number != number)
        one = one->next;
    return one;
}

/* Gives it the next number. False: there is no memory for a table at all. */
bool activation_table_add(struct activation *activation)
{
    struct session *session = activation->session;
    bool added;

    pthread_mutex_lock(&session->lock);
    table_grow(session);
    added = session->slot_count > 0;
    if (added) {
        activation->number = ++session->last_number;
        activation->next = *slot_of(session, activation->number);
        *slot_of(session, activation->number) = activation;
        session->reported_count++;
    }
    pthread_mutex_unlock(&session->lock);
    return added;
}

void activation_table_remove(struct activation *activation)
{
    struct session *session = activation->session;
    struct activation **link;

    pthread_mutex_lock(&session->lock);
    link = slot_of(session, activation->number);
    while (*link != activation)
        link = &(*link)->next;
    *link = activation->next;
    session->reported_count--;
    pthread_mutex_unlock(&session->lock);
    count_add(COUNT_LIVE_ACTIVATIONS, -1);
}

static enum err drop(const struct chunk *chunk)
{
    count_add(COUNT_EVENTS_UNWANTED, chunk->count);
    return ERR_CLOSED;
}

static enum err offer_shared(struct session *session, struct chunk *chunk, struct put_waiter *waiter,
                             struct offer *offer_out)
{
    enum err err;

    session_retain(session); /* until session_unblocked(), which may come before this returns */
    err = inlet_offer(&session->producer.inlet, chunk, waiter, offer_out);
    if (err != ERR_AGAIN)
        session_release(session);
    return err == ERR_CLOSED || err == ERR_NOT_FOUND ? drop(chunk) : err;
}

static enum err offer_activation(struct session *session, uint64_t number, struct chunk *chunk,
                                 struct offer *offer_out)
{
    struct activation *activation;
    uint64_t last_number;

    pthread_mutex_lock(&session->lock);
    activation = find(session, number);
    last_number = session->last_number;
    if (!activation) {
        pthread_mutex_unlock(&session->lock);
        return number > last_number ? ERR_NOT_FOUND : drop(chunk);
    }
    session->published.events += chunk->count;
    session->published.bytes += chunk_bytes(chunk, 0, chunk->count);
    session->last_event_wall_ns = clock_wall_ns();
    /* Hand over hand: from here on the loop waits for this lock before it frees the activation. */
    pthread_mutex_lock(&activation->inlet.lock);
    pthread_mutex_unlock(&session->lock);
    return inlet_offer_locked(&activation->inlet, chunk, NULL, offer_out);
}

enum err session_offer(struct session *session, uint64_t activation, struct chunk *chunk,
                       struct put_waiter *waiter, struct offer *offer_out)
{
    OWNED(session_release) struct session *held = session_retain(session);

    if ((activation == 0) != (session->mode == SESSION_SHARED))
        return ERR_INVALID;
    return activation == 0 ? offer_shared(session, chunk, waiter, offer_out)
                           : offer_activation(session, activation, chunk, offer_out);
}

void session_give_up(struct session *session, const struct put_waiter *waiter)
{
    inlet_give_up(&session->producer.inlet, waiter);
}

void session_unblocked(struct session *session)
{
    inlet_unblocked(&session->producer.inlet);
    session_release(session);
}

void session_end(struct session *session, uint64_t number, uint32_t code, const char *message)
{
    struct activation *activation;

    pthread_mutex_lock(&session->lock);
    activation = find(session, number);
    pthread_mutex_unlock(&session->lock);
    if (activation)
        activation_ended_by_producer(activation, code, message);
}
