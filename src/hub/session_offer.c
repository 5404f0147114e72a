/* session_offer.c - what a session publishes, and how it comes to the right inlet.
 *
 * An offer to an activation goes hand over hand: it takes the inlet's lock before it releases the
 * session's. The loop first takes the activation out of the session's table, then takes the inlet's
 * lock. From then on no offer is inside. */
#include "base/clock.h"
#include "base/counters.h"
#include "hub/activation_table.h"
#include "hub/session.h"
#include "route/offer.h"

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
    activation = activation_table_find(session, number);
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
    activation = activation_table_find(session, number);
    pthread_mutex_unlock(&session->lock);
    if (activation)
        activation_ended_by_producer(activation, code, message);
}
